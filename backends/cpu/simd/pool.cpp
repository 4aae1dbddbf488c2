// Max pooling over rows of channels (x [N, C, D, H, W] stored channels-last): each window remembers which of its taps won,
// in one byte where that is enough.
#include <algorithm>

#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/math.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace WEFT_ISA {
namespace {

using fn::PoolAxis;
using fn::PoolGeometry;

constexpr int64_t kBlock = 64;  // channels whose maxima stay in registers

struct Taps {
  int64_t first[3], last[3], start[3];
};

WEFT_INLINE void window(Taps& t, const PoolGeometry& p, int d, int64_t o) {
  t.first[d] = p.axis[d].first(o);
  t.last[d] = p.axis[d].last(o);
  t.start[d] = p.axis[d].start(o);
}

/// One block of up to kBlock channels of one window.
template <class T, class I>
WEFT_INLINE void max_block(T* y, I* taps, const T* x, int64_t n, const Taps& t, const PoolGeometry& p, int64_t C) {
  using A = compute_t<T>;
  A best[kBlock];
  int32_t at[kBlock];
  const int32_t kernel_h = static_cast<int32_t>(p.axis[1].kernel), kernel_w = static_cast<int32_t>(p.axis[2].kernel);
  const int32_t none = static_cast<int32_t>((t.first[0] * kernel_h + t.first[1]) * kernel_w + t.first[2]);
  for (int64_t i = 0; i < kBlock; ++i) best[i] = fn::lowest<A>(), at[i] = none;
  for (int64_t a = t.first[0]; a < t.last[0]; ++a)
    for (int64_t b = t.first[1]; b < t.last[1]; ++b)
      for (int64_t c = t.first[2]; c < t.last[2]; ++c) {
        const int64_t d = t.start[0] + a * p.axis[0].dilation, h = t.start[1] + b * p.axis[1].dilation,
                      w = t.start[2] + c * p.axis[2].dilation;
        const T* from = x + ((d * p.axis[1].in + h) * p.axis[2].in + w) * C;
        const int32_t tap = (static_cast<int32_t>(a) * kernel_h + static_cast<int32_t>(b)) * kernel_w + static_cast<int32_t>(c);
        const auto take = [&](int64_t m) {
#pragma omp simd
          for (int64_t i = 0; i < m; ++i) {
            const A v = A(from[i]);
            const bool wins = (v > best[i]) | (v != v);  // the first maximum; NaN wins always
            best[i] = wins ? v : best[i];
            at[i] = wins ? tap : at[i];
          }
        };
        if (n == kBlock) take(kBlock);
        else take(n);
      }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(best[i]);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) taps[i] = static_cast<I>(at[i]);
}

template <class T, class I>
void forward(T* y, I* taps, const T* x, int64_t N, int64_t C, const PoolGeometry& p) {
  const int64_t O0 = p.axis[0].out, O1 = p.axis[1].out, O2 = p.axis[2].out;
  const int64_t plane = p.axis[0].in * p.axis[1].in * p.axis[2].in * C;
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, O2 * C * p.taps()));
  parallel_for(N * O0 * O1, grain, [&](int64_t r0, int64_t r1) {
    Taps t;
    for (int64_t r = r0; r < r1; ++r) {
      const T* xn = x + r / (O0 * O1) * plane;
      window(t, p, 0, r / O1 % O0);
      window(t, p, 1, r % O1);
      for (int64_t o = 0; o < O2; ++o) {
        window(t, p, 2, o);
        const int64_t at = (r * O2 + o) * C;
        for (int64_t c = 0; c < C; c += kBlock) max_block(y + at + c, taps + at + c, xn + c, std::min(kBlock, C - c), t, p, C);
      }
    }
  });
}

/// dx at an input = sum of g over the windows in which it won. Walks inputs, so that threads never meet.
template <class T, class I>
void scatter(T* dx, const T* g, const I* taps, int64_t N, int64_t C, const PoolGeometry& p) {
  using A = compute_t<T>;
  const PoolAxis &pd = p.axis[0], &ph = p.axis[1], &pw = p.axis[2];
  const int64_t outputs = pd.out * ph.out * pw.out * C;
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, pw.in * C));
  parallel_for(N * pd.in * ph.in, grain, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const int64_t n = r / (pd.in * ph.in), d = r / ph.in % pd.in, h = r % ph.in;
      const int64_t d0 = pd.first_window(d), d1 = pd.last_window(d), h0 = ph.first_window(h), h1 = ph.last_window(h);
      for (int64_t w = 0; w < pw.in; ++w) {
        const int64_t w0 = pw.first_window(w), w1 = pw.last_window(w);
        T* to = dx + (r * pw.in + w) * C;
        for (int64_t c = 0; c < C; c += kBlock) {
          const int64_t m = std::min(kBlock, C - c);
          A sum[kBlock];
          for (int64_t i = 0; i < kBlock; ++i) sum[i] = A(0);
          for (int64_t a = d0; a < d1; ++a)
            for (int64_t b = h0; b < h1; ++b)
              for (int64_t o = w0; o < w1; ++o) {
                const int64_t ka = pd.tap(a, d), kb = ph.tap(b, h), kc = pw.tap(o, w);
                if ((ka | kb | kc) < 0) continue;
                const int32_t tap = static_cast<int32_t>((ka * ph.kernel + kb) * pw.kernel + kc);
                const int64_t at = n * outputs + ((a * ph.out + b) * pw.out + o) * C + c;
                const auto add = [&](int64_t count) {
#pragma omp simd
                  for (int64_t i = 0; i < count; ++i) sum[i] += static_cast<int32_t>(taps[at + i]) == tap ? A(g[at + i]) : A(0);
                };
                if (m == kBlock) add(kBlock);
                else add(m);
              }
#pragma omp simd
          for (int64_t i = 0; i < m; ++i) to[c + i] = static_cast<T>(sum[i]);
        }
      }
    }
  });
}

