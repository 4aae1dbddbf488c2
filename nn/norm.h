// Normalisation layers. Statistics, formulas and errors are those of the ops (autograd/ops/layer/norm.h).
#pragma once

#include "weft/autograd/ops/layer/norm.h"
#include "weft/core/stamp.h"
#include "weft/distributed/process_group.h"
#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// What batch and instance norm share: the affine pair and the running statistics, as far as the options ask for them.
class WEFT_API ChannelNorm : public Module {
 public:
  /// Back to the first values: weight and running_var 1, the others 0.
  void reset_parameters();
  /// The running statistics alone.
  void reset_running_stats();
  /// Number of channels.
  int64_t num_features;
  /// The affine pair, [num_features]; undefined where the options have none.
  Parameter weight, bias;
  /// [num_features], and [] i64; undefined unless running statistics are tracked.
  Buffer running_mean, running_var, num_batches_tracked;

 private:
  mutable Stamp counted_at_;    // num_batches_tracked's, when it was
  mutable double counted_ = 0;  // this: a device's value is not read in every step

 protected:
  template <class Options> ChannelNorm(std::string name, int64_t num_features, const Options& o);
  /// The next batch's share in the running statistics: `momentum`, or 1 / (number of batches, that one included).
  double share_of_batch(std::optional<double> momentum) const;
  /// Adds 1 to num_batches_tracked.
  void count_batch() const;
  /// ValueError if the options ask for other parameters or buffers than there are.
  template <class Options> void check_made_for(const Options& o) const;
};

/// Options of BatchNorm.
struct BatchNormOptions {
  double eps = 1e-5;                                 ///< added to the variance
  std::optional<double> momentum = 0.1;              ///< empty: cumulative average, 1 / num_batches_tracked
  bool affine = true;                                ///< with weight and bias
  bool bias = true;                                  ///< with affine: weight and bias, or weight alone
  bool track_running_stats = true;                   ///< off: statistics of the batch in evaluation too; if turned off
                                                     ///< later, the running ones stay as they are
  Choice<Activation> activation = Activation::none;  ///< fused after the normalisation (not in PyTorch)
  double slope = 0.01;                               ///< of leaky_relu
  ProcessGroup group = {};                           ///< whose batches count together in training (not in PyTorch)
};

/// y = (x - mean) / sqrt(var + eps) * weight + bias per channel: statistics of the batch in training, running ones in
/// evaluation. State: weight (1), bias (0), running_mean (0), running_var (1), num_batches_tracked (i64). ValueError
/// for another rank than the class takes, and for one value per channel in training.
template <int D> class WEFT_API BatchNorm : public ChannelNorm {
 public:
  explicit BatchNorm(int64_t num_features, BatchNormOptions o = {});
  /// PyTorch's short form: `BatchNorm2d(8, 1e-3, 0.01)`.
  template <std::floating_point F>
  BatchNorm(int64_t num_features, F eps, std::optional<double> momentum = 0.1)
      : BatchNorm(num_features, {.eps = eps, .momentum = momentum}) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return normalise(x, Tensor()); });
  }
  /// act(bn(x) + residual) in one kernel.
  Tensor operator()(const Tensor& x, const Tensor& residual) const {
    return nn::call(*this, x, [&](const Tensor& x) { return normalise(x, residual); });
  }
  Option<BatchNormOptions> options;

 private:
  Tensor normalise(const Tensor& x, const Tensor& residual) const;
};
/// x: [N, C] or [N, C, L].
using BatchNorm1d = BatchNorm<1>;
/// x: [N, C, H, W].
using BatchNorm2d = BatchNorm<2>;
/// x: [N, C, D, H, W].
using BatchNorm3d = BatchNorm<3>;

