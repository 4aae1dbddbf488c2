#include "msgnet.h"

#include <cmath>

using namespace weft;

Norm::Norm(int64_t channels, std::shared_ptr<NormStatistics> statistics)
    : nn::InstanceNorm2d(channels), index_(statistics->mean.size()), statistics_(std::move(statistics)) {
  statistics_->mean.emplace_back();
  statistics_->var.emplace_back();
}

Tensor Norm::operator()(const Tensor& x) const {
  if (statistics_->from == NormStatistics::From::picture)
    return instance_norm(x, {}, {}, {}, {}, {.eps = options->eps, .activation = Activation::relu});
  const bool batch = statistics_->from == NormStatistics::From::batch;
  Tensor &mean = statistics_->mean[index_], &var = statistics_->var[index_];
  if (batch) {
    mean = zeros({num_features}, x.device());
    var = ones({num_features}, x.device());
  }
  return batch_norm(x, mean, var, {}, {},
                    {.training = batch, .momentum = 1, .eps = options->eps, .activation = Activation::relu});
}

namespace {

using Statistics = std::shared_ptr<NormStatistics>;

/// Norm and ReLU, which is in the norm already: its place keeps the numbering of what follows.
void push_norm(nn::Sequential& s, int64_t channels, const Statistics& statistics) {
  s.push_back(Norm(channels, statistics));
  s.push_back(nn::Identity());
}

/// A convolution after reflection padding of k / 2.
struct ConvLayer : nn::Module {
  nn::ReflectionPad2d reflection_pad;
  nn::Conv2d conv2d;
  ConvLayer(int64_t in, int64_t out, int64_t k, int64_t stride = 1)
      : reflection_pad(add("reflection_pad", nn::ReflectionPad2d(k / 2))),
        conv2d(add("conv2d", nn::Conv2d(in, out, {.kernel_size = k, .stride = stride}))) {}
  Tensor operator()(const Tensor& x) const { return conv2d(reflection_pad(x)); }
};

/// The same after doubling the size.
struct UpsampleConvLayer : nn::Module {
  nn::ReflectionPad2d reflection_pad;
  nn::Conv2d conv2d;
  bool pointwise;
  UpsampleConvLayer(int64_t in, int64_t out, int64_t k)
      : reflection_pad(k / 2), conv2d(add("conv2d", nn::Conv2d(in, out, {.kernel_size = k}))), pointwise(k == 1) {}
  Tensor operator()(const Tensor& x) const {
    // a 1 x 1 convolution of equal pixels is the same four times
    if (pointwise) return doubled(conv2d(x));
    return conv2d(reflection_pad(doubled(x)));
  }
  static Tensor doubled(const Tensor& x) { return interpolate(x, {.scale_factor = 2}); }
};

/// Norm, ReLU, convolution, three times: 1 x 1, `middle`, 1 x 1.
template <class Middle> nn::Sequential conv_block(int64_t in, int64_t planes, Middle middle, const Statistics& s) {
  nn::Sequential block;
  push_norm(block, in, s);
  block.push_back(nn::Conv2d(in, planes, {.kernel_size = 1}));
  push_norm(block, planes, s);
  block.push_back(std::move(middle));
  push_norm(block, planes, s);
  block.push_back(nn::Conv2d(planes, 4 * planes, {.kernel_size = 1}));
  return block;
}

/// in -> 4 planes; a strided one halves the size and has a projection for a shortcut.
struct Bottleneck : nn::Module {
  std::optional<nn::Conv2d> residual_layer;
  nn::Sequential block;
  Bottleneck(int64_t in, int64_t planes, int64_t stride, const Statistics& s) {
    if (stride > 1)
      residual_layer = add("residual_layer", nn::Conv2d(in, 4 * planes, {.kernel_size = 1, .stride = stride}));
    block = add("conv_block", conv_block(in, planes, ConvLayer(planes, planes, 3, stride), s));
  }
  Tensor operator()(const Tensor& x) const { return (residual_layer ? (*residual_layer)(x) : x) + block(x); }
};

/// in -> 4 planes at twice the size.
struct UpBottleneck : nn::Module {
  UpsampleConvLayer residual_layer;
  nn::Sequential block;
  UpBottleneck(int64_t in, int64_t planes, const Statistics& s)
      : residual_layer(add("residual_layer", UpsampleConvLayer(in, 4 * planes, 1))),
        block(add("conv_block", conv_block(in, planes, UpsampleConvLayer(planes, planes, 3), s))) {}
  Tensor operator()(const Tensor& x) const { return residual_layer(x) + block(x); }
};

/// The inverse of a symmetric positive definite matrix, by Gauss and Jordan.
Tensor inverse(const Tensor& matrix) {
  const auto n = static_cast<size_t>(matrix.size(0));
  std::vector<double> a = matrix.to_vector<double>(), b(n * n);
  for (size_t i = 0; i < n; ++i) b[i * n + i] = 1;
  for (size_t k = 0; k < n; ++k) {
    const double pivot = 1 / a[k * n + k];
    for (size_t j = 0; j < n; ++j) a[k * n + j] *= pivot, b[k * n + j] *= pivot;
    for (size_t i = 0; i < n; ++i) {
      const double f = a[i * n + k];
      if (i == k || f == 0) continue;
      for (size_t j = 0; j < n; ++j) a[i * n + j] -= f * a[k * n + j], b[i * n + j] -= f * b[k * n + j];
    }
  }
  return tensor(b, matrix.shape());
}

constexpr const char* kStylePrefix = "style.";

}  // namespace

