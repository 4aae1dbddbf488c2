// Mathematical functions of one tensor, element by element. Activations are in activation.h.
// All give a tensor of x's shape and layout. Integers go to the default dtype where the function does not map them to
// integers. Each is recorded; the derivative is named where it is not the textbook's. Gradients at kinks are PyTorch's.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// |x|; gradient 0 at 0.
WEFT_API Tensor abs(const Tensor& x);
/// -x. DtypeError for bool.
WEFT_API Tensor neg(const Tensor& x);
/// neg(x).
inline Tensor operator-(const Tensor& x) { return neg(x); }
/// -1, 0 or 1; gradient 0.
WEFT_API Tensor sign(const Tensor& x);
/// x * x.
WEFT_API Tensor square(const Tensor& x);
/// The square root; NaN below 0.
WEFT_API Tensor sqrt(const Tensor& x);
/// 1 / sqrt(x).
WEFT_API Tensor rsqrt(const Tensor& x);
/// 1 / x.
WEFT_API Tensor reciprocal(const Tensor& x);

/// e^x.
WEFT_API Tensor exp(const Tensor& x);
/// 2^x.
WEFT_API Tensor exp2(const Tensor& x);
/// exp(x) - 1, exact near 0.
WEFT_API Tensor expm1(const Tensor& x);
/// The natural logarithm, of base 2, of base 10: -infinity at 0, NaN below.
WEFT_API Tensor log(const Tensor& x);
WEFT_API Tensor log2(const Tensor& x);
WEFT_API Tensor log10(const Tensor& x);
/// log(1 + x), exact near 0.
WEFT_API Tensor log1p(const Tensor& x);

/// Sine, cosine, tangent of x in radians.
WEFT_API Tensor sin(const Tensor& x);
WEFT_API Tensor cos(const Tensor& x);
WEFT_API Tensor tan(const Tensor& x);
/// Their inverses, in radians: asin and acos are NaN outside of [-1, 1].
WEFT_API Tensor asin(const Tensor& x);
WEFT_API Tensor acos(const Tensor& x);
WEFT_API Tensor atan(const Tensor& x);
/// Hyperbolic sine, cosine, tangent.
WEFT_API Tensor sinh(const Tensor& x);
WEFT_API Tensor cosh(const Tensor& x);
WEFT_API Tensor tanh(const Tensor& x);
/// Their inverses: acosh is NaN below 1, atanh outside of [-1, 1] and infinite at its ends.
WEFT_API Tensor asinh(const Tensor& x);
WEFT_API Tensor acosh(const Tensor& x);
WEFT_API Tensor atanh(const Tensor& x);

/// 2/sqrt(pi) * integral of exp(-t^2) from 0 to x.
WEFT_API Tensor erf(const Tensor& x);
/// 1 - erf(x), exact in the tail.
WEFT_API Tensor erfc(const Tensor& x);

/// x rounded down (floor), up (ceil), towards 0 (trunc). The gradient is 0. Integers stay as they are.
WEFT_API Tensor floor(const Tensor& x);
WEFT_API Tensor ceil(const Tensor& x);
WEFT_API Tensor trunc(const Tensor& x);
/// x rounded to `decimals` places, half to even. The gradient is 0.
WEFT_API Tensor round(const Tensor& x, Int decimals = 0);
/// x - trunc(x), with x's gradient.
WEFT_API Tensor frac(const Tensor& x);

/// min(max(x, min), max); a bound that is left out does not bound. The gradient is 0 at a bound and beyond, and at NaN
/// (hardtanh lets it pass there). A bound of NaN makes everything NaN. ValueError if both are missing.
WEFT_API Tensor clamp(const Tensor& x, std::optional<Scalar> min, std::optional<Scalar> max = {});
/// The same with bounds that broadcast; an undefined one does not bound. Where x equals one of two bounds that differ,
/// they share the gradient by halves; between the bounds, and where they are equal, x has all of it. A NaN of x or of a
/// bound cuts nothing off. With one bound the gradient is that of `maximum` or `minimum`.
WEFT_API Tensor clamp(const Tensor& x, const Tensor& min, const Tensor& max);

/// clamp with one bound.
inline Tensor clamp_min(const Tensor& x, Scalar min) {
  const OpName op("clamp_min");
  return clamp(x, min);
}
inline Tensor clamp_max(const Tensor& x, Scalar max) {
  const OpName op("clamp_max");
  return clamp(x, {}, max);
}
/// Whether each element is NaN, is an infinity, is neither. -> bool, not recorded; for integers false, false, true.
WEFT_API Tensor isnan(const Tensor& x);
WEFT_API Tensor isinf(const Tensor& x);
WEFT_API Tensor isfinite(const Tensor& x);
/// x == 0.
WEFT_API Tensor logical_not(const Tensor& x);
/// logical_not(x).
inline Tensor operator!(const Tensor& x) { return logical_not(x); }

}  // namespace weft
