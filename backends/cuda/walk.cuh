// One thread per element: kernels that are a function of an element's number.
// Numbers are 32 bits wide, and so are divisions of them, unless there are 2^31 elements or more.
#pragma once

#include "weft/backends/cuda/elementwise.cuh"
#include "weft/core/fn/axes.h"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

/// Calls f(i) for every i < n.
template <class I, class F> __global__ void __launch_bounds__(kBlock) each_kernel(I n, F f) {
  const I step = static_cast<I>(gridDim.x) * static_cast<I>(blockDim.x);
  for (I i = static_cast<I>(blockIdx.x) * static_cast<I>(blockDim.x) + static_cast<I>(threadIdx.x); i < n; i += step)
    f(i);
}
template <class F> void for_each_number(int64_t n, const F& f) {
  if (n <= 0) return;
  if (n < int64_t{1} << 31) launch(each_kernel<uint32_t, F>, grid_for(n), kBlock, 0, static_cast<uint32_t>(n), f);
  else launch(each_kernel<int64_t, F>, grid_for(n), kBlock, 0, n, f);
}

}  // namespace weft::cuda
