#include "weft/backends/cuda/row_norm.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_row_norm() {
  kernels::layer_norm.set(DeviceType::cuda, layer_norm);
  kernels::layer_norm_backward.set(DeviceType::cuda, layer_norm_backward);
}

}  // namespace weft::cuda
