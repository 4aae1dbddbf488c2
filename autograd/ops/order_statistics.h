// Order statistics: medians, quantiles, the k-th smallest, the most frequent. All sort; equal elements keep their order
// and NaN counts as the largest. Gradients go to the elements that were picked.
#pragma once

#include "weft/autograd/ops/reduce.h"

namespace weft {

/// The lower one of the two middle elements of all; NaN if there is one. Equal elements share the gradient. Of no
/// elements NaN; ShapeError for no integers. DtypeError for bool.
[[nodiscard]] WEFT_API Tensor median(const Tensor& x);
/// The same along one axis, and where it is (i64). With NaNs it is the first of them. ShapeError for an empty axis.
[[nodiscard]] WEFT_API ValuesIndices median(const Tensor& x, int64_t dim, bool keepdim = false);
/// The median of what is not NaN; NaN if nothing is left.
[[nodiscard]] WEFT_API Tensor nanmedian(const Tensor& x);
[[nodiscard]] WEFT_API ValuesIndices nanmedian(const Tensor& x, int64_t dim, bool keepdim = false);

/// The k-th smallest element (from 1) along `dim`, and where it is. ValueError for a k that is not in [1, size].
[[nodiscard]] WEFT_API ValuesIndices kthvalue(const Tensor& x, int64_t k, int64_t dim = -1, bool keepdim = false);
/// The most frequent element along `dim`, the smallest of several, and the last place where it stands. A NaN equals
/// nothing. ShapeError for an empty axis.
[[nodiscard]] WEFT_API ValuesIndices mode(const Tensor& x, int64_t dim = -1, bool keepdim = false);

/// Between the elements at floor and ceil of the rank q (n - 1): by weight, one of them, halfway (where they differ),
/// the nearest rank (half to even).
enum class QuantileInterpolation : uint8_t { linear, lower, higher, midpoint, nearest };
constexpr auto mode_words(QuantileInterpolation) {
  return make_words("quantile: interpolation", "linear", "lower", "higher", "midpoint", "nearest");
}
/// The q-quantile along `dim`, or of all elements: x's shape without the axis. A line with a NaN gives NaN. f32 and f64
/// only (DtypeError). ValueError for a q outside of [0, 1]; ShapeError for no elements.
[[nodiscard]] WEFT_API Tensor quantile(const Tensor& x, double q, std::optional<int64_t> dim = {}, bool keepdim = false,
                                       Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);
/// For several q: [Q] of x's dtype, which gets no gradient -> [Q, ...].
[[nodiscard]] WEFT_API Tensor quantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim = {},
                                       bool keepdim = false,
                                       Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);
/// The quantile of what is not NaN; NaN if nothing is left.
[[nodiscard]] WEFT_API Tensor nanquantile(const Tensor& x, double q, std::optional<int64_t> dim = {},
                                          bool keepdim = false,
                                          Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);
[[nodiscard]] WEFT_API Tensor nanquantile(const Tensor& x, const Tensor& q, std::optional<int64_t> dim = {},
                                          bool keepdim = false,
                                          Choice<QuantileInterpolation> interpolation = QuantileInterpolation::linear);

}  // namespace weft
