#include "weft/nn/norm.h"

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/pool.h"
#include "weft/core/factory.h"
#include "weft/core/recording.h"
#include "weft/distributed/sync_batch_norm.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

namespace {

std::string activation_text(Activation a, double slope) {
  if (a == Activation::none) return "";
  return a == Activation::relu ? ", activation=relu" : ", activation=leaky_relu, slope=" + py(slope);
}

template <class Options> std::string norm_text(const Options& o) {
  return weft::str(", eps=", py(o.eps), ", momentum=", py(o.momentum), ", affine=", py(o.affine),
                   ", bias=", py(o.affine && o.bias), ", track_running_stats=", py(o.track_running_stats),
                   activation_text(o.activation, o.slope));
}

/// Sizes beside the features that a class takes, as PyTorch's message has them.
void check_rank(const char* name, int d, const Tensor& x, int lower) {
  bool fits = x.rank() == d + 2 || (lower >= 0 && x.rank() == lower);
  WEFT_CHECK(fits, ValueError, name, d, "d: expected ", lower >= 0 ? weft::str(lower, "D or ") : std::string(), d + 2,
             "D input, got ", x.rank(), "D input ", x.shape());
}

void check_affine(const Module& m, const char* option, bool affine, const Tensor& weight, bool biased,
                  const Tensor& bias) {
  detail::check_unchanged(m, option, affine, weight.defined());
  if (affine) detail::check_unchanged(m, "bias", biased, bias.defined());
}

}  // namespace

// BatchNorm and InstanceNorm

template <class Options>
ChannelNorm::ChannelNorm(std::string name, int64_t num_features, const Options& o)
    : Module(std::move(name), py(num_features)), num_features(num_features) {
  WEFT_CHECK(num_features >= 0, ValueError, this->name(), ": num_features must not be negative, got ", num_features);
  const std::optional<double> share = o.momentum;
  WEFT_CHECK(!share || (*share >= 0 && *share <= 1), ValueError, this->name(), ": momentum is between 0 and 1, got ",
             *share);
  if (o.affine) {
    weight = param("weight", ones({num_features}));
    if (o.bias) bias = param("bias", zeros({num_features}));
  }
  if (o.track_running_stats) {
    running_mean = buffer("running_mean", zeros({num_features}));
    running_var = buffer("running_var", ones({num_features}));
    num_batches_tracked = buffer("num_batches_tracked", scalar(int64_t{0}));
    state().may_miss = {"num_batches_tracked"};  // checkpoints from before it existed
  }
}

void ChannelNorm::reset_parameters() {
  NoGrad guard;
  if (weight.defined()) weight.fill_(1);
  if (bias.defined()) bias.zero_();
  reset_running_stats();
}

void ChannelNorm::reset_running_stats() {
  NoGrad guard;
  if (!running_mean.defined()) return;
  running_mean.zero_();
  running_var.fill_(1);
  num_batches_tracked.zero_();
}

template <class Options> void ChannelNorm::check_made_for(const Options& o) const {
  check_affine(*this, "affine", o.affine, weight, o.bias, bias);
  if (o.track_running_stats) detail::check_unchanged(*this, "track_running_stats", true, running_mean.defined());
}

template ChannelNorm::ChannelNorm(std::string, int64_t, const BatchNormOptions&);  // for SyncBatchNorm

double ChannelNorm::share_of_batch(std::optional<double> momentum) const {
  if (momentum) return *momentum;
  WEFT_CHECK(!weft::detail::recording(), NotSupported, name(),
             ": without momentum the share of a batch changes from step to step; give a momentum to capture it");
  if (const Stamp now(num_batches_tracked); now != counted_at_) {
    counted_ = num_batches_tracked.item<double>();
    counted_at_ = now;
  }
  return 1 / (counted_ + 1);
}

void ChannelNorm::count_batch() const {
  NoGrad guard;
  Tensor count = num_batches_tracked.tensor();
  if (weft::detail::recording()) {  // runs count, the recording does not
    count.add_(1);
    return;
  }
  const bool known = Stamp(count) == counted_at_;
  if (count.device().type == DeviceType::cpu) ++*count.mut_data<int64_t>();
  else count.add_(1);
  if (!known) return;
  counted_at_ = Stamp(count);
  ++counted_;
}

template <int D>
BatchNorm<D>::BatchNorm(int64_t num_features, BatchNormOptions o)
    : ChannelNorm(weft::str("BatchNorm", D, "d"), num_features, o), options(o) {
  set_extra(py(num_features), [options = options.share()] { return norm_text(*options); });
}

