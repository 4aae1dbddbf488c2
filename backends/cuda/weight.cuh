// Weight standardisation of the rows of w [R, n] (row_walk.cuh).
#pragma once

#include "weft/backends/cuda/norm_walk.cuh"
#include "weft/backends/cuda/row_walk.cuh"
#include "weft/core/fn/math.h"
#include "weft/core/kernels/weight.h"

namespace weft::cuda {

template <class T> struct Standardize {
  using A = compute_t<T>;
  T* out;
  A *mean, *rho;
  const T* w;
  const A* gain;
  int64_t D;
  StandardizeParams p;

  template <int V, int Packs, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Pair<A>* shared) const {
    const RowShare<T, V, Threads, Packs, 1> row(threads, D, {w + r * D});
    const RowMoments<A> m = row_moments(row, shared);
    const double product = p.fan * (static_cast<double>(m.m2) / p.divisor);
    const A mu = m.mean + m.rest, s = static_cast<A>(1 / fn::sqrt(product > p.floor ? product : p.floor)),
            scale = s * gain[r];
    if (threads.rank == 0) mean[r] = mu, rho[r] = s;
    row.each([&](int64_t c, const auto& x) {
      Pack<T, V> y;
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) y.v[v] = static_cast<T>((A(x[0].v[v]) - mu) * scale);
      store(out + r * D, c, y);
    });
  }
};

template <class T> struct StandardizeBackward {
  using A = compute_t<T>;
  T* dw;
  A* dgain;
  const T *g, *w;
  const A *mean, *rho, *gain;
  int64_t D;
  StandardizeParams p;

  template <int V, int Packs, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Pair<A>* shared) const {
    const A mu = mean[r], s = rho[r], a = s * gain[r];
    const RowShare<T, V, Threads, Packs, 2> row(threads, D, {g + r * D, w + r * D});
    const Pair<A> sums = row.sums(shared, [&](int64_t, const auto& x, auto& terms) {
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) {
        const A grad = A(x[0].v[v]);
        terms[v] = {grad, grad * (A(x[1].v[v]) - mu)};
      }
    });
    if (dgain && threads.rank == 0) dgain[r] = s * sums.b;
    if (!dw) return;
    const A m = sums.a / static_cast<A>(D), b = s < static_cast<A>(1 / fn::sqrt(p.floor))
                                                    ? a * s * s * static_cast<A>(p.fan / p.divisor) * sums.b
                                                    : A(0);
    row.each([&](int64_t c, const auto& x) {
      Pack<T, V> y;
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) y.v[v] = static_cast<T>(a * (A(x[0].v[v]) - m) - b * (A(x[1].v[v]) - mu));
      store(dw + r * D, c, y);
    });
  }
};

inline void standardize_weight(const MutTensorRef& out, const MutTensorRef& mean, const MutTensorRef& rho,
                               const TensorRef& w, const TensorRef& gain, const StandardizeParams& p) {
  const int64_t R = rho.numel, n = R ? w.numel / R : 0;
  if (R == 0) return;
  dispatch_floating(w.dtype, "standardize_weight", [&]<class T> {
    using A = compute_t<T>;
    const Standardize<T> op{out.as_mut<T>(), mean.as_mut<A>(), rho.as_mut<A>(), w.as<T>(), gain.as<A>(), n, p};
    if (packs_fit<T>(n, {op.out, op.w})) run_rows<16 / sizeof(T)>(op, R);
    else run_rows<1>(op, R);
  });
}

inline void standardize_weight_backward(const MutTensorRef& dw, const MutTensorRef& dgain, const TensorRef& g,
                                        const TensorRef& w, const TensorRef& mean, const TensorRef& rho,
                                        const TensorRef& gain, const StandardizeParams& p) {
  const int64_t R = rho.numel, n = R ? w.numel / R : 0;
  if (R == 0) return;
  dispatch_floating(w.dtype, "standardize_weight_backward", [&]<class T> {
    using A = compute_t<T>;
    const StandardizeBackward<T> op{dw.as_mut<T>(), dgain.as_mut<A>(), g.as<T>(), w.as<T>(), mean.as<A>(),
                                    rho.as<A>(),    gain.as<A>(),      n,         p};
    if (packs_fit<T>(n, {op.dw, op.g, op.w})) run_rows<16 / sizeof(T)>(op, R);
    else run_rows<1>(op, R);
  });
}

}  // namespace weft::cuda
