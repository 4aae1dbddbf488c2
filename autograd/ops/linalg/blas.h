// Products of tensors beside matmul.h: contractions over chosen axes, sums of products, and the cross product.
// Tensors are of one dtype unless an op says that it promotes. Autocast: lower, as in matmul.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// Sums of products over the last axes. a: [.., K], b: [.., K] -> a's other axes, then b's; a number times a tensor.
/// ShapeError unless the last sizes agree. Equivalent: torch.inner.
[[nodiscard]] WEFT_API Tensor inner(const Tensor& a, const Tensor& b);
/// Kronecker product: size n_i m_i along axis i, and element [.., p m_i + q, ..] is a[.., p, ..] b[.., q, ..]. Missing
/// axes come in front. Dtypes promote. Equivalent: torch.kron.
[[nodiscard]] WEFT_API Tensor kron(const Tensor& a, const Tensor& b);
/// Sums over the last `dims` axes of a and the first of b -> a's other axes, then b's. An axis of size 1 goes with any
/// other. ValueError for a number that does not fit, ShapeError for sizes that differ. Equivalent: torch.tensordot.
[[nodiscard]] WEFT_API Tensor tensordot(const Tensor& a, const Tensor& b, Int dims = 2);
/// The same over axis dims_a[k] of a together with axis dims_b[k] of b.
[[nodiscard]] WEFT_API Tensor tensordot(const Tensor& a, const Tensor& b, const Shape& dims_a, const Shape& dims_b);

// As addmm: beta input + alpha (the product), input broadcast to the product's shape; with beta = 0 input is not read
// (its NaNs do not count). In integers alpha and beta are cut to integers, as PyTorch does.
/// beta input + alpha a x. a: [M, K], x: [K] -> [M].
[[nodiscard]] WEFT_API Tensor addmv(const Tensor& input, const Tensor& a, const Tensor& x, Scalar beta = 1,
                                    Scalar alpha = 1);
/// beta input + alpha x_i y_j. x: [M], y: [N] -> [M, N]. Dtypes promote; ValueError if alpha or beta has a fraction
/// part and nothing else is floating.
[[nodiscard]] WEFT_API Tensor addr(const Tensor& input, const Tensor& x, const Tensor& y, Scalar beta = 1,
                                   Scalar alpha = 1);
/// beta input + alpha (sum over the batch of a b). a: [B, M, K], b: [B, K, N] -> [M, N].
[[nodiscard]] WEFT_API Tensor addbmm(const Tensor& input, const Tensor& a, const Tensor& b, Scalar beta = 1,
                                     Scalar alpha = 1);
/// beta input + alpha a b. a: [B, M, K], b: [B, K, N] -> [B, M, N].
[[nodiscard]] WEFT_API Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, Scalar beta = 1,
                                      Scalar alpha = 1);

/// Cross product of the vectors along `dim`, whose size is 3; without it along the first axis of a of that size. Of one
/// rank; the other axes broadcast. ShapeError, ValueError if there is no such axis. Equivalent: torch.cross.
[[nodiscard]] WEFT_API Tensor cross(const Tensor& a, const Tensor& b, std::optional<Int> dim = {});

}  // namespace weft
