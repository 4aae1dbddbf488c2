// The elementwise functions of one argument: what unary_0.cu and unary_1.cu compile, half of the list each.
#pragma once

#include "weft/backends/cuda/elementwise.cuh"
#include "weft/core/kernels.h"

namespace weft::cuda {

template <class F> void unary(const ElementPlan& plan, void* y, const void* x, Dtype dtype, const void* f) {
  fn::dispatch_domain<F>(dtype, [&]<class T> {
    const void* const in[] = {x};
    run_elementwise<F, fn::result_t<F, T>, T, 1>(plan, y, in, *static_cast<const F*>(f));
  });
}

template <int Part> void register_unary_part() {
  for_part<Part, 2>(fn::UnaryOps(), []<class F> { kernels::unary.of<F>().set(DeviceType::cuda, unary<F>); });
}

}  // namespace weft::cuda
