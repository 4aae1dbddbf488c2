// Max pooling over x [N, C, D, H, W] stored channels-last: a thread has a few channels of one window, or of one input,
// whose gradient it gathers.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/elementwise.cuh"
#include "weft/core/fn/math.h"
#include "weft/core/fn/pool.h"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

/// fn::PoolAxis for kernels: its divisions are multiplications.
class FastPoolAxis {
 public:
  int64_t in, out, kernel, dilation;

  FastPoolAxis() = default;
  explicit FastPoolAxis(const fn::PoolAxis& a)
      : in(a.in),
        out(a.out),
        kernel(a.kernel),
        dilation(a.dilation),
        stride_(a.stride),
        pad_(a.pad_lo),
        adaptive_(a.adaptive) {
    const int64_t most = a.adaptive ? (in + 1) * (out + 1)
                                    : in + a.pad_lo + a.pad_hi + kernel * dilation + stride_ * out;
    const auto by = [&](int64_t d) { return fn::Divisor(std::max<int64_t>(1, d), most); };
    in_ = by(in), out_ = by(out), by_stride_ = by(stride_), by_dilation_ = by(dilation);
  }
  __device__ WEFT_INLINE int64_t start(int64_t o) const { return adaptive_ ? out_.divide(o * in) : o * stride_ - pad_; }
  __device__ WEFT_INLINE int64_t first(int64_t o) const { return up(-start(o), by_dilation_); }
  __device__ WEFT_INLINE int64_t last(int64_t o) const {
    if (adaptive_) return up((o + 1) * in, out_) - start(o);
    const int64_t room = up(in - start(o), by_dilation_);
    return room < kernel ? room : kernel;
  }
  __device__ WEFT_INLINE int64_t first_window(int64_t i) const {
    return adaptive_ ? in_.divide(i * out) : up(i + pad_ - (kernel - 1) * dilation, by_stride_);
  }
  __device__ WEFT_INLINE int64_t last_window(int64_t i) const {
    if (adaptive_) return up((i + 1) * out, in_);
    const int64_t end = by_stride_.divide(i + pad_) + 1;
    return end < out ? end : out;
  }
  __device__ WEFT_INLINE int64_t tap(int64_t o, int64_t i) const {
    const int64_t d = i - start(o);
    if (d < 0) return -1;
    const int64_t k = by_dilation_.divide(d);
    return k * dilation == d ? k : -1;
  }

 private:
  /// n / d rounded up, and 0 for what is negative.
  static __device__ WEFT_INLINE int64_t up(int64_t n, const fn::Divisor& d) { return n > 0 ? d.divide(n - 1) + 1 : 0; }

  int64_t stride_, pad_;
  fn::Divisor in_, out_, by_stride_, by_dilation_;
  bool adaptive_;
};
struct FastPoolGeometry {
  FastPoolAxis axis[3];
  FastPoolGeometry(const fn::PoolGeometry& p) {
    for (int d = 0; d < 3; ++d) axis[d] = FastPoolAxis(p.axis[d]);
  }
};

/// A volume of pixels with packs of channels: which of them a number means, channels fastest.
struct Volume {
  int64_t total;
  fn::Divisor packs, size[3];  // of channels; depth, height, width

  Volume(int64_t N, int64_t channel_packs, int64_t D, int64_t H, int64_t W)
      : total(N * D * H * W * channel_packs),
        packs(channel_packs, total),
        size{fn::Divisor(D, total), fn::Divisor(H, total), fn::Divisor(W, total)} {}
  struct Spot {
    int64_t n, at[3], pixel, pack;
  };
  __device__ WEFT_INLINE Spot spot(int64_t i) const {
    Spot s;
    s.pixel = packs.divide(i);
    s.pack = i - s.pixel * packs.d;
    int64_t rest = s.pixel;
    for (int a = 2; a >= 0; --a) {
      const int64_t up = size[a].divide(rest);
      s.at[a] = rest - up * size[a].d;
      rest = up;
    }
    s.n = rest;
    return s;
  }
};

/// What a thread walks: numbers of packs, by the size of the grid.
template <class F> __device__ WEFT_INLINE void for_spots(const Volume& volume, const F& f) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < volume.total;
       i += int64_t{gridDim.x} * blockDim.x)
    f(volume.spot(i));
}

