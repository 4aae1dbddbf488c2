// Convolutions of any rank: three linear ops that are each other's gradients, and the public forms on top of them.
// Results of these ops lie channels-last in memory; shapes are always [N, C, spatial...].
#pragma once

#include "weft/autograd/ops/layer/conv_options.h"

namespace weft {

/// Cross-correlation: y[n, o, i] = bias[o] + sum over c, k of w[o, c, k] x[n, group(o) C/groups + c, i stride + k
/// dilation - padding_lo]. x: [N, C, L...], w: [O, C/groups, k...], bias: [O] or undefined -> [N, O, L'...]. Any number
/// of spatial axes. On a CPU, f32 kernels 3x3 and 3x3x3 of 24 and more channels may go through Winograd's transforms
/// (`set_float32_conv_algorithm`), where a value that is not finite makes all outputs of its tiles (up to 4 elements
/// away) NaN; all others keep it to the outputs whose windows hold it. Autocast: lower. Errors: rank, channels, empty
/// spatial axes, a kernel larger than the padded input (ShapeError); dtypes that differ (DtypeError).
[[nodiscard]] WEFT_API Tensor conv(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvParams& p);
/// The gradient of conv with respect to x, which is the transposed convolution: g: [N, O, L'...], w: [O, C/groups,
/// k...] -> x_shape = [N, C, L...]; plus bias: [C] if defined.
[[nodiscard]] WEFT_API Tensor conv_input_grad(const Tensor& g, const Tensor& w, const Shape& x_shape,
                                              const ConvParams& p, const Tensor& bias = {});
/// The gradient of conv with respect to w: x: [N, C, L...], g: [N, O, L'...] -> w_shape = [O, C/groups, k...].
[[nodiscard]] WEFT_API Tensor conv_weight_grad(const Tensor& x, const Tensor& g, const Shape& w_shape,
                                               const ConvParams& p);

/// x: [N, C, L] or [C, L], weight: [O, C/groups, k], bias: [O] or undefined. Equivalent: F.conv1d.
[[nodiscard]] WEFT_API Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvOptions<1>& o = {});
/// x: [N, C, H, W] or [C, H, W], weight: [O, C/groups, kh, kw]. Equivalent: F.conv2d.
[[nodiscard]] WEFT_API Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvOptions<2>& o = {});
/// x: [N, C, D, H, W] or [C, D, H, W], weight: [O, C/groups, kd, kh, kw]. Equivalent: F.conv3d.
[[nodiscard]] WEFT_API Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvOptions<3>& o = {});
/// The same for any rank, from parameters that are resolved already: x: [N, C, L...] or [C, L...]. `op` names the
/// caller in errors. More than three spatial axes: the first ones' windows are copied next to each other and convolved
/// over the last three.
[[nodiscard]] WEFT_API Tensor conv_nd(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                                      const ConvParams& p);

/// x: [N, C, L] or [C, L], weight: [C, O/groups, k] -> [N, O, L'], L' = (L - 1) stride - padding (both) + dilation (k -
/// 1) + output_padding + 1. Errors: a result without elements along an axis (ShapeError), output_padding too large
/// (ValueError). Equivalent: F.conv_transpose1d.
[[nodiscard]] WEFT_API Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                               const ConvTransposeOptions<1>& o = {});
[[nodiscard]] WEFT_API Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                               const ConvTransposeOptions<2>& o = {});
[[nodiscard]] WEFT_API Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                               const ConvTransposeOptions<3>& o = {});
/// The same for any rank, from resolved parameters.
[[nodiscard]] WEFT_API Tensor conv_transpose_nd(const char* op, const Tensor& x, const Tensor& weight,
                                                const Tensor& bias, const ConvParams& p, const Shape& output_padding);

/// PyTorch's order of arguments: `conv2d(x, w, b, 2, 1)` has stride 2 and padding 1.
inline Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims<1>& stride,
                     const Padding<1>& padding = 0) {
  return conv1d(x, weight, bias, {.stride = stride, .padding = padding});
}
inline Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims<2>& stride,
                     const Padding<2>& padding = 0) {
  return conv2d(x, weight, bias, {.stride = stride, .padding = padding});
}
inline Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims<3>& stride,
                     const Padding<3>& padding = 0) {
  return conv3d(x, weight, bias, {.stride = stride, .padding = padding});
}
inline Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims<1>& stride,
                               const Padding<1>& padding = 0) {
  return conv_transpose1d(x, weight, bias, {.stride = stride, .padding = padding});
}
inline Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims<2>& stride,
                               const Padding<2>& padding = 0) {
  return conv_transpose2d(x, weight, bias, {.stride = stride, .padding = padding});
}
inline Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims<3>& stride,
                               const Padding<3>& padding = 0) {
  return conv_transpose3d(x, weight, bias, {.stride = stride, .padding = padding});
}

}  // namespace weft
