// Layer norm and RMS norm of rows, x [M, D]: a warp or a block for each row, which reads it twice, the second time from
// the cache. Gradients of weight and bias are sums over columns (norm_walk.cuh).
#pragma once

#include "weft/backends/cuda/norm_walk.cuh"
#include "weft/core/fn/math.h"

namespace weft::cuda {

/// Weight and bias are read in 16-byte steps of their own.
template <class A, int V> struct RowParams {
  A v[V];
  __device__ RowParams(const A* p, int64_t c, A missing) {
    constexpr int Step = V * sizeof(A) % 16 == 0 ? 16 / sizeof(A) : 1;
    for (int i = 0; i < V; i += Step) {
      Pack<A, Step> here;
      if (p) here = load<Step>(p, c + i);
      for (int j = 0; j < Step; ++j) v[i + j] = p ? here.v[j] : missing;
    }
  }
};

/// Sum of squares of V columns.
template <class T, int V> struct ColumnSquares : ColumnSums<compute_t<T>, V> {
  using A = compute_t<T>;
  double n = 0;
  template <int K> __device__ WEFT_INLINE void add(const Pack<T, V> (&x)[K]) {
    for (int k = 0; k < K; ++k)
      for (int v = 0; v < V; ++v) this->b[v] += A(x[k].v[v]) * A(x[k].v[v]);
    n += K;
    this->template added<K>();
  }
  __device__ Part part(int v) {
    Part r = ColumnSums<A, V>::part(v);
    r.n = n;
    return r;
  }
};
struct MergeSquares {
  __device__ Part operator()(const Part& x, const Part& y) const { return {x.n + y.n, x.a, x.b + y.b}; }
};

/// Columns of a row: takes the offsets of its packs.
template <class T, class Columns, int V> struct RowReader {
  Columns sums;
  const T* x;
  template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
    Pack<T, V> p[K];
    for (int k = 0; k < K; ++k) p[k] = load<V>(x, at[k].at);
    sums.add(p);
  }
};

/// What Columns make of row r of x [., D], merged over the group of threads.
template <class Columns, int V, int Threads, class T, class Merge>
__device__ WEFT_INLINE Part reduce_row(const ThreadGroup<Threads>& threads, const T* x, int64_t D, int64_t r,
                                       Part* shared, const Merge& merge) {
  RowReader<T, Columns, V> reader{{}, x};
  const int64_t packs = D / V;
  Offset at{r * D + int64_t{threads.rank} * V, r};
  add_all(reader, threads.rank < packs ? ceil_div(packs - threads.rank, Threads) : 0, [&] {
    const Offset here = at;
    at.at += int64_t{Threads} * V;
    return here;
  });
  Part all = reader.sums.part(0);
  for (int v = 1; v < V; ++v) all = merge(all, reader.sums.part(v));
  return threads.reduce(all, merge, shared);
}

/// A row's statistics as loops use them: x - mean in two steps, the first of them exact where the mean is far from
/// zero.
template <class A> struct CenteredRow {
  A mean = 0, rest = 0, inv = 0;
  CenteredRow() = default;
  __device__ CenteredRow(double m, double by) : mean(static_cast<A>(m)), inv(static_cast<A>(by)) {
    rest = static_cast<A>(m - static_cast<double>(mean));
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
  double eps;

  template <int V, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Part* shared) const {
    const Part all = mean ? reduce_row<ColumnMoments<T, V>, V>(threads, x, D, r, shared, MergeMoments{})
                          : reduce_row<ColumnSquares<T, V>, V>(threads, x, D, r, shared, MergeSquares{});
    const double by = 1 / fn::sqrt(all.b / all.n + eps);
    const CenteredRow<A> k(mean ? all.a : 0, by);
    if (threads.rank == 0) {
      if (mean) mean[r] = all.a;
      inv[r] = by;
    }
    for (int64_t c = int64_t{threads.rank} * V; c < D; c += int64_t{Threads} * V) {
      const Pack<T, V> p = load<V>(x, r * D + c);
      const RowParams<A, V> weight(w, c, A(1)), bias(b, c, A(0));
      Pack<T, V> q;
      for (int v = 0; v < V; ++v) {
        A z = k.xhat(A(p.v[v]));
        if (w) z *= weight.v[v];
        if (b) z += bias.v[v];
        q.v[v] = static_cast<T>(z);
      }
      *reinterpret_cast<Pack<T, V>*>(y + r * D + c) = q;
    }
  }
};

