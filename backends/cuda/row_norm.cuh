// Layer norm and RMS norm of rows, x [M, D] (row_walk.cuh: with which errors). Gradients of weight and bias are sums
// over columns (norm_walk.cuh).
#pragma once

#include "weft/backends/cuda/norm_walk.cuh"
#include "weft/backends/cuda/row_walk.cuh"
#include "weft/core/fn/math.h"

namespace weft::cuda {

/// Weight and bias are read in 16-byte steps of their own.
template <class A, int V> struct RowParams {
  A v[V];
  __device__ WEFT_INLINE RowParams(const A* p, int64_t c, A missing) {
    constexpr int Step = V * sizeof(A) % 16 == 0 ? 16 / sizeof(A) : 1;
    WEFT_UNROLL
    for (int i = 0; i < V; i += Step) {
      Pack<A, Step> here;
      if (p) here = load<Step>(p, c + i);
      WEFT_UNROLL
      for (int j = 0; j < Step; ++j) v[i + j] = p ? here.v[j] : missing;
    }
  }
};

/// A row's statistics as loops use them: x - mean in two steps, the first of them exact where the mean is far from
/// zero.
template <class A> struct CenteredRow {
  A mean = 0, rest = 0, inv = 0;
  CenteredRow() = default;
  __device__ WEFT_INLINE CenteredRow(A m, A r, A i) : mean(m), rest(r), inv(i) {}
  __device__ WEFT_INLINE CenteredRow(const double* means, const double* invs, int64_t r)
      : inv(static_cast<A>(invs[r])) {
    if (!means) return;
    mean = static_cast<A>(means[r]);
    rest = static_cast<A>(means[r] - static_cast<double>(mean));
  }
  __device__ WEFT_INLINE A xhat(A x) const { return ((x - mean) - rest) * inv; }
};

/// row(threads, r, shared): what a warp or a block does with row r.
template <class T> struct RowForward {
  using A = compute_t<T>;
  T* y;
  double *mean, *inv;
  const T* x;
  const A *w, *b;
  int64_t D;
  A eps;

  template <int V, int Packs, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Pair<A>* shared) const {
    const RowShare<T, V, Threads, Packs, 1> row(threads, D, {x + r * D});
    RowMoments<A> m{};
    if (mean) m = row_moments(row, shared);
    else
      m.m2 = row.sums(shared,
                      [](int64_t, const auto& p, auto& terms) {
                        WEFT_UNROLL
                        for (int v = 0; v < V; ++v) terms[v].a = A(p[0].v[v]) * A(p[0].v[v]);
                      })
                 .a;
    const CenteredRow<A> k(m.mean, m.rest, A(1) / fn::sqrt(m.m2 / static_cast<A>(D) + eps));
    if (threads.rank == 0) {
      if (mean) mean[r] = static_cast<double>(m.mean) + static_cast<double>(m.rest);
      inv[r] = static_cast<double>(k.inv);
    }
    row.each([&](int64_t c, const auto& p) {
      const RowParams<A, V> weight(w, c, A(1)), bias(b, c, A(0));
      Pack<T, V> q;
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) {
        A z = k.xhat(A(p[0].v[v]));
        if (w) z *= weight.v[v];
        if (b) z += bias.v[v];
        q.v[v] = static_cast<T>(z);
      }
      store(y + r * D, c, q);
    });
  }
};

template <class T> struct RowBackward {
  using A = compute_t<T>;
  T* dx;
  const T *g, *x;
  const double *mean, *inv;
  const A* w;
  int64_t D;

  template <int V, int Packs, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Pair<A>* shared) const {
    const CenteredRow<A> k(mean, inv, r);
    const RowShare<T, V, Threads, Packs, 2> row(threads, D, {g + r * D, x + r * D});
    const Pair<A> sums = row.sums(shared, [&](int64_t c, const auto& p, auto& terms) {
      const RowParams<A, V> weight(w, c, A(1));
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) {
        const A gw = A(p[0].v[v]) * weight.v[v];
        terms[v] = {gw, gw * k.xhat(A(p[1].v[v]))};
      }
    });
    const A m1 = mean ? sums.a / static_cast<A>(D) : A(0), m2 = sums.b / static_cast<A>(D);
    row.each([&](int64_t c, const auto& p) {
      const RowParams<A, V> weight(w, c, A(1));
      Pack<T, V> q;
      WEFT_UNROLL
      for (int v = 0; v < V; ++v)
        q.v[v] = static_cast<T>(k.inv * (A(p[0].v[v]) * weight.v[v] - m1 - k.xhat(A(p[1].v[v])) * m2));
      store(dx + r * D, c, q);
    });
  }
};

