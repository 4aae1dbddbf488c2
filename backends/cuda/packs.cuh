// Reading and writing several elements at once, 16 bytes where they lie so, and elements of any floating dtype.
#pragma once

#include <cstring>
#include <initializer_list>

#include "weft/backends/cuda/elementwise.cuh"

namespace weft::cuda {

template <int V, class T> __device__ WEFT_INLINE Pack<T, V> load(const T* p, int64_t at) {
  check_aligned<Pack<T, V>>(p + at);
  return *reinterpret_cast<const Pack<T, V>*>(p + at);
}

/// p[at ...] = v, in one store: left alone, nvcc takes some unrolled ones apart.
template <int V, class T> __device__ WEFT_INLINE void store(T* p, int64_t at, const Pack<T, V>& v) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof v == 16) {
    uint32_t w[4];
    memcpy(w, &v, sizeof v);
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p + at)), "r"(w[0]),
                 "r"(w[1]), "r"(w[2]), "r"(w[3])
                 : "memory");
    return;
  }
#endif
  check_aligned<Pack<T, V>>(p + at);
  *reinterpret_cast<Pack<T, V>*>(p + at) = v;
}

/// True where every pointer (null: none) allows 16-byte steps over runs of `run` elements.
template <class T> bool packs_fit(int64_t run, std::initializer_list<const void*> pointers) {
  uintptr_t all = 0;
  for (const void* p : pointers) all |= reinterpret_cast<uintptr_t>(p);
  return run % (16 / static_cast<int64_t>(sizeof(T))) == 0 && all % 16 == 0;
}

/// Calls f.operator()<T>() for a floating dtype; the ops have checked that it is one.
template <class F> __device__ WEFT_INLINE auto with_floating(Dtype d, const F& f) {
  switch (d) {
    case Dtype::f32: return f.template operator()<float>();
    case Dtype::f64: return f.template operator()<double>();
    case Dtype::bf16: return f.template operator()<bf16>();
    default: return f.template operator()<f16>();
  }
}

}  // namespace weft::cuda
