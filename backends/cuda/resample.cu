#include "weft/backends/cuda/resample.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_resample() { kernels::resample.set(DeviceType::cuda, resample); }

}  // namespace weft::cuda
