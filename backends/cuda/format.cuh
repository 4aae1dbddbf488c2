// Number-format simulation: the arithmetic of core/fn/fp_format.h. Random bits are those of the CPU: the fills' kernel
// draws them.
#pragma once

#include "weft/backends/cuda/random_fill.cuh"
#include "weft/core/fn/fp_format.h"

namespace weft::cuda {

template <class T> struct StochasticFill {
  static constexpr int kElements = 4;
  static constexpr bool kReads = true;
  fn::FpFormat format;
  WEFT_HD WEFT_INLINE T value(uint32_t w, T x) const {
    return T(format(static_cast<float>(x), format.offset_of_word(w)));
  }
  WEFT_HD WEFT_INLINE void operator()(const fn::PhiloxBlock& w, T (&y)[4]) const { fill_by_word(*this, w, y); }
};

/// To nearest, or (`Given`) with the random integers of `bits`.
template <class T, bool Given>
__global__ void __launch_bounds__(kBlock)
    quantise_kernel(T* y, const T* x, const int32_t* bits, int64_t n, fn::FpFormat format) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    uint32_t offset = format.base;
    if constexpr (Given) offset = format.offset(static_cast<uint32_t>(bits[i]));
    y[i] = T(format(static_cast<float>(x[i]), offset));
  }
}

inline void quantise(const MutTensorRef& y, const TensorRef& x, const TensorRef& bits, const fn::FpFormat& format,
                     Generator::State from) {
  const int64_t n = y.numel;
  dispatch_floating(y.dtype, "quantise", [&]<class T> {
    if (n == 0) return;
    if (format.random > 0 && !bits.defined()) {
      run_random<StochasticFill<T>, T>(y.as_mut<T>(), x.as<T>(), n, from, {format});
    } else if (format.random > 0) {
      launch(quantise_kernel<T, true>, grid_for(n), kBlock, 0, y.as_mut<T>(), x.as<T>(), bits.as<int32_t>(), n, format);
    } else {
      launch(quantise_kernel<T, false>, grid_for(n), kBlock, 0, y.as_mut<T>(), x.as<T>(), nullptr, n, format);
    }
  });
}

}  // namespace weft::cuda
