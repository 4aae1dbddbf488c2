// Some axes of one tensor, or of two together, as an index space: merged where memory allows, 64-bit sizes.
#pragma once

#include "weft/backends/cuda/plan.cuh"

namespace weft::cuda {

/// Axes with strides in N tensors; in index order the innermost axis (number 0) is that of the first tensor's smallest stride.
template <int N> struct Axes {
  int rank = 0;
  int64_t shape[kMaxRank], stride[N][kMaxRank];
  FastDivisor size[kMaxRank];

  /// Puts an axis at its place.
  void add(int64_t n, const int64_t (&strides)[N]) {
    if (n == 1) return;
    int j = rank++;
    for (; j > 0 && stride[0][j - 1] > strides[0]; --j) {
      shape[j] = shape[j - 1];
      for (int k = 0; k < N; ++k) stride[k][j] = stride[k][j - 1];
    }
    shape[j] = n;
    for (int k = 0; k < N; ++k) stride[k][j] = strides[k];
  }
  /// To be called once after the last axis.
  void merge() {
    int r = 0;
    for (int i = 1; i < rank; ++i) {
      bool one = true;
      for (int k = 0; k < N; ++k) one = one && stride[k][i] == stride[k][r] * shape[r];
      if (one) {
        shape[r] *= shape[i];
        continue;
      }
      shape[++r] = shape[i];
      for (int k = 0; k < N; ++k) stride[k][r] = stride[k][i];
    }
    if (rank) rank = r + 1;
    for (int i = 0; i < rank; ++i)
      if (shape[i] > 0 && shape[i] < (int64_t{1} << 31)) size[i] = FastDivisor(static_cast<uint32_t>(shape[i]));
  }
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= shape[i];
    return n;
  }
  /// Stride of tensor k along the innermost axis; of a single element: 0.
  int64_t inner(int k) const { return rank ? stride[k][0] : 0; }

  /// Where element `index` lies.
  WEFT_HD WEFT_INLINE void offsets(int64_t index, int64_t (&at)[N]) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    for (int i = 0; i < rank; ++i) {
      int64_t here = index;
      if (i + 1 < rank) {
        if (((index | shape[i]) >> 31) == 0) {
          const auto n = static_cast<uint32_t>(index);
          const uint32_t rest = size[i].divide(n);
          here = n - rest * size[i].divisor;
          index = rest;
        } else {
          const int64_t rest = index / shape[i];
          here = index - rest * shape[i];
          index = rest;
        }
      }
      for (int k = 0; k < N; ++k) at[k] += here * stride[k][i];
    }
  }
};

/// Those of tensor k alone, in the same order.
template <int N> Axes<1> axes_of(const Axes<N>& all, int k) {
  Axes<1> a;
  a.rank = all.rank;
  for (int i = 0; i < all.rank; ++i) {
    a.shape[i] = all.shape[i];
    a.size[i] = all.size[i];
    a.stride[0][i] = all.stride[k][i];
  }
  return a;
}

/// The axes of x that are in the bit mask, or those that are not.
inline Axes<1> axes_of(const TensorRef& x, uint32_t mask) {
  Axes<1> a;
  for (int i = 0; i < x.rank; ++i)
    if (mask >> i & 1) a.add(x.shape[i], {x.strides[i]});
  a.merge();
  return a;
}
inline Axes<2> axes_of(const TensorRef& x, const TensorRef& y, uint32_t mask) {
  Axes<2> a;
  for (int i = 0; i < x.rank; ++i)
    if (mask >> i & 1) a.add(x.shape[i], {x.strides[i], y.strides[i]});
  a.merge();
  return a;
}

}  // namespace weft::cuda
