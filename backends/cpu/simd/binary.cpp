#include "weft/backends/cpu/simd/elementwise.h"
#include "weft/backends/cpu/simd/loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class F>
void binary_kernel(const ElementPlan& plan, void* z, const void* x, const void* y, Dtype dtype, const void* f) {
  dispatch_compute<F>(dtype, [&]<class C> {
    const void* in[] = {x, y};
    walk(plan, z, fn::result_dtype<F>(dtype), in, dtype, binary_loop<F, C>, f);
  });
}

template <class F>
void ternary_kernel(const ElementPlan& plan, void* w, const void* a, const void* b, const void* c, Dtype dtype,
                    const void* f) {
  dispatch_compute<F>(dtype, [&]<class C> {
    const void* in[] = {a, b, c};
    walk(plan, w, fn::result_dtype<F>(dtype), in, dtype, ternary_loop<F, C>, f);
  });
}

void where_kernel(const ElementPlan& plan, void* z, const void* cond, const void* x, const void* y, Dtype dtype) {
  dispatch_size(dtype, [&]<class T> {
    T* out = static_cast<T*>(z);
    const bool* pc = static_cast<const bool*>(cond);
    const T *px = static_cast<const T*>(x), *py = static_cast<const T*>(y);
    const int inner = plan.rank - 1;
    const int64_t so = plan.strides[0][inner], sc = plan.strides[1][inner], sx = plan.strides[2][inner],
                  sy = plan.strides[3][inner];
    for_each_run<4>(plan, [&](const int64_t* at, int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        out[at[0] + i * so] = pc[at[1] + i * sc] ? px[at[2] + i * sx] : py[at[3] + i * sy];
    });
  });
}

}  // namespace

void register_binary() {
  fn::BinaryOps::for_each([]<class F> { kernels::binary.of<F>().set(DeviceType::cpu, binary_kernel<F>); });
  fn::TernaryOps::for_each([]<class F> { kernels::ternary.of<F>().set(DeviceType::cpu, ternary_kernel<F>); });
  kernels::where.set(DeviceType::cpu, where_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
