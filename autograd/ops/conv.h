// Convolutions of any rank: three linear ops that are each other's gradients, and the public forms on top of them.
// Results of these ops lie channels-last in memory; shapes are always [N, C, spatial...].
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>

#include "weft/core/conv_params.h"
#include "weft/core/tensor.h"

namespace weft {

/// Cross-correlation: y[n, o, i] = bias[o] + sum over c, k of w[o, c, k] x[n, group(o) C/groups + c, i stride + k dilation - padding_lo].
/// x: [N, C, L...], w: [O, C/groups, k...], bias: [O] or undefined -> [N, O, L'...]. Any number of spatial axes.
/// On a CPU, f32 kernels 3x3 and 3x3x3 of 24 and more channels may go through Winograd's transforms, where a value that is not
/// finite makes all outputs of its tiles (up to 4 elements away) NaN; all others keep it to the outputs whose windows hold it.
/// Autocast: lower. Errors: rank, channels, empty spatial axes, a kernel larger than the padded input (ShapeError); dtypes that
/// differ (DtypeError).
[[nodiscard]] WEFT_API Tensor conv(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvParams& p);
/// The gradient of conv with respect to x, which is the transposed convolution: g: [N, O, L'...], w: [O, C/groups, k...] ->
/// x_shape = [N, C, L...]; plus bias: [C] if defined.
[[nodiscard]] WEFT_API Tensor conv_input_grad(const Tensor& g, const Tensor& w, const Shape& x_shape,
                                              const ConvParams& p, const Tensor& bias = {});
/// The gradient of conv with respect to w: x: [N, C, L...], g: [N, O, L'...] -> w_shape = [O, C/groups, k...].
[[nodiscard]] WEFT_API Tensor conv_weight_grad(const Tensor& x, const Tensor& g, const Shape& w_shape,
                                               const ConvParams& p);

/// Zero padding: one number, a number per axis, a pair per axis (before, after), "valid" (none) or "same" (output as large as
/// the input at stride 1; the odd element of an even kernel goes to the end).
template <int D> class ConvPadding {
 public:
  ConvPadding(int64_t all) : lo(all), hi(all) {}
  template <std::convertible_to<int64_t>... I>
  requires(sizeof...(I) == D && D > 1) ConvPadding(I... i) : lo(i...), hi(i...) {}
  ConvPadding(const Dims<D>& d) : lo(d), hi(d) {}
  ConvPadding(std::initializer_list<std::pair<int64_t, int64_t>> pairs)
      : ConvPadding(std::span(pairs.begin(), pairs.size())) {}
  ConvPadding(std::span<const std::pair<int64_t, int64_t>> pairs) : lo(0), hi(0) {
    WEFT_CHECK(pairs.size() == D, ValueError, "conv: padding must have ", D, " pairs, got ", pairs.size());
    for (int i = 0; i < D; ++i) {
      lo[i] = pairs[static_cast<size_t>(i)].first;
      hi[i] = pairs[static_cast<size_t>(i)].second;
    }
  }
  template <class S>
  requires(std::convertible_to<S, std::string_view> && !std::integral<S>) ConvPadding(const S& name)
      : lo(0), hi(0), same(is_same(name)) {}

  Dims<D> lo, hi;
  bool same = false;

 private:
  static bool is_same(std::string_view name) {
    WEFT_CHECK(name == "same" || name == "valid", ValueError,
               "conv: padding must be 'same' or 'valid' or numbers, got '", std::string(name), "'");
    return name == "same";
  }
};

template <int D> struct ConvOptions {
  Dims<D> stride = 1;
  ConvPadding<D> padding = 0;
  Dims<D> dilation = 1;
  int64_t groups = 1;
};
/// x: [N, C, L] or [C, L], weight: [O, C/groups, k], bias: [O] or undefined. Equivalent: F.conv1d.
[[nodiscard]] WEFT_API Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvOptions<1>& o = {});
/// x: [N, C, H, W] or [C, H, W], weight: [O, C/groups, kh, kw]. Equivalent: F.conv2d.
[[nodiscard]] WEFT_API Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvOptions<2>& o = {});
/// x: [N, C, D, H, W] or [C, D, H, W], weight: [O, C/groups, kd, kh, kw]. Equivalent: F.conv3d.
[[nodiscard]] WEFT_API Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvOptions<3>& o = {});
/// The same for any rank, from parameters that are resolved already: x: [N, C, L...] or [C, L...]. `op` names the caller in errors.
/// More than three spatial axes: the first ones' windows are copied next to each other and convolved over the last three.
[[nodiscard]] WEFT_API Tensor conv_nd(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                                      const ConvParams& p);

/// padding crops: `p` numbers or pairs (before, after). output_padding enlarges the end of the result; it must be smaller than
/// stride or dilation.
template <int D> struct ConvTransposeOptions {
  Dims<D> stride = 1;
  ConvPadding<D> padding = 0;
  Dims<D> output_padding = 0;
  int64_t groups = 1;
  Dims<D> dilation = 1;
};
/// x: [N, C, L] or [C, L], weight: [C, O/groups, k] -> [N, O, L'], L' = (L - 1) stride - padding (both) + dilation (k - 1) + output_padding + 1.
/// Errors: a result without elements along an axis (ShapeError), output_padding too large (ValueError). Equivalent: F.conv_transpose1d.
[[nodiscard]] WEFT_API Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                               const ConvTransposeOptions<1>& o = {});
[[nodiscard]] WEFT_API Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                               const ConvTransposeOptions<2>& o = {});
[[nodiscard]] WEFT_API Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                               const ConvTransposeOptions<3>& o = {});
/// The same for any rank, from resolved parameters.
[[nodiscard]] WEFT_API Tensor conv_transpose_nd(const char* op, const Tensor& x, const Tensor& weight,
                                                const Tensor& bias, const ConvParams& p, const Shape& output_padding);

/// The pairs that "same" stands for, into p.padding_lo and p.padding_hi. ValueError unless all strides are 1.
WEFT_API void resolve_same_padding(const char* op, const Shape& kernel, ConvParams& p);
/// Sizes >= 1, padding >= 0, groups >= 1, one entry per axis; a ValueError that names `op` and the argument otherwise.
WEFT_API void check_conv_params(const char* op, const ConvParams& p, int rank);

}  // namespace weft
