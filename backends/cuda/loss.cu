#include "weft/backends/cuda/loss.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

void cross_entropy(const MutTensorRef& loss, const MutTensorRef& lse, const MutTensorRef& totals,
                   const TensorRef& logits, const TensorRef& target, const TensorRef& weight,
                   const CrossEntropyParams& params) {
  dispatch_floating(logits.dtype, "cross_entropy",
                    [&]<class T> { run_cross_entropy<T>(loss, lse, totals, logits, target, weight, params); });
}
void cross_entropy_backward(const MutTensorRef& dx, const TensorRef& g, const TensorRef& lse, const TensorRef& logits,
                            const TensorRef& target, const TensorRef& weight, const CrossEntropyParams& params) {
  dispatch_floating(logits.dtype, "cross_entropy",
                    [&]<class T> { run_cross_entropy_backward<T>(dx, g, lse, logits, target, weight, params); });
}

}  // namespace

void register_loss() {
  kernels::cross_entropy.set(DeviceType::cuda, cross_entropy);
  kernels::cross_entropy_backward.set(DeviceType::cuda, cross_entropy_backward);
}

}  // namespace weft::cuda
