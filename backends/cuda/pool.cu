#include "weft/backends/cuda/pool.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_pool() {
  kernels::max_pool.set(DeviceType::cuda, max_pool);
  kernels::max_pool_scatter.set(DeviceType::cuda, max_pool_scatter);
  kernels::max_pool_gather.set(DeviceType::cuda, max_pool_gather);
  kernels::max_pool_indices.set(DeviceType::cuda, max_pool_indices);
}

}  // namespace weft::cuda