MsgNet::MsgNet(int64_t ngf, int64_t blocks) : ngf(ngf), blocks(blocks), ins(4 * ngf) {
  WEFT_CHECK(ngf > 0 && blocks >= 0, ValueError, "MsgNet: ngf must be positive and blocks not negative, got ", ngf,
             " and ", blocks);
  const int64_t C = 4 * ngf;
  model1.push_back(ConvLayer(3, 64, 7));
  push_norm(model1, 64, statistics_);
  model1.push_back(Bottleneck(64, 32, 2, statistics_));
  model1.push_back(Bottleneck(128, ngf, 2, statistics_));
  model.push_back(model1);
  model.push_back(ins);
  for (int64_t i = 0; i < blocks; ++i) model.push_back(Bottleneck(C, ngf, 1, statistics_));
  model.push_back(UpBottleneck(C, 32, statistics_));
  model.push_back(UpBottleneck(128, 16, statistics_));
  push_norm(model, 64, statistics_);
  model.push_back(ConvLayer(64, 3, 7));
  add("model1", model1);
  add("ins", ins);
  add("model", model);
}

void init_for_training(MsgNet& net, const std::vector<Tensor>& styles, double output_scale) {
  NoGrad guard;
  const std::string last = std::to_string(net.model.size() - 1) + ".conv2d.";
  net.model.get(last + "weight").mul_(output_scale);
  net.model.get(last + "bias").copy_(tensor(std::vector<float>{103.939f, 116.779f, 123.68f}, Shape{3}));

  auto mean_gram = [&] {
    Tensor sum;
    for (const Tensor& s : styles) sum = sum.defined() ? sum + net.gram(s) : net.gram(s);
    return (sum / static_cast<double>(styles.size())).squeeze(0).to(Device()).to(Dtype::f64);
  };
  auto mean_diagonal = [](const Tensor& G) { return mean(G.diagonal()).item<double>(); };
  const double features = 1 / std::sqrt(mean_diagonal(mean_gram()));
  for (const char* layer : {"4.residual_layer.", "4.conv_block.8."})
    for (const char* what : {"weight", "bias"}) net.model1.get(std::string(layer) + what).mul_(features);

  const Tensor G = mean_gram();
  const auto C = static_cast<double>(G.size(0));
  // features have a mean square of C; what leaves CoMatch has one of about 1, as the blocks' own
  net.ins.weight.copy_(
      (inverse(G + eye(G.size(0), -1, Dtype::f64) * (0.05 * mean_diagonal(G))) / std::sqrt(C)).unsqueeze(0));
}

StyleModel StyleModel::load(const std::string& path, Device device) {
  StateDict file = io::load(path), weights;
  std::vector<std::string> names;
  std::vector<Tensor> grams;
  for (const auto& [key, t] : file) {
    if (key.starts_with(kStylePrefix)) {
      names.push_back(key.substr(std::string(kStylePrefix).size()));
      grams.push_back(t);
    } else {
      weights.insert(key, t);
    }
  }
  const Tensor* comatch = weights.find("ins.weight");
  WEFT_CHECK(comatch && comatch->rank() == 3 && comatch->size(1) == comatch->size(2) && comatch->size(1) > 0 &&
                 comatch->size(1) % 4 == 0,
             ValueError, path, ": is no style model: ",
             comatch ? weft::str("ins.weight is ", comatch->shape(), ", not [1, 4 ngf, 4 ngf]")
                     : std::string("it has no ins.weight"));
  int64_t blocks = 0;  // model.2 ... with an identity for a shortcut
  auto key = [&](int64_t i, const char* what) { return "model." + std::to_string(i) + "." + what; };
  while (weights.contains(key(2 + blocks, "conv_block.2.weight")) &&
         !weights.contains(key(2 + blocks, "residual_layer.conv2d.weight")))
    ++blocks;
  const int64_t C = comatch->size(1);
  StyleModel model{MsgNet(C / 4, blocks), std::move(names), {}};
  try {
    model.net.load_state_dict(weights);
  } catch (const Error& e) { raise<ValueError>(path, ": ", e.what()); }
  for (size_t i = 0; i < grams.size(); ++i) {
    WEFT_CHECK(grams[i].shape() == Shape({1, C, C}) && grams[i].is_floating(), ShapeError, path, ": ", kStylePrefix,
               model.names[i], " is ", grams[i].shape(), ", not ", Shape{1, C, C});
    model.grams.push_back(grams[i].to(Dtype::f32).to(device));
  }
  model.net.to(device);
  model.net.requires_grad(false);
  return model;
}

void save_style_model(const StyleModel& model, const std::string& path, const std::string& command) {
  NoGrad guard;
  StateDict file;
  for (const auto& [key, t] : model.net.state_dict()) file.insert(key, t.detach().to(Device()).to(Dtype::f16));
  for (size_t i = 0; i < model.names.size(); ++i)
    file.insert(kStylePrefix + model.names[i], model.grams[i].detach().to(Device()).to(Dtype::f32));
  file.metadata = {{"format", "pt"}, {"network", "MSG-Net"}, {"command", command}};
  io::save(file, path);
}
