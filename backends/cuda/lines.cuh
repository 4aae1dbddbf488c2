// Kernels that work on whole lines along one axis: how the threads of a block share lines.
#pragma once

#include "weft/backends/cuda/block.cuh"
#include "weft/core/fn/axes.h"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

/// The lines along one axis in N tensors of one shape.
template <int N> struct Lines {
  fn::FastAxes<N> outer;  // the other axes
  int64_t lines, length, stride[N];

  Lines(const TensorRef* const (&t)[N], int dim) {
    length = t[0]->rank ? t[0]->shape[dim] : 1;
    for (int k = 0; k < N; ++k) stride[k] = t[k]->rank ? t[k]->strides[dim] : 1;
    const int64_t* strides[N];
    for (int k = 0; k < N; ++k) strides[k] = t[k]->strides;
    outer = fn::axes_of<N>(t[0]->shape, strides, t[0]->rank, dim);
    lines = outer.count();
  }
  /// Neighbouring lines lie closer to each other than the elements of a line.
  bool beside() const { return outer.rank > 0 && outer.inner(0) < stride[0]; }
};

/// `size` threads (a power of two up to kBlock) share a line, kBlock / size lines a block. Neighbouring threads are
/// neighbours along the line, or (`beside`) on neighbouring lines.
struct LineThreads {
  int size;
  bool beside;
  WEFT_HD WEFT_INLINE int per_block() const { return kBlock / size; }

  /// What is best for lines of this length; `beside`: the lines lie closer to each other than their elements.
  static LineThreads of(int64_t length, bool beside) {
    const int most = beside ? 8 : length <= 1024 ? kWarp : kBlock;
    int size = 1;
    while (size < most && size * 2 <= length) size *= 2;
    return {size, beside};
  }
  template <int N> static LineThreads of(const Lines<N>& l) { return of(l.length, l.beside()); }

  /// Which of the block's lines is the calling thread's, and which of the line's threads it is.
  __device__ WEFT_INLINE int line() const {
    const int t = static_cast<int>(threadIdx.x);
    return beside ? t % (kBlock / size) : t / size;
  }
  __device__ WEFT_INLINE int rank() const {
    const int t = static_cast<int>(threadIdx.x);
    return beside ? t / (kBlock / size) : t % size;
  }
  /// merge over the threads, the same in all its threads. Called by the whole block. `shared`: one per thread.
  template <class T, class Merge> __device__ WEFT_INLINE T reduce(T v, const Merge& merge, T* shared) const {
    if (size == 1) return v;
    if (!beside) {
      if (size == kBlock) return block_reduce(v, merge, shared);
      return from_lane(warp_reduce(v, merge, size), static_cast<int>(threadIdx.x) % kWarp / size * size);
    }
    const int width = kBlock / size, column = line();
    __syncthreads();
    shared[threadIdx.x] = v;
    __syncthreads();
    T r = shared[column];
    for (int i = 1; i < size; ++i) r = merge(r, shared[column + i * width]);
    return r;
  }
};

}  // namespace weft::cuda
