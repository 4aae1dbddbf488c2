// Resizing and average pooling, and their adjoints, over rows of channels (stored channels-last): the axes' linear maps as
// short lists of (index, weight), rows mixed first, then pixels. The adjoint is the same with transposed lists.
#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/resize.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace WEFT_ISA {
namespace {

using fn::SampleAxis;
using fn::SampleGeometry;

/// What sums are kept in: f64 for f64 and wide integers, f32 for the rest.
template <class T>
using mix_t = std::conditional_t<sizeof(T) == 8 || std::is_same_v<T, int32_t>, double, float>;

/// Output o mixes entries [begin[o], begin[o + 1]).
template <class A>
struct Lists {
  const int32_t *begin, *index;
  const A* weight;
};

int64_t entries(const SampleAxis& a) {
  int64_t n = 0;
  for (int64_t o = 0; o < a.out; ++o) n += a.taps(o);
  return n;
}

/// Memory for one axis' lists, forward or transposed.
template <class A>
class ListMemory {
 public:
  ListMemory(const SampleAxis& a, bool transposed)
      : rows_(transposed ? a.in : a.out), n_(entries(a)),
        memory_(static_cast<size_t>(2 * (rows_ + 2) + n_) * sizeof(int32_t) + static_cast<size_t>(n_) * sizeof(A) + 16) {
    begin_ = memory_.as<int32_t>();
    int32_t* next = begin_ + rows_ + 2;
    index_ = next + rows_ + 2;
    weight_ = reinterpret_cast<A*>((reinterpret_cast<uintptr_t>(index_ + n_) + 7) & ~uintptr_t{7});
    for (int64_t r = 0; r <= rows_; ++r) begin_[r] = 0;
    for_entries(a, [&](int64_t o, int64_t i, double) { ++begin_[(transposed ? i : o) + 1]; });
    for (int64_t r = 0; r < rows_; ++r) begin_[r + 1] += begin_[r];
    for (int64_t r = 0; r < rows_; ++r) next[r] = begin_[r];
    for_entries(a, [&](int64_t o, int64_t i, double w) {
      const int32_t at = next[transposed ? i : o]++;
      index_[at] = static_cast<int32_t>(transposed ? o : i);
      weight_[at] = static_cast<A>(w);
    });
  }
  Lists<A> lists() const { return {begin_, index_, weight_}; }

 private:
  template <class F>
  static void for_entries(const SampleAxis& a, const F& f) {
    for (int64_t o = 0; o < a.out; ++o)
      for (int64_t k = 0, n = a.taps(o); k < n; ++k) {
        int64_t i;
        double w;
        a.tap(o, k, i, w);
        f(o, i, w);
      }
  }
  int64_t rows_, n_;
  Scratch memory_;
  int32_t *begin_, *index_;
  A* weight_;
};

template <class T, class A>
WEFT_INLINE T narrow(A v) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(fn::floor(v + A(0.5)));
  else return static_cast<T>(v);
}

/// y[o] = sum of weighted pixels of the row `from`.
template <class T, class S, class A>
void mix_pixels(T* y, const S* from, const Lists<A>& w, int64_t out, int64_t C) {
  for (int64_t o = 0; o < out; ++o, y += C) {
    const int32_t b = w.begin[o], n = w.begin[o + 1] - b;
    const S* p = from + w.index[b] * C;
    if (n == 1 && w.weight[b] == A(1)) {
      if constexpr (std::is_same_v<S, T>) {
#pragma omp simd
        for (int64_t c = 0; c < C; ++c) y[c] = p[c];
      } else {
#pragma omp simd
        for (int64_t c = 0; c < C; ++c) y[c] = narrow<T>(static_cast<A>(p[c]));
      }
    } else if (n == 2) {
      const S* q = from + w.index[b + 1] * C;
      const A u = w.weight[b], v = w.weight[b + 1];
#pragma omp simd
      for (int64_t c = 0; c < C; ++c) y[c] = narrow<T>(u * static_cast<A>(p[c]) + v * static_cast<A>(q[c]));
    } else {
      for (int64_t c0 = 0; c0 < C; c0 += 64) {
        const int64_t m = std::min<int64_t>(64, C - c0);
        A sum[64];
        for (int i = 0; i < 64; ++i) sum[i] = A(0);
        const auto add = [&](int64_t count) {
          for (int32_t k = 0; k < n; ++k) {
            const S* r = from + w.index[b + k] * C + c0;
            const A u = w.weight[b + k];
#pragma omp simd
            for (int64_t i = 0; i < count; ++i) sum[i] += u * static_cast<A>(r[i]);
          }
        };
        if (m == 64) add(64);
        else add(m);
#pragma omp simd
        for (int64_t i = 0; i < m; ++i) y[c0 + i] = narrow<T>(sum[i]);
      }
    }
  }
}

/// A row of the output: the (depth, height) rows mixed into `room`, then the pixels.
template <class T, class A>
void mix_row(T* y, const T* x, A* room, const Lists<A>& wd, const Lists<A>& wh, const Lists<A>& ww, int64_t d, int64_t h,
             int64_t in_h, int64_t length, int64_t out, int64_t C) {
  const int32_t d0 = wd.begin[d], d1 = wd.begin[d + 1], h0 = wh.begin[h], h1 = wh.begin[h + 1];
  const int64_t count = int64_t{d1 - d0} * (h1 - h0);
  if (count == 1 && wd.weight[d0] * wh.weight[h0] == A(1))
    return mix_pixels(y, x + (wd.index[d0] * in_h + wh.index[h0]) * length, ww, out, C);
  const auto row = [&](int64_t k) { return x + (wd.index[d0 + k / (h1 - h0)] * in_h + wh.index[h0 + k % (h1 - h0)]) * length; };
  const auto weight = [&](int64_t k) { return wd.weight[d0 + k / (h1 - h0)] * wh.weight[h0 + k % (h1 - h0)]; };
  int64_t k = 0;
  if (count % 2) {
    const T* p = count ? row(0) : nullptr;
    const A u = weight(0);
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) room[i] = u * static_cast<A>(p[i]);
    k = 1;
  } else {
    if (count == 0) {
      for (int64_t i = 0; i < length; ++i) room[i] = A(0);
    } else {
      const T *p = row(0), *q = row(1);
      const A u = weight(0), v = weight(1);
#pragma omp simd
      for (int64_t i = 0; i < length; ++i) room[i] = u * static_cast<A>(p[i]) + v * static_cast<A>(q[i]);
      k = 2;
    }
  }
  for (; k < count; k += 2) {
    const T *p = row(k), *q = row(k + 1);
    const A u = weight(k), v = weight(k + 1);
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) room[i] += u * static_cast<A>(p[i]) + v * static_cast<A>(q[i]);
  }
  mix_pixels(y, room, ww, out, C);
}

template <class T>
void mix(T* y, const T* x, int64_t N, int64_t C, const SampleGeometry& g, bool transposed) {
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
  Scratch memory(static_cast<size_t>(pieces * length) * sizeof(A));
  parallel_for(pieces, 1, [&](int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t r = rows * p / pieces; r < rows * (p + 1) / pieces; ++r) {
        const int64_t n = r / (out[0] * out[1]), d = r / out[1] % out[0], h = r % out[1];
        mix_row(y + r * out[2] * C, x + n * in[0] * in[1] * length, memory.as<A>() + p * length, wd, wh, ww, d, h, in[1], length,
                out[2], C);
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
