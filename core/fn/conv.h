// The sizes of a convolution, and which elements its windows see. The same on CPU and CUDA; knows no tensors.
// One type for all instruction sets: every member is inlined.
#pragma once

#include "weft/core/conv_params.h"
#include "weft/core/export.h"

namespace weft::fn {

/// One convolution: x [n, c, in...] with w [o, c / groups, kernel...] gives y [n, o, out...]; the input gradient makes
/// x, the weight gradient w. The spatial axes from `axes` to `Most` have size 1, stride 1 and no padding.
template <int Most> struct ConvGeometry {
  static constexpr int kMostAxes = Most;
  int axes = 0;
  int64_t n = 0, c = 0, o = 0, groups = 1;
  int64_t in[Most], out[Most], kernel[Most], stride[Most], lo[Most], hi[Most], dilation[Most];

  /// Of the shapes of x, w and y, which have `rank` <= Most + 2.
  ConvGeometry(const int64_t* x, const int64_t* w, const int64_t* y, int rank, const ConvParams& p)
      : axes(rank - 2), n(x[0]), c(x[1]), o(y[1]), groups(p.groups) {
    for (int i = 0; i < Most; ++i) {
      const bool real = i < axes;
      in[i] = real ? x[i + 2] : 1, out[i] = real ? y[i + 2] : 1, kernel[i] = real ? w[i + 2] : 1;
      stride[i] = real ? p.stride[i] : 1, dilation[i] = real ? p.dilation[i] : 1;
      lo[i] = real ? p.padding_lo[i] : 0, hi[i] = real ? p.padding_hi[i] : 0;
    }
  }

  WEFT_HD WEFT_INLINE int64_t in_size() const { return product(in); }
  WEFT_HD WEFT_INLINE int64_t out_size() const { return product(out); }
  WEFT_HD WEFT_INLINE int64_t taps() const { return product(kernel); }
  WEFT_HD WEFT_INLINE int64_t group_c() const { return c / groups; }
  WEFT_HD WEFT_INLINE int64_t group_o() const { return o / groups; }
  /// All numbers of v, one of the members, are `value`, which is that of an axis that is not there.
  WEFT_HD WEFT_INLINE bool all(const int64_t (&v)[Most], int64_t value) const {
    for (int i = 0; i < Most; ++i)
      if (v[i] != value) return false;
    return true;
  }
  bool unit_stride() const { return all(stride, 1); }
  /// Every group has one input channel.
  bool depthwise() const { return groups == c && groups > 1; }
  /// The windows lie in memory as a product needs them.
  bool plain() const {
    bool same = taps() == 1 && unit_stride() && all(lo, 0);
    for (int i = 0; i < axes; ++i) same = same && in[i] == out[i];
    return same;
  }
  /// The output sizes are those of a forward convolution (no output padding beyond the stride).
  bool regular() const {
    for (int i = 0; i < axes; ++i)
      if ((in[i] + lo[i] + hi[i] - dilation[i] * (kernel[i] - 1) - 1) / stride[i] + 1 != out[i]) return false;
    return true;
  }

  /// The input position that output position i sees at tap k along an axis, or -1.
  WEFT_HD WEFT_INLINE int64_t seen_input(int axis, int64_t i, int64_t k) const {
    const int64_t at = i * stride[axis] + k * dilation[axis] - lo[axis];
    return at >= 0 && at < in[axis] ? at : -1;
  }
  /// The output position that input position i fed through tap k along an axis, or -1.
  WEFT_HD WEFT_INLINE int64_t fed_output(int axis, int64_t i, int64_t k) const {
    const int64_t at = i + lo[axis] - k * dilation[axis];
    if (at < 0 || at % stride[axis] != 0) return -1;
    return at / stride[axis] < out[axis] ? at / stride[axis] : -1;
  }

 private:
  WEFT_HD WEFT_INLINE static int64_t product(const int64_t (&v)[Most]) {
    int64_t s = 1;
    for (int i = 0; i < Most; ++i) s *= v[i];
    return s;
  }
};

}  // namespace weft::fn
