#include "weft/backends/cuda/sort.cuh"

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels/order.h"

namespace weft::cuda {

void register_sort() {
  kernels::sort_indices.set(DeviceType::cuda,
                            [](const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
                              dispatch_all(x.dtype, "sort", [&]<class T> { sort_indices<T>(out, x, dim, descending); });
                            });
  kernels::mode.set(DeviceType::cuda, [](const MutTensorRef& indices, const TensorRef& x, int dim) {
    dispatch_all(x.dtype, "mode", [&]<class T> { run_mode<T>(indices, x, dim); });
  });
  kernels::search_sorted.set(
      DeviceType::cuda, [](const MutTensorRef& out, const TensorRef& line, const TensorRef& values, bool right) {
        dispatch_all(line.dtype, "searchsorted", [&]<class T> { search_sorted<T>(out, line, values, right); });
      });
}

}  // namespace weft::cuda
