// w = f(a, b, c): the elementwise functions of three arguments.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/traits.h"

namespace weft::fn {

/// a + c * (b - a), from the nearer end, so that c = 1 gives b exactly.
struct Lerp {
  static constexpr const char* name = "lerp";
  static constexpr Domain domain = Domain::floating;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T a, T b, T c) const {
    return c > T(-0.5) && c < T(0.5) ? a + c * (b - a) : b - (b - a) * (T(1) - c);
  }
};
/// a + value * b * c.
struct Addcmul {
  static constexpr const char* name = "addcmul";
  static constexpr Domain domain = Domain::numeric;
  Number value = 1;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T a, T b, T c) const {
    return add(a, mul(mul(value.to<T>(), b), c));
  }
};
/// a + value * b / c.
struct Addcdiv {
  static constexpr const char* name = "addcdiv";
  static constexpr Domain domain = Domain::floating;
  Number value = 1;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T a, T b, T c) const { return a + value.to<T>() * (b / c); }
};

using TernaryOps = TypeList<Lerp, Addcmul, Addcdiv>;

}  // namespace weft::fn
