#include "weft/backends/cuda/elementwise.cuh"
#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

template <class F> void unary(const ElementPlan& plan, void* y, const void* x, Dtype dtype, const void* f) {
  fn::dispatch_domain<F>(dtype, [&]<class T> {
    const void* const in[] = {x};
    run_elementwise<F, fn::result_t<F, T>, T, 1>(plan, y, in, *static_cast<const F*>(f));
  });
}

}  // namespace

void register_unary() {
  fn::UnaryOps::for_each([]<class F> { kernels::unary.of<F>().set(DeviceType::cuda, unary<F>); });
}

}  // namespace weft::cuda
