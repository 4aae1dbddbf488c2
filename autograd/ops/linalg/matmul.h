// Matrix products, differentiable to any order.
// Knows strides only: transposed and broadcast operands are read where they lie.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// Matrix product by numpy's rules: rank 1 is a row on the left and a column on the right, leading axes broadcast.
/// a: [..., M, K], b: [..., K, N] -> [..., M, N]. One dtype (any but bool). Autocast: lower. Errors: inner sizes that
/// differ (ShapeError), dtypes that differ (DtypeError). Equivalent: torch.matmul.
[[nodiscard]] WEFT_API Tensor matmul(const Tensor& a, const Tensor& b);
/// a: [M, K], b: [K, N] -> [M, N]. As matmul, these ranks only.
[[nodiscard]] WEFT_API Tensor mm(const Tensor& a, const Tensor& b);
/// a: [B, M, K], b: [B, K, N] -> [B, M, N]. No broadcasting.
[[nodiscard]] WEFT_API Tensor bmm(const Tensor& a, const Tensor& b);
/// a: [M, K], x: [K] -> [M].
[[nodiscard]] WEFT_API Tensor mv(const Tensor& a, const Tensor& x);
/// x: [K], y: [K] -> [], sum of x_i y_i.
[[nodiscard]] WEFT_API Tensor dot(const Tensor& x, const Tensor& y);
/// beta input + alpha a b, input broadcast to [M, N]; with beta = 0 input is not read (its NaNs do not count).
[[nodiscard]] WEFT_API Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, Scalar beta = 1,
                                    Scalar alpha = 1);
/// x W^T + b. x: [..., I], weight: [O, I] or [I], bias: [O] or undefined -> [..., O] or [...]. Autocast: lower.
/// Equivalent: F.linear.
[[nodiscard]] WEFT_API Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
/// y_o = a^T W_o b + bias_o. a: [..., I], b: [..., J], weight: [O, I, J], bias: [O] or undefined -> [..., O].
[[nodiscard]] WEFT_API Tensor bilinear(const Tensor& a, const Tensor& b, const Tensor& weight, const Tensor& bias = {});

}  // namespace weft
