// Rows of [M, D]: a warp or a block for each, which keeps it in registers where it fits. A row's statistics take two
// walks: the first finds a number near the mean, the second sums deviations from that, so that neither a mean far from
// zero nor an outlier costs digits. With u the rounding of the compute type, a sum is off by at most 50 u of the sum of
// the magnitudes; a mean by 50 u of the mean deviation from it, and squared deviations by 100 u of themselves, while
// the mean is below 1/u times the deviation. Of a row of equal numbers both are exact.
#pragma once

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/column_sums.cuh"

namespace weft::cuda {

template <class A> struct Pair { A a = 0, b = 0; };
struct AddPairs {
  template <class A> __device__ WEFT_INLINE Pair<A> operator()(const Pair<A>& x, const Pair<A>& y) const {
    return {x.a + y.a, x.b + y.b};
  }
};

/// What a thread has of a row of D elements in N tensors: up to Packs packs of V elements, kept in registers, or (Packs
/// = 0) any number, read anew at each walk.
template <class T, int V, int Threads, int Packs, int N> class RowShare {
 public:
  using A = compute_t<T>;
  using Packed = Pack<T, V>[N];
  static constexpr int kPack = V;

  __device__ WEFT_INLINE RowShare(const ThreadGroup<Threads>& threads, int64_t D, const T* const (&rows)[N])
      : threads_(threads), D_(D) {
    WEFT_UNROLL
    for (int n = 0; n < N; ++n) rows_[n] = rows[n];
    if constexpr (Packs > 0) each_place([&](int i, int64_t c) { read(kept_[i], c); });
  }
  __device__ WEFT_INLINE int64_t size() const { return D_; }
  __device__ WEFT_INLINE A first() const { return D_ > 0 ? A(*rows_[0]) : A(0); }
  /// Calls f(c, packs) with what the N tensors have from column c on.
  template <class F> __device__ WEFT_INLINE void each(const F& f) const {
    each_place([&](int i, int64_t c) {
      if constexpr (Packs > 0) {
        f(c, kept_[i]);
      } else {
        Packed here;
        read(here, c);
        f(c, here);
      }
    });
  }
  /// Two sums over the row, the same in each thread of the group: f(c, packs, terms) gives the terms of V columns.
  /// `shared`: one per warp of the block.
  template <class F> __device__ WEFT_INLINE Pair<A> sums(Pair<A>* shared, const F& f) const {
    ColumnSums<A, V, 1> sums;
    each([&](int64_t c, const Packed& here) {
      Pair<A> terms[V];
      f(c, here, terms);
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) {
        sums.a[v] += terms[v].a;
        sums.b[v] += terms[v].b;
      }
      if constexpr (Packs == 0) sums.template added<1>();  // a few packs lose nothing
    });
    const SumsPart<A> mine = sums.part(0);
    return threads_.reduce(Pair<A>{mine.a.near(), mine.b.near()}, AddPairs(), shared);
  }

 private:
  __device__ WEFT_INLINE void read(Packed& to, int64_t c) const {
    WEFT_UNROLL
    for (int n = 0; n < N; ++n) to[n] = load<V>(rows_[n], c);
  }
  template <class F> __device__ WEFT_INLINE void each_place(const F& f) const {
    if constexpr (Packs > 0) {
      WEFT_UNROLL
      for (int i = 0; i < Packs; ++i)
        if (const int64_t c = (i * Threads + threads_.rank) * V; c < D_) f(i, c);
    } else {
      for (int64_t c = int64_t{threads_.rank} * V; c < D_; c += Threads * V) f(0, c);
    }
  }

  const ThreadGroup<Threads>& threads_;
  const T* rows_[N];
  int64_t D_;
  Pack<T, V> kept_[Packs > 0 ? Packs : 1][N];
};

/// A row's mean in two parts, the first of them near it, and its sum of squared deviations.
template <class A> struct RowMoments { A mean, rest, m2; };
template <class A, class Row> __device__ WEFT_INLINE RowMoments<A> row_moments(const Row& row, Pair<A>* shared) {
  const A count = static_cast<A>(row.size()), first = row.first();
  const auto differences = [&](A from) {
    return row.sums(shared, [&](int64_t, const auto& x, auto& terms) {
      WEFT_UNROLL
      for (int v = 0; v < Row::kPack; ++v) {
        const A d = A(x[0].v[v]) - from;
        terms[v] = {d, d * d};
      }
    });
  };
  const A near = first + differences(first).a / count;
  const Pair<A> s = differences(near);
  return {near, s.a / count, s.b - s.a * (s.a / count)};
}

/// Calls op.row<V, Packs>(threads, r, shared) for M rows of D elements.
template <class Op, int V, int Threads, int Packs>
__global__ void __launch_bounds__(kBlock, 2) row_kernel(Op op, int64_t rows) {
  WEFT_SHARED(shared, Pair<typename Op::A>[kBlock / kWarp]);
  const ThreadGroup<Threads> threads;
  for (int64_t r = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; r < rows;
       r += int64_t{gridDim.x} * threads.kPerBlock)
    op.template row<V, Packs>(threads, r, shared);
}

template <int V, class Op> void run_rows(const Op& op, int64_t M) {
  // Kept are four packs of a thread; what cannot be read in packs is not worth it.
  constexpr int kKept = V > 1 ? 4 : 0;
  const auto start = [&]<int Threads, int Packs> {
    launch(row_kernel<Op, V, Threads, Packs>, grid_for(M, kBlock / Threads), kBlock, 0, op, M);
  };
  if (op.D <= (V > 1 ? 4 * V : 32) * kWarp) start.template operator()<kWarp, kKept>();
  else if (V > 1 && op.D <= 4 * V * kBlock) start.template operator()<kBlock, kKept>();
  else start.template operator()<kBlock, 0>();
}

}  // namespace weft::cuda
