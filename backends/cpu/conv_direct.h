// f32 weight gradients of convolutions as sums over pixels, with nothing transformed: the outer products of an input
// pixel's channels and an output pixel's stay in registers for a block of pixels. backends/cpu/conv_policy.h says when
// it pays; conv.h has what it takes.
#pragma once

#include "weft/backends/cpu/conv_windows.h"

namespace weft::cpu::direct {

/// The kernel of the best instruction set of this machine.
struct Kernel {
  int64_t lanes = 0;  ///< floats of a vector
  /// dw [o, c, taps]. The order of the sums does not depend on threads.
  void (*weight_grad)(float* dw, const float* x, const float* g, const ConvWindows& p) = nullptr;
};
extern Kernel kernel;

}  // namespace weft::cpu::direct
