#include "weft/backends/cuda/row_norm.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/weight.cuh"  // includes row_norm.cuh: in a unit of its own its kernels would be there twice
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_row_norm() {
  kernels::layer_norm.set(DeviceType::cuda, layer_norm);
  kernels::layer_norm_backward.set(DeviceType::cuda, layer_norm_backward);
}
void register_weight() {
  kernels::standardize_weight.set(DeviceType::cuda, standardize_weight);
  kernels::standardize_weight_backward.set(DeviceType::cuda, standardize_weight_backward);
}

}  // namespace weft::cuda
