// Normalisation of rows: layer norm and RMS norm, x [M, D] row-major. A row is read twice, the second time from the
// cache.
#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu {
namespace WEFT_ISA {
namespace {

template <class T> double mean_square(const T* x, int64_t n) {
  using A = compute_t<T>;
  double all = 0;
  for (int64_t at = 0; at < n; at += kRun) {
    const int64_t m = std::min(kRun, n - at);
    const A sum = sum_of<A>(m, [&](int64_t i) { return A(x[at + i]) * A(x[at + i]); });
    all += is_held<T>(sum) ? static_cast<double>(sum) : sum_of<double>(m, [&](int64_t i) {
      return static_cast<double>(x[at + i]) * static_cast<double>(x[at + i]);
    });
  }
  return all / static_cast<double>(n);
}

/// What the loops take of a row's statistics. Far from zero, x - mean takes two steps, the first of them exact
/// (rest_of).
template <class B, bool Far> struct Row {
  B mean, rest, inv;
  Row(const double* means, const double* invs, int64_t r)
      : mean(static_cast<B>(means ? means[r] : 0)),
        rest(static_cast<B>(means ? rest_of<B>(means[r]) : 0)),
        inv(static_cast<B>(invs[r])) {}
  template <class T> WEFT_INLINE B xhat(T x) const {
    return (Far ? (static_cast<B>(x) - mean) - rest : static_cast<B>(x) - mean) * inv;
  }
};

/// Calls f with the Row that row r needs.
template <class T, class F> WEFT_INLINE void with_row(const double* mean, const double* inv, int64_t r, const F& f) {
  using A = compute_t<T>;
  if constexpr (kMayBeExtreme<T>)
    if (is_extreme<T>(inv[r])) return f(Row<double, false>(mean, inv, r));
  if constexpr (!std::is_same_v<A, double>)
    if (mean && fn::abs(rest_of<A>(mean[r])) * inv[r] > 0x1p-23) return f(Row<A, true>(mean, inv, r));
  f(Row<A, false>(mean, inv, r));
}

// Loops over a row are functions of their own: pointers that a lambda captured are read again after every store.
template <class B, bool Far, class T, class A>
void apply_row(T* y, const T* x, const A* w, const A* b, int64_t D, Row<B, Far> k) {
  using C = compute_t<T>;
  if (w && b) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) put(y[i], static_cast<C>(k.xhat(x[i]) * w[i] + b[i]));
  } else if (w) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) put(y[i], static_cast<C>(k.xhat(x[i]) * w[i]));
  } else if (b) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) put(y[i], static_cast<C>(k.xhat(x[i]) + b[i]));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) put(y[i], static_cast<C>(k.xhat(x[i])));
  }
}
template <class B, bool Far, class T, class A>
void input_grad_row(T* dx, const T* g, const T* x, const A* w, int64_t D, Row<B, Far> k, double mean1, double mean2) {
  using C = compute_t<T>;
  const B m1 = static_cast<B>(mean1), m2 = static_cast<B>(mean2);
  if (w) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i)
      put(dx[i], static_cast<C>(k.inv * (static_cast<B>(g[i]) * w[i] - m1 - k.xhat(x[i]) * m2)));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) put(dx[i], static_cast<C>(k.inv * (static_cast<B>(g[i]) - m1 - k.xhat(x[i]) * m2)));
  }
}

template <class T, class A>
void forward(T* y, double* mean, double* inv, const T* x, const A* w, const A* b, int64_t M, int64_t D, double eps) {
  parallel_for(M, rows_per_piece(D), [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const T* p = x + r * D;
      T* q = y + r * D;
      if (mean) {
        const fn::Moments m = moments(p, D);
        mean[r] = m.mean;
        inv[r] = 1 / fn::sqrt(m.m2 / m.n + eps);
      } else {
        inv[r] = 1 / fn::sqrt(mean_square(p, D) + eps);
      }
      with_row<T>(mean, inv, r, [&](auto k) { apply_row(q, p, w, b, D, k); });
    }
  });
}

/// One run of a row: sums for dx, and what dw and db gain.
template <bool Params, class B, bool Far, class T, class A>
WEFT_INLINE void row_sums(double& s1, double& s2, A* dw, A* db, const T* g, const T* x, const A* w, int64_t n,
                          Row<B, Far> k) {
  B a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
  for (int64_t i = 0; i < n; ++i) {
    const B gi = static_cast<B>(g[i]), xhat = k.xhat(x[i]);
    const B gw = w ? gi * w[i] : gi;
    a += gw;
    b += gw * xhat;
    if constexpr (Params) {
      dw[i] += static_cast<A>(gi * xhat);
      db[i] += static_cast<A>(gi);
    }
  }
  s1 += static_cast<double>(a);
  s2 += static_cast<double>(b);
}

