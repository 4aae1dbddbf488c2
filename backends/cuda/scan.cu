#include "weft/backends/cuda/scan.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels/order.h"

namespace weft::cuda {
namespace {

void cumsum(const MutTensorRef& y, const TensorRef& x, int dim, bool reverse) {
  dispatch_all(x.dtype, "cumsum", [&]<class T> { run_scan<T>(y, x, dim, reverse, AddScan()); });
}
void cumprod(const MutTensorRef& y, const TensorRef& x, int dim) {
  dispatch_all(x.dtype, "cumprod", [&]<class T> { run_scan<T>(y, x, dim, false, MulScan()); });
}

void running_extreme(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim,
                     bool largest) {
  dispatch_all(x.dtype, "cummax", [&]<class T> {
    largest ? run_running_extreme<T, true>(values, indices, x, dim)
            : run_running_extreme<T, false>(values, indices, x, dim);
  });
}

}  // namespace

void register_scan() {
  kernels::cumsum.set(DeviceType::cuda, cumsum);
  kernels::cumprod.set(DeviceType::cuda, cumprod);
  kernels::running_extreme.set(DeviceType::cuda, running_extreme);
}

}  // namespace weft::cuda
