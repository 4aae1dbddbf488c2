#include "weft/backends/cuda/format.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels/format.h"

namespace weft::cuda {

void register_format() { kernels::quantise.set(DeviceType::cuda, quantise); }

}  // namespace weft::cuda
