// Where values belong in a sorted line. The same search on CPU and CUDA. Knows no tensors.
#pragma once

#include <cstdint>

#include "weft/core/export.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// Whether element e of a sorted line stands before the place of v. NaN is behind all numbers, its place behind all.
template <bool Right, class C> WEFT_HD WEFT_INLINE bool stands_before(C e, C v) {
  return (v != v) | (Right ? e <= v : e < v);
}

/// at[k] = how many elements of the sorted line s [n] stand before v[k]. By halves, all values in step: no branch
/// depends on one, and their loads overlap.
template <bool Right, int N, class T, class C>
WEFT_HD WEFT_INLINE void places(int64_t (&at)[N], const T* s, int64_t n, const C (&v)[N]) {
  for (int k = 0; k < N; ++k) at[k] = 0;
  for (int64_t rest = n, half; rest > 0; rest -= half) {
    half = rest - rest / 2;
    for (int k = 0; k < N; ++k) at[k] += stands_before<Right>(static_cast<C>(s[at[k] + half - 1]), v[k]) ? half : 0;
  }
}

}  // namespace WEFT_ISA
}  // namespace weft::fn
