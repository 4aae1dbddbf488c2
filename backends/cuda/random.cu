#include "weft/backends/cuda/random.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_random() {
  kernels::uniform.set(DeviceType::cuda, uniform);
  kernels::normal.set(DeviceType::cuda, normal);
  kernels::randint.set(DeviceType::cuda, randint);
  kernels::bernoulli.set(DeviceType::cuda, bernoulli);
  kernels::dropout.set(DeviceType::cuda, dropout);
}

}  // namespace weft::cuda
