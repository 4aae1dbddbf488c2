#include "weft/core/fn/unary.h"

#include "weft/backends/cpu/simd/elementwise.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class F> void unary_kernel(const ElementPlan& plan, void* y, const void* x, Dtype dtype, const void* f) {
  dispatch_compute<F>(dtype,
                      [&]<class C> { walk(plan, y, fn::result_dtype<F>(dtype), &x, dtype, unary_loop<F, C>, f); });
}

}  // namespace

void register_unary() {
  fn::UnaryOps::for_each([]<class F> { kernels::unary.of<F>().set(DeviceType::cpu, unary_kernel<F>); });
}

}  // namespace weft::cpu::WEFT_ISA
