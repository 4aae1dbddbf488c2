// Resizing and average pooling, and their adjoints, over rows of channels (stored channels-last): the axes' linear maps
// as short lists of (index, weight), rows mixed first, then pixels. The adjoint is the same with transposed lists.
#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/mix.h"
#include "weft/core/fn/narrow.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace WEFT_ISA {
namespace {

using fn::mix_t;
using fn::SampleAxis;
using fn::SampleGeometry;

/// Output o mixes entries [begin[o], begin[o + 1]).
template <class A> struct Lists {
  const int32_t *begin, *index;
  const A* weight;
};

/// Memory for one axis' lists, forward or transposed.
template <class A> class ListMemory {
 public:
  ListMemory(const SampleAxis& a, bool transposed)
      : rows_(transposed ? a.in : a.out),
        n_(fn::count_entries(a)),
        memory_(static_cast<size_t>(2 * (rows_ + 2) + n_) * sizeof(int32_t) + static_cast<size_t>(n_) * sizeof(A) +
                16) {
    begin_ = memory_.as<int32_t>();
    int32_t* next = begin_ + rows_ + 2;
    index_ = next + rows_ + 2;
    weight_ = reinterpret_cast<A*>((reinterpret_cast<uintptr_t>(index_ + n_) + 7) & ~uintptr_t{7});
    for (int64_t r = 0; r <= rows_; ++r) begin_[r] = 0;
    fn::for_entries(a, [&](int64_t o, int64_t i, double) { ++begin_[(transposed ? i : o) + 1]; });
    for (int64_t r = 0; r < rows_; ++r) begin_[r + 1] += begin_[r];
    for (int64_t r = 0; r < rows_; ++r) next[r] = begin_[r];
    fn::for_entries(a, [&](int64_t o, int64_t i, double w) {
      const int32_t at = next[transposed ? i : o]++;
      index_[at] = static_cast<int32_t>(transposed ? o : i);
      weight_[at] = static_cast<A>(w);
    });
  }
  Lists<A> lists() const { return {begin_, index_, weight_}; }
  /// The most entries that one element mixes.
  int64_t longest() const {
    int64_t n = 0;
    for (int64_t r = 0; r < rows_; ++r) n = std::max<int64_t>(n, begin_[r + 1] - begin_[r]);
    return n;
  }

 private:
  int64_t rows_, n_;
  Scratch memory_;
  int32_t *begin_, *index_;
  A* weight_;
};

/// to = v, rounded to T.
template <class T, class A> WEFT_INLINE void put_nearest(T& to, A v) {
  if constexpr (std::is_integral_v<T>) to = fn::narrow<T>(v);
  else put(to, v);
}

/// to = [to +] sum of N weighted runs.
template <int N, bool Add, class To, class From, class A>
WEFT_INLINE void blend(To* to, const From* const* p, const A* w, int64_t n) {
  const From *p0 = p[0], *p1 = p[N > 1 ? 1 : 0], *p2 = p[N > 2 ? 2 : 0], *p3 = p[N > 3 ? 3 : 0];
  const A w0 = w[0], w1 = w[N > 1 ? 1 : 0], w2 = w[N > 2 ? 2 : 0], w3 = w[N > 3 ? 3 : 0];
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    A v = w0 * static_cast<A>(p0[i]);
    if constexpr (N > 1) v += w1 * static_cast<A>(p1[i]);
    if constexpr (N > 2) v += w2 * static_cast<A>(p2[i]);
    if constexpr (N > 3) v += w3 * static_cast<A>(p3[i]);
    if constexpr (Add) v += static_cast<A>(to[i]);
    put_nearest(to[i], v);
  }
}
template <bool Add, class To, class From, class A>
void blend_few(To* to, int64_t count, const From* const* p, const A* w, int64_t n) {
  switch (count) {
    case 1: return blend<1, Add>(to, p, w, n);
    case 2: return blend<2, Add>(to, p, w, n);
    case 3: return blend<3, Add>(to, p, w, n);
    default: return blend<4, Add>(to, p, w, n);
  }
}

constexpr int64_t kAddends = fn::kMixAddends;
/// Channels that are summed at once.
constexpr int64_t kChannels = 256;

/// y = sum of n weighted pixels of the row `from`, for any n.
template <class T, class S, class A>
void mix_many(T* y, const S* from, const int32_t* index, const A* weight, int64_t n, int64_t C) {
  for (int64_t c = 0; c < C; c += kChannels) {
    const int64_t m = std::min(kChannels, C - c);
    double total[kChannels] = {};
    for (int64_t first = 0; first < n; first += kAddends) {
      A sum[kChannels] = {};
      for (int64_t k = first, end = std::min(n, first + kAddends); k < end; k += 4) {
        const S* p[4];
        const int64_t count = std::min<int64_t>(4, end - k);
        for (int64_t j = 0; j < count; ++j) p[j] = from + index[k + j] * C + c;
        blend_few<true>(sum, count, p, weight + k, m);
      }
      for (int64_t i = 0; i < m; ++i) total[i] += static_cast<double>(sum[i]);
    }
    for (int64_t i = 0; i < m; ++i) put_nearest(y[c + i], static_cast<A>(total[i]));
  }
}

