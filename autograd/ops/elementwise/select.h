// Elementwise ops of three tensors: choice and interpolation. Broadcasting and promotion as in binary.h.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// x where cond holds, y elsewhere. cond: bool; the three broadcast. DtypeError if cond is not bool.
WEFT_API Tensor where(const Tensor& cond, const Tensor& x, const Tensor& y);
WEFT_API Tensor where(const Tensor& cond, const Tensor& x, Scalar y);
WEFT_API Tensor where(const Tensor& cond, Scalar x, const Tensor& y);
WEFT_API Tensor where(const Tensor& cond, Scalar x, Scalar y);
/// x + weight * (end - x).
WEFT_API Tensor lerp(const Tensor& x, const Tensor& end, const Tensor& weight);
WEFT_API Tensor lerp(const Tensor& x, const Tensor& end, double weight);
/// x + value * a * b.
WEFT_API Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value = 1);
/// x + value * a / b; integers are divided in the default dtype.
WEFT_API Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value = 1);

}  // namespace weft