template <class T> struct RowBackward {
  using A = compute_t<T>;
  T* dx;
  const T *g, *x;
  const double *mean, *inv;
  const A* w;
  int64_t D;

  template <int V, int Threads>
  __device__ WEFT_INLINE void row(const ThreadGroup<Threads>& threads, int64_t r, Part* shared) const {
    const CenteredRow<A> k(mean ? mean[r] : 0, inv[r]);
    ColumnSums<A, V> sums;
    for (int64_t c = int64_t{threads.rank} * V; c < D; c += int64_t{Threads} * V) {
      const Pack<T, V> pg = load<V>(g, r * D + c), px = load<V>(x, r * D + c);
      const RowParams<A, V> weight(w, c, A(1));
      for (int v = 0; v < V; ++v) {
        const A gw = A(pg.v[v]) * weight.v[v];
        sums.a[v] += gw;
        sums.b[v] += gw * k.xhat(A(px.v[v]));
      }
      sums.template added<1>();
    }
    Part all = sums.part(0);
    for (int v = 1; v < V; ++v) all = MergeSums{}(all, sums.part(v));
    all = threads.reduce(all, MergeSums{}, shared);
    const A m1 = mean ? static_cast<A>(all.a / static_cast<double>(D)) : A(0),
            m2 = static_cast<A>(all.b / static_cast<double>(D));
    for (int64_t c = int64_t{threads.rank} * V; c < D; c += int64_t{Threads} * V) {
      const Pack<T, V> pg = load<V>(g, r * D + c), px = load<V>(x, r * D + c);
      const RowParams<A, V> weight(w, c, A(1));
      Pack<T, V> q;
      for (int v = 0; v < V; ++v)
        q.v[v] = static_cast<T>(k.inv * (A(pg.v[v]) * weight.v[v] - m1 - k.xhat(A(px.v[v])) * m2));
      *reinterpret_cast<Pack<T, V>*>(dx + r * D + c) = q;
    }
  }
};

template <class Op, int V, int Threads> __global__ void __launch_bounds__(kBlock) row_kernel(Op op, int64_t rows) {
  WEFT_SHARED(shared, Part[kBlock / kWarp]);
  const ThreadGroup<Threads> threads;
  for (int64_t r = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; r < rows;
       r += int64_t{gridDim.x} * threads.kPerBlock)
    op.template row<V>(threads, r, shared);
}

template <int V, class Op> void run_rows(const Op& op, int64_t M) {
  if (op.D <= 32 * kWarp * V)  // a warp has at most 32 steps
    launch(row_kernel<Op, V, kWarp>, grid_for(M, kBlock / kWarp), kBlock, 0, op, M);
  else launch(row_kernel<Op, V, kBlock>, grid_for(M, 1), kBlock, 0, op, M);
}

/// dw = sum over rows of g xhat, db = sum of g.
template <class T> struct RowParamsOp {
  using Element = T;
  using A = compute_t<T>;
  using Merge = MergeSums;
  static constexpr bool kReduces = true;
  A *dw, *db;
  const T *g, *x;
  const double *mean, *inv;

  bool packed(int64_t run) const { return packs_fit<T>(run, {g, x}); }
  template <int V, int> struct Thread : ColumnSums<A, V> {
    const RowParamsOp& op;
    __device__ Thread(const RowParamsOp& o, int64_t, int64_t) : op(o) {}
    template <int K> __device__ WEFT_INLINE void add(const Offset (&at)[K]) {
      Pack<T, V> g[K], x[K];
      CenteredRow<A> row[K];
      for (int k = 0; k < K; ++k) {
        g[k] = load<V>(op.g, at[k].at);
        x[k] = load<V>(op.x, at[k].at);
        row[k] = CenteredRow<A>(op.mean ? op.mean[at[k].row] : 0, op.inv[at[k].row]);
      }
      for (int k = 0; k < K; ++k)
        for (int v = 0; v < V; ++v) {
          this->a[v] += A(g[k].v[v]) * row[k].xhat(A(x[k].v[v]));
          this->b[v] += A(g[k].v[v]);
        }
      this->template added<K>();
    }
  };
  __device__ void finish(int64_t c, const Part& r) const {
    if (dw) dw[c] = static_cast<A>(r.a);
    if (db) db[c] = static_cast<A>(r.b);
  }
};

inline void layer_norm(const MutTensorRef& y, const MutTensorRef& mean, const MutTensorRef& inv, const TensorRef& x,
                       const TensorRef& w, const TensorRef& b, double eps) {
  const int64_t M = inv.numel, D = M ? x.numel / M : 0;
  if (M == 0) return;
  dispatch_floating(x.dtype, "layer_norm", [&]<class T> {
    using A = compute_t<T>;
    const RowForward<T> op{
        y.as_mut<T>(), mean.as_mut<double>(), inv.as_mut<double>(), x.as<T>(), w.as<A>(), b.as<A>(), D, eps};
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
      walk(NormShape(M, D),
           RowParamsOp<T>{dw.as_mut<A>(), db.as_mut<A>(), g.as<T>(), x.as<T>(), mean.as<double>(), inv.as<double>()});
  });
}

}  // namespace weft::cuda
