// Index maths of sliding blocks in two dimensions (im2col and col2im).
// Knows no tensors.
#pragma once

#include "weft/core/fn/integer.h"

namespace weft {

/// Blocks of kernel[0] x kernel[1] elements of images of size[0] x size[1]; out[d] positions along axis d: (size + 2
/// padding - dilation (kernel - 1) - 1) / stride + 1.
struct SlidingBlocks {
  int64_t size[2], kernel[2], stride[2], padding[2], dilation[2], out[2];
};

namespace fn {
inline namespace WEFT_ISA {

/// Image coordinate of tap k of block o; may lie outside of [0, size) by the padding.
WEFT_HD WEFT_INLINE int64_t block_source(const SlidingBlocks& b, int d, int64_t o, int64_t k) {
  return o * b.stride[d] - b.padding[d] + k * b.dilation[d];
}
/// Blocks [begin, end) whose tap k lies inside the image.
WEFT_HD WEFT_INLINE void block_range(const SlidingBlocks& b, int d, int64_t k, int64_t& begin, int64_t& end) {
  const int64_t first = b.padding[d] - k * b.dilation[d];  // o * stride >= first
  const int64_t last = b.size[d] - 1 + first;              // o * stride <= last
  begin = first <= 0 ? 0 : ceil_div(first, b.stride[d]);
  end = last < 0 ? 0 : last / b.stride[d] + 1;
  if (end > b.out[d]) end = b.out[d];
  if (begin > end) begin = end;
}

}  // namespace WEFT_ISA
}  // namespace fn
}  // namespace weft
