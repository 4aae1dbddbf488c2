// Cross-entropy of logits [N, C, S] with class indices, for planes (pixels innermost) and rows (classes innermost): the
// loss and the log-sum-exp in one pass over the logits, the gradient in another.
#include <algorithm>
#include <type_traits>

#include "weft/backends/cpu/index_error.h"
#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/norm_loops.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/integer.h"
#include "weft/core/fn/math.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace WEFT_ISA {
namespace {

constexpr int64_t kPixels = 128;  // of a block of planes
constexpr int64_t kLongRow = 48;  // rows of at least this many classes are reduced along the row
constexpr int64_t kMaxPieces = 64;

template <class T> struct Problem {
  using A = compute_t<T>;
  const T* x;
  const int64_t* target;
  const A* weight;  // may be null
  int64_t N, C, S;
  bool rows;
  int64_t ignore;
  A smoothing, weight_sum;  // smoothing / C

  Problem(const TensorRef& logits, const TensorRef& t, const TensorRef& w, const CrossEntropyParams& o)
      : x(logits.as<T>()),
        target(t.as<int64_t>()),
        weight(w.as<A>()),
        N(logits.size(0)),
        C(logits.size(1)),
        S(1),
        ignore(o.ignore_index),
        smoothing(static_cast<A>(o.label_smoothing / static_cast<double>(C))) {
    for (int i = 2; i < logits.rank; ++i) S *= logits.size(i);
    rows = S == 1 || (C > 1 && logits.stride(1) == 1);
    double sum = 0;
    for (int64_t c = 0; c < C; ++c) sum += weight ? static_cast<double>(weight[c]) : 1;
    weight_sum = static_cast<A>(sum);
    keep = static_cast<A>(1 - o.label_smoothing);
  }
  A keep;  // 1 - smoothing
  A class_weight(int64_t c) const { return weight ? weight[c] : A(1); }
  // A target out of range is reported by the forward pass and never used as an index.
  bool counts(int64_t t) const { return t != ignore && t >= 0 && t < C; }
};

/// Log-sum-exp and smoothing sum of n pixels; class c of pixel i is p[c * step + i].
template <class S, class A>
void plane_block(A* lse, A* smooth, const S* p, int64_t step, int64_t C, int64_t n, const A* weight, bool smoothing) {
  A top[kPixels], sum[kPixels];
  for (int64_t i = 0; i < kPixels; ++i) top[i] = fn::lowest<A>(), sum[i] = A(0);
  for (int64_t c = 0; c < C; ++c) {
    const S* q = p + c * step;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const A v = A(q[i]);
      top[i] = v > top[i] ? v : top[i];
    }
  }
  for (int64_t c = 0; c < C; ++c) {
    const S* q = p + c * step;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) sum[i] += fn::exp(A(q[i]) - top[i]);
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) lse[i] = top[i] + fn::log(sum[i]);
  if (!smoothing) return;
  for (int64_t i = 0; i < n; ++i) smooth[i] = A(0);
  for (int64_t c = 0; c < C; ++c) {
    const S* q = p + c * step;
    const A w = weight ? weight[c] : A(1);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) smooth[i] += w * A(q[i]);
  }
}

template <class T, class A> void long_row(A& lse, A& smooth, const T* p, int64_t C, const A* weight, bool smoothing) {
  A top = fn::lowest<A>(), sum = 0, s = 0;
#pragma omp simd reduction(max : top)
  for (int64_t c = 0; c < C; ++c) top = A(p[c]) > top ? A(p[c]) : top;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < C; ++c) sum += fn::exp(A(p[c]) - top);
  lse = top + fn::log(sum);
  if (!smoothing) return;
#pragma omp simd reduction(+ : s)
  for (int64_t c = 0; c < C; ++c) s += (weight ? weight[c] : A(1)) * A(p[c]);
  smooth = s;
}

/// Calls body(first pixel, pixels) for blocks within one sample; `piece(k)` says which partial sums to use.
template <class F> void for_blocks(int64_t N, int64_t S, int64_t C, int64_t pieces, const F& body) {
  const int64_t per_sample = fn::ceil_div(S, kPixels), blocks = N * per_sample;
  parallel_for(pieces, N * S * C < kSerialBelow ? pieces : 1, [&](int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; ++p)
      for (int64_t b = blocks * p / pieces; b < blocks * (p + 1) / pieces; ++b) {
        const int64_t s = b % per_sample * kPixels;
        body(p, b / per_sample, s, std::min(kPixels, S - s));
      }
  });
}
int64_t count_pieces(int64_t N, int64_t S, int64_t C) {
  const int64_t blocks = N * fn::ceil_div(S, kPixels);
  return std::clamp<int64_t>(std::min(blocks, N * S * C / kSerialBelow), 1, kMaxPieces);
}

