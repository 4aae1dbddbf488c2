#include "vgg.h"

#include <cmath>

using namespace weft;

namespace {

struct Place {
  int index;  // in torchvision's features
  int64_t in, out;
  const char* tap;
  bool pool;
};
constexpr Place kPlaces[] = {{0, 3, 64, "", false},
                             {2, 64, 64, "relu1_2", false},
                             {5, 64, 128, "", true},
                             {7, 128, 128, "relu2_2", false},
                             {10, 128, 256, "", true},
                             {12, 256, 256, "", false},
                             {14, 256, 256, "relu3_3", false},
                             {17, 256, 512, "", true},
                             {19, 512, 512, "", false},
                             {21, 512, 512, "relu4_3", false}};

constexpr int kContentIndex = 7;  // the content is measured behind it

/// Both conventions are (rgb - mean) with other first weights. So: the mean in RGB, and what one unit of colour is
/// worth.
struct Convention {
  bool bgr;
  float mean[3], scale[3];
};
Convention convention(const std::string& input) {
  if (input == kBgrMean) return {true, {123.68f, 116.779f, 103.939f}, {1, 1, 1}};
  if (input == kRgbImagenet)
    return {false, {123.675f, 116.28f, 103.53f}, {1 / (255 * .229f), 1 / (255 * .224f), 1 / (255 * .225f)}};
  raise<ValueError>("features: the input convention is '", input, "'; expected ", kBgrMean, " or ", kRgbImagenet);
}

/// Channels 0..2 of a [O, 3, 3, 3] weight in reverse order.
Tensor reversed(const Tensor& w) { return cat({w.narrow(1, 2, 1), w.narrow(1, 1, 1), w.narrow(1, 0, 1)}, 1); }

std::string key(int index, const char* what) { return "features." + std::to_string(index) + "." + what; }

}  // namespace

Vgg::Vgg(const StateDict& weights, std::string input, Device device) : input_(std::move(input)) {
  auto named = weights.metadata.find("input");
  if (input_.empty()) input_ = named != weights.metadata.end() ? named->second : kRgbImagenet;
  Convention c = convention(input_);
  mean_ = tensor(std::span<const float>(c.mean), {1, 3, 1, 1}).to(device);
  for (const Place& p : kPlaces) {
    const Tensor* file_weight = weights.find(key(p.index, "weight"));
    if (!file_weight) {
      WEFT_CHECK(p.index > kContentIndex, ValueError, "features: ", key(p.index, "weight"),
                 " is missing; VGG16's features.0 to ", kContentIndex, " are needed");
      break;
    }
    WEFT_CHECK(file_weight->shape() == Shape({p.out, p.in, 3, 3}), ShapeError, "features: ", key(p.index, "weight"),
               " is ", file_weight->shape(), ", not VGG16's ", Shape{p.out, p.in, 3, 3});
    const Tensor& file_bias = weights.at(key(p.index, "bias"));
    WEFT_CHECK(file_bias.shape() == Shape{p.out}, ShapeError, "features: ", key(p.index, "bias"), " is ",
               file_bias.shape(), ", not VGG16's ", Shape{p.out});
    for (const Tensor* t : {file_weight, &file_bias}) {
      const char* what = t == file_weight ? "weight" : "bias";
      WEFT_CHECK(t->is_floating(), DtypeError, "features: ", key(p.index, what), " is ", t->dtype(), ", not floating");
      WEFT_CHECK(all(isfinite(*t)).item<bool>(), ValueError, "features: ", key(p.index, what),
                 " holds a NaN or an infinity");
    }
    Tensor weight = file_weight->to(Dtype::f32), bias = file_bias.to(Dtype::f32);
    if (p.index == 0)
      weight = (c.bgr ? reversed(weight) : weight) * tensor(std::span<const float>(c.scale), {1, 3, 1, 1});
    layers_.push_back({weight.to(device), bias.to(device), p.tap, p.pool});
  }
  while (!layers_.empty() && layers_.back().tap.empty()) layers_.pop_back();
}

std::map<std::string, Tensor> Vgg::operator()(const Tensor& rgb, const std::string& last) const {
  std::map<std::string, Tensor> taps;
  Tensor x = rgb - mean_;
  for (const Layer& layer : layers_) {
    if (layer.pool) x = max_pool2d(x, {.kernel_size = 2});
    x = relu(conv2d(x, layer.weight, layer.bias, {.padding = 1}));
    if (layer.tap.empty()) continue;
    taps[layer.tap] = x;
    if (layer.tap == last) break;
  }
  return taps;
}

StateDict Vgg::random(uint64_t seed, const std::string& input) {
  Convention c = convention(input);
  Generator generator(seed);
  StateDict dict;
  dict.metadata = {{"input", input}, {"origin", "random numbers"}};
  for (const Place& p : kPlaces) {
    if (p.index > 14) break;
    Tensor w = randn({p.out, p.in, 3, 3}, {}, &generator) * std::sqrt(2.0 / static_cast<double>(9 * p.in));
    if (p.index == 0) {
      w = w / tensor(std::span<const float>(c.scale), {1, 3, 1, 1});
      if (c.bgr) w = reversed(w);
    }
    dict.insert(key(p.index, "weight"), w);
    dict.insert(key(p.index, "bias"), zeros({p.out}));
  }
  return dict;
}
