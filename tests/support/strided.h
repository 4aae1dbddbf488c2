// Tensors of any layout, for tests: gaps, permuted axes, expanded axes.
// Knows Tensor only.
#pragma once

#include <algorithm>
#include <cstring>

#include "weft/core/factory.h"

namespace support {

/// The elements of x, stored with these strides (in elements, 0 for an axis along which all elements are equal),
/// `offset` elements behind the start of the storage. Gaps are filled with bytes that make any float a NaN.
inline weft::Tensor with_strides(const weft::Tensor& x, const weft::Strides& strides, int64_t offset = 0) {
  int64_t last = offset;
  for (int i = 0; i < x.rank(); ++i) last += std::max<int64_t>(x.shape()[i] - 1, 0) * strides[i];
  weft::Tensor base = weft::empty({last + 1}, x.dtype());  // on the host; it moves when it is filled
  char* bytes = static_cast<char*>(base.mut_raw_data());
  const size_t size = weft::itemsize(x.dtype());
  if (x.dtype() == weft::Dtype::boolean) std::memset(bytes, 1, base.nbytes());
  else std::memset(bytes, 0xff, base.nbytes());
  const weft::Tensor plain = x.detach().to(weft::Device()).contiguous();
  const char* from = static_cast<const char*>(plain.raw_data());
  for (int64_t e = 0; e < x.numel(); ++e) {
    int64_t rest = e, at = offset;
    for (int i = x.rank() - 1; i >= 0; --i) {
      at += rest % x.shape()[i] * strides[i];
      rest /= x.shape()[i];
    }
    std::memcpy(bytes + static_cast<size_t>(at) * size, from + static_cast<size_t>(e) * size, size);
  }
  base = base.to(x.device());
  return weft::Tensor(weft::make_ref<weft::TensorImpl>(base.impl()->storage, x.shape(), strides, offset, x.dtype()));
}

/// The same elements in a layout without any order to exploit: every second element of a larger tensor, axes reversed.
inline weft::Tensor scattered(const weft::Tensor& x) {
  weft::Strides s = weft::Strides::filled(x.rank(), 1);
  int64_t step = 2;
  for (int i = 0; i < x.rank(); ++i) {
    s[i] = step;
    step *= std::max<int64_t>(x.shape()[i], 1);
  }
  return with_strides(x, s, 3);
}

/// The same elements with axis 1 fastest (rank >= 3).
inline weft::Tensor channels_last(const weft::Tensor& x) {
  return with_strides(x, weft::channels_last_strides(x.shape()));
}

}  // namespace support
