// A kernel to copy: y = x / (sum of |x| along one axis), on the CPU and on CUDA. These files are compiled and tested.
// Copy them, rename `line_shares` and write your own arithmetic. Where the parts belong in the tree:
//
//   kernel.h         the slot to core/kernels.h, its name to core/kernels.cpp, the arithmetic to core/fn/
//   kernel.cpp       backends/cpu/simd/<name>.cpp, with a line in simd/register.h and simd/register_all.cpp
//   kernel.cuh       backends/cuda/<name>.cuh, with <name>.cu and a line in cuda/register.h and cuda/plugin.cu
//   kernel_test.cpp  tests/cuda/<name>_test.cpp; the op gets a row in the op table
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/kernels.h"

namespace weft::kernels {

/// y = x / sum over `dim` of |x|, 0 where that sum is 0; y has x's shape and dtype, any strides. Floating dtypes.
inline Kernel<void(const MutTensorRef& y, const TensorRef& x, int dim)> line_shares{"line_shares", kFloatingDtypes};

}  // namespace weft::kernels

namespace weft::fn {

/// The arithmetic, once for all devices. T: float or double (halves go through float).
struct LineShare {
  template <class T> WEFT_HD WEFT_INLINE T step(T sum, T x) const { return sum + fn::abs(x); }
  template <class T> WEFT_HD WEFT_INLINE T finish(T sum, T x) const { return sum == T(0) ? T(0) : x / sum; }
};

}  // namespace weft::fn

namespace weft::cpu::WEFT_ISA {
void register_line_shares();  ///< from kernel.cpp
}