/// y[o] = sum of weighted pixels of the row `from`.
template <class T, class S, class A> void mix_pixels(T* y, const S* from, const Lists<A>& w, int64_t out, int64_t C) {
  for (int64_t o = 0; o < out; ++o, y += C) {
    const int32_t b = w.begin[o], n = w.begin[o + 1] - b;
    if constexpr (std::is_same_v<S, T>) {
      if (n == 1 && w.weight[b] == A(1)) {
        const S* p = from + w.index[b] * C;
#pragma omp simd
        for (int64_t c = 0; c < C; ++c) put(y[c], p[c]);
        continue;
      }
    }
    const S* p[4];
    const auto take = [&](int32_t first, int64_t c) {
      for (int32_t k = first; k < n && k < first + 4; ++k) p[k - first] = from + w.index[b + k] * C + c;
    };
    if (n >= 1 && n <= 4) {
      take(0, 0);
      blend_few<false>(y, n, p, w.weight + b, C);
      continue;
    }
    if (n > kAddends) {
      mix_many(y, from, w.index + b, w.weight + b, n, C);
      continue;
    }
    for (int64_t c = 0; c < C; c += kChannels) {
      const int64_t m = std::min(kChannels, C - c);
      A sum[kChannels];
      for (int64_t i = 0; i < m; ++i) sum[i] = A(0);
      for (int32_t k = 0; k < n; k += 4) {
        take(k, c);
        blend_few<true>(sum, std::min(4, n - k), p, w.weight + b + k, m);
      }
#pragma omp simd
      for (int64_t i = 0; i < m; ++i) put_nearest(y[c + i], sum[i]);
    }
  }
}

/// A row of the output: the (depth, height) rows mixed into `room`, with sums of many in `wide`, then the pixels.
template <class T, class A>
void mix_row(T* y, const T* x, A* room, double* wide, const Lists<A>& wd, const Lists<A>& wh, const Lists<A>& ww,
             int64_t d, int64_t h, int64_t in_h, int64_t length, int64_t out, int64_t C) {
  const int32_t d0 = wd.begin[d], h0 = wh.begin[h], across = wh.begin[h + 1] - h0;
  const int32_t count = (wd.begin[d + 1] - d0) * across;
  const auto row = [&](int32_t k) {
    return x + (wd.index[d0 + k / across] * in_h + wh.index[h0 + k % across]) * length;
  };
  const auto weight = [&](int32_t k) { return wd.weight[d0 + k / across] * wh.weight[h0 + k % across]; };
  if (count == 1 && weight(0) == A(1)) return mix_pixels(y, row(0), ww, out, C);
  if (count == 0)
    for (int64_t i = 0; i < length; ++i) room[i] = A(0);
  for (int32_t k = 0; k < count; k += 4) {
    const int32_t n = std::min(4, count - k);
    const T* p[4];
    A w[4];
    for (int32_t j = 0; j < n; ++j) p[j] = row(k + j), w[j] = weight(k + j);
    if (k % kAddends == 0) blend_few<false>(room, n, p, w, length);
    else blend_few<true>(room, n, p, w, length);
    if (count > kAddends && ((k + 4) % kAddends == 0 || k + 4 >= count))
      for (int64_t i = 0; i < length; ++i) wide[i] = (k < kAddends ? 0.0 : wide[i]) + static_cast<double>(room[i]);
  }
  if (count > kAddends)
    for (int64_t i = 0; i < length; ++i) room[i] = static_cast<A>(wide[i]);
  mix_pixels(y, static_cast<const A*>(room), ww, out, C);
}

template <class T> void mix(T* y, const T* x, int64_t N, int64_t C, const SampleGeometry& g, bool transposed) {
  using A = mix_t<T>;
  const ListMemory<A> md(g.axis[0], transposed), mh(g.axis[1], transposed), mw(g.axis[2], transposed);
  const Lists<A> wd = md.lists(), wh = mh.lists(), ww = mw.lists();
  int64_t in[3], out[3];
  for (int i = 0; i < 3; ++i) {
    in[i] = transposed ? g.axis[i].out : g.axis[i].in;
    out[i] = transposed ? g.axis[i].in : g.axis[i].out;
  }
  const int64_t rows = N * out[0] * out[1], length = in[2] * C;
  const int64_t grain = std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(1, std::max(out[2], in[2]) * C));
  const int64_t pieces = std::clamp<int64_t>(rows / grain, 1, num_threads());
  const bool many = md.longest() * mh.longest() > kAddends;
  Scratch memory(static_cast<size_t>(pieces * length) * sizeof(A)),
      wide(many ? static_cast<size_t>(pieces * length) * sizeof(double) : 0);
  parallel_for(pieces, 1, [&](int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t r = rows * p / pieces; r < rows * (p + 1) / pieces; ++r) {
        const int64_t n = r / (out[0] * out[1]), d = r / out[1] % out[0], h = r % out[1];
        mix_row(y + r * out[2] * C, x + n * in[0] * in[1] * length, memory.as<A>() + p * length,
                many ? wide.as<double>() + p * length : nullptr, wd, wh, ww, d, h, in[1], length, out[2], C);
      }
  });
}

void resample(const MutTensorRef& y, const TensorRef& x, const SampleGeometry& g, bool transposed) {
  const auto run = [&]<class T> { mix(y.as_mut<T>(), x.as<T>(), x.size(0), x.size(1), g, transposed); };
  switch (x.dtype) {
    case Dtype::i64: run.template operator()<int64_t>(); break;
    case Dtype::i32: run.template operator()<int32_t>(); break;
    case Dtype::u8: run.template operator()<uint8_t>(); break;
    default: with_floating(x.dtype, run);
  }
}

}  // namespace

void register_resize() { kernels::resample.set(DeviceType::cpu, resample); }

}  // namespace WEFT_ISA
}  // namespace weft::cpu
