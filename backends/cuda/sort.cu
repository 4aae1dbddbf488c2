#include "weft/backends/cuda/sort.cuh"

#include "weft/backends/cuda/index.cuh"  // sorts: in a unit of its own the kernels that do it would be there twice
#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"
#include "weft/core/kernels/order.h"

namespace weft::cuda {
namespace {

void index_put_slot(const MutTensorRef& x, const TensorRef& src, const TensorRef& offsets, bool accumulate) {
  if (accumulate) dispatch_added(x.dtype, "index_add", [&]<class T> { index_put<true, T>(x, src, offsets); });
  else dispatch_size(x.dtype, [&]<class T> { index_put<false, T>(x, src, offsets); });
}

void scatter_slot(const MutTensorRef& out, const TensorRef& index, const TensorRef& src, int dim, bool accumulate,
                  const char* op) {
  dispatch_index(index.dtype, op, [&]<class I> {
    if (accumulate) dispatch_added(out.dtype, op, [&]<class T> { scatter<true, T, I>(out, index, src, dim, op); });
    else dispatch_size(out.dtype, [&]<class T> { scatter<false, T, I>(out, index, src, dim, op); });
  });
}

}  // namespace

void register_index_sums() {
  kernels::index_put.set(DeviceType::cuda, index_put_slot);
  kernels::scatter.set(DeviceType::cuda, scatter_slot);
}

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