/// dw = sum over rows of g xhat, db = sum of g.
template <class T> struct RowParamsOp {
  using Element = T;
  using A = compute_t<T>;
  using Part = SumsPart<A>;
  using Merge = MergeSums;
  static constexpr bool kReduces = true;
  static constexpr int kCoefficients = 0, kAtOnce = 2;
  A *dw, *db;
  const T *g, *x;
  const double *mean, *inv;

  bool packed(int64_t run) const { return packs_fit<T>(run, {g, x}); }
  template <int V, int P> struct Thread : ColumnSums<A, V, P> {
    const RowParamsOp& op;
    template <class K> __device__ Thread(const RowParamsOp& o, const K&) : op(o) {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> g[K], x[K];
      CenteredRow<A> row[K];
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) {
        g[k] = load<V>(op.g, at[k].at);
        x[k] = load<V>(op.x, at[k].at);
        row[k] = CenteredRow<A>(op.mean, op.inv, at[k].row);
      }
      WEFT_UNROLL
      for (int k = 0; k < K; ++k) {
        WEFT_UNROLL
        for (int v = 0; v < V; ++v) {
          this->a[v] += A(g[k].v[v]) * row[k].xhat(A(x[k].v[v]));
          this->b[v] += A(g[k].v[v]);
        }
      }
      this->template added<K>();
    }
  };
  __device__ void finish(int64_t c, const Part& r) const {
    if (dw) dw[c] = static_cast<A>(r.a.get());
    if (db) db[c] = static_cast<A>(r.b.get());
  }
};

inline void layer_norm(const MutTensorRef& y, const MutTensorRef& mean, const MutTensorRef& inv, const TensorRef& x,
                       const TensorRef& w, const TensorRef& b, double eps) {
  const int64_t M = inv.numel, D = M ? x.numel / M : 0;
  if (M == 0) return;
  dispatch_floating(x.dtype, "layer_norm", [&]<class T> {
    using A = compute_t<T>;
    const RowForward<T> op{
        y.as_mut<T>(),      mean.as_mut<double>(), inv.as_mut<double>(), x.as<T>(), w.as<A>(), b.as<A>(), D,
        static_cast<A>(eps)};
    if (packs_fit<T>(D, {op.y, op.x, op.w, op.b})) run_rows<16 / sizeof(T)>(op, M);
    else run_rows<1>(op, M);
  });
}

inline void layer_norm_backward(const MutTensorRef& dx, const MutTensorRef& dw, const MutTensorRef& db,
                                const TensorRef& g, const TensorRef& x, const TensorRef& mean, const TensorRef& inv,
                                const TensorRef& w) {
  const int64_t M = inv.numel, D = dw.defined() ? dw.numel : (db.defined() ? db.numel : (M ? x.numel / M : 0));
  dispatch_floating(x.dtype, "layer_norm_backward", [&]<class T> {
    using A = compute_t<T>;
    if (dx.defined() && x.numel > 0) {
      const RowBackward<T> op{dx.as_mut<T>(), g.as<T>(), x.as<T>(), mean.as<double>(), inv.as<double>(), w.as<A>(), D};
      if (packs_fit<T>(D, {op.dx, op.g, op.x, op.w})) run_rows<16 / sizeof(T)>(op, M);
      else run_rows<1>(op, M);
    }
    if (dw.defined() || db.defined())
      walk<false>(NormShape(M, D), RowParamsOp<T>{dw.as_mut<A>(), db.as_mut<A>(), g.as<T>(), x.as<T>(),
                                                  mean.as<double>(), inv.as<double>()});
  });
}

}  // namespace weft::cuda
