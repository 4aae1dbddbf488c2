// Resizing and average pooling, and their adjoints, over x [N, C, D, H, W] stored channels-last. The three axes' linear
// maps are made on the host as short lists of (index, weight), transposed for the adjoint, so that a thread gathers
// what it needs and nothing is added atomically. Sums in the CPU's order: rows first, then pixels, by fours.
#pragma once

#include <optional>
#include <vector>

#include "weft/backends/cuda/pool.cuh"
#include "weft/core/fn/mix.h"
#include "weft/core/fn/narrow.h"

namespace weft::cuda {

using fn::mix_t;

/// Output o mixes entries [begin[o], begin[o + 1]).
template <class A> struct MixList {
  const int32_t *begin, *index;
  const A* weight;
};

/// The lists of the three axes, in one piece of device memory.
template <class A> class MixLists {
 public:
  MixLists(const fn::SampleGeometry& g, bool transposed) {
    // as large as the last call's: no allocation in a steady state
    static thread_local std::vector<unsigned char> host;
    size_t offset[3][3], bytes = 0;
    int64_t entries[3];
    for (int d = 0; d < 3; ++d) {
      const fn::SampleAxis& a = g.axis[d];
      entries[d] = fn::count_entries(a);
      const auto rows = static_cast<size_t>(transposed ? a.in : a.out), n = static_cast<size_t>(entries[d]);
      const size_t size[3] = {(rows + 2) * sizeof(int32_t), n * sizeof(int32_t), n * sizeof(A)};
      for (int k = 0; k < 3; ++k) {
        offset[d][k] = bytes;
        bytes += (size[k] + 15) / 16 * 16;
      }
    }
    host.assign(bytes, 0);
    for (int d = 0; d < 3; ++d) {
      const fn::SampleAxis& a = g.axis[d];
      auto* begin = reinterpret_cast<int32_t*>(host.data() + offset[d][0]);
      auto* index = reinterpret_cast<int32_t*>(host.data() + offset[d][1]);
      auto* weight = reinterpret_cast<A*>(host.data() + offset[d][2]);
      const int64_t rows = transposed ? a.in : a.out;
      // begin[r + 2] counts row r, then begin[r + 1] is where its next entry goes: in the end, where the next row
      // begins
      fn::for_entries(a, [&](int64_t o, int64_t i, double) { ++begin[(transposed ? i : o) + 2]; });
      for (int64_t r = 2; r <= rows + 1; ++r) begin[r] += begin[r - 1];
      fn::for_entries(a, [&](int64_t o, int64_t i, double w) {
        const int32_t at = begin[(transposed ? i : o) + 1]++;
        index[at] = static_cast<int32_t>(transposed ? o : i);
        weight[at] = static_cast<A>(w);
      });
    }
    memory_.emplace(host.data(), bytes);
    const unsigned char* p = memory_->template as<unsigned char>();
    for (int d = 0; d < 3; ++d)
      list_[d] = {reinterpret_cast<const int32_t*>(p + offset[d][0]),
                  reinterpret_cast<const int32_t*>(p + offset[d][1]), reinterpret_cast<const A*>(p + offset[d][2])};
  }
  const MixList<A>& operator[](int d) const { return list_[d]; }

 private:
  std::optional<Upload> memory_;
  MixList<A> list_[3];
};

/// Sums weighted packs by fours: fours in a row, then onto what is there; many in pieces of kMixAddends.
template <class A, int V> struct Mixer {
  A sum[V], four[V];
  double wide[V];
  int32_t count = 0;  // of the piece
  bool many = false;
  __device__ Mixer() {
    for (int v = 0; v < V; ++v) sum[v] = four[v] = A(0), wide[v] = 0;
  }
  template <class X> __device__ WEFT_INLINE void add(A weight, const X& x) {
    const bool first = count % 4 == 0;
    if (first && count > 0) fold();
    for (int v = 0; v < V; ++v) {
      const A term = weight * static_cast<A>(x[v]);
      four[v] = first ? term : four[v] + term;
    }
    ++count;
  }
  __device__ WEFT_INLINE void fold() {
    for (int v = 0; v < V; ++v) sum[v] = count <= 4 ? four[v] : four[v] + sum[v];
    if (count == fn::kMixAddends) settle();
  }
  __device__ WEFT_INLINE void settle() {
    for (int v = 0; v < V; ++v) wide[v] += static_cast<double>(sum[v]);
    count = 0;
    many = true;
  }
  __device__ WEFT_INLINE void finish() {
    if (count > 0) fold();
    if (!many) return;
    if (count > 0) settle();
    for (int v = 0; v < V; ++v) sum[v] = static_cast<A>(wide[v]);
  }
};

template <class T, int V>
__global__ void __launch_bounds__(kBlock)
    resample_kernel(T* y, const T* x, int64_t C, Volume volume, int64_t in_d, int64_t in_h, int64_t in_w,
                    MixList<mix_t<T>> wd, MixList<mix_t<T>> wh, MixList<mix_t<T>> ww) {
  using A = mix_t<T>;
  for_spots(volume, [&](const Volume::Spot& s) {
    const T* from = x + s.n * in_d * in_h * in_w * C + s.pack * V;
    const int32_t d0 = wd.begin[s.at[0]], d1 = wd.begin[s.at[0] + 1], h0 = wh.begin[s.at[1]],
                  h1 = wh.begin[s.at[1] + 1], w0 = ww.begin[s.at[2]], w1 = ww.begin[s.at[2] + 1];
    Mixer<A, V> all;
    for (int32_t c = w0; c < w1; ++c) {
      Mixer<A, V> pixel;
      const T* column = from + int64_t{ww.index[c]} * C;
      for (int32_t a = d0; a < d1; ++a)
        for (int32_t b = h0; b < h1; ++b) {
          const Pack<T, V> p = *reinterpret_cast<const Pack<T, V>*>(column +
                                                                    (wd.index[a] * in_h + wh.index[b]) * in_w * C);
          pixel.add(wd.weight[a] * wh.weight[b], p.v);
        }
      pixel.finish();
      all.add(ww.weight[c], pixel.sum);
    }
    all.finish();
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) out.v[v] = fn::narrow<T>(all.sum[v]);
    *reinterpret_cast<Pack<T, V>*>(y + s.pixel * C + s.pack * V) = out;
  });
}

inline void resample(const MutTensorRef& y, const TensorRef& x, const fn::SampleGeometry& g, bool adjoint) {
  if (y.numel == 0) return;
  dispatch_wide(x.dtype, "resample", [&]<class T> {
    using A = mix_t<T>;
    const MixLists<A> lists(g, adjoint);
    int64_t in[3], out[3];
    for (int d = 0; d < 3; ++d) {
      in[d] = adjoint ? g.axis[d].out : g.axis[d].in;
      out[d] = adjoint ? g.axis[d].in : g.axis[d].out;
    }
    const auto run = [&]<int V> {
      const Volume volume(x.size(0), x.size(1) / V, out[0], out[1], out[2]);
      launch(resample_kernel<T, V>, grid_for(volume.total), kBlock, 0, y.as_mut<T>(), x.as<T>(), x.size(1), volume,
             in[0], in[1], in[2], lists[0], lists[1], lists[2]);
    };
    // Few outputs (a global average): one channel per thread, or the card would be idle.
    if (y.numel < int64_t{1} << 16) run.template operator()<1>();
    else with_channels<T>(x.size(1), {y.data, x.data}, nullptr, run);
  });
}

}  // namespace weft::cuda