template <int D> Tensor BatchNorm<D>::normalise(const Tensor& x, const Tensor& residual) const {
  check_rank("BatchNorm", D, x, D == 1 ? 2 : -1);
  WEFT_CHECK(x.size(1) == num_features, ShapeError, name(), ": input ", x.shape(), " has ", x.size(1),
             " channels, expected ", num_features);
  check_made_for(*options);
  const bool training = is_training(), batch = training || !running_mean.defined();
  const bool tracking = training && options->track_running_stats;
  const bool running = tracking || !batch;  // of no use otherwise, and not to be changed
  const Tensor mean = running ? running_mean.tensor() : Tensor(), var = running ? running_var.tensor() : Tensor();
  if (training && options->group.size() > 1) {
    const TensorOptions like(compute_dtype(x.dtype()), x.device());
    const Activation activation = options->activation, fused = residual.defined() ? Activation::none : activation;
    Tensor z = sync_batch_norm(x, mean, var, weight.defined() ? weight.tensor() : ones({num_features}, like),
                               bias.defined() ? bias.tensor() : zeros({num_features}, like),
                               {.training = true,
                                .momentum = tracking ? share_of_batch(options->momentum) : 0,
                                .eps = options->eps,
                                .activation = fused,
                                .slope = options->slope,
                                .group = options->group});
    if (tracking) count_batch();
    if (!residual.defined()) return z;
    z = z + residual;
    return activation == Activation::relu         ? relu(z)
           : activation == Activation::leaky_relu ? leaky_relu(z, options->slope)
                                                  : z;
  }
  Tensor y = batch_norm(x, mean, var, weight, bias,
                        {.training = batch,
                         .momentum = tracking ? share_of_batch(options->momentum) : 0,
                         .eps = options->eps,
                         .activation = options->activation,
                         .slope = options->slope,
                         .residual = residual});
  if (tracking) count_batch();  // after the op: a refused input leaves the state as it was
  return y;
}

template class BatchNorm<1>;
template class BatchNorm<2>;
template class BatchNorm<3>;

template <int D>
InstanceNorm<D>::InstanceNorm(int64_t num_features, InstanceNormOptions o)
    : ChannelNorm(weft::str("InstanceNorm", D, "d"), num_features, o), options(o) {
  set_extra(py(num_features), [options = options.share()] { return norm_text(*options); });
  // PyTorch before 0.4 saved them though they were not used
  if (!o.track_running_stats) state().ignored = {"running_mean", "running_var", "num_batches_tracked"};
}

template <int D> Tensor InstanceNorm<D>::forward(const Tensor& x) const {
  check_rank("InstanceNorm", D, x, D + 1);
  check_made_for(*options);
  const bool unbatched = x.rank() == D + 1;
  int64_t channels = x.size(unbatched ? 0 : 1);
  WEFT_CHECK(channels == num_features || !options->affine, ShapeError, name(), ": input ", x.shape(), " has ", channels,
             " channels, expected ", num_features);
  Tensor y = instance_norm(unbatched ? x.unsqueeze(0) : x, running_mean, running_var, weight, bias,
                           {.use_input_stats = is_training() || !options->track_running_stats,
                            .momentum = options->momentum,
                            .eps = options->eps,
                            .activation = options->activation,
                            .slope = options->slope});
  return unbatched ? y.squeeze(0) : y;
}

template class InstanceNorm<1>;
template class InstanceNorm<2>;
template class InstanceNorm<3>;

// GroupNorm, LayerNorm, RMSNorm

namespace {
void check_groups(int64_t groups, int64_t channels) {
  WEFT_CHECK(groups > 0 && channels % groups == 0, ValueError, "GroupNorm: num_channels ", channels,
             " must be divisible by num_groups ", groups);
}
}  // namespace

GroupNorm::GroupNorm(int64_t num_groups, int64_t num_channels, GroupNormOptions o)
    : Module("GroupNorm"), num_groups(num_groups), num_channels(num_channels), options(o) {
  set_extra("", [groups = this->num_groups.share(), num_channels, options = options.share()] {
    return weft::str(*groups, ", ", num_channels, ", eps=", py(options->eps), ", affine=", py(options->affine),
                     ", bias=", py(options->affine && options->bias),
                     activation_text(options->activation, options->slope));
  });
  check_groups(num_groups, num_channels);
  if (o.affine) {
    weight = param("weight", ones({num_channels}));
    if (o.bias) bias = param("bias", zeros({num_channels}));
  }
}

