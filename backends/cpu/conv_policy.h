// Which algorithm and layout a convolution gets: the one place where such choices stand. They depend on the problem
// only, never on timings at run time, so that the same inputs give the same bits. Measured with oneDNN 3.2 on Zen 4 and
// Zen 5 (two threads, AVX-512).
#pragma once

#include "weft/backends/cpu/conv.h"

namespace weft::cpu::policy {

/// Weight gradients in f32 of kernels wider than one element run up to 2.4 times faster on blocked features on Zen 5
/// and equally fast on Zen 4, reordering of x and g included, unless there are many channels over small maps, or few
/// output channels. 1x1 and depthwise kernels run 1.5 to 2 times slower for it. bf16 shows no difference.
inline bool blocked_weight_grad(const ConvProblem& p) {
  if (p.dtype != Dtype::f32 || p.o <= 4 || p.groups > 1) return false;
  int64_t taps = 1;
  for (int i = 0; i < p.axes; ++i) taps *= p.kernel[i];
  return taps > 1 && (p.c < 512 || p.o < 512);
}

/// Weight gradients in f32 as sums over pixels, on machines without AVX-512 (Zen 3, two threads): 1.2 to 2.3 times
/// faster than oneDNN's there for strided or dilated windows, and for many channels over small maps. 1x1 kernels are
/// products, and few input channels leave its registers empty.
inline bool direct_weight_grad(const ConvProblem& p, int64_t lanes) {
  return lanes < 16 && p.taps() > 1 && p.c >= 16 && p.o >= 16;
}

// What is never handed to oneDNN 3.2 (docs/onednn.md).

/// A tensor of more elements than 32 bits count: oneDNN before 3.7.1 overflows there.
inline bool too_large(const ConvProblem& p) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 1;
  return p.n * p.c * p.in_size() > kMost || p.n * p.o * p.out_size() > kMost || p.c / p.groups * p.o * p.taps() > kMost;
}

/// Some output's window has no element of the input: oneDNN's forward kernels have crashed on such
/// (uxlfoundation/oneDNN 5942).
inline bool sees_padding_only(const ConvProblem& p) {
  for (int i = 0; i < p.axes; ++i) {
    const int64_t extent = (p.kernel[i] - 1) * p.dilation[i] + 1, last = (p.out[i] - 1) * p.stride[i] - p.lo[i];
    if (p.lo[i] >= extent || last >= p.in[i]) return true;
    if (p.dilation[i] <= p.in[i]) continue;
    // Taps further apart than the input is wide may lie on both sides of it.
    for (int64_t start = -p.lo[i]; start <= last; start += p.stride[i]) {
      const int64_t first = start >= 0 ? start : start % p.dilation[i] == 0 ? 0 : start % p.dilation[i] + p.dilation[i];
      if (first >= p.in[i] || first > start + extent - 1) return true;
    }
  }
  return false;
}

/// bf16 kernels of oneDNN, depthwise ones aside, sum over channels in pairs: the last of an odd number per group is
/// paired with what comes next in memory, a channel of the next pixel. It meets a weight of 0 there; where it is
/// infinite, that makes a NaN of a result that does not depend on it.
inline bool odd_channels(const ConvProblem& p, int64_t summed) {
  const bool depthwise = p.groups > 1 && p.c == p.groups && p.o == p.groups;
  return p.dtype == Dtype::bf16 && !depthwise && summed / p.groups % 2 == 1;
}

/// The same of fewer than 16 channels of one group: forward kernels read neighbouring pixels along with them, to fill a
/// register.
inline bool reads_beside_window(const ConvProblem& p) {
  return odd_channels(p, p.c) || (p.dtype == Dtype::bf16 && p.groups == 1 && p.c < 16);
}

inline bool own_forward(const ConvProblem& p) { return reads_beside_window(p) || sees_padding_only(p); }

inline bool own_input_grad(const ConvProblem& p) { return odd_channels(p, p.o); }

/// oneDNN's weight gradient of strided 1x1 kernels over channels-last features writes past its workspace where there
/// are fewer channels than a block has (uxlfoundation/oneDNN 6035): 16 with AVX-512; below it, none of that kind is
/// handed over.
inline bool own_weight_grad(const ConvProblem& p, bool avx512) {
  bool strided = false;
  for (int i = 0; i < p.axes; ++i) strided = strided || p.stride[i] > 1;
  return p.taps() == 1 && strided && (!avx512 || p.c / p.groups < 16);
}

/// 4x4 tiles of all planes of the batch.
inline int64_t winograd_tiles(const ConvProblem& p) {
  int64_t tiles = p.axes == 3 ? p.n * p.out[0] : p.n;
  for (int i = p.axes - 2; i < p.axes; ++i)
    tiles *= p.dilation[i] * ((p.out[i] + 4 * p.dilation[i] - 1) / p.dilation[i] / 4);
  return tiles;
}
/// Winograd's transforms pay (1.2 to 2.4 times over the direct form on Zen 5, the weight's transform included) from 24
/// channels on, where the tiles are not mostly edge (7 outputs of a tile's 16 lose, 11 win), and where there are tiles
/// enough to make up for the transform of the weight: 16 tiles lose. Not where the caller wants direct sums.
inline bool winograd(const ConvProblem& p) {
  if (p.algorithm == ConvAlgorithm::direct || p.c < 24 || p.o < 24) return false;
  const int64_t tiles = winograd_tiles(p);
  return tiles >= 32 && p.n * p.out_size() >= 10 * tiles;
}
/// A transformed weight has four times as many numbers. Where the transformed inputs of all tiles take less room, the
/// weight is transformed on the way to the products, in the caches, and neither written to memory nor kept: as fast as
/// a weight that was kept at 256 channels, 1.3 times faster at 512, and ResNet-18 holds 60 MB less.
inline bool winograd_streamed(const ConvProblem& p) { return p.axes == 2 && winograd_tiles(p) <= p.o; }
/// Weight gradients, whose sums of products are as large as the weight times 4 and kept while they are added to: with
/// few tiles for more than 256 x 256 of them that costs more than it spares.
inline bool winograd_weight_grad(const ConvProblem& p) {
  return winograd(p) && p.c <= 512 && p.o <= 512 && (p.c * p.o <= 256 * 256 || winograd_tiles(p) >= 64);
}

}  // namespace weft::cpu::policy
