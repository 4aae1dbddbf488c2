// How kernels store what they have computed.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <type_traits>

#include "weft/core/dtype.h"

namespace weft::cpu::WEFT_ISA {

/// to = v, rounded to T. GCC 12 does not vectorise loops that assign a half as a whole.
template <class T, class C> WEFT_INLINE void put(T& to, const C& v) {
  if constexpr (is_half_v<T> && std::is_same_v<T, C>) to.bits = v.bits;
  else if constexpr (is_half_v<T>) to.bits = T(static_cast<float>(v)).bits;
  else to = static_cast<T>(v);
}

}  // namespace weft::cpu::WEFT_ISA
