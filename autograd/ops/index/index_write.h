// Ops that give x with some of its elements replaced, at places named by an index tensor or a mask. More of them, and
// the rules for index tensors, are in index.h. Negative indices count from the end where an op says so.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// x with x[.., index[j], ..] along `dim` replaced by `value`. index: [n] or []; may be negative. A value of rank 0
/// gets a gradient. Equivalent: torch.index_fill.
[[nodiscard]] WEFT_API Tensor index_fill(const Tensor& x, Int dim, const Tensor& index, Scalar value);
[[nodiscard]] WEFT_API Tensor index_fill(const Tensor& x, Int dim, const Tensor& index, const Tensor& value);
/// x with x[.., index[j], ..] along `dim` replaced by src[.., j, ..]; of repeated indices the last wins (and the
/// gradient is that of every one). index: [n] or []; src: x's shape with n along dim, and x's dtype. Equivalent:
/// torch.index_copy.
[[nodiscard]] WEFT_API Tensor index_copy(const Tensor& x, Int dim, const Tensor& index, const Tensor& src);
/// x with its elements number index[j], counted in row-major order, replaced by src[j], or with src[j] added to them
/// (`accumulate`). index may be negative; src has as many elements, in any shape, and x's dtype. Equivalent: torch.put.
[[nodiscard]] WEFT_API Tensor put(const Tensor& x, const Tensor& index, const Tensor& src,
                                  Only<bool> accumulate = false);
/// x with the elements where mask (bool) holds replaced by those of src, one after the other in row-major order; x and
/// mask broadcast. ValueError if src has fewer elements. Waits for the device. Equivalent: torch.masked_scatter.
[[nodiscard]] WEFT_API Tensor masked_scatter(const Tensor& x, const Tensor& mask, const Tensor& src);
/// As `nonzero`. Equivalent: torch.argwhere.
[[nodiscard]] WEFT_API Tensor argwhere(const Tensor& x);

}  // namespace weft
