#include "weft/backends/cuda/weight.cuh"

#include "weft/backends/cuda/register.h"

namespace weft::cuda {

void register_weight() {
  kernels::standardize_weight.set(DeviceType::cuda, standardize_weight);
  kernels::standardize_weight_backward.set(DeviceType::cuda, standardize_weight_backward);
}

}  // namespace weft::cuda
