// Max pooling over rows of channels (x [N, C, D, H, W] stored channels-last): each window remembers which of its taps
// won, in one byte where that is enough.
#include <algorithm>
#include <type_traits>

#include "weft/backends/cpu/simd/lanes.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/put.h"
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

/// Calls f(first channel of the tap's pixel, number of the tap) for the taps of a window.
template <class T, class F>
WEFT_INLINE void for_taps(const T* x, const Taps& t, const PoolGeometry& p, int64_t C, const F& f) {
  const int32_t kernel_h = static_cast<int32_t>(p.axis[1].kernel), kernel_w = static_cast<int32_t>(p.axis[2].kernel);
  for (int64_t a = t.first[0]; a < t.last[0]; ++a)
    for (int64_t b = t.first[1]; b < t.last[1]; ++b) {
      const int64_t d = t.start[0] + a * p.axis[0].dilation, h = t.start[1] + b * p.axis[1].dilation;
      const T* row = x + ((d * p.axis[1].in + h) * p.axis[2].in + t.start[2]) * C;
      const int32_t base = (static_cast<int32_t>(a) * kernel_h + static_cast<int32_t>(b)) * kernel_w;
      for (int64_t c = t.first[2]; c < t.last[2]; ++c)
        f(row + c * p.axis[2].dilation * C, base + static_cast<int32_t>(c));
    }
}
WEFT_INLINE int32_t first_tap(const Taps& t, const PoolGeometry& p) {
  return static_cast<int32_t>((t.first[0] * p.axis[1].kernel + t.first[1]) * p.axis[2].kernel + t.first[2]);
}

/// One block of n <= kBlock channels of one window. `Keep`: the winners' taps, too.
template <bool Keep, class T, class I>
void max_block(T* y, I* taps, const T* x, int64_t n, const Taps& t, const PoolGeometry& p, int64_t C) {
  using A = compute_t<T>;
  A best[kBlock];
  int32_t at[kBlock];
  const int32_t none = first_tap(t, p);
  for (int64_t i = 0; i < kBlock; ++i) best[i] = fn::lowest<A>(), at[i] = none;
  for_taps(x, t, p, C, [&](const T* from, int32_t tap) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const A v = A(from[i]);
      const bool wins = (v > best[i]) | (v != v);  // the first maximum; NaN wins always
      best[i] = wins ? v : best[i];
      if constexpr (Keep) at[i] = wins ? tap : at[i];
    }
  });
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) put(y[i], best[i]);
  if constexpr (Keep) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) taps[i] = static_cast<I>(at[i]);
  }
}

/// The same for Wide::kCount channels of float, double or bf16, kept in registers over the taps. Of vectors that the
/// instruction set lacks compilers make single elements.
template <class T> struct Wide {
  static constexpr int kLanes = kLanesOf<T>, kCount = 4 * kLanes;
  static WEFT_INLINE auto load(const T* p) { return *reinterpret_cast<const VectorAt<T>*>(p); }
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  using V = VectorAt<T>;
  typedef Int M __attribute__((vector_size(kVectorBytes), may_alias));
};
template <> struct Wide<bf16> : Wide<float> {
  static WEFT_INLINE V load(const bf16* p) {
    typedef uint16_t Half __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
    typedef uint32_t Whole __attribute__((vector_size(kVectorBytes)));
    return reinterpret_cast<V>(__builtin_convertvector(*reinterpret_cast<const Half*>(p), Whole) << 16);
  }
};
template <class T> inline constexpr bool kHasWide = std::is_floating_point_v<T> || std::is_same_v<T, bf16>;
template <bool Keep, class T, class I>
WEFT_INLINE void max_wide(T* y, I* taps, const T* x, const Taps& t, const PoolGeometry& p, int64_t C) {
  using W = Wide<T>;
  using V = typename W::V;
  using M = typename W::M;
  V best[4];
  M at[4];
  const typename W::Int none = first_tap(t, p);
  for (int j = 0; j < 4; ++j) best[j] = V{} + fn::lowest<compute_t<T>>(), at[j] = M{} + none;
  for_taps(
      x, t, p, C, [&](const T* from, int32_t tap) __attribute__((always_inline)) {
        const M here = M{} + typename W::Int(tap);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          const V v = W::load(from + j * W::kLanes);
          const M wins = (v > best[j]) | (v != v);
          best[j] = wins ? v : best[j];
          if constexpr (Keep) at[j] = wins ? here : at[j];
        }
      });
  const compute_t<T>* greatest = reinterpret_cast<const compute_t<T>*>(best);
#pragma omp simd
  for (int i = 0; i < W::kCount; ++i) put(y[i], greatest[i]);
  if constexpr (Keep) {
    const typename W::Int* winner = reinterpret_cast<const typename W::Int*>(at);
#pragma omp simd
    for (int i = 0; i < W::kCount; ++i) taps[i] = static_cast<I>(winner[i]);
  }
}

template <bool Keep, class T, class I>
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
        int64_t c = 0;
        if constexpr (kHasWide<T>)
          for (; c + Wide<T>::kCount <= C; c += Wide<T>::kCount)
            max_wide<Keep>(y + at + c, Keep ? taps + at + c : nullptr, xn + c, t, p, C);
        for (; c < C; c += kBlock)
          max_block<Keep>(y + at + c, Keep ? taps + at + c : nullptr, xn + c, std::min(kBlock, C - c), t, p, C);
      }
    }
  });
}

