#include "weft/backends/cuda/conv.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_conv() {
  constexpr DeviceType cuda = DeviceType::cuda;
  kernels::conv.set(cuda, [](const MutTensorRef& y, const TensorRef& x, const TensorRef& w, const TensorRef& bias,
                             const ConvParams& p) { conv(y, x, w, bias, p); });
  kernels::conv_input_grad.set(
      cuda, [](const MutTensorRef& x_grad, const TensorRef& g, const TensorRef& w, const TensorRef& bias,
               const ConvParams& p) { conv_input_grad(x_grad, g, w, bias, p); });
  kernels::conv_weight_grad.set(
      cuda, [](const MutTensorRef& w_grad, const MutTensorRef& bias_grad, const TensorRef& x, const TensorRef& g,
               const ConvParams& p) { conv_weight_grad(w_grad, bias_grad, x, g, p); });
}

}  // namespace weft::cuda
