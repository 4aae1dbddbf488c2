// softmax and log-softmax along any axis. A line that fits shared memory is read once.
#pragma once

#include "weft/backends/cuda/lines.cuh"
#include "weft/core/dtype.h"
#include "weft/core/fn/math.h"

namespace weft::cuda {

/// `cached`: each thread keeps the elements that it reads in dynamic shared memory (at their places: no other one
/// looks).
template <class T>
__global__ void __launch_bounds__(kBlock)
    softmax_kernel(T* y, const T* x, Lines<2> l, LineThreads threads, int per_block, bool log, bool cached) {
  using C = compute_t<T>;
  WEFT_SHARED(shared, C[kBlock]);
  WEFT_DYN_SHARED(C, cache);
  C* const mine = cached ? cache + threads.line() * l.length : nullptr;
  for (int64_t first = int64_t{blockIdx.x} * per_block; first < l.lines; first += int64_t{gridDim.x} * per_block) {
    const int64_t line = first + threads.line(), length = line < l.lines ? l.length : 0;
    int64_t at[2] = {};
    if (length) l.outer.offsets(line, at);
    C top = fn::lowest<C>(), sum = 0;
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = static_cast<C>(x[at[0] + i * l.stride[0]]);
      if (cached) mine[i] = v;
      top = v > top ? v : top;  // a NaN comes back through the sum
    }
    top = threads.reduce(top, GreaterValue(), shared);
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = fn::exp((cached ? mine[i] : static_cast<C>(x[at[0] + i * l.stride[0]])) - top);
      if (cached && !log) mine[i] = v;
      sum += v;
    }
    sum = threads.reduce(sum, AddValues(), shared);
    const C shift = log ? fn::log(sum) : C(0), scale = log ? C(0) : C(1) / sum;
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      C v = cached ? mine[i] : static_cast<C>(x[at[0] + i * l.stride[0]]);
      if (log) v = v - top - shift;
      else v = (cached ? v : fn::exp(v - top)) * scale;
      y[at[1] + i * l.stride[1]] = static_cast<T>(v);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    softmax_grad_kernel(T* dx, const T* g, const T* y, Lines<3> l, LineThreads threads, int per_block, bool log) {
  using C = compute_t<T>;
  WEFT_SHARED(shared, C[kBlock]);
  for (int64_t first = int64_t{blockIdx.x} * per_block; first < l.lines; first += int64_t{gridDim.x} * per_block) {
    const int64_t line = first + threads.line(), length = line < l.lines ? l.length : 0;
    int64_t at[3] = {};
    if (length) l.outer.offsets(line, at);
    C sum = 0;
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = static_cast<C>(g[at[0] + i * l.stride[0]]);
      sum += log ? v : v * static_cast<C>(y[at[1] + i * l.stride[1]]);
    }
    sum = threads.reduce(sum, AddValues(), shared);
    for (int64_t i = threads.rank(); i < length; i += threads.size) {
      const C v = static_cast<C>(g[at[0] + i * l.stride[0]]), p = static_cast<C>(y[at[1] + i * l.stride[1]]);
      dx[at[2] + i * l.stride[2]] = static_cast<T>(log ? v - fn::exp(p) * sum : (v - sum) * p);
    }
  }
}

template <class T> void run_softmax(const MutTensorRef& y, const TensorRef& x, int dim, bool log) {
  if (x.numel == 0) return;
  const Lines<2> l({&x, &y}, dim);
  const LineThreads threads = LineThreads::of(l);
  const int64_t bytes = l.length * threads.per_block() * static_cast<int64_t>(sizeof(compute_t<T>));
  const bool cached = bytes <= 32 << 10;
  launch(softmax_kernel<T>, grid_for(l.lines, threads.per_block()), kBlock, cached ? static_cast<size_t>(bytes) : 0,
         y.as_mut<T>(), x.as<T>(), l, threads, threads.per_block(), log, cached);
}

template <class T>
void run_softmax_grad(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log) {
  if (y.numel == 0) return;
  const Lines<3> l({&g, &y, &dx}, dim);
  const LineThreads threads = LineThreads::of(l);
  launch(softmax_grad_kernel<T>, grid_for(l.lines, threads.per_block()), kBlock, 0, dx.as_mut<T>(), g.as<T>(),
         y.as<T>(), l, threads, threads.per_block(), log);
}

}  // namespace weft::cuda
