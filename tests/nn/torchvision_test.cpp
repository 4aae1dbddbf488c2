// ResNet-18 and VGG16 against PyTorch: the numbers of tests/golden/make_torchvision.py.
#include "nn/torchvision_nets.h"

#include <cmath>

#include "nn/support.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/test_data.h"
#include "weft/io/safetensors.h"

using namespace weft;

namespace {

/// As `value` of make_torchvision.py: uniform on a grid in [-1, 1).
std::vector<double> generated(const std::string& key, int64_t count) {
  uint64_t h = 0xCBF29CE484222325;
  for (char c : key) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  std::vector<double> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) {
    uint64_t z = h + (i + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    out[i] = static_cast<double>(static_cast<int64_t>(z >> 40) - (1 << 23)) / (1 << 23);
  }
  return out;
}

/// As `generated` there: a state dict for a model with these keys and shapes.
StateDict torchvision_state(const nn::Module& model) {
  StateDict dict;
  for (const auto& [key, t] : model.state_dict()) {
    if (key.ends_with("num_batches_tracked")) {
      dict.insert(key, scalar(int64_t(5)));
      continue;
    }
    std::vector<double> v = generated(key, t.numel());
    const double fan_in = t.rank() > 1 ? static_cast<double>(t.numel() / t.size(0)) : 0;
    for (double& x : v) {
      if (key.ends_with("running_var")) x = 1 + 0.5 * x;
      else if (t.rank() > 1) x *= std::sqrt(6 / fan_in);
      else if (key.ends_with("weight")) x = 1 + 0.25 * x;
      else x *= 0.25;
      x = static_cast<float>(x);
    }
    dict.insert(key, tensor(v, t.shape()));
  }
  return dict;
}

/// `got` by its dot product with generated values and its norm, up to `tolerance` times the norm.
void check_digest(const StateDict& golden, const std::string& entry, const std::string& key, const Tensor& got,
                  double tolerance) {
  const auto expected = golden.at(entry).to_vector<double>();
  const auto g = got.to_vector<double>(), probe = generated("probe." + key, got.numel());
  double dot = 0, square = 0;
  for (size_t i = 0; i < g.size(); ++i) {
    dot += g[i] * probe[i];
    square += g[i] * g[i];
  }
  CAPTURE(entry);
  CHECK(std::fabs(dot - expected[0]) <= tolerance * expected[1]);
  CHECK(std::fabs(std::sqrt(square) - expected[1]) <= tolerance * expected[1]);
}

template <class Net> void compare(Net net, const char* file, int64_t size, Dtype dtype, double value, double gradient) {
  const StateDict golden = io::load(test::data_file(std::string("golden/data/torchvision/") + file));
  const bool training = golden.contains("after.bn1.running_mean");
  net.to(dtype).to(support::device()).train(training);
  net.load_state_dict(torchvision_state(net));
  Tensor x =
      here::tensor(generated("input", 2 * 3 * size * size), Shape{2, 3, size, size}).to(dtype).set_requires_grad();
  const Tensor y = net(x);
  const auto got = y.template to_vector<double>(), expected = golden.at("output").to_vector<double>();
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    CHECK(std::fabs(got[i] - expected[i]) <= value * (1 + std::fabs(expected[i])));
  sum(y * here::tensor(generated("cotangent", y.numel()), y.shape()).to(dtype)).backward();
  check_digest(golden, "grad.input", "input", x.grad(), gradient);
  for (const auto& [key, p] : net.named_parameters()) check_digest(golden, "grad." + key, key, p.grad(), gradient);
  if (!training) return;
  for (const auto& [key, b] : net.named_buffers()) check_digest(golden, "after." + key, key, b.to(Dtype::f64), value);
}

}  // namespace

TEST_SUITE_BEGIN("torchvision");

// f64 against f64: sums of up to 4608 products through 18 layers, and batch statistics of 8 values that divide by small
// variances, in other orders: 1e-16 grows to some 1e-11.
// f32: 6e-8 grows likewise to 1e-5 in values. In gradients a ReLU or a maximum that is decided otherwise within that
// error counts: one of the 4096 to 131072 units of a layer, so about 1 / sqrt(4096) of a late layer's gradient at
// worst, and seldom.
DEVICE_TEST_CASE("ResNet-18 gives PyTorch's outputs, gradients and statistics") {
  compare(torchvision::ResNet18(10), "resnet18.safetensors", 64, Dtype::f64, 1e-10, 1e-9);
  compare(torchvision::ResNet18(10), "resnet18.safetensors", 64, Dtype::f32, 1e-4, 1e-2);
}

DEVICE_TEST_CASE("VGG16 gives PyTorch's outputs and gradients") {
  compare(torchvision::VGG16(10, 64), "vgg16.safetensors", 32, Dtype::f64, 1e-10, 1e-9);
  compare(torchvision::VGG16(10, 64), "vgg16.safetensors", 32, Dtype::f32, 1e-4, 1e-2);
}

TEST_CASE("keys are torchvision's") {
  const StateDict resnet = torchvision::ResNet18().state_dict();
  CHECK(resnet.size() == 122);
  CHECK(resnet.begin()->first == "conv1.weight");
  CHECK(resnet.at("layer2.0.downsample.0.weight").shape() == Shape{128, 64, 1, 1});
  CHECK(resnet.at("layer4.1.bn2.running_var").shape() == Shape{512});
  CHECK(resnet.at("fc.weight").shape() == Shape{1000, 512});
  const StateDict vgg = torchvision::VGG16(1000, 8).state_dict();
  CHECK(vgg.size() == 32);
  CHECK(vgg.at("features.28.bias").shape() == Shape{512});
  CHECK(vgg.at("classifier.0.weight").shape() == Shape{8, 25088});
  CHECK(vgg.at("classifier.6.weight").shape() == Shape{1000, 8});
}

TEST_SUITE_END();
