#include "weft/backends/cuda/pool.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/resample.cuh"  // includes pool.cuh: in a unit of its own its kernels would be there twice
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_pool() {
  kernels::max_pool.set(DeviceType::cuda, max_pool);
  kernels::max_pool_scatter.set(DeviceType::cuda, max_pool_scatter);
  kernels::max_pool_gather.set(DeviceType::cuda, max_pool_gather);
  kernels::max_pool_indices.set(DeviceType::cuda, max_pool_indices);
}
void register_resample() { kernels::resample.set(DeviceType::cuda, resample); }

}  // namespace weft::cuda
