// The elementwise functions of two arguments: what binary_0.cu and binary_1.cu compile, half of the list each.
#pragma once

#include "weft/backends/cuda/elementwise.cuh"
#include "weft/core/kernels.h"

namespace weft::cuda {

template <class F>
void binary(const ElementPlan& plan, void* z, const void* a, const void* b, Dtype dtype, const void* f) {
  if constexpr (std::is_same_v<F, fn::Poisson>) refuse_capture("random numbers");
  fn::dispatch_domain<F>(dtype, [&]<class T> {
    const void* const in[] = {a, b};
    run_elementwise<F, fn::result_t<F, T>, T, 2>(plan, z, in, *static_cast<const F*>(f));
  });
}

template <int Part> void register_binary_part() {
  for_part<Part, 2>(fn::BinaryOps(), []<class F> { kernels::binary.of<F>().set(DeviceType::cuda, binary<F>); });
}

}  // namespace weft::cuda
