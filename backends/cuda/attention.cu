#include "weft/backends/cuda/attention.cuh"

#include "weft/backends/cuda/register.h"

namespace weft::cuda {

void register_attention() { kernels::attention.set(DeviceType::cuda, attention, kAttentionDtypes); }

}  // namespace weft::cuda
