// One thread per element: kernels that are a function of an element's number, and the walk that turns a number into places
// in a few tensors. Sizes may exceed 32 bits; where they do not, divisions are narrow.
#pragma once

#include "weft/backends/cuda/copy.cuh"
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

/// The last digit of `number` in base `size`; what is left takes its place.
template <class I> __device__ WEFT_INLINE int64_t take_digit(I& number, int64_t size) {
  const I rest = number / static_cast<I>(size), digit = number - rest * static_cast<I>(size);
  number = rest;
  return static_cast<int64_t>(digit);
}
__device__ WEFT_INLINE int64_t take_digit(uint32_t& number, const FastDivisor& size) {
  const uint32_t rest = size.divide(number), digit = number - rest * size.divisor;
  number = rest;
  return static_cast<int64_t>(digit);
}

/// The axes of an index space, the outermost first, with the strides of N tensors. Neighbours are merged where all allow.
template <int N> struct Walk {
  int rank = 0;
  int64_t size[kMaxRank + 1], stride[N][kMaxRank + 1];

  void add(int64_t n, const int64_t (&s)[N]) {
    if (n == 1) return;
    bool merge = rank > 0;
    for (int k = 0; k < N && merge; ++k) merge = stride[k][rank - 1] == s[k] * n;
    const int at = merge ? rank - 1 : rank++;
    size[at] = merge ? size[at] * n : n;
    for (int k = 0; k < N; ++k) stride[k][at] = s[k];
  }
  template <class I> __device__ void offsets(I number, int64_t (&at)[N]) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    for (int i = rank - 1; i > 0; --i) {
      const I rest = number / static_cast<I>(size[i]), here = number - rest * static_cast<I>(size[i]);
      for (int k = 0; k < N; ++k) at[k] += static_cast<int64_t>(here) * stride[k][i];
      number = rest;
    }
    if (rank > 0)
      for (int k = 0; k < N; ++k) at[k] += static_cast<int64_t>(number) * stride[k][0];
  }
};

/// Axes of `t` by falling stride, without axis `skip`: the order in which its memory is walked.
inline int memory_order(int* order, const TensorRef& t, int skip = -1) {
  int n = 0;
  for (int i = 0; i < t.rank; ++i) {
    if (i == skip) continue;
    int j = n++;
    for (; j > 0 && t.strides[order[j - 1]] < t.strides[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  return n;
}

}  // namespace weft::cuda
