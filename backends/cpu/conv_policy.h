// Which algorithm and layout a convolution gets: the one place where such choices stand. They depend on the problem only,
// never on timings at run time, so that the same inputs give the same bits.
// Measured with oneDNN 3.2 on Zen 5 (two threads, AVX-512).
#pragma once

#include "weft/backends/cpu/conv.h"

namespace weft::cpu::policy {

/// Weight gradients in f32 run 1.2 to 2.4 times faster on blocked features, which pays for reordering x and g unless there
/// are many channels over small maps, or few output channels. bf16 shows no difference.
inline bool blocked_weight_grad(const ConvProblem& p) {
  if (p.dtype != Dtype::f32 || p.o <= 4) return false;
  return p.c < 512 || p.o < 512;
}

/// Winograd's transforms pay from 32 channels on and where maps are not mostly edge: 1.6 to 2.4 times over the direct form.
inline bool winograd(const ConvProblem& p) {
  if (p.c < 32 || p.o < 32) return false;
  return p.out[p.axes - 1] >= 14 && p.out[p.axes - 2] >= 14;
}
/// The same for weight gradients, whose sums of products are as large as the weight times 4: few channels over large maps.
inline bool winograd_weight_grad(const ConvProblem& p) {
  return winograd(p) && p.c <= 256 && p.o <= 256 && p.out[p.axes - 1] >= 28 && p.out[p.axes - 2] >= 28;
}

}  // namespace weft::cpu::policy