/// y and taps: the first maximum of each window; NaN wins always.
template <class T, class I, int V>
__global__ void __launch_bounds__(kBlock, 2)
    max_pool_kernel(T* y, I* taps, const T* x, int64_t C, Volume volume, FastPoolGeometry p) {
  using A = compute_t<T>;
  for_spots(volume, [&](const Volume::Spot& s) {
    int64_t first[3], last[3], start[3];
    WEFT_UNROLL
    for (int d = 0; d < 3; ++d) {
      first[d] = p.axis[d].first(s.at[d]);
      last[d] = p.axis[d].last(s.at[d]);
      start[d] = p.axis[d].start(s.at[d]);
    }
    A best[V];
    const auto none = static_cast<int32_t>((first[0] * p.axis[1].kernel + first[1]) * p.axis[2].kernel + first[2]);
    int32_t at[V];
    WEFT_UNROLL
    for (int v = 0; v < V; ++v) best[v] = fn::lowest<A>(), at[v] = none;
    const T* from = x + s.n * p.axis[0].in * p.axis[1].in * p.axis[2].in * C + s.pack * V;
    for (int64_t a = first[0]; a < last[0]; ++a)
      for (int64_t b = first[1]; b < last[1]; ++b)
        for (int64_t c = first[2]; c < last[2]; ++c) {
          const int64_t d = start[0] + a * p.axis[0].dilation, h = start[1] + b * p.axis[1].dilation,
                        w = start[2] + c * p.axis[2].dilation;
          const auto tap = static_cast<int32_t>((a * p.axis[1].kernel + b) * p.axis[2].kernel + c);
          const Pack<T, V> here = *reinterpret_cast<const Pack<T, V>*>(from +
                                                                       ((d * p.axis[1].in + h) * p.axis[2].in + w) * C);
          WEFT_UNROLL
          for (int v = 0; v < V; ++v) {
            const A value = A(here.v[v]);
            const bool wins = value > best[v] || value != value;
            best[v] = wins ? value : best[v];
            at[v] = wins ? tap : at[v];
          }
        }
    Pack<T, V> out;
    Pack<I, V> winners;
    WEFT_UNROLL
    for (int v = 0; v < V; ++v) out.v[v] = static_cast<T>(best[v]), winners.v[v] = static_cast<I>(at[v]);
    *reinterpret_cast<Pack<T, V>*>(y + s.pixel * C + s.pack * V) = out;
    if (taps) *reinterpret_cast<Pack<I, V>*>(taps + s.pixel * C + s.pack * V) = winners;
  });
}

/// dx at an input = sum of g over the windows in which it won, in their order.
template <class T, class I, int V>
__global__ void __launch_bounds__(kBlock, 2)
    max_pool_scatter_kernel(T* dx, const T* g, const I* taps, int64_t C, Volume volume, FastPoolGeometry p) {
  using A = compute_t<T>;
  for_spots(volume, [&](const Volume::Spot& s) {
    int64_t first[3], last[3];
    WEFT_UNROLL
    for (int d = 0; d < 3; ++d) {
      first[d] = p.axis[d].first_window(s.at[d]);
      last[d] = p.axis[d].last_window(s.at[d]);
    }
    A sum[V];
    WEFT_UNROLL
    for (int v = 0; v < V; ++v) sum[v] = A(0);
    for (int64_t a = first[0]; a < last[0]; ++a) {
      const int64_t ka = p.axis[0].tap(a, s.at[0]);
      if (ka < 0) continue;
      for (int64_t b = first[1]; b < last[1]; ++b) {
        const int64_t kb = p.axis[1].tap(b, s.at[1]);
        if (kb < 0) continue;
        for (int64_t c = first[2]; c < last[2]; ++c) {
          const int64_t kc = p.axis[2].tap(c, s.at[2]);
          if (kc < 0) continue;
          const auto tap = static_cast<int32_t>((ka * p.axis[1].kernel + kb) * p.axis[2].kernel + kc);
          const int64_t at = (((s.n * p.axis[0].out + a) * p.axis[1].out + b) * p.axis[2].out + c) * C + s.pack * V;
          const Pack<T, V> here = *reinterpret_cast<const Pack<T, V>*>(g + at);
          const Pack<I, V> winner = *reinterpret_cast<const Pack<I, V>*>(taps + at);
          WEFT_UNROLL
          for (int v = 0; v < V; ++v) sum[v] += static_cast<int32_t>(winner.v[v]) == tap ? A(here.v[v]) : A(0);
        }
      }
    }
    Pack<T, V> out;
    WEFT_UNROLL
    for (int v = 0; v < V; ++v) out.v[v] = static_cast<T>(sum[v]);
    *reinterpret_cast<Pack<T, V>*>(dx + s.pixel * C + s.pack * V) = out;
  });
}

