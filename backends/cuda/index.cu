#include "weft/backends/cuda/index.cuh"

#include "weft/backends/cuda/nonzero.cuh"
#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

void index_offsets_slot(const MutTensorRef& offsets, const TensorRef& index, const kernels::IndexAxis& a) {
  dispatch_index(index.dtype, a.op,
                 [&]<class I> { index_offsets<I>(offsets, index, a.op, a.dim, a.size, a.stride, a.wrap); });
}

void index_get_slot(const MutTensorRef& out, const TensorRef& x, const TensorRef& offsets) {
  dispatch_size(out.dtype, [&]<class T> { index_get<T>(out, x, offsets); });
}

void gather_slot(const MutTensorRef& out, const TensorRef& x, const TensorRef& index, int dim, const char* op) {
  dispatch_index(index.dtype, op,
                 [&]<class I> { dispatch_size(x.dtype, [&]<class T> { gather<T, I>(out, x, index, dim, op); }); });
}

}  // namespace

void register_index() {
  constexpr DeviceType cuda = DeviceType::cuda;
  kernels::index_offsets.set(cuda, index_offsets_slot);
  kernels::index_get.set(cuda, index_get_slot);
  kernels::gather.set(cuda, gather_slot);
  kernels::one_hot.set(cuda, [](const MutTensorRef& out, const TensorRef& index) {
    dispatch_index(index.dtype, "one_hot", [&]<class I> { one_hot<I>(out, index); });
  });
  kernels::refuse_any.set(cuda, refuse_any);
  kernels::count_nonzero.set(cuda, [](const MutTensorRef& count, const TensorRef& x) {
    dispatch_all(x.dtype, "nonzero", [&]<class T> { count_nonzero<T>(count, x); });
  });
  kernels::nonzero.set(cuda, [](const MutTensorRef& out, const TensorRef& x) {
    dispatch_all(x.dtype, "nonzero", [&]<class T> { nonzero<T>(out, x); });
  });
}

}  // namespace weft::cuda
