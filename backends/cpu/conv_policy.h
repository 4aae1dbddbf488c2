// Which algorithm and layout a convolution gets: the one place where such choices stand. They depend on the problem only,
// never on timings at run time, so that the same inputs give the same bits.
// Measured with oneDNN 3.2 on Zen 4 and Zen 5 (two threads, AVX-512).
#pragma once

#include "weft/backends/cpu/conv.h"

namespace weft::cpu::policy {

/// Weight gradients in f32 of kernels wider than one element run up to 2.4 times faster on blocked features on Zen 5 and
/// equally fast on Zen 4, reordering of x and g included, unless there are many channels over small maps, or few output
/// channels. 1x1 and depthwise kernels run 1.5 to 2 times slower for it. bf16 shows no difference.
inline bool blocked_weight_grad(const ConvProblem& p) {
  if (p.dtype != Dtype::f32 || p.o <= 4 || p.groups > 1) return false;
  int64_t taps = 1;
  for (int i = 0; i < p.axes; ++i) taps *= p.kernel[i];
  return taps > 1 && (p.c < 512 || p.o < 512);
}

/// bf16 kernels of oneDNN take channels in pairs, and those for fewer than 16 channels (of one group) read neighbouring pixels
/// along with them, to fill a register. What lies beyond the window meets a weight of 0 there; where it is infinite, that makes
/// a NaN of an output that does not depend on it. None of that kind is handed to oneDNN.
inline bool own_forward(const ConvProblem& p) {
  return p.dtype == Dtype::bf16 && p.groups == 1 && (p.c < 16 || p.c % 2 == 1);
}

/// oneDNN 3.2's weight gradient of strided 1x1 kernels is wrong below AVX-512 for some channel counts (uxlfoundation/oneDNN
/// 6035), so that none of that kind is handed to it there.
inline bool own_weight_grad(const ConvProblem& p, bool avx512) {
  if (avx512) return false;
  int64_t taps = 1;
  bool strided = false;
  for (int i = 0; i < p.axes; ++i) taps *= p.kernel[i], strided = strided || p.stride[i] > 1;
  return taps == 1 && strided;
}

/// 4x4 tiles of all planes of the batch.
inline int64_t winograd_tiles(const ConvProblem& p) {
  const int64_t planes = p.axes == 3 ? p.n * p.out[0] : p.n;
  return planes * ((p.out[p.axes - 2] + 3) / 4) * ((p.out[p.axes - 1] + 3) / 4);
}
/// Winograd's transforms pay (1.3 to 3 times over the direct form) from 24 channels on, where maps are not mostly edge, and
/// where there are tiles enough to make up for the transform of the weight: 256 channels at 14x14 lose with 16 tiles
/// (1.6 against 1.0 ms) and win with 128 (4.6 against 9.4 ms).
inline bool winograd(const ConvProblem& p) {
  if (p.c < 24 || p.o < 24) return false;
  return p.out[p.axes - 1] >= 14 && p.out[p.axes - 2] >= 14 && winograd_tiles(p) >= 48;
}
/// The same for weight gradients, whose sums of products are as large as the weight times 4.
inline bool winograd_weight_grad(const ConvProblem& p) {
  return winograd(p) && p.c >= 32 && p.o >= 32 && p.c <= 512 && p.o <= 512;
}

}  // namespace weft::cpu::policy
