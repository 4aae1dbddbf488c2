// Scattering with a reduction: elements that go to the same place become one. Sums have ops of their own, scatter_add
// and index_add.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft {

/// How elements that meet become one; NaN wins in amax and amin. The mean of integers is rounded down.
enum class ScatterReduce : uint8_t { sum, prod, mean, amax, amin };
constexpr auto mode_words(ScatterReduce) {
  return make_words("scatter_reduce: reduce", "sum", "prod", "mean", "amax", "amin");
}

/// x with x[.., index[.., i, ..], ..] along `dim` replaced by the reduction of all src[.., i, ..] that go there and, if
/// `include_self`, of the element of x itself. What no index names stays. index: x's rank, sizes at most src's, and x's
/// but along dim; src of x's dtype. Gradients: equal extremes share it; that of a product is exact at zeros, at
/// log2(length) times the memory. Same bits every time. Products and extremes sort the index (n log n). Equivalent:
/// torch.scatter_reduce.
[[nodiscard]] WEFT_API Tensor scatter_reduce(const Tensor& x, Int dim, const Tensor& index, const Tensor& src,
                                             Choice<ScatterReduce> reduce, Only<bool> include_self = true);
/// The same for whole slices: src[.., j, ..] goes to x[.., index[j], ..]. index: [n] or []; src: x's shape with n along
/// dim. Not for sums (ValueError: use index_add) nor bool. Equivalent: torch.index_reduce.
[[nodiscard]] WEFT_API Tensor index_reduce(const Tensor& x, Int dim, const Tensor& index, const Tensor& src,
                                           Choice<ScatterReduce> reduce, Only<bool> include_self = true);

}  // namespace weft