/// Calls f(output element, input element) for every winner; both in channels-last order.
template <class I, class F>
void for_winners(const I* taps, int64_t N, int64_t C, const PoolGeometry& p, const F& f) {
  const PoolAxis &pd = p.axis[0], &ph = p.axis[1], &pw = p.axis[2];
  const int64_t plane = pd.in * ph.in * pw.in;
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, pw.out * C));
  parallel_for(N * pd.out * ph.out, grain, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const int64_t d = pd.start(r / ph.out % pd.out), h = ph.start(r % ph.out), base = r / (pd.out * ph.out) * plane;
      for (int64_t o = 0; o < pw.out; ++o) {
        const int64_t w = pw.start(o), at = (r * pw.out + o) * C;
        for (int64_t c = 0; c < C; ++c) {
          const int64_t tap = static_cast<int64_t>(taps[at + c]);
          const int64_t kc = tap % pw.kernel, kb = tap / pw.kernel % ph.kernel, ka = tap / (pw.kernel * ph.kernel);
          // A window that lies in the padding alone (large dilation) has no winner: stay inside.
          const int64_t at_d = std::min(d + ka * pd.dilation, pd.in - 1), at_h = std::min(h + kb * ph.dilation, ph.in - 1),
                        at_w = std::min(w + kc * pw.dilation, pw.in - 1);
          const int64_t spot = (at_d * ph.in + at_h) * pw.in + at_w;
          f(at + c, (base + spot) * C + c, spot);
        }
      }
    }
  });
}

template <class F>
void with_taps(Dtype d, const F& f) {
  if (d == Dtype::u8) f.template operator()<uint8_t>();
  else f.template operator()<int32_t>();
}
template <class F>
void with_number(Dtype d, const F& f) {
  switch (d) {
    case Dtype::i64: f.template operator()<int64_t>(); break;
    case Dtype::i32: f.template operator()<int32_t>(); break;
    case Dtype::u8: f.template operator()<uint8_t>(); break;
    default: with_floating(d, f);
  }
}

void max_pool(const MutTensorRef& y, const MutTensorRef& taps, const TensorRef& x, const PoolGeometry& p) {
  with_number(x.dtype, [&]<class T> {
    with_taps(taps.dtype, [&]<class I> { forward(y.as_mut<T>(), taps.as_mut<I>(), x.as<T>(), x.size(0), x.size(1), p); });
  });
}

void max_pool_scatter(const MutTensorRef& dx, const TensorRef& g, const TensorRef& taps, const PoolGeometry& p) {
  with_floating(g.dtype, [&]<class T> {
    with_taps(taps.dtype, [&]<class I> { scatter(dx.as_mut<T>(), g.as<T>(), taps.as<I>(), g.size(0), g.size(1), p); });
  });
}

void max_pool_gather(const MutTensorRef& y, const TensorRef& x, const TensorRef& taps, const PoolGeometry& p) {
  with_floating(x.dtype, [&]<class T> {
    with_taps(taps.dtype, [&]<class I> {
      T* to = y.as_mut<T>();
      const T* from = x.as<T>();
      for_winners(taps.as<I>(), x.size(0), x.size(1), p, [&](int64_t o, int64_t i, int64_t) { to[o] = from[i]; });
    });
  });
}

void max_pool_indices(const MutTensorRef& indices, const TensorRef& taps, const PoolGeometry& p) {
  with_taps(taps.dtype, [&]<class I> {
    int64_t* to = indices.as_mut<int64_t>();
    for_winners(taps.as<I>(), taps.size(0), taps.size(1), p, [&](int64_t o, int64_t, int64_t spot) { to[o] = spot; });
  });
}

}  // namespace

void register_pool() {
  kernels::max_pool.set(DeviceType::cpu, max_pool);
  kernels::max_pool_scatter.set(DeviceType::cpu, max_pool_scatter);
  kernels::max_pool_gather.set(DeviceType::cpu, max_pool_gather);
  kernels::max_pool_indices.set(DeviceType::cpu, max_pool_indices);
}

}  // namespace WEFT_ISA
}  // namespace weft::cpu
