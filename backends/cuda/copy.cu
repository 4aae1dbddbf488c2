#include "weft/backends/cuda/copy.cuh"
#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {

void move(const MutTensorRef& dst, const TensorRef& src) {
  dispatch_size(dst.dtype, [&]<class T> { run_copy<T, T>(dst, src); });
}

namespace {

void copy(const MutTensorRef& dst, const TensorRef& src) {
  if (dst.dtype == src.dtype) return move(dst, src);
  dispatch_all(src.dtype, "copy", [&]<class T> {
    dispatch_all(dst.dtype, "copy", [&]<class R> {
      if constexpr (!std::is_same_v<R, T>) run_copy<R, T>(dst, src);
    });
  });
}

void fill(const MutTensorRef& dst, const Scalar& value) {
  dispatch_all(dst.dtype, "fill", [&]<class T> { run_fill<T>(dst, value.to<T>()); });
}

void where(const ElementPlan& plan, void* z, const void* cond, const void* x, const void* y, Dtype dtype) {
  dispatch_size(dtype, [&]<class T> { run_where<T>(plan, z, cond, x, y); });
}

}  // namespace

void register_copy() {
  kernels::copy.set(DeviceType::cuda, copy);
  kernels::fill.set(DeviceType::cuda, fill);
  kernels::where.set(DeviceType::cuda, where);
}

}  // namespace weft::cuda
