#include "weft/backends/cuda/rnn.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels/rnn.h"

namespace weft::cuda {

void register_rnn() {
  kernels::rnn.set(DeviceType::cuda, rnn);
  kernels::rnn_backward.set(DeviceType::cuda, rnn_backward);
}

}  // namespace weft::cuda
