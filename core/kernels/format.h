// The slot of number-format simulation.
#pragma once

#include "weft/core/fn/fp_format.h"
#include "weft/core/kernels.h"

namespace weft::kernels {

/// y = x rounded to the format, by way of f32. x and y dense, of the same strides; `bits`: i32, of those strides too,
/// or undefined. Stochastic rounding takes element i's random integer from bits[i], or from word i%4 of Philox block
/// from.offset + i/4, whatever the dtype.
extern WEFT_API Kernel<void(const MutTensorRef& y, const TensorRef& x, const TensorRef& bits,
                            const fn::FpFormat& format, Generator::State from)>
    quantise;

}  // namespace weft::kernels
