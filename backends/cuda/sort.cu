#include "weft/backends/cuda/sort.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void register_sort() {
  kernels::sort_indices.set(DeviceType::cuda,
                            [](const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
                              dispatch_all(x.dtype, "sort", [&]<class T> { sort_indices<T>(out, x, dim, descending); });
                            });
}

}  // namespace weft::cuda
