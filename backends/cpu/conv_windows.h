// The sizes of a convolution as the kernels of simd/ take them. Knows nothing of tensors.
#pragma once

#include <cstdint>

namespace weft::cpu {

/// One group: y [n, out..., o] of x [n, in..., c]. Axes: depth, height, width; those that are not there have size 1.
struct ConvWindows {
  int64_t n, c, o;
  int64_t in[3], out[3], kernel[3], stride[3], lo[3], dilation[3];
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

}  // namespace weft::cpu
