// Tensors in the memory order that a kernel needs: as they are where they have it, else copied.
// For kernels of every device.
#pragma once

#include "weft/core/tensor_ref.h"

namespace weft {

inline Shape shape_of(const TensorRef& t) {
  return Shape(std::span<const int64_t>(t.shape, static_cast<size_t>(t.rank)));
}

/// t has these strides; axes of size 1 do not matter.
inline bool has_strides(const TensorRef& t, const int64_t* strides) {
  for (int i = 0; i < t.rank; ++i)
    if (t.shape[i] != 1 && t.strides[i] != strides[i]) return false;
  return true;
}

/// The elements of t as `dtype` with these strides, which leave no gaps: t's own memory where it fits, else `scratch`,
/// which copy(dst, t) fills.
template <class Scratch, class Copy>
const void* dense(const TensorRef& t, const int64_t* strides, Dtype dtype, Scratch& scratch, const Copy& copy) {
  if (t.dtype == dtype && has_strides(t, strides)) return t.data;
  scratch.reset(static_cast<size_t>(t.numel) * itemsize(dtype));
  copy(mut_ref(scratch.as(), dtype, t.shape, strides, t.rank), t);
  return scratch.as();
}
/// The same in row-major order; an undefined t gives null.
template <class Scratch, class Copy>
const void* dense_contiguous(const TensorRef& t, Dtype dtype, Scratch& scratch, const Copy& copy) {
  if (!t.defined()) return nullptr;
  return dense(t, contiguous_strides(shape_of(t)).data(), dtype, scratch, copy);
}
/// The same in channels-last order (n, spatial..., c); rank >= 3.
template <class Scratch, class Copy>
const void* dense_channels_last(const TensorRef& t, Dtype dtype, Scratch& scratch, const Copy& copy) {
  return dense(t, channels_last_strides(shape_of(t)).data(), dtype, scratch, copy);
}

}  // namespace weft
