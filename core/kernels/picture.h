// The slot of pictures in bytes.
#pragma once

#include "weft/core/kernels.h"

namespace weft {

/// For each output of an axis: where its inputs begin, how many they are, and their weights.
struct ByteTaps {
  const int64_t *begin, *count;  ///< begin[i] + count[i] is at most the axis' length
  const int16_t* weights;        ///< `width` apart, in units of 2^-precision, filled up with zeros
  int64_t width;                 ///< a multiple of 8
  int precision;                 ///< at most 22
};

namespace kernels {

/// y[r, i, c] = sum over k of weights[i, k] x[r, begin[i] + k, c], rounded half up and clamped to bytes. Both u8,
/// contiguous, of three axes.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, const ByteTaps& taps)> resample_bytes;

}  // namespace kernels
}  // namespace weft
