#include "weft/backends/cuda/elementwise.cuh"
#include "weft/backends/cuda/register.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

template <class F>
void ternary(const ElementPlan& plan, void* w, const void* a, const void* b, const void* c, Dtype dtype,
             const void* f) {
  fn::dispatch_domain<F>(dtype, [&]<class T> {
    const void* const in[] = {a, b, c};
    run_elementwise<F, fn::result_t<F, T>, T, 3>(plan, w, in, *static_cast<const F*>(f));
  });
}

}  // namespace

void register_ternary() {
  fn::TernaryOps::for_each([]<class F> { kernels::ternary.of<F>().set(DeviceType::cuda, ternary<F>); });
}

}  // namespace weft::cuda
