// Ops on diagonals of matrices. The view itself is Tensor::diagonal.
#pragma once

#include "weft/core/tensor_list.h"

namespace weft {

/// x: [N] -> a square matrix with x on its diagonal number `diagonal`, zero elsewhere; x: [M, N] -> a copy of that
/// diagonal. ShapeError for other ranks. Equivalent: torch.diag.
[[nodiscard]] WEFT_API Tensor diag(const Tensor& x, Int diagonal = 0);
/// x: [.., N] -> [.., N + |offset|, N + |offset|], zero but for x on the diagonal number `offset` of each matrix. The
/// matrices' axes become dim1 and dim2 of the result. Gradient: diagonal. Equivalent: torch.diag_embed.
[[nodiscard]] WEFT_API Tensor diag_embed(const Tensor& x, Int offset = 0, Int dim1 = -2, Int dim2 = -1);
/// x: [M, N] -> [], the sum of its main diagonal. Integers give i64; DtypeError for bool. Equivalent: torch.trace.
WEFT_API Tensor trace(const Tensor& x);
/// The matrices one below and right of the other, zero elsewhere: [sum of rows, sum of columns]. Vectors count as rows,
/// numbers as [1, 1]; the dtype is the promoted one. ShapeError beyond rank 2. Equivalent: torch.block_diag.
[[nodiscard]] WEFT_API Tensor block_diag(const std::vector<Tensor>& tensors);
[[nodiscard]] inline Tensor block_diag(TensorBraces tensors) { return block_diag(listed(tensors)); }

}  // namespace weft
