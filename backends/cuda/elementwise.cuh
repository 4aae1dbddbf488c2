// Elementwise kernels for any functor of core/fn: one for operands that lie side by side, in 16-byte steps, and one for
// all others. Halves are read as float and rounded once.
#pragma once

#include "weft/backends/cuda/plan.cuh"
#include "weft/core/dtype.h"
#include "weft/core/fn/traits.h"

namespace weft::cuda {

/// V elements that are read or written at once.
template <class T, int V> struct alignas(sizeof(T) * V) Pack { T v[V]; };
/// Elements per step: 16 bytes of the widest operand, 8 where all have one byte (the code of 16 is not worth its size).
template <class R, class T>
inline constexpr int kPackOf = sizeof(R) * sizeof(T) == 1 ? 8 : 16 / (sizeof(R) > sizeof(T) ? sizeof(R) : sizeof(T));

template <class F, class R, class T, class... X> WEFT_HD WEFT_INLINE R apply(const F& f, T first, X... more) {
  using C = compute_t<T>;
  return static_cast<R>(f(static_cast<C>(first), static_cast<C>(more)...));
}

template <class T, int N> struct Inputs { const T* p[N]; };

/// out[i] = f(in[0][i], ...), everything contiguous and aligned to a Pack.
template <class F, class R, class T, int N>
__global__ void __launch_bounds__(kBlock) contiguous_kernel(R* out, Inputs<T, N> in, uint32_t n, F f) {
  constexpr uint32_t V = kPackOf<R, T>;
  const uint32_t step = gridDim.x * blockDim.x, packs = n / V, me = blockIdx.x * blockDim.x + threadIdx.x;
  for (uint32_t i = me; i < packs; i += step) {
    Pack<T, V> x[N];
    Pack<R, V> y;
    for (int k = 0; k < N; ++k) x[k] = reinterpret_cast<const Pack<T, V>*>(in.p[k])[i];
    for (uint32_t j = 0; j < V; ++j) {
      if constexpr (N == 1) y.v[j] = apply<F, R>(f, x[0].v[j]);
      else if constexpr (N == 2) y.v[j] = apply<F, R>(f, x[0].v[j], x[1].v[j]);
      else y.v[j] = apply<F, R>(f, x[0].v[j], x[1].v[j], x[2].v[j]);
    }
    reinterpret_cast<Pack<R, V>*>(out)[i] = y;
  }
  if (const uint32_t i = packs * V + me; i < n) {  // fewer than V: one each
    if constexpr (N == 1) out[i] = apply<F, R>(f, in.p[0][i]);
    else if constexpr (N == 2) out[i] = apply<F, R>(f, in.p[0][i], in.p[1][i]);
    else out[i] = apply<F, R>(f, in.p[0][i], in.p[1][i], in.p[2][i]);
  }
}

/// The same over any strides; operand 0 is the output.
template <class F, class R, class T, int N>
__global__ void __launch_bounds__(kBlock)
    strided_kernel(R* out, Inputs<T, N> in, fn::NarrowAxes<N + 1> axes, uint32_t n, F f) {
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    uint32_t at[N + 1];
    axes.offsets(i, at);
    if constexpr (N == 1) out[at[0]] = apply<F, R>(f, in.p[0][at[1]]);
    else if constexpr (N == 2) out[at[0]] = apply<F, R>(f, in.p[0][at[1]], in.p[1][at[2]]);
    else out[at[0]] = apply<F, R>(f, in.p[0][at[1]], in.p[1][at[2]], in.p[2][at[3]]);
  }
}

/// The two kernels of a functor without its types, so that the host code that chooses between them exists once.
template <int N> struct ElementKernels {
  using Pointers = Inputs<void, N>;
  void (*contiguous)(void* out, const Pointers& in, uint32_t n, const void* f);
  void (*strided)(void* out, const Pointers& in, const fn::NarrowAxes<N + 1>& axes, uint32_t n, const void* f);
  size_t out_size, in_size, pack;  // bytes of an element, elements of a pack
};

