#include "weft/backends/cuda/softmax.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

void softmax(const MutTensorRef& y, const TensorRef& x, int dim, bool log) {
  dispatch_floating(x.dtype, "softmax", [&]<class T> { run_softmax<T>(y, x, dim, log); });
}
void softmax_grad(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log) {
  dispatch_floating(y.dtype, "softmax", [&]<class T> { run_softmax_grad<T>(dx, g, y, dim, log); });
}

}  // namespace

void register_softmax() {
  kernels::softmax.set(DeviceType::cuda, softmax);
  kernels::softmax_grad.set(DeviceType::cuda, softmax_grad);
}

}  // namespace weft::cuda
