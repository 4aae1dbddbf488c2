// The CUDA kernel and, beside it, the host code that starts it. No CUDA header: nvcc compiles this file for the card,
// the host compiler for the tests. Its .cu file is
//
//   #include "weft/backends/cuda/line_shares.cuh"
//   #include "weft/backends/cuda/register.h"
//   namespace weft::cuda {
//   void register_line_shares() { kernels::line_shares.set(DeviceType::cuda, line_shares); }
//   }
#pragma once

#include "skeleton/kernel.h"
#include "weft/backends/cuda/lines.cuh"

namespace weft::cuda {

/// `threads` share a line, `per_block` lines a block; blocks go on by the grid until no line is left.
template <class T>
__global__ void __launch_bounds__(kBlock)
    line_shares_kernel(T* y, const T* x, Lines<2> lines, LineThreads threads, int per_block) {
  using C = compute_t<T>;
  WEFT_SHARED(shared, C[kBlock]);
  const fn::LineShare f;
  for (int64_t first = int64_t{blockIdx.x} * per_block; first < lines.lines; first += int64_t{gridDim.x} * per_block) {
    // A thread without a line has length 0, and still reaches every barrier.
    const int64_t line = first + threads.line(), length = line < lines.lines ? lines.length : 0;
    int64_t at[2] = {};
    if (length) lines.outer.offsets(line, at);
    C sum = 0;
    for (int64_t i = threads.rank(); i < length; i += threads.size)
      sum = f.step(sum, static_cast<C>(x[at[1] + i * lines.stride[1]]));
    sum = threads.reduce(sum, AddValues(), shared);
    for (int64_t i = threads.rank(); i < length; i += threads.size)
      y[at[0] + i * lines.stride[0]] = static_cast<T>(f.finish(sum, static_cast<C>(x[at[1] + i * lines.stride[1]])));
  }
}

inline void line_shares(const MutTensorRef& y, const TensorRef& x, int dim) {
  if (x.numel == 0) return;
  const Lines<2> lines({&y, &x}, dim);
  const LineThreads threads = LineThreads::of(lines);
  dispatch_floating(x.dtype, "line_shares", [&]<class T> {
    launch(line_shares_kernel<T>, grid_for(lines.lines, threads.per_block()), kBlock, 0, y.as_mut<T>(), x.as<T>(),
           lines, threads, threads.per_block());
  });
}

}  // namespace weft::cuda
