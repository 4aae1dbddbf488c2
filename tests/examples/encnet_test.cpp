// EncNetLite and EncNet against PyTorch's; activation checkpoints.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>

#include "../../examples/segmentation/encnet.h"
#include "../../examples/segmentation/encnet_lite.h"
#include "example_test.h"

using namespace weft;

namespace {

void fill(nn::Module& net) {
  NoGrad guard;
  int k = 0;
  for (auto& [name, p] : net.named_parameters()) {
    if (p.rank() > 1) p.copy_(value(k, p.shape(), 1.5 / std::sqrt(static_cast<double>(p[0].numel()))));
    else
      p.copy_(value(k, p.shape(), 0.2) +
              (name.find("bn") != std::string::npos || name.ends_with("1.weight") ? 1.0 : 0.0));
    ++k;
  }
}

/// Every fifth row and column, as the file has them.
Tensor thinned(const Tensor& x) {
  std::vector<int64_t> rows, columns;
  for (int64_t i = 0; i < x.size(2); i += 5) rows.push_back(i);
  for (int64_t i = 0; i < x.size(3); i += 5) columns.push_back(i);
  return index_select(index_select(x.detach(), 2, tensor(rows)), 3, tensor(columns));
}

/// f64 on both sides: sums of some 10^4 terms in another order, through up to 60 layers and norms.
void check_close(const Tensor& got, const Tensor& expected, const std::string& what) {
  INFO(what);
  REQUIRE(got.shape() == expected.shape());
  const double size = max(abs(expected)).item<double>();
  CHECK(max(abs(got.detach() - expected)).item<double>() <= 1e-9 * (1 + size));
}

}  // namespace

TEST_CASE("EncNetLite: keys, outputs, gradients and running statistics are those of PyTorch's network") {
  const StateDict file = golden("encnet_lite_golden.npz");
  EncNetLite net;
  net.to(Dtype::f64);
  CHECK(lines(keys_of(net)) == golden_keys(file));
  fill(net);
  for (auto& drop : net.modules<nn::Dropout>()) drop.eval();
  Tensor x = value(90, {2, 3, 45, 50}, 1).requires_grad_();
  const Segmented out = net(x);
  check_close(thinned(out.scores), file.at("y"), "scores");
  check_close(out.presence, file.at("se"), "presence");
  ((out.scores * value(92, out.scores.shape(), 1)).sum() + (out.presence * value(93, out.presence.shape(), 1)).sum())
      .backward();
  check_close(thinned(x.grad()), file.at("x.grad"), "x.grad");
  for (const char* name : {"stem.0.weight", "layer2.0.down.1.bias", "layer3.1.bn2.weight", "encmodule.encoding.scale",
                           "encmodule.bn.weight", "encmodule.fc.bias", "skip.1.bias", "conv6.1.bias"})
    check_close(net.get(name).grad(), file.at(name), name);
  check_close(net.get("layer3.0.bn1.running_var"), file.at("running"), "running_var");
  net.eval();
  NoGrad guard;
  const Segmented still = net(x);
  check_close(thinned(still.scores), file.at("eval.y"), "scores in evaluation");
  check_close(still.presence, file.at("eval.se"), "presence in evaluation");
}

TEST_CASE("EncNet: keys and outputs are those of PyTorch's network with a dilated ResNet-50") {
  const StateDict file = golden("encnet_golden.npz");
  EncNet net({.classes = 5, .lateral = true});
  CHECK(lines(keys_of(net)) == golden_keys(file));
  net.to(Dtype::f64);
  fill(net);
  for (auto& drop : net.modules<nn::Dropout2d>()) drop.eval();
  NoGrad guard;
  const EncNet::Output out = net(value(90, {2, 3, 33, 41}, 1));
  check_close(thinned(out.scores), file.at("y"), "scores");
  check_close(thinned(out.aux), file.at("aux"), "aux");
  check_close(out.presence, file.at("se"), "presence");
}

TEST_CASE("EncNet: converted weights load strictly, but for the backbone's classifier") {
  const char* folder = std::getenv("TMPDIR");
  const std::string path = std::string(folder ? folder : "/tmp") + "/weft_encnet.safetensors";
  EncNet net({.classes = 2, .codes = 4, .se_loss = false, .aux = false});
  StateDict dict = net.state_dict();
  dict.insert("pretrained.fc.weight", ones({3, 2}));
  dict.insert("pretrained.fc.bias", ones({3}));
  io::save(dict, path);
  net.load(path);
  dict.erase("head.conv5.0.weight");
  dict.insert("head.extra", ones({1}));
  io::save(dict, path);
  std::string said;
  try {
    net.load(path);
  } catch (const ValueError& e) { said = e.what(); }
  for (const std::string& word : {path, std::string("head.conv5.0.weight"), std::string("head.extra")})
    CHECK(said.find(word) != std::string::npos);
  std::remove(path.c_str());
}

TEST_CASE("EncNetLite: activation checkpoints give the same gradients, and count each batch once") {
  EncNetLite plain, forgetful;
  forgetful.load_state_dict(plain.state_dict());
  forgetful.checkpoint_activations(true);
  const Tensor x = value(90, {2, 3, 24, 32}, 1).to(Dtype::f32);
  for (EncNetLite* net : {&plain, &forgetful}) {
    manual_seed(5);  // of dropout
    const Segmented out = (*net)(x);
    (out.scores.square().mean() + out.presence.square().mean()).backward();
  }
  const std::vector<Tensor> a = plain.parameters(), b = forgetful.parameters();
  // gradients of shared maps are summed in another order: some 2^-24 of the largest, carried through 25 layers
  for (size_t i = 0; i < a.size(); ++i)
    CHECK(max(abs(a[i].grad() - b[i].grad())).item<double>() <= 1e-4 * max(abs(a[i].grad())).item<double>());
  const StateDict other = forgetful.state_dict();
  for (const auto& [key, t] : plain.state_dict()) CHECK_MESSAGE(equal(t, other.at(key)), key);
  CHECK(forgetful.get("stem.1.num_batches_tracked").item<int64_t>() == 1);
}

TEST_CASE("EncNetLite: any size, and norms over two ranks are those of the whole batch") {
  EncNetLite net;
  net.eval();
  {
    NoGrad guard;
    for (const Shape& s : {Shape{1, 1}, Shape{3, 17}, Shape{33, 8}})
      CHECK(net(zeros({1, 3, s[0], s[1]})).scores.shape() == Shape({1, 11, s[0], s[1]}));
  }
  net.train();
  for (auto& drop : net.modules<nn::Dropout>()) drop.eval();
  const Tensor x = value(90, {2, 3, 24, 32}, 1).to(Dtype::f32);
  const StateDict before = net.state_dict();
  StateDict start;
  for (const auto& [key, t] : before) start.insert(key, t.clone());
  const Tensor whole = net(x).scores.detach();
  std::vector<Tensor> parts(2);
  run_threads(2, [&](const ProcessGroup& group) {
    EncNetLite mine({.group = group});
    mine.load_state_dict(start);
    for (auto& drop : mine.modules<nn::Dropout>()) drop.eval();
    parts[static_cast<size_t>(group.rank())] = mine(x.narrow(0, group.rank(), 1)).scores.detach();
  });
  // f32, statistics merged in another order
  CHECK(max(abs(cat(parts, 0) - whole)).item<double>() < 2e-4 * max(abs(whole)).item<double>());
}
