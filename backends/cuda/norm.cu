#include "weft/backends/cuda/norm.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels/norm.h"

namespace weft::cuda {

void register_norm() {
  kernels::norm_stats.set(DeviceType::cuda, norm_stats);
  kernels::norm_apply.set(DeviceType::cuda, norm_apply);
  kernels::norm_forward.set(DeviceType::cuda, norm_forward);
  kernels::norm_backward_reduce.set(DeviceType::cuda, norm_backward_reduce);
  kernels::norm_backward_apply.set(DeviceType::cuda, norm_backward_apply);
  kernels::norm_backward.set(DeviceType::cuda, norm_backward);
  kernels::update_running.set(DeviceType::cuda, update_running);
}

}  // namespace weft::cuda