/// to[o] = x at the winner of window o; without x: the winner's position in its channel's volume.
template <class R, class T, class I>
__global__ void __launch_bounds__(kBlock, 2)
    max_pool_winner_kernel(R* to, const T* x, const I* taps, int64_t C, Volume volume, FastPoolGeometry p) {
  for_spots(volume, [&](const Volume::Spot& s) {
    const int64_t o = s.pixel * C + s.pack;
    const auto tap = static_cast<int32_t>(taps[o]), kernel_w = static_cast<int32_t>(p.axis[2].kernel),
               kernel_h = static_cast<int32_t>(p.axis[1].kernel);
    const int64_t k[3] = {tap / (kernel_w * kernel_h), tap / kernel_w % kernel_h, tap % kernel_w};
    int64_t spot = 0;
    WEFT_UNROLL
    for (int d = 0; d < 3; ++d) {
      // A window that lies in the padding alone (large dilation) has no winner: stay inside.
      const int64_t at = p.axis[d].start(s.at[d]) + k[d] * p.axis[d].dilation;
      spot = spot * p.axis[d].in + (at < p.axis[d].in ? at : p.axis[d].in - 1);
    }
    if constexpr (std::is_same_v<R, T>) {
      to[o] = x[(s.n * p.axis[0].in * p.axis[1].in * p.axis[2].in + spot) * C + s.pack];
    } else {
      to[o] = spot;
    }
  });
}

template <class F> void dispatch_taps(Dtype d, const F& f) {
  if (d == Dtype::u8) f.template operator()<uint8_t>();
  else f.template operator()<int32_t>();
}

/// Calls f.operator()<V>() with the channels of a step: 16 bytes of T where all allow.
template <class T, class I = T, class F>
void with_channels(int64_t C, std::initializer_list<const void*> values, const void* taps, const F& f) {
  constexpr int V = 16 / sizeof(T);
  uintptr_t all = 0;
  for (const void* p : values) all |= reinterpret_cast<uintptr_t>(p);
  if (C % V == 0 && all % 16 == 0 && reinterpret_cast<uintptr_t>(taps) % (V * sizeof(I)) == 0)
    f.template operator()<V>();
  else f.template operator()<1>();
}

inline void max_pool(const MutTensorRef& y, const MutTensorRef& taps, const TensorRef& x, const fn::PoolGeometry& p) {
  if (y.numel == 0) return;
  dispatch_wide(x.dtype, "max_pool", [&]<class T> {
    dispatch_taps(taps.dtype, [&]<class I> {
      with_channels<T, I>(x.size(1), {y.data, x.data}, taps.data, [&]<int V> {
        const Volume volume(x.size(0), x.size(1) / V, p.axis[0].out, p.axis[1].out, p.axis[2].out);
        launch(max_pool_kernel<T, I, V>, grid_for(volume.total), kBlock, 0, y.as_mut<T>(), taps.as_mut<I>(), x.as<T>(),
               x.size(1), volume, p);
      });
    });
  });
}

inline void max_pool_scatter(const MutTensorRef& dx, const TensorRef& g, const TensorRef& taps,
                             const fn::PoolGeometry& p) {
  if (dx.numel == 0) return;
  dispatch_floating(g.dtype, "max_pool", [&]<class T> {
    dispatch_taps(taps.dtype, [&]<class I> {
      with_channels<T, I>(g.size(1), {dx.data, g.data}, taps.data, [&]<int V> {
        const Volume volume(g.size(0), g.size(1) / V, p.axis[0].in, p.axis[1].in, p.axis[2].in);
        launch(max_pool_scatter_kernel<T, I, V>, grid_for(volume.total), kBlock, 0, dx.as_mut<T>(), g.as<T>(),
               taps.as<I>(), g.size(1), volume, p);
      });
    });
  });
}

inline void max_pool_gather(const MutTensorRef& y, const TensorRef& x, const TensorRef& taps,
                            const fn::PoolGeometry& p) {
  if (y.numel == 0) return;
  const Volume volume(x.size(0), x.size(1), p.axis[0].out, p.axis[1].out, p.axis[2].out);
  dispatch_floating(x.dtype, "max_pool", [&]<class T> {
    dispatch_taps(taps.dtype, [&]<class I> {
      launch(max_pool_winner_kernel<T, T, I>, grid_for(volume.total), kBlock, 0, y.as_mut<T>(), x.as<T>(), taps.as<I>(),
             x.size(1), volume, p);
    });
  });
}

inline void max_pool_indices(const MutTensorRef& indices, const TensorRef& taps, const fn::PoolGeometry& p) {
  if (indices.numel == 0) return;
  const Volume volume(taps.size(0), taps.size(1), p.axis[0].out, p.axis[1].out, p.axis[2].out);
  dispatch_taps(taps.dtype, [&]<class I> {
    launch(max_pool_winner_kernel<int64_t, I, I>, grid_for(volume.total), kBlock, 0, indices.as_mut<int64_t>(),
           static_cast<const I*>(nullptr), taps.as<I>(), taps.size(1), volume, p);
  });
}

}  // namespace weft::cuda
