// Normalisation of rows: layer norm and RMS norm, x [M, D] row-major. A row is read twice, the second time from the cache.
#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/norm_loops.h"
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
    all += static_cast<double>(sum_of<A>(m, [&](int64_t i) { return A(x[at + i]) * A(x[at + i]); }));
  }
  return all / static_cast<double>(n);
}

// Loops over a row are functions of their own: pointers that a lambda captured are read again after every store.
template <class T, class A> void apply_row(T* y, const T* x, const A* w, const A* b, int64_t D, A mu, A s) {
  if (w && b) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) y[i] = static_cast<T>((A(x[i]) - mu) * s * w[i] + b[i]);
  } else if (w) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) y[i] = static_cast<T>((A(x[i]) - mu) * s * w[i]);
  } else if (b) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) y[i] = static_cast<T>((A(x[i]) - mu) * s + b[i]);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) y[i] = static_cast<T>((A(x[i]) - mu) * s);
  }
}
template <class T, class A>
void input_grad_row(T* dx, const T* g, const T* x, const A* w, int64_t D, A mu, A s, A m1, A m2) {
  if (w) {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) dx[i] = static_cast<T>(s * (A(g[i]) * w[i] - m1 - (A(x[i]) - mu) * s * m2));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < D; ++i) dx[i] = static_cast<T>(s * (A(g[i]) - m1 - (A(x[i]) - mu) * s * m2));
  }
}

template <class T, class A>
void forward(T* y, A* mean, A* inv, const T* x, const A* w, const A* b, int64_t M, int64_t D, double eps) {
  parallel_for(M, rows_per_piece(D), [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const T* p = x + r * D;
      T* q = y + r * D;
      A mu = 0, s;
      if (mean) {
        const fn::Moments m = moments(p, D);
        mu = mean[r] = static_cast<A>(m.mean);
        s = inv[r] = static_cast<A>(1 / fn::sqrt(m.m2 / m.n + eps));
      } else {
        s = inv[r] = static_cast<A>(1 / fn::sqrt(mean_square(p, D) + eps));
      }
      apply_row(q, p, w, b, D, mu, s);
    }
  });
}

/// One run of a row: sums for dx, and what dw and db gain.
template <bool Params, class T, class A>
WEFT_INLINE void row_sums(double& s1, double& s2, A* dw, A* db, const T* g, const T* x, const A* w, int64_t n, A mu,
                          A s) {
  A a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
  for (int64_t i = 0; i < n; ++i) {
    const A gi = A(g[i]), xhat = (A(x[i]) - mu) * s;
    const A gw = w ? gi * w[i] : gi;
    a += gw;
    b += gw * xhat;
    if constexpr (Params) {
      dw[i] += gi * xhat;
      db[i] += gi;
    }
  }
  s1 += static_cast<double>(a);
  s2 += static_cast<double>(b);
}

template <class T, class A>
void backward(T* dx, A* dw, A* db, const T* g, const T* x, const A* mean, const A* inv, const A* w, int64_t M,
              int64_t D) {
  const int64_t pieces = std::clamp<int64_t>(M * D / (1 << 16), 1, std::min<int64_t>(32, std::max<int64_t>(1, M)));
  const bool params = dw || db;
  Scratch memory(params ? static_cast<size_t>(pieces * 2 * D) * sizeof(A) : 1);
  A* partial = memory.as<A>();
  parallel_for(pieces, M * D < kSerialBelow ? pieces : 1, [&](int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; ++p) {
      A *pw = partial + p * 2 * D, *pb = pw + D;
      for (int64_t i = 0; params && i < 2 * D; ++i) pw[i] = A(0);
      for (int64_t r = M * p / pieces; r < M * (p + 1) / pieces; ++r) {
        const T *gr = g + r * D, *xr = x + r * D;
        const A mu = mean ? mean[r] : A(0), s = inv[r];
        double s1 = 0, s2 = 0;
        for (int64_t at = 0; at < D; at += kRun) {
          const int64_t n = std::min(kRun, D - at);
          const A* wr = w ? w + at : nullptr;
          if (params) row_sums<true>(s1, s2, pw + at, pb + at, gr + at, xr + at, wr, n, mu, s);
          else row_sums<false>(s1, s2, pw, pb, gr + at, xr + at, wr, n, mu, s);
        }
        if (!dx) continue;
        const A m1 = mean ? static_cast<A>(s1 / static_cast<double>(D)) : A(0),
                m2 = static_cast<A>(s2 / static_cast<double>(D));
        T* out = dx + r * D;
        input_grad_row(out, gr, xr, w, D, mu, s, m1, m2);
      }
    }
  });
  if (!params) return;
  parallel_for(D, std::max<int64_t>(1, kSerialBelow / pieces), [&](int64_t i0, int64_t i1) {
    for (A* to : {dw, db}) {
      if (!to) continue;
      const A* from = partial + (to == dw ? 0 : D);
      for (int64_t i = i0; i < i1; ++i) {
        double sum = 0;
        for (int64_t p = 0; p < pieces; ++p) sum += static_cast<double>(from[p * 2 * D + i]);
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
    forward<T, A>(y.as_mut<T>(), mean.as_mut<A>(), inv.as_mut<A>(), x.as<T>(), w.as<A>(), b.as<A>(), M, D, eps);
  });
}

void layer_norm_backward(const MutTensorRef& dx, const MutTensorRef& dw, const MutTensorRef& db, const TensorRef& g,
                         const TensorRef& x, const TensorRef& mean, const TensorRef& inv, const TensorRef& w) {
  const int64_t M = inv.numel, D = M ? x.numel / M : 0;
  with_floating(x.dtype, [&]<class T> {
    using A = compute_t<T>;
    backward<T, A>(dx.as_mut<T>(), dw.as_mut<A>(), db.as_mut<A>(), g.as<T>(), x.as<T>(), mean.as<A>(), inv.as<A>(),
                   w.as<A>(), M, D);
  });
}

}  // namespace

void register_row_norm() {
  kernels::layer_norm.set(DeviceType::cpu, layer_norm);
  kernels::layer_norm_backward.set(DeviceType::cpu, layer_norm_backward);
}

}  // namespace WEFT_ISA
}  // namespace weft::cpu
