// Normalisations: over the batch, over each instance, over groups of channels, over the last axes.
// x [N, C, spatial...] of any layout keeps NCHW or channels-last memory; halves compute in f32, statistics in f64. A
// mean far from zero costs no digits: at mean 1e6 and std 1 results are those of f64 from the same numbers, to some
// 1e-6. A constant f32 line gives exactly 0 (before the bias). Numbers of f32 of any size give finite results: sums and
// squares that f32 does not hold are made in f64 (CPU).
#pragma once

#include "weft/core/choice.h"
#include "weft/core/norm_params.h"
#include "weft/core/tensor.h"

namespace weft {

/// The words of fused activations.
constexpr auto mode_words(Activation) { return make_words("norm: activation", "none", "relu", "leaky_relu"); }

/// Options of batch_norm.
struct BatchNormOptions {
  bool training = false;  ///< statistics of this batch (and update the running ones); otherwise the running ones
  double momentum = 0.1;  ///< running = (1 - momentum) running + momentum batch
  double eps = 1e-5;      ///< inside the square root
  Choice<Activation> activation = Activation::none;  ///< fused: y = act(bn(x) + residual)
  double slope = 0.01;                               ///< of leaky_relu
  Tensor residual = {};                              ///< added before the activation; x's shape
  bool biased_running_var = false;  ///< the running variance takes the biased one (PyTorch-Encoding's rule)
};
/// y = (x - mean) / sqrt(var + eps) * weight + bias per channel, var biased. x [N, C, ...]; weight, bias, running_mean,
/// running_var [C] or undefined. In training the running statistics, if given, are updated in place (with the unbiased
/// variance). Errors: ShapeError for sizes; ValueError "more than 1 value per channel" in training, missing running
/// statistics otherwise.
WEFT_API Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                           const Tensor& weight = {}, const Tensor& bias = {}, const BatchNormOptions& o = {});

/// Options of instance_norm.
struct InstanceNormOptions {
  bool use_input_stats = true;  ///< statistics of each sample and channel; otherwise the running ones
  double momentum =
      0.1;  ///< running statistics move towards the batch's mean of the instances' statistics (variance unbiased)
  double eps = 1e-5;                                 ///< inside the square root
  Choice<Activation> activation = Activation::none;  ///< fused after the normalisation
  double slope = 0.01;                               ///< of leaky_relu
};
/// As batch_norm with statistics per sample and channel. ValueError "more than 1 spatial element" where there is
/// one.
WEFT_API Tensor instance_norm(const Tensor& x, const Tensor& running_mean = {}, const Tensor& running_var = {},
                              const Tensor& weight = {}, const Tensor& bias = {}, const InstanceNormOptions& o = {});

/// Options of group_norm; the activation is fused.
struct GroupNormOptions {
  double eps = 1e-5;                                 ///< inside the square root
  Choice<Activation> activation = Activation::none;  ///< fused after the normalisation
  double slope = 0.01;                               ///< of leaky_relu
};
/// Statistics per sample and group of C / num_groups channels; weight, bias [C]. ValueError if num_groups does not
/// divide C.
WEFT_API Tensor group_norm(const Tensor& x, Int num_groups, const Tensor& weight = {}, const Tensor& bias = {},
                           const GroupNormOptions& o = {});

/// Statistics over the trailing axes, whose sizes are `normalized_shape`; weight, bias of that shape or undefined.
WEFT_API Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {},
                           const Tensor& bias = {}, double eps = 1e-5);
/// x / sqrt(mean(x^2) + eps) * weight over the trailing axes. eps defaults to the machine epsilon of the dtype that
/// computes: 2^-23, for f64 2^-52.
WEFT_API Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {},
                         std::optional<double> eps = {});

/// Constants of local_response_norm.
struct LocalResponseNormOptions {
  double alpha = 1e-4, beta = 0.75, k = 1;  ///< of the formula below
};
/// x / (k + alpha mean(x^2 over `size` neighbouring channels))^beta; zeros stand beyond the first and the last channel.
/// x: [N, C, spatial...] of rank 3 or more. (Krizhevsky et al. 2012.)
WEFT_API Tensor local_response_norm(const Tensor& x, Int size, const LocalResponseNormOptions& o = {});

/// x / max(norm_p(x, dim), eps).
WEFT_API Tensor normalize(const Tensor& x, double p = 2, Int dim = 1, double eps = 1e-12);

namespace detail {

/// Statistics of the channels of x [N, C, ...] (in a layout of plain_features): per channel, or per sample and channel.
struct ChannelMoments {
  Tensor mean, m2;   ///< f64 [C] or [N, C]; m2: sum of squared deviations
  double count = 0;  ///< values per statistic
};
WEFT_API ChannelMoments channel_moments(const Tensor& x, bool per_sample = false);
/// In place: running = (1 - momentum) running + momentum (mean, m2 / (count - 1)); m2 / count if `biased`.
WEFT_API void update_running(const Tensor& running_mean, const Tensor& running_var, const ChannelMoments& m,
                             double momentum, bool biased = false);
/// What batch_norm asks of its tensors: a floating x [N, C, ...]; the others [C] on x's device, or undefined. Errors
/// name `op`.
WEFT_API void check_batch_norm(const char* op, const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                               const Tensor& weight, const Tensor& bias);

/// The gradients of any of these norms as ops that can be differentiated again (the composite twin of the kernels).
struct NormComposite {
  Shape dims = {};             ///< axes of the statistics
  Tensor mean = {}, inv = {};  ///< given statistics that broadcast against x, the mean f64; undefined: x's own
  bool centered = true;        ///< false: RMS norm
  double eps = 1e-5;
  Activation activation = Activation::none;
  double slope = 0.01;
};
/// g, x of one shape; w and b broadcast against them (or are undefined). Gradients: x, w, b, residual.
struct NormGrads {
  Tensor x, weight, bias, residual;
};
WEFT_API NormGrads norm_composite(const Tensor& g, const Tensor& x, const Tensor& w, const Tensor& b,
                                  const Tensor& residual, const NormComposite& o);

}  // namespace detail
}  // namespace weft
