// Order statistics: medians, quantiles, the k-th smallest, the most frequent. All sort; equal elements keep their order
// and NaN counts as the largest. Gradients go to the elements that were picked.
#pragma once

#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/choice.h"

namespace weft {

/// The median of all elements: of two middle ones the lower. NaN if an element is NaN. Equal elements share the
/// gradient. NaN for no elements; ShapeError for an empty integer tensor. DtypeError for bool.
[[nodiscard]] WEFT_API Tensor median(const Tensor& x);
/// The median along `dim` and its position (i64). Where a line has NaNs, the first of them. ShapeError for an
/// empty axis.
[[nodiscard]] WEFT_API ValuesIndices median(const Tensor& x, Int dim, Only<bool> keepdim = false);
/// The median of the elements that are not NaN; NaN if all are.
[[nodiscard]] WEFT_API Tensor nanmedian(const Tensor& x);
[[nodiscard]] WEFT_API ValuesIndices nanmedian(const Tensor& x, Int dim, Only<bool> keepdim = false);

/// The k-th smallest element (from 1) along `dim`, and where it is. ValueError for a k that is not in [1, size].
[[nodiscard]] WEFT_API ValuesIndices kthvalue(const Tensor& x, Int k, Int dim = -1, Only<bool> keepdim = false);
/// The most frequent element along `dim` (of several the smallest) and its last position. A NaN equals
/// nothing. ShapeError for an empty axis.
[[nodiscard]] WEFT_API ValuesIndices mode(const Tensor& x, Int dim = -1, Only<bool> keepdim = false);

/// How a quantile between two elements, at floor and ceil of the rank q (n - 1), is made of them: weighted by distance,
/// the lower, the higher, their mean, or the one at the nearest rank (half to even).
enum class QuantileInterpolation : uint8_t { linear, lower, higher, midpoint, nearest };
constexpr auto mode_words(QuantileInterpolation) {
  return make_words("quantile: interpolation", "linear", "lower", "higher", "midpoint", "nearest");
}
/// The q-quantile along `dim`, or of all elements: x's shape without the axis. A line with a NaN gives NaN. f32 and f64
/// only (DtypeError). ValueError for a q outside of [0, 1]; ShapeError for no elements.
[[nodiscard]] WEFT_API Tensor quantile(const Tensor& x, double q, std::optional<Int> dim = {},
                                       Only<bool> keepdim = false,
                                       Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);
/// For several q: [Q] of x's dtype, which gets no gradient -> [Q, ...].
[[nodiscard]] WEFT_API Tensor quantile(const Tensor& x, const Tensor& q, std::optional<Int> dim = {},
                                       Only<bool> keepdim = false,
                                       Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);
/// The quantile of the elements that are not NaN; NaN if all are.
[[nodiscard]] WEFT_API Tensor nanquantile(const Tensor& x, double q, std::optional<Int> dim = {},
                                          Only<bool> keepdim = false,
                                          Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);
[[nodiscard]] WEFT_API Tensor nanquantile(const Tensor& x, const Tensor& q, std::optional<Int> dim = {},
                                          Only<bool> keepdim = false,
                                          Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);

}  // namespace weft
