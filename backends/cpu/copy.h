// Copies between any strides and dtypes, for kernels that want their operands in another order.
#pragma once

#include "weft/backends/cpu/scratch.h"
#include "weft/core/dense_copy.h"
#include "weft/core/kernels.h"

namespace weft::cpu {

inline void copy_cpu(const MutTensorRef& dst, const TensorRef& src) { kernels::copy(DeviceType::cpu, dst, src); }

}  // namespace weft::cpu
