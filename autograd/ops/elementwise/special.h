// Functions of mathematics, element by element: gamma functions, sums of exponentials, signs and lengths.
// Broadcasting and promotion as in binary.h; integers go to the default dtype unless said otherwise.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// log(exp(x) + exp(y)) without overflow. DtypeError for integers, as PyTorch.
WEFT_API Tensor logaddexp(const Tensor& x, const Tensor& y);
/// log2(2^x + 2^y) without overflow. DtypeError for integers.
WEFT_API Tensor logaddexp2(const Tensor& x, const Tensor& y);
/// x log(y); 0 where x is 0 and y is no NaN. The gradient of x is 0 where x is 0 and y <= 0.
WEFT_API Tensor xlogy(const Tensor& x, const Tensor& y);
WEFT_API Tensor xlogy(const Tensor& x, Scalar y);
WEFT_API Tensor xlogy(Scalar x, const Tensor& y);
/// sqrt(x^2 + y^2) without overflow. DtypeError for integers. The gradient at (0, 0) is NaN, as PyTorch's.
WEFT_API Tensor hypot(const Tensor& x, const Tensor& y);
/// |x| with y's sign (of a zero, too); the gradient at x = 0 is 0.
WEFT_API Tensor copysign(const Tensor& x, const Tensor& y);
WEFT_API Tensor copysign(const Tensor& x, Scalar y);
/// 0 where x < 0 (or NaN), 1 where x > 0, `values` where x is 0: any dtype, the same for both (DtypeError). The
/// gradient of `values` is there where x is 0; that of x is 0. (PyTorch has none.)
WEFT_API Tensor heaviside(const Tensor& x, const Tensor& values);

/// The greater (fmax) or smaller (fmin) of x and y. A number wins against NaN. Equal elements share the gradient.
WEFT_API Tensor fmax(const Tensor& x, const Tensor& y);
WEFT_API Tensor fmin(const Tensor& x, const Tensor& y);

/// log(x / (1 - x)), the inverse of sigmoid. NaN outside of [0, 1]. With eps, x is first clamped to [eps, 1 - eps];
/// the gradient is 0 where that changes x.
WEFT_API Tensor logit(const Tensor& x, std::optional<double> eps = {});
/// sin(pi x) / (pi x), 1 at 0. The gradient is exact near 0.
WEFT_API Tensor sinc(const Tensor& x);
/// Options of nan_to_num.
struct NanToNumOptions {
  double nan = 0;                               ///< in place of NaN
  std::optional<double> posinf = std::nullopt;  ///< none: the greatest number of x's dtype
  std::optional<double> neginf = std::nullopt;  ///< none: the least one
};
/// x with numbers in place of NaN and the infinities; their gradient is 0. Integers stay as they are.
WEFT_API Tensor nan_to_num(const Tensor& x, const NanToNumOptions& o = {});
inline Tensor nan_to_num(const Tensor& x, double nan, std::optional<double> posinf = {},
                         std::optional<double> neginf = {}) {
  return nan_to_num(x, NanToNumOptions{nan, posinf, neginf});
}

/// log |Gamma(x)|, infinite at 0, -1, -2, ... Gradient: digamma.
WEFT_API Tensor lgamma(const Tensor& x);
/// The derivative of lgamma: -infinity at 0 (infinity at -0), NaN at the negative integers.
WEFT_API Tensor digamma(const Tensor& x);
/// The n-th derivative of digamma: (-1)^(n+1) n! sum over k >= 0 of (x + k)^-(n+1). ValueError if n < 0.
WEFT_API Tensor polygamma(Int n, const Tensor& x);
/// The y with erf(y) = x: infinite at -1 and 1, NaN beyond.
WEFT_API Tensor erfinv(const Tensor& x);

}  // namespace weft
