// Which inputs a pooling window covers, along one axis, and which windows cover an input.
// The same arithmetic on CPU and CUDA; knows no tensors.
#pragma once

#include "weft/core/fn/integer.h"

namespace weft::fn {

/// One axis of a pooling. Window o is the inputs start(o) + k dilation for k in [first(o), last(o)), all of them real.
/// Adaptive: window o covers [floor(o in / out), ceil((o + 1) in / out)).
/// Part of kernels' signatures, so the same type in every instruction set: all members are inlined.
struct PoolAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, pad_lo = 0, pad_hi = 0, dilation = 1;
  bool adaptive = false;  // kernel is then the longest window

  WEFT_HD WEFT_INLINE int64_t start(int64_t o) const { return adaptive ? o * in / out : o * stride - pad_lo; }
  WEFT_HD WEFT_INLINE int64_t first(int64_t o) const {
    const int64_t s = start(o);
    return s >= 0 ? 0 : ceil_div(-s, dilation);
  }
  WEFT_HD WEFT_INLINE int64_t last(int64_t o) const {
    if (adaptive) return ceil_div((o + 1) * in, out) - start(o);
    const int64_t room = ceil_div(in - start(o), dilation);
    return room < kernel ? room : kernel;
  }
  /// Elements of window o, padding included but not what ceil_mode hangs over it.
  WEFT_HD WEFT_INLINE int64_t padded_size(int64_t o) const {
    if (adaptive) return last(o);
    const int64_t s = start(o), end = s + kernel < in + pad_hi ? s + kernel : in + pad_hi;
    return end - s;
  }
  /// Windows [first_window(i), last_window(i)) are those that may cover input i; tap() tells whether one does.
  WEFT_HD WEFT_INLINE int64_t first_window(int64_t i) const {
    if (adaptive) return i * out / in;
    const int64_t reach = i + pad_lo - (kernel - 1) * dilation;
    return reach <= 0 ? 0 : ceil_div(reach, stride);
  }
  WEFT_HD WEFT_INLINE int64_t last_window(int64_t i) const {
    if (adaptive) return ceil_div((i + 1) * out, in);
    const int64_t end = (i + pad_lo) / stride + 1;
    return end < out ? end : out;
  }
  /// The k for which window o has input i, or -1.
  WEFT_HD WEFT_INLINE int64_t tap(int64_t o, int64_t i) const {
    const int64_t d = i - start(o);
    return d >= 0 && d % dilation == 0 ? d / dilation : -1;
  }
};

/// A pooling over depth, height and width; axes that are not there have size 1.
struct PoolGeometry {
  PoolAxis axis[3];
  WEFT_HD WEFT_INLINE int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
};

}  // namespace weft::fn
