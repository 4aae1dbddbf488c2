// Layout of features [N, C, S...] for kernels that take NCHW or channels-last memory, nothing else.
// Internal: not part of the public headers.
#pragma once

#include "weft/core/tensor.h"

namespace weft::detail {

/// x itself if it is contiguous or channels-last, a copy otherwise (channels-last for 2-d and 3-d features).
inline Tensor plain_features(const Tensor& x) {
  if (x.is_contiguous() || (x.rank() >= 3 && x.is_channels_last())) return x;
  return x.contiguous(x.rank() >= 4 ? MemoryFormat::channels_last : MemoryFormat::contiguous);
}
/// t in the layout of x, which plain_features gave.
inline Tensor layout_of(const Tensor& x, const Tensor& t) {
  if (!t.defined()) return t;
  return t.contiguous(x.is_contiguous() ? MemoryFormat::contiguous : MemoryFormat::channels_last);
}
/// x [N, C, spatial...] as [N, C, D, H, W], stored channels-last.
inline Tensor volume(const Tensor& x) {
  Shape s = x.shape();
  while (s.size() < 5) s.insert(2, 1);
  return x.reshape(s).contiguous(MemoryFormat::channels_last);
}

}  // namespace weft::detail
