// Unit-scaled ops (Blake, Orr and Luschi 2023; u-muP: Blake et al. 2024): values and gradients of variance 1 for
// inputs, weights and upstream gradients of variance 1. Each is the plain op between scale_bwd of its inputs and
// scale_fwd of its output; the factors stand with each op, errors are those of the plain op. Names are those of the
// plain ops: say unit_scaled::gelu.
#pragma once

#include <array>
#include <utility>

#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/scale.h"
#include "weft/autograd/ops/index/embedding.h"
#include "weft/autograd/ops/layer/conv_options.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/core/generator.h"

namespace weft::unit_scaled {

/// Exponents of the scales of output, input gradient and weight gradient, for layers with a matrix product.
using ScalePower = std::array<double, 3>;

/// Options of conv1d, conv2d and conv3d: weft's, and two of the scales.
template <int D> struct ConvOptions {
  ByName by_name = {};
  Dims<D> stride = 1;
  Padding<D> padding = 0;  ///< numbers only
  Dims<D> dilation = 1;
  int64_t groups = 1;
  Choice<Constraint> constraint = Constraint::to_output_scale;  ///< how the scales become one
  ScalePower scale_power = {0.5, 0.5, 0.5};                     ///< p0, p1, p2 below
};
/// Convolution, as weft::conv1d. Scales: output (weight[0].numel())^-p0, input gradient (prod stride groups / (O prod
/// k))^p1 (both under `constraint`), gradients of weight and bias (N prod L')^-p2, with L' the output's spatial sizes.
WEFT_API Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions<1>& o = {});
WEFT_API Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions<2>& o = {});
WEFT_API Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions<3>& o = {});

/// Options of conv_transpose1d, 2d and 3d: weft's, and two of the scales.
template <int D> struct ConvTransposeOptions {
  ByName by_name = {};
  Dims<D> stride = 1;
  Padding<D> padding = 0;  ///< numbers only
  Dims<D> output_padding = 0;
  int64_t groups = 1;
  Dims<D> dilation = 1;
  Choice<Constraint> constraint = Constraint::to_output_scale;  ///< how the scales become one
  ScalePower scale_power = {0.5, 0.5, 0.5};                     ///< p0, p1, p2 below
};
/// Transposed convolution, as weft::conv_transpose1d (not in the original). An output has C / groups prod(k / stride)
/// taps on average, an input's gradient weight[0].numel() of them: scales are output (prod stride groups / (C prod
/// k))^p0, input gradient (weight[0].numel())^-p1 (both under `constraint`), weight gradient (N prod L)^-p2, bias
/// gradient (N prod L')^-p2, with L and L' the spatial sizes of input and output.
WEFT_API Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                 const ConvTransposeOptions<1>& o = {});
WEFT_API Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                 const ConvTransposeOptions<2>& o = {});
WEFT_API Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                 const ConvTransposeOptions<3>& o = {});

/// Options of linear.
struct LinearOptions {
  Choice<Constraint> constraint = Constraint::to_output_scale;  ///< how the scales become one
  ScalePower scale_power = {0.5, 0.5, 0.5};                     ///< p0, p1, p2 below
};
/// x W^T + b. Scales: output in^-p0, input gradient out^-p1 (both under `constraint`), gradients of weight and bias
/// (x.numel() / in)^-p2. weight: [out, in].
WEFT_API Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const LinearOptions& o = {});
/// Options of linear_readout.
struct LinearReadoutOptions {
  Choice<Constraint> constraint = Constraint::none;  ///< each keeps its own
  ScalePower scale_power = {1.0, 0.5, 0.5};          ///< as linear's
};
/// linear for a network's last layer: output scale 1 / in, no constraint.
WEFT_API Tensor linear_readout(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                               const LinearReadoutOptions& o = {});

// Below, logi(a, lo, up) = lo^(1-a) up^a. `mult` > 0 says how sharp the nonlinearity is: towards linear for small ones.

/// Options of gelu.
struct GeluOptions {
  double mult = 1;                                              ///< sharpness
  Choice<Constraint> constraint = Constraint::to_output_scale;  ///< how the scales become one
  Choice<Approximate> approximate = Approximate::none;          ///< by erf, or by tanh
};
/// gelu(mult x) / mult. Scales: output logi(a, 2, sqrt(2 / (1 - 1/pi))), input gradient logi(a, 2, sqrt 2),
/// a = 1 / (1 + 1 / (4 mult^2)).
WEFT_API Tensor gelu(const Tensor& x, const GeluOptions& o = {});
/// Options of silu; as gelu's.
struct SiluOptions {
  double mult = 1;
  Choice<Constraint> constraint = Constraint::to_output_scale;
};
/// x sigmoid(mult x). Scales: output as gelu's, input gradient logi(1 / (1 + 1 / mult^2), 2, sqrt 2).
WEFT_API Tensor silu(const Tensor& x, const SiluOptions& o = {});
/// x gate sigmoid(mult gate), everything scaled by logi(1 / (1 + 1 / mult^2), 2, sqrt 2).
WEFT_API Tensor silu_glu(const Tensor& x, const Tensor& gate, double mult = 1);
/// Options of softmax; as gelu's.
struct SoftmaxOptions {
  double mult = 1;
  Choice<Constraint> constraint = Constraint::to_output_scale;
};
/// softmax(mult x) along `dim` of size n. Scales: output logi(a, n, sqrt n), input gradient logi(a, n / mult, sqrt(n /
/// mult)), a = 1 / (1 + 4 / mult^2).
WEFT_API Tensor softmax(const Tensor& x, int64_t dim, const SoftmaxOptions& o = {});
/// Dropout with value and gradient times sqrt(1 - p), in evaluation too: the mean is the same in both modes.
WEFT_API Tensor dropout(const Tensor& x, double p = 0.5, Only<bool> training = true, Generator* g = nullptr);

