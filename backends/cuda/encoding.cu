#include "weft/backends/cuda/encoding.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels/encoding.h"

namespace weft::cuda {

void register_encoding() {
  kernels::encode.set(DeviceType::cuda, encode);
  kernels::encode_backward.set(DeviceType::cuda, encode_backward);
}

}  // namespace weft::cuda
