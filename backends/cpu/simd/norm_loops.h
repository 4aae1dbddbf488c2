// Inner loops of the normalisations: moments, apply and backward over runs and over columns of rows.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include "weft/backends/cpu/simd/put.h"
#include "weft/core/dtype.h"
#include "weft/core/fn/math.h"
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

/// A mean that an A holds leaves `rest`: far from zero that is more than the spread may be. Loops take x - mean, which
/// is exact where it matters, and have the rest in a constant.
template <class A> WEFT_INLINE double rest_of(double mean) { return mean - static_cast<double>(static_cast<A>(mean)); }

/// May 1 / std or its square leave f32's range? Loops then run in f64. f16 has no such numbers.
template <class T> inline constexpr bool kMayBeExtreme = std::is_same_v<T, float> || std::is_same_v<T, bf16>;
template <class T> WEFT_INLINE bool is_extreme(double inv) {
  return kMayBeExtreme<T> && (inv > 1e15 || (inv > 0 && inv < 1e-15));
}

/// Of each column of x [rows, W]: about the mean, the sum of deviations from that, and the sum of their squares.
template <class A, class T> void column_moments(A* about, A* rest, A* squares, const T* x, int64_t rows, int64_t W) {
#pragma omp simd
  for (int64_t i = 0; i < W; ++i) about[i] = rest[i] = squares[i] = A(0);
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T *a = x + r * W, *b = a + W, *c = b + W, *d = c + W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) about[i] += (A(a[i]) + A(b[i])) + (A(c[i]) + A(d[i]));
  }
  for (; r < rows; ++r) {
    const T* a = x + r * W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) about[i] += A(a[i]);
  }
  const A n = static_cast<A>(rows);
#pragma omp simd
  for (int64_t i = 0; i < W; ++i) about[i] /= n;
  for (r = 0; r + 4 <= rows; r += 4) {
    const T *a = x + r * W, *b = a + W, *c = b + W, *d = c + W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) {
      const A m = about[i], p = A(a[i]) - m, q = A(b[i]) - m, u = A(c[i]) - m, v = A(d[i]) - m;
      rest[i] += (p + q) + (u + v);
      squares[i] += (p * p + q * q) + (u * u + v * v);
    }
  }
  for (; r < rows; ++r) {
    const T* a = x + r * W;
#pragma omp simd
    for (int64_t i = 0; i < W; ++i) {
      const A d = A(a[i]) - about[i];
      rest[i] += d;
      squares[i] += d * d;
    }
  }
}

/// Did f32 hold the sums of squares of rows [rows, W] (f16 is never too small for it)?
template <class T, class A> bool columns_held(const A* squares, const T* x, int64_t rows, int64_t W) {
  if constexpr (std::is_same_v<A, double>) return true;
  int lost = 0, small = 0;
#pragma omp simd reduction(| : lost, small)
  for (int64_t i = 0; i < W; ++i) {
    lost |= !(squares[i] <= std::numeric_limits<float>::max());
    small |= squares[i] < A(1e-30);
  }
  if (lost) return false;
  if (!small || std::is_same_v<T, f16>) return true;
  // constants are small, too, and many channels are 0 for good: three samples tell them from tiny numbers
  for (int64_t i = 0; i < W; ++i)
    for (const int64_t r : {int64_t{0}, rows / 2, rows - 1}) {
      const A v = fn::abs(A(x[r * W + i]));
      if (squares[i] < A(1e-30) && v > A(0) && v < A(1e-15)) return false;
    }
  return true;
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

/// Did f32 hold a sum of squares? f16 cannot have had too small ones.
template <class T, class A> WEFT_INLINE bool is_held(A squares) {
  if constexpr (std::is_same_v<A, double>) return true;
  else return squares <= std::numeric_limits<float>::max() && (std::is_same_v<T, f16> || squares >= 1e-30f);
}

/// Moments of few elements, in A, about a value near the mean: deviations also say how far off it is.
template <class A, class T> fn::Moments moments_about(const T* p, int64_t n, A about, bool& held) {
  constexpr int kLanes = 32;
  A rest[kLanes] = {}, squares[kLanes] = {};
  const auto add = [&](int j, A d) {
    rest[j] += d;
    squares[j] += d * d;
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
#pragma omp simd
    for (int j = 0; j < kLanes; ++j) add(j, A(p[i + j]) - about);
  for (int j = 0; i + j < n; ++j) add(j, A(p[i + j]) - about);
  for (int half = kLanes / 2; half > 0; half /= 2)
#pragma omp simd
    for (int j = 0; j < half; ++j) {
      rest[j] += rest[j + half];
      squares[j] += squares[j + half];
    }
  held = is_held<T>(squares[0]);
  const double off = static_cast<double>(rest[0]), count = static_cast<double>(n),
               m2 = static_cast<double>(squares[0]) - off * off / count;
  fn::Moments m;
  m.n = count;
  m.mean = static_cast<double>(about) + off / count;
  m.m2 = m2 < 0 ? 0 : m2;
  return m;
}

/// Moments of a run of n elements. Where the mean is not far from zero it needs no correction.
template <class T> fn::Moments moments(const T* x, int64_t n) {
  using A = compute_t<T>;
  fn::Moments all;
  for (int64_t at = 0; at < n; at += kRun) {
    const int64_t m = std::min(kRun, n - at);
    const T* p = x + at;
    const A mean = sum_of<A>(m, [&](int64_t i) { return A(p[i]); }) / static_cast<A>(m);
    const A squares = sum_of<A>(m, [&](int64_t i) { return (A(p[i]) - mean) * (A(p[i]) - mean); });
    const double mu = static_cast<double>(mean), m2 = static_cast<double>(squares), count = static_cast<double>(m);
    bool held = is_held<T>(squares);
    if (held && mu * mu * count <= 16 * m2) {
      all.merge(count, mu, m2);
      continue;
    }
    fn::Moments here;
    if (held) here = moments_about<A>(p, m, mean, held);
    if (!held)
      here = moments_about<double>(
          p, m, sum_of<double>(m, [&](int64_t i) { return static_cast<double>(A(p[i])); }) / count, held);
    all.merge(here);
  }
  return all;
}

/// to[i] = f(i) for i < n.
template <class T, class F> WEFT_INLINE void store_each(T* to, int64_t n, const F& f) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) put(to[i], f(i));
}

/// y = act((x - mean) scale + shift [+ residual]); y may be x. Here and below shift has what the mean leaves (rest_of).
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

/// dx = a g - b - (x - mean) d, and the residual's gradient g, with g taken back through the activation. dx may be g
/// where there is no residual.
template <NormSource Src, class T, class V, class A>
void back_loop(T* dx, T* dres, const T* g, const T* x, const T* y, int64_t n, V mean, V scale, V shift, V a, V b, V d,
               Gate<A> gate) {
  constexpr bool has_y = Src == NormSource::output;
  const auto at = [&](int64_t i) {
    return center<Src>(A(g[i]), A(x[i]), has_y ? A(y[i]) : A(0), mean(i), scale(i), shift(i), gate);
  };
  if (has_y && dres) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Centered<A> e = at(i);
      put(dx[i], a(i) * e.g - b(i) - fn::times(e.x, d(i)));
      put(dres[i], e.g);
    }
    return;
  }
  store_each(dx, n, [&](int64_t i) {
    const Centered<A> e = at(i);
    return a(i) * e.g - b(i) - fn::times(e.x, d(i));
  });
}

}  // namespace weft::cpu::WEFT_ISA
