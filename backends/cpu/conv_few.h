// f32 convolutions with at most four output channels, where general kernels leave most of each vector empty: sums run
// along the input channels instead. Knows nothing of tensors; what it takes (takes_... in backends/cpu/conv.h) it also
// gets.
#pragma once

#include "weft/backends/cpu/conv_windows.h"

namespace weft::cpu::few {

inline constexpr int kMostOutputs = 4;
/// Input channels must be a multiple of this.
inline constexpr int64_t kChannelStep = 16;

/// y [n, od, oh, ow, o] = conv(x [n, d, h, w, c], weight [taps, o, c]) + bias (null: none).
extern void (*run)(float* y, const float* x, const float* weight, const float* bias, const ConvWindows& p);

}  // namespace weft::cpu::few