/// The windows that hold one input of an axis, and the input's tap in each.
struct Holders {
  int64_t first, count;
  int32_t tap;   // in the first window; each further one has it `step` taps earlier
  int32_t step;  // 0: irregular (dilation, adaptive): ask PoolAxis::tap
  Holders(const PoolAxis& p, int64_t i)
      : first(p.first_window(i)),
        count(p.last_window(i) - first),
        tap(static_cast<int32_t>(i - p.start(first))),
        step(p.dilation == 1 && !p.adaptive ? static_cast<int32_t>(p.stride) : 0) {}
  WEFT_INLINE int32_t at(const PoolAxis& p, int64_t i, int64_t k) const {
    return step ? tap - static_cast<int32_t>(k) * step : static_cast<int32_t>(p.tap(first + k, i));
  }
};

/// Calls f(output element of channel 0, number of the tap) for the windows that hold one input.
template <class F>
WEFT_INLINE void for_holders(const Holders& hd, const Holders& hh, const Holders& hw, int64_t d, int64_t h, int64_t w,
                             const PoolGeometry& p, int64_t C, const F& f) {
  const PoolAxis &pd = p.axis[0], &ph = p.axis[1], &pw = p.axis[2];
  const int32_t kernel_h = static_cast<int32_t>(ph.kernel), kernel_w = static_cast<int32_t>(pw.kernel);
  for (int64_t a = 0; a < hd.count; ++a)
    for (int64_t b = 0; b < hh.count; ++b)
      for (int64_t o = 0; o < hw.count; ++o) {
        const int32_t ka = hd.at(pd, d, a), kb = hh.at(ph, h, b), kc = hw.at(pw, w, o);
        if ((ka | kb | kc) < 0) continue;
        f((((hd.first + a) * ph.out + hh.first + b) * pw.out + hw.first + o) * C, (ka * kernel_h + kb) * kernel_w + kc);
      }
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
      const Holders hd(pd, d), hh(ph, h);
      for (int64_t w = 0; w < pw.in; ++w) {
        const Holders hw(pw, w);
        T* to = dx + (r * pw.in + w) * C;
        int64_t c = 0;
        if constexpr (std::is_floating_point_v<T>) {
          using W = Wide<T>;
          using V = typename W::V;
          using M = typename W::M;
          for (; c + W::kCount <= C; c += W::kCount) {
            V sum[4] = {};
            for_holders(
                hd, hh, hw, d, h, w, p, C, [&](int64_t at, int32_t tap) __attribute__((always_inline)) {
                  const int64_t o = n * outputs + at + c;
                  M winners[4];  // compilers widen bytes well in a loop, and badly as a vector conversion
                  typename W::Int* winner = reinterpret_cast<typename W::Int*>(winners);
#pragma omp simd
                  for (int i = 0; i < W::kCount; ++i) winner[i] = taps[o + i];
#pragma GCC unroll 4
                  for (int j = 0; j < 4; ++j) {
                    const V v = *reinterpret_cast<const V*>(g + o + j * W::kLanes);
                    sum[j] += winners[j] == (M{} + typename W::Int(tap)) ? v : V{};
                  }
                });
            for (int j = 0; j < 4; ++j) *reinterpret_cast<V*>(to + c + j * W::kLanes) = sum[j];
          }
        }
        for (; c < C; c += kBlock) {
          const int64_t m = std::min(kBlock, C - c);
          A sum[kBlock];
          for (int64_t i = 0; i < kBlock; ++i) sum[i] = A(0);
          for_holders(hd, hh, hw, d, h, w, p, C, [&](int64_t at, int32_t tap) {
            const int64_t o = n * outputs + at + c;
#pragma omp simd
            for (int64_t i = 0; i < m; ++i) {
              const A v = A(g[o + i]);
              sum[i] += static_cast<int32_t>(taps[o + i]) == tap ? v : A(0);
            }
          });
#pragma omp simd
          for (int64_t i = 0; i < m; ++i) put(to[c + i], sum[i]);
        }
      }
    }
  });
}

/// Calls f(output element, input element) for every winner; both in channels-last order.
template <class I, class F> void for_winners(const I* taps, int64_t N, int64_t C, const PoolGeometry& p, const F& f) {
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
          const int64_t at_d = std::min(d + ka * pd.dilation, pd.in - 1),
                        at_h = std::min(h + kb * ph.dilation, ph.in - 1),
                        at_w = std::min(w + kc * pw.dilation, pw.in - 1);
          const int64_t spot = (at_d * ph.in + at_h) * pw.in + at_w;
          f(at + c, (base + spot) * C + c, spot);
        }
      }
    }
  });
}

template <class F> void with_taps(Dtype d, const F& f) {
  if (d == Dtype::u8) f.template operator()<uint8_t>();
  else f.template operator()<int32_t>();
}
template <class F> void with_number(Dtype d, const F& f) {
  switch (d) {
    case Dtype::i64: f.template operator()<int64_t>(); break;
    case Dtype::i32: f.template operator()<int32_t>(); break;
    case Dtype::u8: f.template operator()<uint8_t>(); break;
    default: with_floating(d, f);
  }
}

void max_pool(const MutTensorRef& y, const MutTensorRef& taps, const TensorRef& x, const PoolGeometry& p) {
  with_number(x.dtype, [&]<class T> {
    if (!taps.defined())
      return forward<false>(y.as_mut<T>(), static_cast<uint8_t*>(nullptr), x.as<T>(), x.size(0), x.size(1), p);
    with_taps(taps.dtype,
              [&]<class I> { forward<true>(y.as_mut<T>(), taps.as_mut<I>(), x.as<T>(), x.size(0), x.size(1), p); });
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
