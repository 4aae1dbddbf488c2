#include "weft/backends/cuda/optim.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_optim() {
  fn::OptimOps::for_each([]<class F> { kernels::optim_step.of<F>().set(DeviceType::cuda, step<F>); });
  kernels::multi_norm.set(DeviceType::cuda, multi_norm);
  kernels::multi_clip.set(DeviceType::cuda, multi_clip);
  kernels::multi_clamp.set(DeviceType::cuda, multi_clamp);
}

}  // namespace weft::cuda