Tensor GroupNorm::forward(const Tensor& x) const {
  check_groups(num_groups, num_channels);
  check_affine(*this, "affine", options->affine, weight, options->bias, bias);
  return group_norm(x, num_groups, weight, bias,
                    {.eps = options->eps, .activation = options->activation, .slope = options->slope});
}

namespace {
void check_normalized(const Module& m, const Shape& shape) {
  for (const int64_t n : shape)
    WEFT_CHECK(n >= 0, ValueError, m.name(), ": normalized_shape must not be negative, got ", shape);
}
}  // namespace

LayerNorm::LayerNorm(const Shape& normalized_shape, LayerNormOptions o)
    : Module("LayerNorm"), normalized_shape(normalized_shape), options(o) {
  set_extra(py(normalized_shape), [options = options.share()] {
    return weft::str(", eps=", py(options->eps), ", elementwise_affine=", py(options->elementwise_affine),
                     ", bias=", py(options->elementwise_affine && options->bias));
  });
  check_normalized(*this, normalized_shape);
  if (!o.elementwise_affine) return;
  weight = param("weight", ones(normalized_shape));
  if (o.bias) bias = param("bias", zeros(normalized_shape));
}

Tensor LayerNorm::forward(const Tensor& x) const {
  check_affine(*this, "elementwise_affine", options->elementwise_affine, weight, options->bias, bias);
  return layer_norm(x, normalized_shape, weight, bias, options->eps);
}

RMSNorm::RMSNorm(const Shape& normalized_shape, RMSNormOptions o)
    : Module("RMSNorm"), normalized_shape(normalized_shape), options(o) {
  set_extra(py(normalized_shape), [options = options.share()] {
    return weft::str(", eps=", py(options->eps), ", elementwise_affine=", py(options->elementwise_affine));
  });
  check_normalized(*this, normalized_shape);
  if (o.elementwise_affine) weight = param("weight", ones(normalized_shape));
}

Tensor RMSNorm::forward(const Tensor& x) const {
  detail::check_unchanged(*this, "elementwise_affine", options->elementwise_affine, weight.defined());
  return rms_norm(x, normalized_shape, weight, options->eps);
}

LocalResponseNorm::LocalResponseNorm(int64_t size, LocalResponseNormOptions o)
    : Module("LocalResponseNorm"), size(size), options(o) {
  set_extra("", [size = this->size.share(), options = options.share()] {
    return weft::str(*size, ", alpha=", py(options->alpha), ", beta=", py(options->beta), ", k=", py(options->k));
  });
  WEFT_CHECK(size > 0, ValueError, "LocalResponseNorm: size must be positive, got ", size);
}

CrossMapLRN2d::CrossMapLRN2d(int64_t size, LocalResponseNormOptions o)
    : Module("CrossMapLRN2d"), size(size), options(o) {
  set_extra("", [size = this->size.share(), options = options.share()] {  // PyTorch's default of k is an int here
    return weft::str(*size, ", alpha=", py(options->alpha), ", beta=", py(options->beta),
                     ", k=", options->k == 1 ? "1" : py(options->k));
  });
  WEFT_CHECK(size > 0, ValueError, "CrossMapLRN2d: size must be positive, got ", size);
}

Tensor CrossMapLRN2d::forward(const Tensor& x) const {
  WEFT_CHECK(x.rank() == 4, ShapeError, "CrossMapLRN2d: expected input to be 4D, got ", x.shape());
  if (x.numel() == 0) return x;
  const int64_t C = x.size(1), reach = (size + 1) / 2, window = 2 * reach - 1;
  const Tensor squares = square(x);
  const Tensor near = avg_pool2d(squares.reshape({x.size(0), 1, C, x.size(2) * x.size(3)}),
                                 {.kernel_size = {window, 1}, .stride = 1, .padding = {reach - 1, 0}});
  const Tensor left = ge(arange(0, C, 1, {Dtype::i64, x.device()}), reach).to(x.dtype()).reshape({C, 1, 1});
  const Tensor total = near.reshape(x.shape()) * window + squares.narrow(1, 0, 1) * left;
  return x * pow(total * (options->alpha / static_cast<double>(size)) + options->k, -options->beta);
}

Tensor GroupNorm::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor LayerNorm::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor RMSNorm::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor LocalResponseNorm::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return local_response_norm(x, size, options); });
}
Tensor CrossMapLRN2d::operator()(const Tensor& x) const { return nn::call(*this, x); }

}  // namespace weft::nn
