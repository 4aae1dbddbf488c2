// Cross-entropy of logits [N, C, S] with class indices, channels-last or contiguous. A target that is out of range is
// reported, counts as if it were ignored, and is never used as an index.
#pragma once

#include "weft/backends/cuda/fault.cuh"
#include "weft/backends/cuda/lines.cuh"
#include "weft/backends/cuda/reduce.cuh"
#include "weft/core/fn/math.h"
#include "weft/core/loss_params.h"

namespace weft::cuda {

template <class T> struct CrossEntropy {
  using A = compute_t<T>;
  const T* x;
  const int64_t* target;
  const A* weight;                 // may be null
  int64_t classes, pixels, plane;  // plane: pixels of a sample; 0 where the classes of a pixel lie side by side
  int64_t ignore;
  A keep, smoothing;  // 1 - smoothing, smoothing / C

  CrossEntropy(const TensorRef& logits, const TensorRef& t, const TensorRef& w, const CrossEntropyParams& o)
      : x(logits.as<T>()),
        target(t.as<int64_t>()),
        weight(w.as<A>()),
        classes(logits.size(1)),
        pixels(t.numel),
        plane(logits.size(0) ? t.numel / logits.size(0) : 0),
        ignore(o.ignore_index),
        keep(static_cast<A>(1 - o.label_smoothing)),
        smoothing(static_cast<A>(o.label_smoothing / static_cast<double>(logits.size(1)))) {
    if (plane == 1 || (classes > 1 && logits.stride(1) == 1)) plane = 0;
  }
  /// Class 0 of a pixel, and the step to the next class.
  __device__ WEFT_INLINE int64_t first(int64_t pixel) const {
    return plane == 0 ? pixel * classes : pixel / plane * classes * plane + pixel % plane;
  }
  __device__ WEFT_INLINE int64_t step() const { return plane == 0 ? 1 : plane; }
  __device__ WEFT_INLINE A class_weight(int64_t c) const { return weight ? weight[c] : A(1); }
  __device__ WEFT_INLINE bool in_range(int64_t t) const { return t >= 0 && t < classes; }
  LineThreads threads() const { return LineThreads::of(classes, plane != 0); }
};

/// Sum of the weights; called by the whole block.
template <class T> __device__ WEFT_INLINE compute_t<T> weight_sum(const CrossEntropy<T>& o) {
  WEFT_SHARED(sums, double[kBlock / kWarp]);
  if (!o.weight) return static_cast<compute_t<T>>(o.classes);
  double sum = 0;
  for (int64_t c = threadIdx.x; c < o.classes; c += kBlock) sum += static_cast<double>(o.weight[c]);
  return static_cast<compute_t<T>>(block_reduce(sum, AddValues(), sums));
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    cross_entropy_kernel(compute_t<T>* loss, compute_t<T>* lse, CrossEntropy<T> o, LineThreads threads, int per_block,
                         Fault* fault, int32_t site) {
  using A = compute_t<T>;
  WEFT_SHARED(shared, A[kBlock]);
  const bool smooth = o.smoothing != A(0);
  const A all_weights = smooth ? weight_sum(o) : A(0);
  for (int64_t base = int64_t{blockIdx.x} * per_block; base < o.pixels; base += int64_t{gridDim.x} * per_block) {
    const int64_t pixel = base + threads.line();
    const bool mine = pixel < o.pixels;
    const int64_t step = o.step(), classes = mine ? o.classes : 0;
    const T* x = o.x + (mine ? o.first(pixel) : 0);
    A top = fn::lowest<A>(), sum = 0, weighted = 0;
    for (int64_t c = threads.rank(); c < classes; c += threads.size) {
      const A v = static_cast<A>(x[c * step]);
      top = v > top ? v : top;
    }
    top = threads.reduce(top, GreaterValue(), shared);
    for (int64_t c = threads.rank(); c < classes; c += threads.size) {
      const A v = static_cast<A>(x[c * step]);
      sum += fn::exp(v - top);
      if (smooth) weighted += o.class_weight(c) * v;
    }
    sum = threads.reduce(sum, AddValues(), shared);
    if (smooth) weighted = threads.reduce(weighted, AddValues(), shared);
    if (!mine || threads.rank() != 0) continue;
    const A z = top + fn::log(sum);
    lse[pixel] = z;
    const int64_t t = o.target[pixel];
    A v = 0;
    if (t != o.ignore) {
      if (o.in_range(t)) {
        v = o.keep * o.class_weight(t) * (z - static_cast<A>(x[t * step]));
        if (smooth) v += o.smoothing * (all_weights * z - weighted);
      } else {
        report_fault(fault, site, t, o.classes);
      }
    }
    loss[pixel] = v;
  }
}

/// Sum of the losses, of the weights, and of targets that are out of range.
struct LossTotals {
  double loss, weight, bad;
};
template <class T> struct TotalLoss {
  using Value = compute_t<T>;
  using Accumulator = LossTotals;
  CrossEntropy<T> o;
  double* out;
  __device__ WEFT_INLINE LossTotals init() const { return {0, 0, 0}; }
  __device__ WEFT_INLINE LossTotals step(LossTotals a, Value loss, int64_t pixel) const {
    const int64_t t = o.target[pixel];
    if (t == o.ignore) return a;
    if (!o.in_range(t)) return {a.loss, a.weight, a.bad + 1};
    return {a.loss + static_cast<double>(loss), a.weight + static_cast<double>(o.class_weight(t)), a.bad};
  }
  __device__ WEFT_INLINE LossTotals merge(LossTotals a, LossTotals b) const {
    return {a.loss + b.loss, a.weight + b.weight, a.bad + b.bad};
  }
  __device__ WEFT_INLINE void write(int64_t, LossTotals a) const {
    out[0] = a.loss;
    out[1] = a.weight;
    out[2] = a.bad;
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    cross_entropy_backward_kernel(T* dx, const compute_t<T>* g, int64_t g_step, const compute_t<T>* lse,
                                  CrossEntropy<T> o, LineThreads threads, int per_block) {
  using A = compute_t<T>;
  const bool smooth = o.smoothing != A(0);
  const A all_weights = smooth ? weight_sum(o) : A(0);
  for (int64_t base = int64_t{blockIdx.x} * per_block; base < o.pixels; base += int64_t{gridDim.x} * per_block) {
    const int64_t pixel = base + threads.line();
    if (pixel >= o.pixels) continue;
    const int64_t t = o.target[pixel], step = o.step(), first = o.first(pixel);
    const bool counts = t != o.ignore && o.in_range(t);
    const A gi = counts ? g[pixel * g_step] : A(0), z = lse[pixel],
            hit = counts ? gi * o.keep * o.class_weight(t) : A(0), up = gi * o.smoothing,
            scale = hit + up * all_weights;
    for (int64_t c = threads.rank(); c < o.classes; c += threads.size) {
      A v = scale * fn::exp(static_cast<A>(o.x[first + c * step]) - z);
      if (smooth) v -= up * o.class_weight(c);
      if (counts && c == t) v -= hit;
      dx[first + c * step] = static_cast<T>(v);
    }
  }
}

template <class T>
void run_cross_entropy(const MutTensorRef& loss, const MutTensorRef& lse, const MutTensorRef& totals,
                       const TensorRef& logits, const TensorRef& target, const TensorRef& weight,
                       const CrossEntropyParams& params) {
  using A = compute_t<T>;
  const CrossEntropy<T> o(logits, target, weight, params);
  const LineThreads threads = o.threads();
  if (o.pixels > 0)
    launch(cross_entropy_kernel<T>, grid_for(o.pixels, threads.per_block()), kBlock, 0, loss.as_mut<A>(),
           lse.as_mut<A>(), o, threads, threads.per_block(), fault(), fault_site("cross_entropy", 1));
  fn::Axes<1> pixels;
  pixels.append(o.pixels, {1});
  run_reduce(TotalLoss<T>{o, totals.as_mut<double>()}, loss, {}, pixels);
}

template <class T>
void run_cross_entropy_backward(const MutTensorRef& dx, const TensorRef& g, const TensorRef& lse,
                                const TensorRef& logits, const TensorRef& target, const TensorRef& weight,
                                const CrossEntropyParams& params) {
  using A = compute_t<T>;
  const CrossEntropy<T> o(logits, target, weight, params);
  if (o.pixels == 0) return;
  const LineThreads threads = o.threads();
  launch(cross_entropy_backward_kernel<T>, grid_for(o.pixels, threads.per_block()), kBlock, 0, dx.as_mut<T>(),
         g.as<A>(), g.numel > 1 || lse.numel == 1 ? 1 : 0, lse.as<A>(), o, threads, threads.per_block());
}

}  // namespace weft::cuda