template <class T> void forward(compute_t<T>* loss, compute_t<T>* lse, double* totals, const Problem<T>& o) {
  using A = compute_t<T>;
  // One sample of rows is as good as many: pixels of all samples are contiguous then.
  const int64_t N = o.rows ? 1 : o.N, S = o.rows ? o.N * o.S : o.S;
  const int64_t pieces = count_pieces(N, S, o.C);
  const bool tiled = o.rows && o.C < kLongRow;
  const int64_t tile_size = tiled ? o.C * kPixels : 1;
  Scratch memory(static_cast<size_t>(pieces) * (3 * sizeof(double) + static_cast<size_t>(tile_size) * sizeof(A)));
  double* partial = memory.as<double>();
  A* tiles = reinterpret_cast<A*>(partial + 3 * pieces);
  for (int64_t i = 0; i < 3 * pieces; ++i) partial[i] = 0;
  for_blocks(N, S, o.C, pieces, [&](int64_t piece, int64_t n, int64_t s, int64_t m) {
    A smooth[kPixels];
    const bool smoothing = o.smoothing != A(0);
    const T* p = o.rows ? o.x + s * o.C : o.x + n * o.C * o.S + s;
    A* z = lse + n * S + s;
    if (tiled) {
      A* tile = tiles + piece * tile_size;
      for (int64_t i = 0; i < m; ++i)
        for (int64_t c = 0; c < o.C; ++c) tile[c * kPixels + i] = A(p[i * o.C + c]);
      plane_block(z, smooth, tile, kPixels, o.C, m, o.weight, smoothing);
    } else if (o.rows) {
      for (int64_t i = 0; i < m; ++i) long_row(z[i], smooth[i], p + i * o.C, o.C, o.weight, smoothing);
    } else {
      plane_block(z, smooth, p, o.S, o.C, m, o.weight, smoothing);
    }
    double *sums = partial + 3 * piece, sum = 0, total = 0;
    for (int64_t i = 0; i < m; ++i) {
      const int64_t t = o.target[n * S + s + i];
      A v = 0;
      if (o.counts(t)) {
        const A w = o.class_weight(t);
        v = o.keep * w * (z[i] - A(o.rows ? p[i * o.C + t] : p[t * o.S + i]));
        if (smoothing) v += o.smoothing * (o.weight_sum * z[i] - smooth[i]);
        sum += static_cast<double>(v);
        total += static_cast<double>(w);
      } else if (t != o.ignore) {
        sums[2] = 1;
      }
      loss[n * S + s + i] = v;
    }
    sums[0] += sum;
    sums[1] += total;
  });
  for (int j = 0; j < 3; ++j) {
    totals[j] = 0;
    for (int64_t p = 0; p < pieces; ++p) totals[j] += partial[3 * p + j];
  }
}

