// f32 convolutions with at most four output channels, where general kernels leave most of each vector empty: sums run
// along the input channels instead. Knows nothing of tensors; what it takes (takes_... in backends/cpu/conv.h) it also
// gets.
#pragma once

#include <cstdint>

namespace weft::cpu::few {

inline constexpr int kMostOutputs = 4;
/// Input channels must be a multiple of this.
inline constexpr int64_t kChannelStep = 16;

/// y [n, od, oh, ow, o] = conv(x [n, d, h, w, c], weight [taps, o, c]) + bias (null: none). Axes: depth, height, width.
struct Problem {
  int64_t n, c, o;
  int64_t in[3], out[3], kernel[3], stride[3], lo[3], dilation[3];
};
extern void (*run)(float* y, const float* x, const float* weight, const float* bias, const Problem& p);

}  // namespace weft::cpu::few
