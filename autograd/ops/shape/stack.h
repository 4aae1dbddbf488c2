// Ops that lay tensors side by side, cut, turn and combine them: made of cat, flip and the views (shape.h).
#pragma once

#include "weft/core/tensor_list.h"

namespace weft {

/// The tensors joined along axis 0: vectors count as [1, N], numbers as [1, 1]. Errors as `cat`'s. Equivalent:
/// torch.vstack.
[[nodiscard]] WEFT_API Tensor vstack(const std::vector<Tensor>& tensors);
[[nodiscard]] inline Tensor vstack(TensorBraces tensors) { return vstack(listed(tensors)); }
/// The tensors joined along axis 1, vectors (and numbers) along their only axis. Equivalent: torch.hstack.
[[nodiscard]] WEFT_API Tensor hstack(const std::vector<Tensor>& tensors);
[[nodiscard]] inline Tensor hstack(TensorBraces tensors) { return hstack(listed(tensors)); }
/// The tensors joined along axis 2: [M, N] counts as [M, N, 1], [N] as [1, N, 1]. Equivalent: torch.dstack.
[[nodiscard]] WEFT_API Tensor dstack(const std::vector<Tensor>& tensors);
[[nodiscard]] inline Tensor dstack(TensorBraces tensors) { return dstack(listed(tensors)); }

/// Vectors as columns, matrices side by side. Equivalent: torch.column_stack.
[[nodiscard]] WEFT_API Tensor column_stack(const std::vector<Tensor>& tensors);
[[nodiscard]] inline Tensor column_stack(TensorBraces tensors) { return column_stack(listed(tensors)); }

/// `sections` views along `dim`, of which the first size % sections are one longer. ValueError unless sections > 0.
/// Equivalent: torch.tensor_split.
[[nodiscard]] WEFT_API std::vector<Tensor> tensor_split(const Tensor& x, Int sections, Int dim = 0);
/// Views of what lies between the indices: x[:i0], x[i0:i1], ..., x[ik:]. Bounds as in Python, so that pieces may be
/// empty.
[[nodiscard]] WEFT_API std::vector<Tensor> tensor_split(const Tensor& x, const std::vector<int64_t>& indices,
                                                        Int dim = 0);
[[nodiscard]] inline std::vector<Tensor> tensor_split(const Tensor& x, std::initializer_list<int64_t> indices,
                                                      Int dim = 0) {
  return tensor_split(x, std::vector<int64_t>(indices), dim);
}
/// The same with the number of sections (rank 0) or the indices (rank 1) as an i64 or i32 tensor. Waits for its device.
[[nodiscard]] WEFT_API std::vector<Tensor> tensor_split(const Tensor& x, const Tensor& indices_or_sections,
                                                        Int dim = 0);

/// tensor_split into equal sections or at indices, along axis 1 (hsplit; 0 of a vector), 0 (vsplit) and 2 (dsplit).
/// ShapeError if x has no such axis, ValueError if its size is no multiple of the sections.
[[nodiscard]] WEFT_API std::vector<Tensor> hsplit(const Tensor& x, Int sections);
[[nodiscard]] WEFT_API std::vector<Tensor> hsplit(const Tensor& x, const std::vector<int64_t>& indices);
[[nodiscard]] inline std::vector<Tensor> hsplit(const Tensor& x, std::initializer_list<int64_t> indices) {
  return hsplit(x, std::vector<int64_t>(indices));
}
[[nodiscard]] WEFT_API std::vector<Tensor> vsplit(const Tensor& x, Int sections);
[[nodiscard]] WEFT_API std::vector<Tensor> vsplit(const Tensor& x, const std::vector<int64_t>& indices);
[[nodiscard]] inline std::vector<Tensor> vsplit(const Tensor& x, std::initializer_list<int64_t> indices) {
  return vsplit(x, std::vector<int64_t>(indices));
}
[[nodiscard]] WEFT_API std::vector<Tensor> dsplit(const Tensor& x, Int sections);
[[nodiscard]] WEFT_API std::vector<Tensor> dsplit(const Tensor& x, const std::vector<int64_t>& indices);
[[nodiscard]] inline std::vector<Tensor> dsplit(const Tensor& x, std::initializer_list<int64_t> indices) {
  return dsplit(x, std::vector<int64_t>(indices));
}

/// Tensor::expand. Equivalent: torch.broadcast_to.
[[nodiscard]] WEFT_API Tensor broadcast_to(const Tensor& x, const Shape& shape);
/// All tensors as views of their common shape; dtypes stay. Equivalent: torch.broadcast_tensors.
[[nodiscard]] WEFT_API std::vector<Tensor> broadcast_tensors(const std::vector<Tensor>& tensors);
[[nodiscard]] inline std::vector<Tensor> broadcast_tensors(TensorBraces tensors) {
  return broadcast_tensors(listed(tensors));
}

/// x mirrored along axis 1 (fliplr) or axis 0 (flipud): a copy. ShapeError if x has no such axis. Equivalent:
/// torch.fliplr, torch.flipud.
[[nodiscard]] WEFT_API Tensor fliplr(const Tensor& x);
[[nodiscard]] WEFT_API Tensor flipud(const Tensor& x);
/// x turned by k times 90 degrees in the plane of the two dims, from the first towards the second. Equivalent:
/// torch.rot90.
[[nodiscard]] WEFT_API Tensor rot90(const Tensor& x, Int k = 1, const Shape& dims = {0, 1});

/// Vectors of sizes n0, n1, ..., all of one dtype -> [n0 n1 .., number of vectors]: every choice of one element each,
/// the last varying fastest. A single vector stays as it is. Equivalent: torch.cartesian_prod.
[[nodiscard]] WEFT_API Tensor cartesian_prod(const std::vector<Tensor>& tensors);
[[nodiscard]] inline Tensor cartesian_prod(TensorBraces tensors) { return cartesian_prod(listed(tensors)); }
/// x: [N] -> [number of combinations, r]: every choice of r elements in x's order, in lexicographic order of positions.
/// [0] for r = 0. ValueError for negative r. Equivalent: torch.combinations.
[[nodiscard]] WEFT_API Tensor combinations(const Tensor& x, Int r = 2, Only<bool> with_replacement = false);

}  // namespace weft
