#include "weft/backends/cuda/shape.cuh"

#include <cstring>

#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

void pad_slot(const MutTensorRef& out, const TensorRef& x, const PadParams& p) {
  uint64_t bits = 0;
  dispatch_all(x.dtype, "pad", [&]<class T> {
    const T v = Scalar(p.value).to<T>();
    std::memcpy(&bits, &v, sizeof v);
  });
  dispatch_size(x.dtype, [&]<class T> { pad<T>(out, x, p, static_cast<T>(bits)); });
}

template <class F> void dispatch_sums(Dtype d, const char* op, const F& f) {
  detail::dispatch_types<float, double>(d, op, f);
}

}  // namespace

void register_shape() {
  constexpr DeviceType cuda = DeviceType::cuda;
  kernels::cat.set(cuda, cat);
  kernels::pad.set(cuda, pad_slot);
  kernels::pad_backward.set(cuda, [](const MutTensorRef& gx, const TensorRef& g, const PadParams& p) {
    dispatch_sums(gx.dtype, "pad_backward", [&]<class T> { pad_backward<T>(gx, g, p); });
  });
  kernels::triangle.set(cuda, [](const MutTensorRef& y, const TensorRef& x, int64_t diagonal, bool lower) {
    dispatch_size(y.dtype, [&]<class T> { triangle<T>(y, x, diagonal, lower); });
  });
  kernels::unfold.set(cuda, [](const MutTensorRef& columns, const TensorRef& x, const SlidingBlocks& b) {
    dispatch_size(x.dtype, [&]<class T> { unfold<T>(columns, x, b); });
  });
  kernels::fold.set(cuda, [](const MutTensorRef& x, const TensorRef& columns, const SlidingBlocks& b) {
    dispatch_sums(x.dtype, "fold", [&]<class T> { fold<T>(x, columns, b); });
  });
}

}  // namespace weft::cuda
