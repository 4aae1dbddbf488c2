// Random fills: a thread makes what one Philox block makes, two or four elements, so that every element has the bits
// that the CPU gives it.
#pragma once

#include "weft/backends/cuda/elementwise.cuh"
#include "weft/core/fn/philox.h"
#include "weft/core/generator.h"

namespace weft::cuda {

// A fill says how many elements a block of words makes, whether it changes what is in x (dropout) or makes all anew,
// and makes them.

/// y[i] = f.value(word i, y[i]).
template <class T, class F> WEFT_HD WEFT_INLINE void fill_by_word(const F& f, const fn::PhiloxBlock& w, T (&y)[4]) {
  y[0] = f.value(w.w0, y[0]);
  y[1] = f.value(w.w1, y[1]);
  y[2] = f.value(w.w2, y[2]);
  y[3] = f.value(w.w3, y[3]);
}

template <class F, class T>
__global__ void __launch_bounds__(kBlock)
    random_kernel(T* y, const T* x, int64_t n, Generator::State from, F fill, bool packed) {
  constexpr int E = F::kElements;
  const int64_t blocks = ceil_div(n, E), step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t b = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; b < blocks; b += step) {
    const int64_t at = b * E, left = n - at;
    const bool whole = packed && left >= E;
    Pack<T, E> v;
    if constexpr (F::kReads) {
      if (whole) v = reinterpret_cast<const Pack<T, E>*>(x)[b];
      else
        for (int i = 0; i < E; ++i) v.v[i] = i < left ? x[at + i] : T(0);
    }
    fill(fn::philox(from.seed, from.offset + static_cast<uint64_t>(b)), v.v);
    if (whole) reinterpret_cast<Pack<T, E>*>(y)[b] = v;
    else
      for (int i = 0; i < E; ++i)
        if (i < left) y[at + i] = v.v[i];
  }
}

template <class F, class T> void run_random(T* y, const T* x, int64_t n, Generator::State from, const F& fill) {
  if (n == 0) return;
  refuse_capture("random numbers");
  constexpr size_t bytes = sizeof(T) * F::kElements;
  const bool packed = reinterpret_cast<uintptr_t>(y) % bytes == 0 && reinterpret_cast<uintptr_t>(x) % bytes == 0;
  launch(random_kernel<F, T>, grid_for(n, int64_t{kBlock} * F::kElements), kBlock, 0, y, x, n, from, fill, packed);
}

}  // namespace weft::cuda
