// Weight standardisation: rows of w [R, n], each read twice forward and twice backward, the second time from the cache.
#include <algorithm>

#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels/weight.h"

namespace weft::cpu {
namespace WEFT_ISA {
namespace {

template <class T, class A> void scale_row(T* out, const T* w, int64_t n, A mu, A scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) put(out[i], (A(w[i]) - mu) * scale);
}

/// dw = a (g - m) - b (w - mu)
template <class T, class A> void grad_row(T* dw, const T* g, const T* w, int64_t n, A mu, A a, A m, A b) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) put(dw[i], a * (A(g[i]) - m) - b * (A(w[i]) - mu));
}

/// Sums of g and of g (w - mu) over a row.
template <class T, class A> void row_sums(double& s1, double& s2, const T* g, const T* w, int64_t n, A mu) {
  for (int64_t at = 0; at < n; at += kRun) {
    const int64_t m = std::min(kRun, n - at);
    const T *gr = g + at, *wr = w + at;
    s1 += static_cast<double>(sum_of<A>(m, [&](int64_t i) { return A(gr[i]); }));
    s2 += static_cast<double>(sum_of<A>(m, [&](int64_t i) { return A(gr[i]) * (A(wr[i]) - mu); }));
  }
}

template <class T, class A>
void forward(T* out, A* mean, A* rho, const T* w, const A* gain, int64_t R, int64_t n, const StandardizeParams& p) {
  parallel_for(R, rows_per_piece(n), [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const fn::Moments m = moments(w + r * n, n);
      const A mu = mean[r] = static_cast<A>(m.mean);
      rho[r] = static_cast<A>(1 / fn::sqrt(std::max(p.fan * (m.m2 / p.divisor), p.floor)));
      scale_row(out + r * n, w + r * n, n, mu, rho[r] * gain[r]);
    }
  });
}

template <class T, class A>
void backward(T* dw, A* dgain, const T* g, const T* w, const A* mean, const A* rho, const A* gain, int64_t R, int64_t n,
              const StandardizeParams& p) {
  const A most = static_cast<A>(1 / fn::sqrt(p.floor));
  parallel_for(R, rows_per_piece(n), [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      double s1 = 0, s2 = 0;
      row_sums(s1, s2, g + r * n, w + r * n, n, mean[r]);
      const A s = rho[r], a = s * gain[r];
      if (dgain) dgain[r] = static_cast<A>(static_cast<double>(s) * s2);
      if (!dw) continue;
      const A b = s < most ? static_cast<A>(static_cast<double>(a * s * s) * (p.fan / p.divisor) * s2) : A(0);
      grad_row(dw + r * n, g + r * n, w + r * n, n, mean[r], a, static_cast<A>(s1 / static_cast<double>(n)), b);
    }
  });
}

void standardize_weight(const MutTensorRef& out, const MutTensorRef& mean, const MutTensorRef& rho, const TensorRef& w,
                        const TensorRef& gain, const StandardizeParams& p) {
  const int64_t R = rho.numel, n = R ? w.numel / R : 0;
  with_floating(w.dtype, [&]<class T> {
    using A = compute_t<T>;
    forward<T, A>(out.as_mut<T>(), mean.as_mut<A>(), rho.as_mut<A>(), w.as<T>(), gain.as<A>(), R, n, p);
  });
}

void standardize_weight_backward(const MutTensorRef& dw, const MutTensorRef& dgain, const TensorRef& g,
                                 const TensorRef& w, const TensorRef& mean, const TensorRef& rho, const TensorRef& gain,
                                 const StandardizeParams& p) {
  const int64_t R = rho.numel, n = R ? w.numel / R : 0;
  with_floating(w.dtype, [&]<class T> {
    using A = compute_t<T>;
    backward<T, A>(dw.as_mut<T>(), dgain.as_mut<A>(), g.as<T>(), w.as<T>(), mean.as<A>(), rho.as<A>(), gain.as<A>(), R,
                   n, p);
  });
}

}  // namespace

void register_weight() {
  kernels::standardize_weight.set(DeviceType::cpu, standardize_weight);
  kernels::standardize_weight_backward.set(DeviceType::cpu, standardize_weight_backward);
}

}  // namespace WEFT_ISA
}  // namespace weft::cpu
