#include "unet.h"

using namespace weft;

namespace {

constexpr int64_t kGroups = 4;
const Dims<3> kPlanar = {1, 3, 3}, kFull = {3, 3, 3}, kPool = {1, 2, 2};

using Statistics = std::shared_ptr<NormStatistics>;

/// Convolution, norm and ReLU; the ReLU is in the norm, its place keeps PyTorch's numbering.
nn::Sequential unit(int64_t in, int64_t out, const Dims<3>& kernel, const Statistics& s) {
  const Dims<3> padding = {kernel[0] / 2, kernel[1] / 2, kernel[2] / 2};
  nn::Sequential unit;
  unit.push_back(nn::WSConv3d(in, out, {.kernel_size = kernel, .padding = padding}));
  unit.push_back(Norm(out, s));
  unit.push_back(nn::Identity());
  return unit;
}

nn::Sequential block(int64_t in, int64_t out, const Dims<3>& kernel, const Statistics& s) {
  return nn::Sequential(unit(in, out, kernel, s), unit(out, out, kernel, s));
}

/// Mean and variance of each group over the whole batch, repeated for the group's channels.
std::pair<Tensor, Tensor> group_moments(const Tensor& x, int64_t groups) {
  const Tensor f = x.to(Dtype::f32);
  const auto [var, mean] = var_mean(f, {0, 2, 3, 4}, {.correction = 0});
  const Tensor by_group = mean.reshape({groups, -1}), middle = by_group.mean({1}, true);
  const Tensor spread = (var.reshape({groups, -1}) + square(by_group - middle)).mean({1}, true);
  const Shape shape = by_group.shape();
  return {middle.expand(shape).reshape({-1}).contiguous(), spread.expand(shape).reshape({-1}).contiguous()};
}

}  // namespace

Norm::Norm(int64_t channels, std::shared_ptr<NormStatistics> statistics)
    : nn::GroupNorm(kGroups, channels, {.activation = Activation::relu}),
      index_(statistics->mean.size()),
      statistics_(std::move(statistics)) {
  statistics_->mean.emplace_back();
  statistics_->var.emplace_back();
}

Tensor Norm::operator()(const Tensor& x) const {
  if (statistics_->from == NormStatistics::From::input) return nn::GroupNorm::operator()(x);
  Tensor &mean = statistics_->mean[index_], &var = statistics_->var[index_];
  if (statistics_->from == NormStatistics::From::measured) std::tie(mean, var) = group_moments(x, kGroups);
  return batch_norm(x, mean, var, weight, bias, {.eps = options->eps, .activation = Activation::relu});
}

UNet3d::UNet3d(int64_t width)
    : width(width),
      enc0(block(1, width, kPlanar, statistics_)),
      enc1(block(width, 2 * width, kFull, statistics_)),
      enc2(block(2 * width, 4 * width, kFull, statistics_)),
      up1(4 * width, 2 * width, {.kernel_size = kPool, .stride = kPool}),
      dec1(block(4 * width, 2 * width, kFull, statistics_)),
      up0(2 * width, width, {.kernel_size = kPool, .stride = kPool}),
      dec0(block(2 * width, width, kPlanar, statistics_)),
      head(width, 1, 1) {
  add("enc0", enc0), add("enc1", enc1), add("enc2", enc2);
  add("up1", up1), add("dec1", dec1), add("up0", up0), add("dec0", dec0);
  add("head", head);
}

Tensor UNet3d::operator()(const Tensor& x) const {
  WEFT_CHECK(x.rank() == 5 && x.size(1) == 1 && x.size(3) % 4 == 0 && x.size(4) % 4 == 0, ShapeError,
             "UNet3d: the input must be [N, 1, D, H, W] with H and W multiples of 4, got ", x.shape());
  const auto run = [&](const nn::Sequential& part, const Tensor& in) {
    return checkpoint_activations ? checkpoint([&part](const Tensor& t) { return part(t); }, in) : part(in);
  };
  const Tensor e0 = run(enc0, x);
  const Tensor e1 = run(enc1, max_pool3d(e0, kPool));
  const Tensor e2 = run(enc2, max_pool3d(e1, kPool));
  const Tensor d1 = run(dec1, cat({up1(e2), e1}, 1));
  return head(run(dec0, cat({up0(d1), e0}, 1)));
}

Model Model::load(const std::string& path, Device device) {
  const StateDict file = io::load(path);
  const auto number = [&](const std::string& key) {
    const auto it = file.metadata.find(key);
    WEFT_CHECK(it != file.metadata.end(), ValueError, path, ": is no model of this program: it has no '", key, "'");
    try {
      return std::stod(it->second);
    } catch (const std::exception&) { raise<ValueError>(path, ": ", key, " is '", it->second, "'"); }
  };
  const double mean = number("mean"), std = number("std");
  WEFT_CHECK(std > 0 && std::isfinite(mean) && std::isfinite(std), ValueError, path, ": mean ", mean, ", std ", std);
  const Tensor* first = file.find("enc0.0.0.weight");
  WEFT_CHECK(
      first && first->rank() == 5 && first->size(0) > 0 && first->size(0) <= 1024 && first->size(0) % kGroups == 0,
      ValueError, path, ": is no model of this program: enc0.0.0.weight is missing or of another size");
  Model model{UNet3d(first->size(0)), mean, std};
  try {
    model.net.load_state_dict(file);
  } catch (const Error& e) { raise<ValueError>(path, ": ", e.what()); }
  model.net.to(device);
  model.net.requires_grad(false);
  model.net.eval();
  return model;
}

void Model::save(const std::string& path, const std::string& command) const {
  StateDict file;
  for (const auto& [key, t] : net.state_dict()) file.insert(key, t.detach().to(Device()).to(Dtype::f16));
  file.metadata = {
      {"format", "pt"}, {"network", "UNet3d"}, {"mean", str(mean)}, {"std", str(std)}, {"command", command}};
  io::save(file, path);
}
