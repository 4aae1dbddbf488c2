// Ops that pick, place or mask elements by index tensors. Tensor::index (numpy's indexing) is defined here too.
// Index tensors are i64 or i32 (gather and scatter take u8 too). A bad index is a ValueError that names it, the axis
// and the axis's size.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// x[.., index[j], ..] along `dim`. index: [n] or []. Indices in [0, size). Gradient: index_add.
[[nodiscard]] WEFT_API Tensor index_select(const Tensor& x, Int dim, const Tensor& index);
/// x with alpha * src[.., j, ..] added to x[.., index[j], ..]; repeated indices add up, in the order of j (on CUDA more
/// than 64 of one index in parts, the same every time). index: [n]; src: x's shape with n along dim.
[[nodiscard]] WEFT_API Tensor index_add(const Tensor& x, Int dim, const Tensor& index, const Tensor& src,
                                        Scalar alpha = 1);

/// y[.., i, ..] = x[.., index[.., i, ..], ..] along `dim`. index: x's rank, its sizes at most x's but along dim. ->
/// index's shape
[[nodiscard]] WEFT_API Tensor gather(const Tensor& x, Int dim, const Tensor& index);
/// x with src[.., i, ..] added to x[.., index[.., i, ..], ..], in an order as index_add's. index: sizes at most src's,
/// and x's but along dim.
[[nodiscard]] WEFT_API Tensor scatter_add(const Tensor& x, Int dim, const Tensor& index, const Tensor& src);
/// x with x[.., index[.., i, ..], ..] replaced by src[.., i, ..] or a number; of repeated indices the last wins (and
/// the gradient is that of every one, as in PyTorch).
[[nodiscard]] WEFT_API Tensor scatter(const Tensor& x, Int dim, const Tensor& index, const Tensor& src);
[[nodiscard]] WEFT_API Tensor scatter(const Tensor& x, Int dim, const Tensor& index, Scalar value);
/// As gather, with x and indices broadcast against each other but along dim; without a dim both are flattened.
/// Negative indices count from the end.
[[nodiscard]] WEFT_API Tensor take_along_dim(const Tensor& x, const Tensor& indices, std::optional<Int> dim = {});

/// x with the elements at `at` (see Tensor::index) replaced by `values`, which broadcast to their shape, or with values
/// added to them (`accumulate`, where repeated indices add up).
[[nodiscard]] WEFT_API Tensor index_put(const Tensor& x, const std::vector<Index>& at, const Tensor& values,
                                        Only<bool> accumulate = false);
[[nodiscard]] WEFT_API Tensor index_put(const Tensor& x, const std::vector<Index>& at, Scalar value);

/// x with `value` where mask (bool) holds; the two broadcast.
[[nodiscard]] WEFT_API Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value);
/// The same with a `value` tensor of rank 0, which gets a gradient.
[[nodiscard]] WEFT_API Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value);
/// The elements where mask (bool) holds, in row-major order; the two broadcast. -> [n]. Waits for the device.
[[nodiscard]] WEFT_API Tensor masked_select(const Tensor& x, const Tensor& mask);
/// Coordinates of the elements that are not zero, in row-major order: [n, rank] i64. Waits for the device.
[[nodiscard]] WEFT_API Tensor nonzero(const Tensor& x);
/// The same as one index tensor for each axis, for `x.index`: nonzero's columns.
[[nodiscard]] WEFT_API std::vector<Tensor> where(const Tensor& condition);
/// x's elements number index[..], counted in row-major order; negative ones count from the end. -> index's shape.
[[nodiscard]] WEFT_API Tensor take(const Tensor& x, const Tensor& index);

/// x: [..], i64 or i32, in [0, num_classes) -> [.., num_classes] i64, 1 at the class. num_classes -1: one more than the
/// largest.
[[nodiscard]] WEFT_API Tensor one_hot(const Tensor& x, Int num_classes = -1);

}  // namespace weft
