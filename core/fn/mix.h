// How resampling adds up: the entries of an axis' linear map, and what long sums are kept in. The same on CPU and CUDA.
#pragma once

#include "weft/core/fn/resize.h"

namespace weft::fn {

/// What sums are kept in: f64 for f64 and wide integers, f32 for the rest.
template <class T> using mix_t = std::conditional_t<sizeof(T) == 8 || std::is_same_v<T, int32_t>, double, float>;

/// So many addends go into a sum of mix_t one by one; longer sums are sums of those in f64.
inline constexpr int32_t kMixAddends = 512;

/// Entries of all outputs.
WEFT_INLINE int64_t count_entries(const SampleAxis& a) {
  int64_t n = 0;
  for (int64_t o = 0; o < a.out; ++o) n += a.taps(o);
  return n;
}
/// f(o, i, w) for every input i that output o mixes with weight w, in the order of o.
template <class F> WEFT_INLINE void for_entries(const SampleAxis& a, const F& f) {
  for (int64_t o = 0; o < a.out; ++o) {
    const double total = a.total(o);
    for (int64_t k = 0, n = a.taps(o); k < n; ++k) {
      int64_t i = 0;  // g++ cannot see that every mode sets them
      double w = 0;
      a.tap(o, k, i, w);
      f(o, i, w / total);
    }
  }
}

}  // namespace weft::fn
