// A sum on its way to the type that it is stored in.
#pragma once

#include <type_traits>

#include "weft/core/fn/math.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// v as T: integers to the nearest, ties up; through i64, so that what does not fit wraps.
template <class T, class A> WEFT_HD WEFT_INLINE T narrow(A v) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<int64_t>(fn::floor(v + A(0.5))));
  else return static_cast<T>(v);
}

}  // namespace WEFT_ISA
}  // namespace weft::fn
