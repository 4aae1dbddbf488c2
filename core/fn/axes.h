// Index spaces over strided memory: the axes of N tensors in memory order, merged where memory allows, and where a
// numbered element lies. Plain arrays, for the CPU's loops and for CUDA kernels. Knows no tensors.
//
//   const auto axes = fn::axes_of<2>(out.shape, {out.strides, x.strides}, out.rank);  // out and x have one shape
//   int64_t at[2];
//   axes.offsets(number, at);  // out[at[0]] and x[at[1]] belong together
#pragma once

#include "weft/core/fn/integer.h"
#include "weft/core/shape.h"

namespace weft::fn {

/// Most axes of an index space: a tensor's, and one that a kernel adds.
inline constexpr int kMaxAxes = kMaxRank + 1;

/// Writes the axes by falling stride, without axis `skip`: the order of memory, the innermost axis last. Axes of equal
/// stride keep their order. Returns the number of axes.
WEFT_INLINE int memory_order(int* order, const int64_t* strides, int rank, int skip = -1) {
  int n = 0;
  for (int i = 0; i < rank; ++i) {
    if (i == skip) continue;
    int j = n++;
    for (; j > 0 && strides[order[j - 1]] < strides[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  return n;
}

/// Axes with their strides in N tensors, the innermost axis last. No axis has size 1, unless at_least_one() made it.
template <int N> struct Axes {
  int rank = 0;
  int64_t shape[kMaxAxes];
  int64_t strides[N][kMaxAxes];  // in elements

  /// Adds an axis inside of all others; it is merged into the last one where all tensors allow. `tensors`: of N.
  WEFT_INLINE void append(int64_t size, const int64_t* s, int tensors) {
    if (size == 1) return;
    bool merge = rank > 0;
    for (int k = 0; merge && k < tensors; ++k) merge = strides[k][rank - 1] == s[k] * size;
    const int at = merge ? rank - 1 : rank++;
    shape[at] = merge ? shape[at] * size : size;
    for (int k = 0; k < tensors; ++k) strides[k][at] = s[k];
  }
  WEFT_INLINE void append(int64_t size, const int64_t (&s)[N]) { append(size, s, N); }

  /// Gives a single element an axis of size 1 and this stride, so that there is an innermost axis.
  WEFT_INLINE void at_least_one(int64_t stride, int tensors = N) {
    if (rank > 0) return;
    rank = 1;
    shape[0] = 1;
    for (int k = 0; k < tensors; ++k) strides[k][0] = stride;
  }

  /// Elements of the index space.
  WEFT_INLINE int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= shape[i];
    return n;
  }
  /// Size and, in tensor k, stride of the innermost axis; 1 and 0 for a single element.
  WEFT_HD WEFT_INLINE int64_t inner_size() const { return rank ? shape[rank - 1] : 1; }
  WEFT_HD WEFT_INLINE int64_t inner(int k) const { return rank ? strides[k][rank - 1] : 0; }
  /// The same axes of tensor k alone.
  WEFT_INLINE Axes<1> of(int k) const {
    Axes<1> a;
    a.rank = rank;
    for (int i = 0; i < rank; ++i) a.shape[i] = shape[i], a.strides[0][i] = strides[k][i];
    return a;
  }

  /// Where position `number` of the first `axes` axes lies in each tensor.
  template <class I> WEFT_HD WEFT_INLINE void offsets(I number, int64_t (&at)[N], int axes) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    WEFT_NO_UNROLL
    for (int i = axes - 1; i > 0; --i) {
      const int64_t here = take_digit(number, shape[i]);
      for (int k = 0; k < N; ++k) at[k] += here * strides[k][i];
    }
    if (axes > 0)
      for (int k = 0; k < N; ++k) at[k] += static_cast<int64_t>(number) * strides[k][0];
  }
  template <class I> WEFT_HD WEFT_INLINE void offsets(I number, int64_t (&at)[N]) const { offsets(number, at, rank); }
  template <class I> WEFT_HD WEFT_INLINE int64_t offset(I number, int axes) const {
    static_assert(N == 1);
    int64_t at[1];
    offsets(number, at, axes);
    return at[0];
  }

  /// Calls f(at) for positions [begin, end) of the first `axes` axes, in order. `tensors`: of N.
  template <class F> WEFT_INLINE void walk(int64_t begin, int64_t end, int axes, int tensors, const F& f) const {
    int64_t index[kMaxAxes], at[N] = {}, rest = begin;
    for (int i = axes - 1; i >= 0; --i) {
      index[i] = take_digit(rest, shape[i]);
      for (int k = 0; k < tensors; ++k) at[k] += index[i] * strides[k][i];
    }
    for (int64_t r = begin; r < end; ++r) {
      f(static_cast<const int64_t*>(at));
      for (int i = axes - 1; i >= 0; --i) {
        ++index[i];
        for (int k = 0; k < tensors; ++k) at[k] += strides[k][i];
        if (index[i] < shape[i]) break;
        for (int k = 0; k < tensors; ++k) at[k] -= index[i] * strides[k][i];
        index[i] = 0;
      }
    }
  }
};

/// The axes of N tensors of one shape in the first one's memory order, without axis `skip`.
template <int N>
WEFT_INLINE Axes<N> axes_of(const int64_t* shape, const int64_t* const (&strides)[N], int rank, int skip = -1) {
  Axes<N> axes;
  int order[kMaxAxes];
  const int n = memory_order(order, strides[0], rank, skip);
  for (int a = 0; a < n; ++a) {
    int64_t s[N];
    for (int k = 0; k < N; ++k) s[k] = strides[k][order[a]];
    axes.append(shape[order[a]], s);
  }
  return axes;
}

/// Axes for kernels that look up many numbers: divisions of numbers below 2^31 are multiplications.
template <int N> struct FastAxes : Axes<N> {
  FastDivisor size[kMaxAxes];

  FastAxes() = default;
  WEFT_INLINE FastAxes(const Axes<N>& axes) : Axes<N>(axes) {
    for (int i = 0; i < axes.rank; ++i)
      if (axes.shape[i] > 0 && axes.shape[i] < (int64_t{1} << 31))
        size[i] = FastDivisor(static_cast<uint32_t>(axes.shape[i]));
  }
  WEFT_HD WEFT_INLINE void offsets(int64_t number, int64_t (&at)[N]) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    WEFT_NO_UNROLL
    for (int i = this->rank - 1; i > 0; --i) {
      int64_t here;
      if (((number | this->shape[i]) >> 31) == 0) {
        auto narrow = static_cast<uint32_t>(number);
        here = take_digit(narrow, size[i]);
        number = narrow;
      } else {
        here = take_digit(number, this->shape[i]);
      }
      for (int k = 0; k < N; ++k) at[k] += here * this->strides[k][i];
    }
    if (this->rank > 0)
      for (int k = 0; k < N; ++k) at[k] += number * this->strides[k][0];
  }
  /// For kernels that number fewer than 2^31 elements.
  WEFT_HD WEFT_INLINE void offsets(uint32_t number, int64_t (&at)[N]) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    WEFT_NO_UNROLL
    for (int i = this->rank - 1; i > 0; --i) {
      const int64_t here = take_digit(number, size[i]);
      for (int k = 0; k < N; ++k) at[k] += here * this->strides[k][i];
    }
    if (this->rank > 0)
      for (int k = 0; k < N; ++k) at[k] += int64_t{number} * this->strides[k][0];
  }
};

