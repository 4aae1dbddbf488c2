// Inner loops of the normalisations: moments, apply and backward over runs and over columns of rows.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <algorithm>

#include "weft/core/dtype.h"
#include "weft/core/fn/norm.h"
#include "weft/core/fn/welford.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {

/// Calls f.operator()<T>() for a floating dtype; ops have checked that it is one.
template <class F> WEFT_INLINE void with_floating(Dtype d, const F& f) {
  switch (d) {
    case Dtype::f32: f.template operator()<float>(); break;
    case Dtype::f64: f.template operator()<double>(); break;
    case Dtype::bf16: f.template operator()<bf16>(); break;
    default: f.template operator()<f16>(); break;
  }
}

/// Sums of a run are kept in the compute type, sums of runs in f64.
inline constexpr int64_t kRun = 4096;

/// Rows of n elements that one thread takes at least.
inline int64_t rows_per_piece(int64_t n) { return std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, n)); }

/// A parameter per column, and one for a whole run: the loops below take either.
template <class A> struct Column {
  const A* p;
  WEFT_INLINE A operator()(int64_t i) const { return p[i]; }
};
template <class A> struct Uniform {
  A v;
  WEFT_INLINE A operator()(int64_t) const { return v; }
};

using fn::center;
using fn::Centered;
using fn::Gate;

/// Mean and sum of squared deviations of each column of x [rows, W].
template <class A, class T> void column_moments(A* mean, A* m2, const T* x, int64_t rows, int64_t W) {
#pragma omp simd
  for (int64_t i = 0; i < W; ++i) mean[i] = m2[i] = A(0);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T *a = x + r * W, *b = a + W, *c = b + W, *d = c + W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) mean[i] += (A(a[i]) + A(b[i])) + (A(c[i]) + A(d[i]));
  }
  for (; r < rows; ++r) {
    const T* a = x + r * W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) mean[i] += A(a[i]);
  }
  const A n = static_cast<A>(rows);
#pragma omp simd
  for (int64_t i = 0; i < W; ++i) mean[i] /= n;
  for (r = 0; r + 2 <= rows; r += 2) {
    const T *a = x + r * W, *b = a + W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) {
      const A d = A(a[i]) - mean[i], e = A(b[i]) - mean[i];
      m2[i] += d * d + e * e;
    }
  }
  for (; r < rows; ++r) {
    const T* a = x + r * W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) {
      const A d = A(a[i]) - mean[i];
      m2[i] += d * d;
    }
  }
}

/// Sum of f(i) for i < n, in partial sums: their short chains of additions keep rounding errors small, with vector
/// instructions or without, and do not wait for each other.
template <class A, class F> WEFT_INLINE A sum_of(int64_t n, const F& f) {
  constexpr int kLanes = 64;
  A lane[kLanes] = {}, rest = 0;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
#pragma omp simd
    for (int j = 0; j < kLanes; ++j) lane[j] += f(i + j);
#pragma omp simd reduction(+ : rest)
  for (int64_t k = i; k < n; ++k) rest += f(k);
  for (int half = kLanes / 2; half > 0; half /= 2)
#pragma omp simd
    for (int j = 0; j < half; ++j) lane[j] += lane[j + half];
  return lane[0] + rest;
}

/// Moments of a run of n elements.
template <class T> fn::Moments moments(const T* x, int64_t n) {
  using A = compute_t<T>;
  fn::Moments all;
  for (int64_t at = 0; at < n; at += kRun) {
    const int64_t m = std::min(kRun, n - at);
    const T* p = x + at;
    const A mean = sum_of<A>(m, [&](int64_t i) { return A(p[i]); }) / static_cast<A>(m);
    const A squares = sum_of<A>(m, [&](int64_t i) { return (A(p[i]) - mean) * (A(p[i]) - mean); });
    all.merge(static_cast<double>(m), static_cast<double>(mean), static_cast<double>(squares));
  }
  return all;
}