/// Options of InstanceNorm.
struct InstanceNormOptions {
  double eps = 1e-5;                                 ///< added to the variance
  double momentum = 0.1;                             ///< share of a batch in the running statistics
  bool affine = false;                               ///< with weight and bias
  bool bias = true;                                  ///< with affine
  bool track_running_stats = false;                  ///< on: running statistics, which evaluation uses
  Choice<Activation> activation = Activation::none;  ///< fused after the normalisation (not in PyTorch)
  double slope = 0.01;                               ///< of leaky_relu
};
/// As BatchNorm with statistics of each sample and channel. x: [N, C, spatial...] or [C, spatial...]. No state unless
/// asked for.
template <int D> class WEFT_API InstanceNorm : public ChannelNorm {
 public:
  explicit InstanceNorm(int64_t num_features, InstanceNormOptions o = {});
  /// PyTorch's short form: `InstanceNorm2d(8, 1e-3, 0.1, true)`.
  template <std::floating_point F>
  InstanceNorm(int64_t num_features, F eps, double momentum = 0.1, Only<bool> affine = false)
      : InstanceNorm(num_features, {.eps = eps, .momentum = momentum, .affine = affine}) {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  Option<InstanceNormOptions> options;
};
/// x: [N, C, L] or [C, L].
using InstanceNorm1d = InstanceNorm<1>;
/// x: [N, C, H, W] or [C, H, W].
using InstanceNorm2d = InstanceNorm<2>;
/// x: [N, C, D, H, W] or [C, D, H, W].
using InstanceNorm3d = InstanceNorm<3>;

/// Options of GroupNorm.
struct GroupNormOptions {
  double eps = 1e-5;                                 ///< added to the variance
  bool affine = true;                                ///< with weight and bias
  bool bias = true;                                  ///< with affine
  Choice<Activation> activation = Activation::none;  ///< fused after the normalisation (not in PyTorch)
  double slope = 0.01;                               ///< of leaky_relu
};
/// Statistics of each sample and group of channels. x: [N, C, ...]. ValueError unless num_groups divides num_channels.
class WEFT_API GroupNorm : public Module {
 public:
  GroupNorm(int64_t num_groups, int64_t num_channels, GroupNormOptions o = {});
  /// PyTorch's short form: `GroupNorm(2, 8, 1e-3)`.
  template <std::floating_point F>
  GroupNorm(int64_t num_groups, int64_t num_channels, F eps) : GroupNorm(num_groups, num_channels, {.eps = eps}) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<int64_t> num_groups;
  int64_t num_channels;
  Option<GroupNormOptions> options;
  /// [num_channels]; undefined where the options have none.
  Parameter weight, bias;
};

/// Options of LayerNorm.
struct LayerNormOptions {
  double eps = 1e-5;               ///< added to the variance
  bool elementwise_affine = true;  ///< with weight and bias
  bool bias = true;                ///< with elementwise_affine
};
/// Statistics over the last axes, whose sizes are `normalized_shape`; weight and bias have that shape.
class WEFT_API LayerNorm : public Module {
 public:
  explicit LayerNorm(const Shape& normalized_shape, LayerNormOptions o = {});
  explicit LayerNorm(int64_t size, LayerNormOptions o = {}) : LayerNorm(Shape{size}, o) {}
  /// PyTorch's short form: `LayerNorm({4, 8}, 1e-3)`.
  template <std::floating_point F>
  LayerNorm(const Shape& normalized_shape, F eps) : LayerNorm(normalized_shape, {.eps = eps}) {}
  template <std::floating_point F> LayerNorm(int64_t size, F eps) : LayerNorm(Shape{size}, {.eps = eps}) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Shape normalized_shape;
  Option<LayerNormOptions> options;
  /// [normalized_shape]; undefined where the options have none.
  Parameter weight, bias;
};

/// Options of RMSNorm.
struct RMSNormOptions {
  std::optional<double> eps = std::nullopt;  ///< empty: the machine epsilon of x's dtype
  bool elementwise_affine = true;            ///< with a weight
};
/// x / sqrt(mean(x^2) + eps) * weight over the last axes.
class WEFT_API RMSNorm : public Module {
 public:
  explicit RMSNorm(const Shape& normalized_shape, RMSNormOptions o = {});
  explicit RMSNorm(int64_t size, RMSNormOptions o = {}) : RMSNorm(Shape{size}, o) {}
  /// PyTorch's short form: `RMSNorm({4, 8}, 1e-3)`.
  template <std::floating_point F>
  RMSNorm(const Shape& normalized_shape, F eps) : RMSNorm(normalized_shape, {.eps = eps}) {}
  template <std::floating_point F> RMSNorm(int64_t size, F eps) : RMSNorm(Shape{size}, {.eps = eps}) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Shape normalized_shape;
  Option<RMSNormOptions> options;
  /// [normalized_shape]; undefined without.
  Parameter weight;
};

/// local_response_norm over `size` neighbouring channels. ValueError unless size > 0.
class WEFT_API LocalResponseNorm : public Module {
 public:
  explicit LocalResponseNorm(int64_t size, LocalResponseNormOptions o = {});
  /// PyTorch's short form: `LocalResponseNorm(5, 1e-4, 0.75, 2)`.
  template <std::floating_point F>
  LocalResponseNorm(int64_t size, F alpha, double beta = 0.75, double k = 1)
      : LocalResponseNorm(size, {alpha, beta, k}) {}
  Tensor operator()(const Tensor& x) const;
  Option<int64_t> size;
  Option<LocalResponseNormOptions> options;
};

/// x / (k + alpha / size s)^beta, where s is the sum of x^2 over channel 0 and the (size + 1) / 2 - 1 channels on both
/// sides of each: torch.nn.CrossMapLRN2d, whose sums never lose their first channel again, and cover size - 1 channels
/// for even sizes; LocalResponseNorm is what the paper has. x: [N, C, H, W]. The gradient is this formula's (PyTorch's
/// own is shifted by a channel and has no second).
class WEFT_API CrossMapLRN2d : public Module {
 public:
  explicit CrossMapLRN2d(int64_t size, LocalResponseNormOptions o = {});
  /// PyTorch's short form: `CrossMapLRN2d(5, 1e-4, 0.75, 2)`.
  template <std::floating_point F>
  CrossMapLRN2d(int64_t size, F alpha, double beta = 0.75, double k = 1) : CrossMapLRN2d(size, {alpha, beta, k}) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<int64_t> size;
  Option<LocalResponseNormOptions> options;
};

}  // namespace weft::nn
