// Weight standardisation: a warp or a block for each row of w [R, n], which reads it twice, the second time from the
// cache.
#pragma once

#include "weft/backends/cuda/row_norm.cuh"
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

  template <int V, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Part* shared) const {
    const Part all = reduce_row<ColumnMoments<T, V>, V>(threads, w, D, r, shared, MergeMoments{});
    const double product = p.fan * (all.b / p.divisor);
    const A mu = static_cast<A>(all.a), s = static_cast<A>(1 / fn::sqrt(product > p.floor ? product : p.floor)),
            scale = s * gain[r];
    if (threads.rank == 0) mean[r] = mu, rho[r] = s;
    for (int64_t c = int64_t{threads.rank} * V; c < D; c += int64_t{Threads} * V) {
      const Pack<T, V> x = load<V>(w, r * D + c);
      Pack<T, V> y;
      for (int v = 0; v < V; ++v) y.v[v] = static_cast<T>((A(x.v[v]) - mu) * scale);
      *reinterpret_cast<Pack<T, V>*>(out + r * D + c) = y;
    }
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

  template <int V, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Part* shared) const {
    const A mu = mean[r], s = rho[r], a = s * gain[r];
    ColumnSums<A, V> sums;
    for (int64_t c = int64_t{threads.rank} * V; c < D; c += int64_t{Threads} * V) {
      const Pack<T, V> pg = load<V>(g, r * D + c), pw = load<V>(w, r * D + c);
      for (int v = 0; v < V; ++v) {
        sums.a[v] += A(pg.v[v]);
        sums.b[v] += A(pg.v[v]) * (A(pw.v[v]) - mu);
      }
      sums.template added<1>();
    }
    Part all = sums.part(0);
    for (int v = 1; v < V; ++v) all = MergeSums{}(all, sums.part(v));
    all = threads.reduce(all, MergeSums{}, shared);
    if (dgain && threads.rank == 0) dgain[r] = static_cast<A>(static_cast<double>(s) * all.b);
    if (!dw) return;
    const A m = static_cast<A>(all.a / static_cast<double>(D)),
            b = s < static_cast<A>(1 / fn::sqrt(p.floor))
                    ? static_cast<A>(static_cast<double>(a * s * s) * (p.fan / p.divisor) * all.b)
                    : A(0);
    for (int64_t c = int64_t{threads.rank} * V; c < D; c += int64_t{Threads} * V) {
      const Pack<T, V> pg = load<V>(g, r * D + c), pw = load<V>(w, r * D + c);
      Pack<T, V> y;
      for (int v = 0; v < V; ++v) y.v[v] = static_cast<T>(a * (A(pg.v[v]) - m) - b * (A(pw.v[v]) - mu));
      *reinterpret_cast<Pack<T, V>*>(dw + r * D + c) = y;
    }
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