template <class T, int N> Inputs<T, N> inputs_of(const Inputs<void, N>& in) {
  Inputs<T, N> r;
  for (int k = 0; k < N; ++k) r.p[k] = static_cast<const T*>(in.p[k]);
  return r;
}
template <class F, class R, class T, int N>
void start_contiguous(void* out, const Inputs<void, N>& in, uint32_t n, const void* f) {
  launch(contiguous_kernel<F, R, T, N>, grid_for(n, int64_t{kBlock} * kPackOf<R, T>), kBlock, 0, static_cast<R*>(out),
         inputs_of<T>(in), n, *static_cast<const F*>(f));
}
template <class F, class R, class T, int N>
void start_strided(void* out, const Inputs<void, N>& in, const fn::NarrowAxes<N + 1>& axes, uint32_t n, const void* f) {
  launch(strided_kernel<F, R, T, N>, grid_for(n), kBlock, 0, static_cast<R*>(out), inputs_of<T>(in), axes, n,
         *static_cast<const F*>(f));
}

/// `most`: elements of one launch, a multiple of every pack; numbers of 32 bits hold them and a step beyond.
template <int N>
void run_elements(const ElementPlan& plan, const ElementKernels<N>& kernels, void* out, const void* const (&in)[N],
                  const void* f, int64_t most = int64_t{1} << 31) {
  if (plan.numel == 0) return;
  const auto aligned = [&](const void* p, size_t size) {
    return reinterpret_cast<uintptr_t>(p) % (kernels.pack * size) == 0;
  };
  const auto at = [](const void* p, int64_t element, size_t size) {
    return static_cast<const unsigned char*>(p) + element * static_cast<int64_t>(size);
  };
  const auto out_at = [&](int64_t element) {
    return static_cast<unsigned char*>(out) + element * static_cast<int64_t>(kernels.out_size);
  };
  bool packed = plan.contiguous() && aligned(out, kernels.out_size);
  for (const void* p : in) packed = packed && aligned(p, kernels.in_size);
  typename ElementKernels<N>::Pointers from;
  if (packed) {
    for (int64_t first = 0; first < plan.numel; first += most) {
      for (int k = 0; k < N; ++k) from.p[k] = at(in[k], first, kernels.in_size);
      const int64_t left = plan.numel - first;
      kernels.contiguous(out_at(first), from, static_cast<uint32_t>(left < most ? left : most), f);
    }
    return;
  }
  for_each_part<N + 1>(
      plan,
      [&](const fn::NarrowAxes<N + 1>& axes, int64_t n, const int64_t* first) {
        for (int k = 0; k < N; ++k) from.p[k] = at(in[k], first[k + 1], kernels.in_size);
        kernels.strided(out_at(first[0]), from, axes, static_cast<uint32_t>(n), f);
      },
      most);
}

/// Calls `f.template operator()<F>()` for every `Of`-th functor of a list from number `Part` on: a list's kernels are
/// compiled in several files, side by side.
template <int Part, int Of, class... T, class F> void for_part(fn::TypeList<T...>, const F& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) {
    const auto call = [&]<int At, class Functor> {
      if constexpr (At % Of == Part) f.template operator()<Functor>();
    };
    (call.template operator()<I, T>(), ...);
  }
  (std::make_integer_sequence<int, sizeof...(T)>());
}

/// out = f(in...), elements of R from elements of T.
template <class F, class R, class T, int N>
void run_elementwise(const ElementPlan& plan, void* out, const void* const (&in)[N], const F& f) {
  static constexpr ElementKernels<N> kernels = {start_contiguous<F, R, T, N>, start_strided<F, R, T, N>, sizeof(R),
                                                sizeof(T), kPackOf<R, T>};
  run_elements(plan, kernels, out, in, &f);
}

}  // namespace weft::cuda
