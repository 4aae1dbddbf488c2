#include "weft/backends/cuda/attention_grad.cuh"

#include "weft/backends/cuda/register.h"

namespace weft::cuda {

void register_attention_grad() {
  kernels::attention_backward.set(DeviceType::cuda, attention_backward, kAttentionDtypes);
}

}  // namespace weft::cuda