/// Axes whose sizes and offsets are all below 2^31: 32-bit arithmetic throughout.
template <int N> struct NarrowAxes {
  int rank = 0;
  FastDivisor size[kMaxAxes];
  uint32_t strides[N][kMaxAxes];

  /// Of the first N tensors of `axes`, with other sizes.
  template <int M> WEFT_INLINE NarrowAxes(const Axes<M>& axes, const int64_t* shape) : rank(axes.rank) {
    static_assert(N <= M);
    for (int i = 0; i < rank; ++i) {
      size[i] = FastDivisor(static_cast<uint32_t>(shape[i]));
      for (int k = 0; k < N; ++k) strides[k][i] = static_cast<uint32_t>(axes.strides[k][i]);
    }
  }
  WEFT_HD WEFT_INLINE void offsets(uint32_t number, uint32_t (&at)[N]) const {
    for (int k = 0; k < N; ++k) at[k] = 0;
    for (int i = rank - 1; i > 0; --i) {
      const uint32_t rest = size[i].divide(number), here = number - rest * size[i].divisor;
      for (int k = 0; k < N; ++k) at[k] += here * strides[k][i];
      number = rest;
    }
    for (int k = 0; k < N; ++k) at[k] += number * strides[k][0];
  }
};

}  // namespace weft::fn
