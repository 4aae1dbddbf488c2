#include "weft/backends/cpu/simd/loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class F>
void unary_kernel(const ElementPlan& plan, void* y, const void* x, Dtype dtype, const void* functor) {
  const F f = *static_cast<const F*>(functor);
  fn::dispatch_domain<F>(dtype, [&]<class T> {
    using C = compute_t<T>;
    using R = fn::result_t<F, T>;
    R* out = static_cast<R*>(y);
    const T* in = static_cast<const T*>(x);
    const int64_t so = plan.strides[0][plan.rank - 1], si = plan.strides[1][plan.rank - 1];
    for_each_run<2>(plan, [&](const int64_t* at, int64_t n) {
      R* o = out + at[0];
      const T* a = in + at[1];
      if (so == 1 && si == 1) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) o[i] = static_cast<R>(f(static_cast<C>(a[i])));
      } else {
        for (int64_t i = 0; i < n; ++i) o[i * so] = static_cast<R>(f(static_cast<C>(a[i * si])));
      }
    });
  });
}

}  // namespace

void register_unary() {
  fn::UnaryOps::for_each([]<class F> {
    kernels::unary.of<F>().rename(F::name);
    kernels::unary.of<F>().set(DeviceType::cpu, unary_kernel<F>);
  });
}

}  // namespace weft::cpu::WEFT_ISA
