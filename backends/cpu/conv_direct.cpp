#include "weft/backends/cpu/conv_direct.h"

#include "weft/backends/cpu/conv.h"

namespace weft::cpu::direct {

Kernel kernel;

bool takes(const ConvProblem& p) {
  return kernel.weight_grad && p.dtype == Dtype::f32 && p.groups == 1 && p.axes >= 1 && p.axes <= 3 && p.c > 0 &&
         p.o > 0 && p.out_size() > 0;
}

void weight_grad(void* w_grad, const TensorRef& x, const TensorRef& g, const ConvProblem& p) {
  Scratch x_copy, g_copy;
  kernel.weight_grad(static_cast<float*>(w_grad), static_cast<const float*>(channels_last(x, x_copy)),
                     static_cast<const float*>(channels_last(g, g_copy)), windows(p));
}

}  // namespace weft::cpu::direct