template <class T>
void backward(T* dx, const compute_t<T>* g, int64_t g_step, const compute_t<T>* lse, const Problem<T>& o) {
  using A = compute_t<T>;
  const int64_t N = o.rows ? 1 : o.N, S = o.rows ? o.N * o.S : o.S;
  const bool smoothing = o.smoothing != A(0), tiled = o.rows && o.C < kLongRow;
  const int64_t pieces = count_pieces(N, S, o.C), tile_size = tiled ? 2 * (o.C * kPixels + 16) : 1;
  Scratch memory(static_cast<size_t>(pieces * tile_size) * sizeof(A));
  for_blocks(N, S, o.C, pieces, [&](int64_t piece, int64_t n, int64_t s, int64_t m) {
    A scale[kPixels], up[kPixels], hit[kPixels];  // of the softmax, of the smoothing, at the target
    const int64_t* t = o.target + n * S + s;
    const A* z = lse + n * S + s;
    for (int64_t i = 0; i < m; ++i) {
      const bool counts = o.counts(t[i]);
      const A gi = counts ? g[(n * S + s + i) * g_step] : A(0);
      hit[i] = counts ? gi * o.keep * o.class_weight(t[i]) : A(0);
      up[i] = gi * o.smoothing;
      scale[i] = hit[i] + up[i] * o.weight_sum;
    }
    const int64_t base = o.rows ? s * o.C : n * o.C * o.S + s;
    const T* p = o.x + base;
    T* d = dx + base;
    if (o.rows && !tiled) {
      const int64_t C = o.C;
      for (int64_t i = 0; i < m; ++i, p += C, d += C) {
        const A k = scale[i], l = z[i], u = up[i];
        if (const A* weight = o.weight; smoothing && weight) {
#pragma omp simd
          for (int64_t c = 0; c < C; ++c) put(d[c], k * fn::exp(A(p[c]) - l) - u * weight[c]);
        } else if (smoothing) {
#pragma omp simd
          for (int64_t c = 0; c < C; ++c) put(d[c], k * fn::exp(A(p[c]) - l) - u);
        } else {
#pragma omp simd
          for (int64_t c = 0; c < C; ++c) put(d[c], k * fn::exp(A(p[c]) - l));
        }
        if (!o.counts(t[i])) continue;
        // once more from the start, so that halves round once
        const int64_t c = t[i];
        put(d[c], k * fn::exp(A(p[c]) - l) - u * o.class_weight(c) - hit[i]);
      }
      return;
    }
    if (tiled) {
      // Whole vectors per pixel; what is written too far is the next pixel's to overwrite.
      A *shift = memory.as<A>() + piece * tile_size, *factor = shift + tile_size / 2;
      const int64_t padded = (o.C + 15) / 16 * 16;
      for (int64_t i = 0; i < m; ++i) {
        const A l = z[i], k = scale[i];
        A *q = shift + i * o.C, *r = factor + i * o.C;
#pragma omp simd
        for (int64_t c = 0; c < padded; ++c) q[c] = l, r[c] = k;
      }
      if constexpr (std::is_same_v<T, A>) {
        if (!smoothing) {
#pragma omp simd
          for (int64_t e = 0; e < m * o.C; ++e) d[e] = factor[e] * fn::exp(p[e] - shift[e]);
          for (int64_t i = 0; i < m; ++i)
            if (o.counts(t[i])) d[i * o.C + t[i]] -= hit[i];
          return;
        }
      }
#pragma omp simd
      for (int64_t e = 0; e < m * o.C; ++e) factor[e] *= fn::exp(A(p[e]) - shift[e]);
      for (int64_t i = 0; i < m; ++i) {
        if (!o.counts(t[i])) continue;
        for (int64_t c = 0; smoothing && c < o.C; ++c) factor[i * o.C + c] -= up[i] * o.class_weight(c);
        factor[i * o.C + t[i]] -= hit[i];
      }
#pragma omp simd
      for (int64_t e = 0; e < m * o.C; ++e) put(d[e], factor[e]);
      return;
    }
    for (int64_t c = 0; c < o.C; ++c) {
      const A w = smoothing ? o.class_weight(c) : A(0);
      const T* q = p + c * o.S;
      T* r = d + c * o.S;
#pragma omp simd
      for (int64_t i = 0; i < m; ++i) {
        const A v = scale[i] * fn::exp(A(q[i]) - z[i]) - up[i] * w;
        put(r[i], t[i] == c ? v - hit[i] : v);
      }
    }
  });
}

void cross_entropy(const MutTensorRef& loss, const MutTensorRef& lse, const MutTensorRef& totals,
                   const TensorRef& logits, const TensorRef& target, const TensorRef& weight,
                   const CrossEntropyParams& o) {
  with_floating(logits.dtype, [&]<class T> {
    using A = compute_t<T>;
    forward<T>(loss.as_mut<A>(), lse.as_mut<A>(), totals.as_mut<double>(), Problem<T>(logits, target, weight, o));
  });
  if (totals.as_mut<double>()[2] != 0) bad_target(target, logits.size(1), o.ignore_index);
}

void cross_entropy_backward(const MutTensorRef& dx, const TensorRef& g, const TensorRef& lse, const TensorRef& logits,
                            const TensorRef& target, const TensorRef& weight, const CrossEntropyParams& o) {
  with_floating(logits.dtype, [&]<class T> {
    using A = compute_t<T>;
    backward<T>(dx.as_mut<T>(), g.as<A>(), g.numel > 1 || lse.numel == 1 ? 1 : 0, lse.as<A>(),
                Problem<T>(logits, target, weight, o));
  });
}

}  // namespace

void register_loss() {
  kernels::cross_entropy.set(DeviceType::cpu, cross_entropy);
  kernels::cross_entropy_backward.set(DeviceType::cpu, cross_entropy_backward);
}

}  // namespace WEFT_ISA
}  // namespace weft::cpu
