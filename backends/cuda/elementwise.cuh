// Elementwise kernels for any functor of core/fn: one for operands that lie side by side, in 16-byte steps, and one for
// all others. Halves are read as float and rounded once.
#pragma once

#include "weft/backends/cuda/plan.cuh"
#include "weft/core/dtype.h"
#include "weft/core/fn/traits.h"

namespace weft::cuda {

/// V elements that are read or written at once.
template <class T, int V> struct alignas(sizeof(T) * V) Pack { T v[V]; };
/// Elements per step: 16 bytes of the widest operand.
template <class R, class T> inline constexpr int kPackOf = 16 / (sizeof(R) > sizeof(T) ? sizeof(R) : sizeof(T));

template <class F, class R, class T, class... X> WEFT_HD WEFT_INLINE R apply(const F& f, T first, X... more) {
  using C = compute_t<T>;
  return static_cast<R>(f(static_cast<C>(first), static_cast<C>(more)...));
}

/// out[i] = f(in[0][i], ...), everything contiguous and aligned to a Pack.
template <class F, class R, class T, int N> struct Inputs { const T* p[N]; };
template <class F, class R, class T, int N>
__global__ void __launch_bounds__(kBlock) contiguous_kernel(R* out, Inputs<F, R, T, N> in, int64_t n, F f) {
  constexpr int V = kPackOf<R, T>;
  const int64_t step = int64_t{gridDim.x} * blockDim.x, packs = n / V,
                me = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (int64_t i = me; i < packs; i += step) {
    Pack<T, V> x[N];
    Pack<R, V> y;
    for (int k = 0; k < N; ++k) x[k] = reinterpret_cast<const Pack<T, V>*>(in.p[k])[i];
    for (int j = 0; j < V; ++j) {
      if constexpr (N == 1) y.v[j] = apply<F, R>(f, x[0].v[j]);
      else if constexpr (N == 2) y.v[j] = apply<F, R>(f, x[0].v[j], x[1].v[j]);
      else y.v[j] = apply<F, R>(f, x[0].v[j], x[1].v[j], x[2].v[j]);
    }
    reinterpret_cast<Pack<R, V>*>(out)[i] = y;
  }
  for (int64_t i = packs * V + me; i < n; i += step) {
    if constexpr (N == 1) out[i] = apply<F, R>(f, in.p[0][i]);
    else if constexpr (N == 2) out[i] = apply<F, R>(f, in.p[0][i], in.p[1][i]);
    else out[i] = apply<F, R>(f, in.p[0][i], in.p[1][i], in.p[2][i]);
  }
}

/// The same over any strides; operand 0 is the output.
template <class F, class R, class T, int N>
__global__ void __launch_bounds__(kBlock)
    strided_kernel(R* out, Inputs<F, R, T, N> in, fn::NarrowAxes<N + 1> axes, uint32_t n, F f) {
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    uint32_t at[N + 1];
    axes.offsets(i, at);
    if constexpr (N == 1) out[at[0]] = apply<F, R>(f, in.p[0][at[1]]);
    else if constexpr (N == 2) out[at[0]] = apply<F, R>(f, in.p[0][at[1]], in.p[1][at[2]]);
    else out[at[0]] = apply<F, R>(f, in.p[0][at[1]], in.p[1][at[2]], in.p[2][at[3]]);
  }
}

/// Chooses between the two and starts it.
template <class F, class R, class T, int N>
void run_elementwise(const ElementPlan& plan, void* out, const void* const (&in)[N], const F& f) {
  if (plan.numel == 0) return;
  constexpr int V = kPackOf<R, T>;
  bool packed = plan.contiguous() && reinterpret_cast<uintptr_t>(out) % (V * sizeof(R)) == 0;
  Inputs<F, R, T, N> inputs;
  for (int k = 0; k < N; ++k) {
    inputs.p[k] = static_cast<const T*>(in[k]);
    packed = packed && reinterpret_cast<uintptr_t>(in[k]) % (V * sizeof(T)) == 0;
  }
  if (packed) {
    launch(contiguous_kernel<F, R, T, N>, grid_for(plan.numel, int64_t{kBlock} * V), kBlock, 0, static_cast<R*>(out),
           inputs, plan.numel, f);
    return;
  }
  for_each_part<N + 1>(plan, [&](const fn::NarrowAxes<N + 1>& axes, int64_t n, const int64_t* first) {
    Inputs<F, R, T, N> at = inputs;
    for (int k = 0; k < N; ++k) at.p[k] += first[k + 1];
    launch(strided_kernel<F, R, T, N>, grid_for(n), kBlock, 0, static_cast<R*>(out) + first[0], at, axes,
           static_cast<uint32_t>(n), f);
  });
}

}  // namespace weft::cuda