/// to[i] = f(i) for i < n. Halves wait in a block: gcc makes no vectors of a loop that both selects and rounds.
template <class T, class F> WEFT_INLINE void store_each(T* to, int64_t n, const F& f) {
  if constexpr (sizeof(T) == 2) {
    constexpr int64_t kBlock = 256;
    compute_t<T> block[kBlock];
    for (int64_t at = 0; at < n; at += kBlock) {
      const int64_t m = std::min(kBlock, n - at);
#pragma omp simd
      for (int64_t i = 0; i < m; ++i) block[i] = f(at + i);
#pragma omp simd
      for (int64_t i = 0; i < m; ++i) to[at + i] = static_cast<T>(block[i]);
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] = f(i);
  }
}

/// y = act((x - mean) scale + shift [+ residual]); y may be x.
template <class T, class V, class A>
void apply_loop(T* y, const T* x, const T* residual, int64_t n, V mean, V scale, V shift, Gate<A> gate) {
  if (residual) {
    store_each(y, n,
               [&](int64_t i) { return gate.forward((A(x[i]) - mean(i)) * scale(i) + shift(i) + A(residual[i])); });
  } else {
    store_each(y, n, [&](int64_t i) { return gate.forward((A(x[i]) - mean(i)) * scale(i) + shift(i)); });
  }
}

/// s1[i] += g, s2[i] += g (x - mean) for the columns of [rows, W] (rows lie `W` apart).
template <NormSource Src, class T, class A>
void reduce_columns(A* s1, A* s2, const T* g, const T* x, const T* y, int64_t rows, int64_t W, Column<A> mean,
                    Column<A> scale, Column<A> shift, Gate<A> gate) {
  constexpr bool has_y = Src == NormSource::output;
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2) {
    const int64_t at = r * W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) {
      const Centered<A> a = center<Src>(A(g[at + i]), A(x[at + i]), has_y ? A(y[at + i]) : A(0), mean(i), scale(i),
                                        shift(i), gate);
      const Centered<A> b = center<Src>(A(g[at + W + i]), A(x[at + W + i]), has_y ? A(y[at + W + i]) : A(0), mean(i),
                                        scale(i), shift(i), gate);
      s1[i] += a.g + b.g;
      s2[i] += a.g * a.x + b.g * b.x;
    }
  }
  for (; r < rows; ++r) {
    const int64_t at = r * W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) {
      const Centered<A> a = center<Src>(A(g[at + i]), A(x[at + i]), has_y ? A(y[at + i]) : A(0), mean(i), scale(i),
                                        shift(i), gate);
      s1[i] += a.g;
      s2[i] += a.g * a.x;
    }
  }
}

/// s1 += g, s2 += g (x - mean) over a run.
template <NormSource Src, class T, class A>
void reduce_run(A& s1, A& s2, const T* g, const T* x, const T* y, int64_t n, Uniform<A> mean, Uniform<A> scale,
                Uniform<A> shift, Gate<A> gate) {
  constexpr bool has_y = Src == NormSource::output;
  A a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
  for (int64_t i = 0; i < n; ++i) {
    const Centered<A> e = center<Src>(A(g[i]), A(x[i]), has_y ? A(y[i]) : A(0), mean(i), scale(i), shift(i), gate);
    a += e.g;
    b += e.g * e.x;
  }
  s1 += a;
  s2 += b;
}

/// dx = a g - b - (x - mean) d, and the residual's gradient g, with g taken back through the activation. dx may be g where
/// there is no residual.
template <NormSource Src, class T, class V, class A>
void back_loop(T* dx, T* dres, const T* g, const T* x, const T* y, int64_t n, V mean, V scale, V shift, V a, V b, V d,
               Gate<A> gate) {
  constexpr bool has_y = Src == NormSource::output;
  const auto at = [&](int64_t i) {
    return center<Src>(A(g[i]), A(x[i]), has_y ? A(y[i]) : A(0), mean(i), scale(i), shift(i), gate);
  };
  if (has_y && dres && sizeof(T) > 2) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Centered<A> e = at(i);
      dx[i] = static_cast<T>(a(i) * e.g - b(i) - e.x * d(i));
      dres[i] = static_cast<T>(e.g);
    }
    return;
  }
  if (has_y && dres) store_each(dres, n, [&](int64_t i) { return at(i).g; });
  store_each(dx, n, [&](int64_t i) {
    const Centered<A> e = at(i);
    return a(i) * e.g - b(i) - e.x * d(i);
  });
}

}  // namespace weft::cpu::WEFT_ISA