/// a: [.., M, K], b: [.., K, N]. Scales: output K^-1/2, gradients N^-1/2 (a) and M^-1/2 (b), under the constraint.
WEFT_API Tensor matmul(const Tensor& a, const Tensor& b, Choice<Constraint> constraint = Constraint::to_output_scale);
/// a + b. Scales: output 2^-1/2 (1 if one of them has one element), gradients (out.numel() / own numel())^-1/2, under
/// the constraint.
WEFT_API Tensor add(const Tensor& a, const Tensor& b, Choice<Constraint> constraint = Constraint::to_output_scale);
/// x + y, unscaled.
WEFT_API Tensor add(const Tensor& x, Scalar y);

/// Gradients of weight and bias times sqrt(prod normalized_shape / x.numel()); else as weft::layer_norm.
WEFT_API Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {},
                           const Tensor& bias = {}, double eps = 1e-5);
/// Gradient of weight times sqrt(prod normalized_shape / x.numel()); else as weft::rms_norm.
WEFT_API Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {}, double eps = 1e-5);
/// Gradient of weight times sqrt(weight.size(0) / index.numel()); else as weft::embedding.
WEFT_API Tensor embedding(const Tensor& index, const Tensor& weight, const EmbeddingOptions& o = {});

/// The two ends of a residual branch: (x for the branch, x for the skip connection), with the gradients times
/// tau / sqrt(1 + tau^2) and 1 / sqrt(1 + tau^2). residual_add puts them together, with the same tau.
WEFT_API std::pair<Tensor, Tensor> residual_split(const Tensor& x, double tau = 1);
/// residual tau / sqrt(1 + tau^2) + skip / sqrt(1 + tau^2); gradients pass unchanged.
WEFT_API Tensor residual_add(const Tensor& residual, const Tensor& skip, double tau = 1);
/// residual_add of f of the branch and the skip connection.
template <class F> Tensor residual_apply(const F& f, const Tensor& x, double tau = 1) {
  const auto [residual, skip] = residual_split(x, tau);
  return residual_add(f(residual), skip, tau);
}

/// Options of cross_entropy.
struct CrossEntropyOptions {
  double mult = 1;                                ///< factor of the logits
  int64_t ignore_index = -100;                    ///< targets whose rows count 0
  Choice<Reduction> reduction = Reduction::mean;  ///< or sum
  Tensor weight = {};                             ///< not supported: a ValueError says so
  double label_smoothing = 0;                     ///< nor this
};
/// Cross-entropy of mult x, x: [N, V] or [V] with V >= 2. Sum over rows; `mean` divides the value by N (ignored rows
/// count), and no reduction changes the gradient: V / sqrt(V - 1) (softmax(mult x) - onehot) g.
WEFT_API Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyOptions& o = {});
/// Sum of (x - t)^2; `mean` divides the value by the number of elements. Gradients 8^-1/2 times those of the sum.
/// ShapeError unless the shapes are equal.
WEFT_API Tensor mse_loss(const Tensor& x, const Tensor& target, Choice<Reduction> reduction = Reduction::mean);

namespace detail {

/// Factors of a convolution: of its value, and of three gradients.
struct ConvScales {
  double output = 1, input = 1, weight = 1, bias = 1;
};
/// By the shapes of input and weight; all 1 where their ranks do not fit, which is the convolution's to refuse.
WEFT_API ConvScales conv_scales(const char* op, const Shape& x, const Shape& w, const ConvParams& p,
                                Constraint constraint, const ScalePower& power = {0.5, 0.5, 0.5});
/// out: the output's spatial sizes.
WEFT_API ConvScales conv_transpose_scales(const char* op, const Shape& x, const Shape& w, const ConvParams& p,
                                          const Shape& out, Constraint constraint,
                                          const ScalePower& power = {0.5, 0.5, 0.5});
/// Spatial sizes of a transposed convolution's output, without output padding where `more` is empty.
WEFT_API Shape conv_transpose_output(const Shape& x, const Shape& w, const ConvParams& p, const Shape& more);
/// f(x, w, b) with everything scaled.
template <class F>
Tensor scaled_conv(const ConvScales& s, const Tensor& x, const Tensor& w, const Tensor& b, const F& f) {
  Tensor y = f(scale_bwd(x, s.input), scale_bwd(w, s.weight), b.defined() ? scale_bwd(b, s.bias) : b);
  return scale_fwd(y, s.output);
}
WEFT_API void check_mult(const char* op, double mult);
WEFT_API void check_loss(const char* op, Reduction reduction, const Tensor& weight = {}, double label_smoothing = 0);

}  // namespace detail
}  // namespace weft::unit_scaled
