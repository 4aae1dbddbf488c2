// What a thread gathers of columns: two sums, or mean and squared deviations, in the compute type throughout: many
// cards compute f64 at a 64th of the speed. With u the rounding of that type (2^-24 for f32), a sum is off by at most
// 40 u of the sum of the magnitudes, a mean by 100 u of the largest deviation from it, and the mean squared deviation
// by 200 u of the largest one's square, however many numbers there are (2^31 at most) and however far from zero their
// mean is. Numbers that are all the same have exactly that mean, and no deviations.
#pragma once

#include "weft/backends/cuda/packs.cuh"

namespace weft::cuda {

/// A number and what rounding has left of it: sums that lose nothing (Knuth's two-sum).
template <class A> struct Compensated {
  A value = 0, rest = 0;
  __device__ WEFT_INLINE void add(A x) {
    const A sum = value + x, part = sum - value;
    rest += (value - (sum - part)) + (x - part);
    value = sum;
  }
  __device__ WEFT_INLINE void add(const Compensated& x) {
    add(x.value);
    rest += x.rest;
  }
  /// An infinite sum has no rest.
  __device__ WEFT_INLINE bool finite() const { return value - value == A(0); }
  __device__ WEFT_INLINE A near() const { return finite() ? value + rest : value; }
  __device__ WEFT_INLINE double get() const {
    return finite() ? static_cast<double>(value) + static_cast<double>(rest) : static_cast<double>(value);
  }
};

/// The sum of N numbers in pairs; x is used up.
template <int N, class A> __device__ WEFT_INLINE A sum_pairs(A (&x)[N]) {
  WEFT_UNROLL
  for (int step = 1; step < N; step *= 2) {
    WEFT_UNROLL
    for (int i = 0; i + step < N; i += 2 * step) x[i] += x[i + step];
  }
  return x[0];
}

/// Two sums.
template <class A> struct SumsPart { Compensated<A> a, b; };
struct MergeSums {
  template <class A> __device__ WEFT_INLINE SumsPart<A> operator()(SumsPart<A> x, const SumsPart<A>& y) const {
    x.a.add(y.a);
    x.b.add(y.b);
    return x;
  }
};

/// Number of elements, their mean and squared deviations from it.
template <class A> struct MomentsPart {
  A n = 0;
  Compensated<A> mean, m2;
};
struct MergeMoments {
  template <class A> __device__ WEFT_INLINE MomentsPart<A> operator()(MomentsPart<A> x, const MomentsPart<A>& y) const {
    if (y.n == A(0)) return x;
    if (x.n == A(0)) return y;
    const A total = x.n + y.n, share = y.n / total, delta = (y.mean.value - x.mean.value) + (y.mean.rest - x.mean.rest);
    x.mean.add(delta * share);
    x.m2.add(y.m2);
    x.m2.add(delta * delta * (x.n * share));
    x.n = total;
    return x;
  }
};

// V elements side by side belong to P columns: each of its own (P = V), or all of one (P = 1).

/// Mean and squared deviations: of some 32 elements together as differences from about the mean of the first of them,
/// then merged into those of all.
template <class T, int V, int P> struct ColumnMoments {
  using A = compute_t<T>;
  using Part = MomentsPart<A>;
  A n = 0, base[P], mean[P], m2[P];
  A all = 0;
  Compensated<A> all_mean[P], all_m2[P];

  __device__ WEFT_INLINE ColumnMoments() {
    WEFT_UNROLL
    for (int p = 0; p < P; ++p) base[p] = mean[p] = m2[p] = A(0);
  }
  template <int K> __device__ WEFT_INLINE void add(const Pack<T, V> (&x)[K]) {
    constexpr int kSide = V / P, N = K * kSide;
    const auto of_column = [&](A(&to)[N], int p) {
      WEFT_UNROLL
      for (int i = 0; i < N; ++i) to[i] = A(x[i / kSide].v[p * kSide + i % kSide]);
    };
    if (n == A(0)) {
      WEFT_UNROLL
      for (int p = 0; p < P; ++p) {
        A all_of[N];
        of_column(all_of, p);
        base[p] = sum_pairs(all_of) * (A(1) / A(N));  // exact for equal numbers: N is a power of two
      }
    }
    const A total = n + A(N), share = A(N) / total, weight = n * share;
    WEFT_UNROLL
    for (int p = 0; p < P; ++p) {
      A d[N], sum[N];
      of_column(d, p);
      WEFT_UNROLL
      for (int i = 0; i < N; ++i) sum[i] = d[i] -= base[p];
      const A here = sum_pairs(sum) * (A(1) / A(N)), delta = here - mean[p];
      WEFT_UNROLL
      for (int i = 0; i < N; ++i) d[i] = (d[i] - here) * (d[i] - here);
      mean[p] += delta * share;
      m2[p] += sum_pairs(d) + delta * delta * weight;
    }
    n = total;
    if (n >= A(32)) flush();
  }
  __device__ WEFT_INLINE Part part(int p) {
    flush();
    return {all, all_mean[p], all_m2[p]};
  }

 private:
  __device__ WEFT_INLINE void flush() {
    if (n == A(0)) return;
    const A total = all + n, share = n / total, weight = all * share;
    WEFT_UNROLL
    for (int p = 0; p < P; ++p) {
      if (all == A(0)) all_mean[p].value = base[p];
      const A delta = (base[p] - all_mean[p].value) + (mean[p] - all_mean[p].rest);
      all_mean[p].add(delta * share);
      all_m2[p].add(m2[p]);
      all_m2[p].add(delta * delta * weight);
      mean[p] = m2[p] = A(0);
    }
    all = total;
    n = 0;
  }
};

/// Two sums per column: their user adds to a[v] and b[v], element by element, and calls added() after each K packs.
template <class A, int V, int P> struct ColumnSums {
  using Part = SumsPart<A>;
  A a[V], b[V];
  SumsPart<A> all[P];
  int pending = 0;

  __device__ WEFT_INLINE ColumnSums() {
    WEFT_UNROLL
    for (int v = 0; v < V; ++v) a[v] = b[v] = A(0);
  }
  template <int K> __device__ WEFT_INLINE void added() {
    if ((pending += K) >= 32) flush();
  }
  __device__ WEFT_INLINE Part part(int p) {
    flush();
    return all[p];
  }

 private:
  __device__ WEFT_INLINE void flush() {
    if constexpr (P == 1 && V > 1) {
      all[0].a.add(sum_pairs(a));
      all[0].b.add(sum_pairs(b));
    } else {
      WEFT_UNROLL
      for (int p = 0; p < P; ++p) {
        all[p].a.add(a[p]);
        all[p].b.add(b[p]);
      }
    }
    WEFT_UNROLL
    for (int v = 0; v < V; ++v) a[v] = b[v] = A(0);
    pending = 0;
  }
};

}  // namespace weft::cuda
