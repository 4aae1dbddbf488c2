// Moves of memory: tensors side by side, padding, triangles, sliding blocks; and the sums that are their adjoints.
// Every element of a sum is collected by one thread in the order of the CPU's kernel: the same bits.
#pragma once

#include "weft/backends/cuda/walk.cuh"
#include "weft/core/fn/im2col.h"
#include "weft/core/fn/pad.h"

namespace weft::cuda {

inline void cat(const MutTensorRef& out, const TensorRef* in, int count, int dim) {
  int64_t at = 0;
  for (int k = 0; k < count; ++k) {
    if (in[k].numel == 0) continue;
    move(seen_as(out, in[k].shape, out.strides, out.rank, at * out.strides[dim]), in[k]);
    at += in[k].shape[dim];
  }
}

/// Axes in memory order, the outermost first; those that no padding touches are merged.
struct PadWalk {
  PadMode mode;
  int rank = 0;
  fn::PadAxis axis[kMaxRank];
  int64_t small[kMaxRank], large[kMaxRank];  // strides in the unpadded and in the padded tensor

  PadWalk(const TensorRef& unpadded, const TensorRef& padded, const PadParams& p) : mode(p.mode) {
    int order[kMaxRank];
    const int n = fn::memory_order(order, padded.strides, padded.rank);
    for (int k = 0; k < n; ++k) {
      const int i = order[k], last = rank - 1;
      const fn::PadAxis& a = p.axis[i];
      if (a.size == 1 && !a.changes()) continue;
      if (last >= 0 && !a.changes() && !axis[last].changes() && small[last] == unpadded.strides[i] * a.size &&
          large[last] == padded.strides[i] * a.size) {
        axis[last].size *= a.size;
        small[last] = unpadded.strides[i];
        large[last] = padded.strides[i];
        continue;
      }
      axis[rank] = a;
      small[rank] = unpadded.strides[i];
      large[rank++] = padded.strides[i];
    }
  }
};

template <class T> struct PadElement {
  T* out;
  const T* x;
  T value;
  PadWalk walk;
  template <class I> __device__ void operator()(I number) const {
    int64_t from = 0, to = 0;
    bool outside = false;
    for (int i = walk.rank - 1; i >= 0; --i) {
      const int64_t o = fn::take_digit(number, walk.axis[i].out());
      const int64_t s = fn::pad_source(walk.mode, walk.axis[i], o);
      outside = outside || s < 0;
      from += s * walk.small[i];
      to += o * walk.large[i];
    }
    out[to] = outside ? value : x[from];
  }
};
template <class T> void pad(const MutTensorRef& out, const TensorRef& x, const PadParams& p, T value) {
  for_each_number(out.numel, PadElement<T>{out.as_mut<T>(), x.as<T>(), value, PadWalk(x, out, p)});
}

template <class T> struct PadBackwardElement {
  T* gx;
  const T* g;
  PadWalk walk;
  template <class I> __device__ void operator()(I number) const {
    fn::PadTargets targets[kMaxRank];
    int64_t position[kMaxRank], to = 0;
    int range[kMaxRank];
    bool more = true;
    for (int i = walk.rank - 1; i >= 0; --i) {
      const int64_t c = fn::take_digit(number, walk.axis[i].size);
      to += c * walk.small[i];
      targets[i] = fn::pad_targets(walk.mode, walk.axis[i], c);
      more = more && targets[i].count > 0;
      range[i] = 0;
      position[i] = more ? targets[i].begin[0] : 0;
    }
    T sum = 0;
    while (more) {
      int64_t from = 0;
      for (int i = 0; i < walk.rank; ++i) from += position[i] * walk.large[i];
      sum += g[from];
      more = fn::next_targets(targets, walk.rank, position, range);
    }
    gx[to] = sum;
  }
};
template <class T> void pad_backward(const MutTensorRef& gx, const TensorRef& g, const PadParams& p) {
  for_each_number(gx.numel, PadBackwardElement<T>{gx.as_mut<T>(), g.as<T>(), PadWalk(gx, g, p)});
}

template <class T> struct TriangleElement {
  T* y;
  const T* x;
  fn::Axes<1> walk;
  int64_t rows, columns, diagonal;
  bool lower;
  template <class I> __device__ void operator()(I number) const {
    const auto j = static_cast<int64_t>(number % static_cast<I>(columns)),
               i = static_cast<int64_t>(number / static_cast<I>(columns) % static_cast<I>(rows));
    int64_t at[1];
    walk.offsets(number, at);
    y[number] = (lower ? j - i <= diagonal : j - i >= diagonal) ? x[at[0]] : T(0);
  }
};
template <class T> void triangle(const MutTensorRef& y, const TensorRef& x, int64_t diagonal, bool lower) {
  fn::Axes<1> walk;
  for (int i = 0; i < x.rank; ++i) walk.append(x.shape[i], {x.strides[i]});
  for_each_number(y.numel, TriangleElement<T>{y.as_mut<T>(), x.as<T>(), walk, y.size(-2), y.size(-1), diagonal, lower});
}

template <class T> struct UnfoldElement {
  T* columns;
  const T* x;
  SlidingBlocks b;
  int64_t channels, stride[4];
  template <class I> __device__ void operator()(I number) const {
    I rest = number;
    const auto next = [&rest](int64_t size) { return fn::take_digit(rest, size); };
    const int64_t ox = next(b.out[1]), oy = next(b.out[0]), kx = next(b.kernel[1]), ky = next(b.kernel[0]),
                  c = next(channels), iy = fn::block_source(b, 0, oy, ky), ix = fn::block_source(b, 1, ox, kx);
    const bool inside = iy >= 0 && iy < b.size[0] && ix >= 0 && ix < b.size[1];
    columns[number] = inside
                          ? x[static_cast<int64_t>(rest) * stride[0] + c * stride[1] + iy * stride[2] + ix * stride[3]]
                          : T(0);
  }
};
template <class T> void unfold(const MutTensorRef& columns, const TensorRef& x, const SlidingBlocks& b) {
  UnfoldElement<T> f{columns.as_mut<T>(), x.as<T>(), b, x.shape[1], {}};
  for (int i = 0; i < 4; ++i) f.stride[i] = x.strides[i];
  for_each_number(columns.numel, f);
}

template <class T> struct FoldElement {
  T* x;
  const T* columns;
  SlidingBlocks b;
  template <class I> __device__ void operator()(I number) const {
    const I width = static_cast<I>(b.size[1]), height = static_cast<I>(b.size[0]), row = number / width;
    const auto ix = static_cast<int64_t>(number - row * width), plane = static_cast<int64_t>(row / height),
               iy = static_cast<int64_t>(row % height);
    T sum = 0;
    for (int64_t ky = 0; ky < b.kernel[0]; ++ky) {
      const int64_t top = iy + b.padding[0] - ky * b.dilation[0];
      if (top < 0 || top % b.stride[0] != 0 || top / b.stride[0] >= b.out[0]) continue;
      for (int64_t kx = 0; kx < b.kernel[1]; ++kx) {
        const int64_t left = ix + b.padding[1] - kx * b.dilation[1];
        if (left < 0 || left % b.stride[1] != 0 || left / b.stride[1] >= b.out[1]) continue;
        const int64_t tap = (plane * b.kernel[0] + ky) * b.kernel[1] + kx;
        sum += columns[(tap * b.out[0] + top / b.stride[0]) * b.out[1] + left / b.stride[1]];
      }
    }
    x[number] = sum;
  }
};
template <class T> void fold(const MutTensorRef& x, const TensorRef& columns, const SlidingBlocks& b) {
  for_each_number(x.numel, FoldElement<T>{x.as_mut<T>(), columns.as<T>(), b});
}

}  // namespace weft::cuda
