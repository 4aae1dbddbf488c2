#include "weft/backends/cuda/scan.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

void cumsum(const MutTensorRef& y, const TensorRef& x, int dim, bool reverse) {
  dispatch_all(x.dtype, "cumsum", [&]<class T> { run_scan<T>(y, x, dim, reverse, AddScan()); });
}
void cumprod(const MutTensorRef& y, const TensorRef& x, int dim) {
  dispatch_all(x.dtype, "cumprod", [&]<class T> { run_scan<T>(y, x, dim, false, MulScan()); });
}

}  // namespace

void register_scan() {
  kernels::cumsum.set(DeviceType::cuda, cumsum);
  kernels::cumprod.set(DeviceType::cuda, cumprod);
}

}  // namespace weft::cuda
