// Arithmetic, comparison and logic of two tensors, element by element, with broadcasting (numpy's rule).
// Dtypes promote as in PyTorch: the wider one wins within bool < integer < floating; a tensor of rank 0 and a C++
// number raise only the category, so `x * 2` and `x * 0.5` keep a floating x's dtype and an integer x with a float
// gives the default dtype. Errors: ShapeError (no broadcast), DtypeError (the op does not take it), DeviceError
// (different devices).
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft {

/// x + alpha * y. ValueError if alpha is no integer and x and y are.
WEFT_API Tensor add(const Tensor& x, const Tensor& y, Scalar alpha = 1);
WEFT_API Tensor add(const Tensor& x, Scalar y, Scalar alpha = 1);
/// x - alpha * y. DtypeError for bool.
WEFT_API Tensor sub(const Tensor& x, const Tensor& y, Scalar alpha = 1);
WEFT_API Tensor sub(const Tensor& x, Scalar y, Scalar alpha = 1);
WEFT_API Tensor sub(Scalar x, const Tensor& y);
/// x * y. Of bools: and.
WEFT_API Tensor mul(const Tensor& x, const Tensor& y);
WEFT_API Tensor mul(const Tensor& x, Scalar y);
/// How a quotient becomes an integer. With `none` integers are divided in the default dtype; the others keep an integer
/// dtype, and their gradient is 0. ValueError for an integer division by zero.
enum class RoundingMode : uint8_t { none, trunc, floor };
constexpr auto mode_words(RoundingMode) { return make_words("div: rounding_mode", "none", "trunc", "floor"); }
/// x / y, rounded as asked.
WEFT_API Tensor div(const Tensor& x, const Tensor& y, Choice<RoundingMode> rounding_mode = RoundingMode::none);
WEFT_API Tensor div(const Tensor& x, Scalar y, Choice<RoundingMode> rounding_mode = RoundingMode::none);
WEFT_API Tensor div(Scalar x, const Tensor& y, Choice<RoundingMode> rounding_mode = RoundingMode::none);
/// x^y. ValueError for an integer tensor to a negative integer number.
WEFT_API Tensor pow(const Tensor& x, const Tensor& y);
WEFT_API Tensor pow(const Tensor& x, Scalar y);
WEFT_API Tensor pow(Scalar x, const Tensor& y);
/// The greater (maximum) or smaller (minimum) of x and y. NaN wins. Equal elements share the gradient by halves.
WEFT_API Tensor maximum(const Tensor& x, const Tensor& y);
WEFT_API Tensor minimum(const Tensor& x, const Tensor& y);
/// The angle of the point (x, y), in (-pi, pi]. The arguments are y, then x. Integers go to the default dtype.
WEFT_API Tensor atan2(const Tensor& y, const Tensor& x);
/// Remainder of x / y: fmod has the sign of x, remainder that of y. ValueError for an integer divisor 0.
WEFT_API Tensor fmod(const Tensor& x, const Tensor& y);
WEFT_API Tensor fmod(const Tensor& x, Scalar y);
WEFT_API Tensor fmod(Scalar x, const Tensor& y);
WEFT_API Tensor remainder(const Tensor& x, const Tensor& y);
WEFT_API Tensor remainder(const Tensor& x, Scalar y);
WEFT_API Tensor remainder(Scalar x, const Tensor& y);
/// div with RoundingMode::floor.
inline Tensor floor_divide(const Tensor& x, const Tensor& y) {
  const OpName op("floor_divide");
  return div(x, y, RoundingMode::floor);
}
inline Tensor floor_divide(const Tensor& x, Scalar y) {
  const OpName op("floor_divide");
  return div(x, y, RoundingMode::floor);
}
/// x: [N], y: [M] -> [N, M], x_i * y_j.
WEFT_API Tensor outer(const Tensor& x, const Tensor& y);

/// x + y is add, x - y sub, x * y mul, x / y div, x % y remainder, with a tensor on either side or both.
inline Tensor operator+(const Tensor& x, const Tensor& y) { return add(x, y); }
inline Tensor operator+(const Tensor& x, Scalar y) { return add(x, y); }
inline Tensor operator+(Scalar x, const Tensor& y) { return add(y, x); }
inline Tensor operator-(const Tensor& x, const Tensor& y) { return sub(x, y); }
inline Tensor operator-(const Tensor& x, Scalar y) { return sub(x, y); }
inline Tensor operator-(Scalar x, const Tensor& y) { return sub(x, y); }
inline Tensor operator*(const Tensor& x, const Tensor& y) { return mul(x, y); }
inline Tensor operator*(const Tensor& x, Scalar y) { return mul(x, y); }
inline Tensor operator*(Scalar x, const Tensor& y) { return mul(y, x); }
inline Tensor operator/(const Tensor& x, const Tensor& y) { return div(x, y); }
inline Tensor operator/(const Tensor& x, Scalar y) { return div(x, y); }
inline Tensor operator/(Scalar x, const Tensor& y) { return div(x, y); }

/// remainder: the sign is that of y.
inline Tensor operator%(const Tensor& x, const Tensor& y) { return remainder(x, y); }
inline Tensor operator%(const Tensor& x, Scalar y) { return remainder(x, y); }
inline Tensor operator%(Scalar x, const Tensor& y) { return remainder(x, y); }
/// x.remainder_(y): in place, and an error where that would be recorded.
inline Tensor& operator%=(Tensor& x, const Tensor& y) { return x.remainder_(y); }
inline Tensor& operator%=(Tensor& x, Scalar y) { return x.remainder_(y); }

// Comparison and logic: bool results, not recorded.

/// Element by element: x == y, x != y, x < y, x <= y, x > y, x >= y. A NaN is unequal to all and neither less nor
/// greater. -> bool, of the broadcast shape.
WEFT_API Tensor eq(const Tensor& x, const Tensor& y);
WEFT_API Tensor eq(const Tensor& x, Scalar y);
WEFT_API Tensor ne(const Tensor& x, const Tensor& y);
WEFT_API Tensor ne(const Tensor& x, Scalar y);
WEFT_API Tensor lt(const Tensor& x, const Tensor& y);
WEFT_API Tensor lt(const Tensor& x, Scalar y);
WEFT_API Tensor le(const Tensor& x, const Tensor& y);
WEFT_API Tensor le(const Tensor& x, Scalar y);
WEFT_API Tensor gt(const Tensor& x, const Tensor& y);
WEFT_API Tensor gt(const Tensor& x, Scalar y);
WEFT_API Tensor ge(const Tensor& x, const Tensor& y);
WEFT_API Tensor ge(const Tensor& x, Scalar y);
/// The comparisons as operators: eq, ne, lt, le, gt, ge, element by element; none of them gives one bool.
inline Tensor operator==(const Tensor& x, const Tensor& y) { return eq(x, y); }
inline Tensor operator==(const Tensor& x, Scalar y) { return eq(x, y); }
inline Tensor operator==(Scalar x, const Tensor& y) { return eq(y, x); }
inline Tensor operator!=(const Tensor& x, const Tensor& y) { return ne(x, y); }
inline Tensor operator!=(const Tensor& x, Scalar y) { return ne(x, y); }
inline Tensor operator!=(Scalar x, const Tensor& y) { return ne(y, x); }
inline Tensor operator<(const Tensor& x, const Tensor& y) { return lt(x, y); }
inline Tensor operator<(const Tensor& x, Scalar y) { return lt(x, y); }
inline Tensor operator<(Scalar x, const Tensor& y) { return gt(y, x); }
inline Tensor operator<=(const Tensor& x, const Tensor& y) { return le(x, y); }
inline Tensor operator<=(const Tensor& x, Scalar y) { return le(x, y); }
inline Tensor operator<=(Scalar x, const Tensor& y) { return ge(y, x); }
inline Tensor operator>(const Tensor& x, const Tensor& y) { return gt(x, y); }
inline Tensor operator>(const Tensor& x, Scalar y) { return gt(x, y); }
inline Tensor operator>(Scalar x, const Tensor& y) { return lt(y, x); }
inline Tensor operator>=(const Tensor& x, const Tensor& y) { return ge(x, y); }
inline Tensor operator>=(const Tensor& x, Scalar y) { return ge(x, y); }
inline Tensor operator>=(Scalar x, const Tensor& y) { return le(y, x); }
/// and, or, xor of the truth of the elements, of any dtype: an element that is not zero is true. -> bool.
WEFT_API Tensor logical_and(const Tensor& x, const Tensor& y);
WEFT_API Tensor logical_or(const Tensor& x, const Tensor& y);
WEFT_API Tensor logical_xor(const Tensor& x, const Tensor& y);
/// |x - y| <= atol + rtol |y| everywhere? NaN equals NaN only if `equal_nan`. One bool, on the host.
WEFT_API bool allclose(const Tensor& x, const Tensor& y, double rtol = 1e-5, double atol = 1e-8,
                       Only<bool> equal_nan = false);
/// Same shape and all elements equal? One bool, on the host.
WEFT_API bool equal(const Tensor& x, const Tensor& y);

}  // namespace weft