template <class T, class A>
void backward(T* dx, A* dw, A* db, const T* g, const T* x, const double* mean, const double* inv, const A* w, int64_t M,
              int64_t D) {
  const int64_t pieces = std::clamp<int64_t>(M * D / (1 << 16), 1, std::min<int64_t>(32, std::max<int64_t>(1, M)));
  const bool params = dw || db;
  constexpr int64_t kShortRows = 64;  // whose gradients of w and b are summed in A, and then in f64
  Scratch memory(params ? static_cast<size_t>(pieces * 2 * D) * (sizeof(double) + sizeof(A)) : 1);
  double* partial = memory.as<double>();
  A* some = reinterpret_cast<A*>(partial + (params ? pieces * 2 * D : 0));
  parallel_for(pieces, M * D < kSerialBelow ? pieces : 1, [&](int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; ++p) {
      A *pw = some + p * 2 * D, *pb = pw + D;
      double* all = partial + p * 2 * D;
      for (int64_t i = 0; params && i < 2 * D; ++i) pw[i] = A(0), all[i] = 0;
      const int64_t first = M * p / pieces, end = M * (p + 1) / pieces;
      for (int64_t r = first; r < end; ++r) {
        const T *gr = g + r * D, *xr = x + r * D;
        with_row<T>(mean, inv, r, [&](auto k) {
          double s1 = 0, s2 = 0;
          for (int64_t at = 0; at < D; at += kRun) {
            const int64_t n = std::min(kRun, D - at);
            const A* wr = w ? w + at : nullptr;
            if (params) row_sums<true>(s1, s2, pw + at, pb + at, gr + at, xr + at, wr, n, k);
            else row_sums<false>(s1, s2, pw, pb, gr + at, xr + at, wr, n, k);
          }
          if (!dx) return;
          const double count = static_cast<double>(D);
          input_grad_row(dx + r * D, gr, xr, w, D, k, mean ? s1 / count : 0, s2 / count);
        });
        if (params && ((r - first) % kShortRows == kShortRows - 1 || r + 1 == end))
          for (int64_t i = 0; i < 2 * D; ++i) {
            all[i] += static_cast<double>(pw[i]);
            pw[i] = A(0);
          }
      }
    }
  });
  if (!params) return;
  parallel_for(D, std::max<int64_t>(1, kSerialBelow / pieces), [&](int64_t i0, int64_t i1) {
    for (A* to : {dw, db}) {
      if (!to) continue;
      const double* from = partial + (to == dw ? 0 : D);
      for (int64_t i = i0; i < i1; ++i) {
        double sum = 0;
        for (int64_t p = 0; p < pieces; ++p) sum += from[p * 2 * D + i];
        to[i] = static_cast<A>(sum);
      }
    }
  });
}

void layer_norm(const MutTensorRef& y, const MutTensorRef& mean, const MutTensorRef& inv, const TensorRef& x,
                const TensorRef& w, const TensorRef& b, double eps) {
  const int64_t M = inv.numel, D = M ? x.numel / M : 0;
  with_floating(x.dtype, [&]<class T> {
    using A = compute_t<T>;
    forward<T, A>(y.as_mut<T>(), mean.as_mut<double>(), inv.as_mut<double>(), x.as<T>(), w.as<A>(), b.as<A>(), M, D,
                  eps);
  });
}

void layer_norm_backward(const MutTensorRef& dx, const MutTensorRef& dw, const MutTensorRef& db, const TensorRef& g,
                         const TensorRef& x, const TensorRef& mean, const TensorRef& inv, const TensorRef& w) {
  const int64_t M = inv.numel, D = M ? x.numel / M : 0;
  with_floating(x.dtype, [&]<class T> {
    using A = compute_t<T>;
    backward<T, A>(dx.as_mut<T>(), dw.as_mut<A>(), db.as_mut<A>(), g.as<T>(), x.as<T>(), mean.as<double>(),
                   inv.as<double>(), w.as<A>(), M, D);
  });
}

}  // namespace

void register_row_norm() {
  kernels::layer_norm.set(DeviceType::cpu, layer_norm);
  kernels::layer_norm_backward.set(DeviceType::cpu, layer_norm_backward);
}

}  // namespace WEFT_ISA
}  // namespace weft::cpu
