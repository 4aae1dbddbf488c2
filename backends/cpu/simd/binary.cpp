#include "weft/backends/cpu/simd/loops.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class F>
void binary_kernel(const ElementPlan& plan, void* z, const void* x, const void* y, Dtype dtype, const void* functor) {
  const F f = *static_cast<const F*>(functor);
  fn::dispatch_domain<F>(dtype, [&]<class T> {
    using C = compute_t<T>;
    using R = fn::result_t<F, T>;
    R* out = static_cast<R*>(z);
    const T* px = static_cast<const T*>(x);
    const T* py = static_cast<const T*>(y);
    const int inner = plan.rank - 1;
    const int64_t so = plan.strides[0][inner], sx = plan.strides[1][inner], sy = plan.strides[2][inner];
    for_each_run<3>(plan, [&](const int64_t* at, int64_t n) {
      R* o = out + at[0];
      const T* a = px + at[1];
      const T* b = py + at[2];
      if (so == 1 && sx == 1 && sy == 1) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) o[i] = static_cast<R>(f(static_cast<C>(a[i]), static_cast<C>(b[i])));
      } else if (so == 1 && sx == 1 && sy == 0) {
        const C s = static_cast<C>(*b);
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) o[i] = static_cast<R>(f(static_cast<C>(a[i]), s));
      } else {
        for (int64_t i = 0; i < n; ++i) o[i * so] = static_cast<R>(f(static_cast<C>(a[i * sx]), static_cast<C>(b[i * sy])));
      }
    });
  });
}

template <class F>
void ternary_kernel(const ElementPlan& plan, void* w, const void* a, const void* b, const void* c, Dtype dtype,
                    const void* functor) {
  const F f = *static_cast<const F*>(functor);
  fn::dispatch_domain<F>(dtype, [&]<class T> {
    using C = compute_t<T>;
    using R = fn::result_t<F, T>;
    R* out = static_cast<R*>(w);
    const T *pa = static_cast<const T*>(a), *pb = static_cast<const T*>(b), *pc = static_cast<const T*>(c);
    const int inner = plan.rank - 1;
    const int64_t so = plan.strides[0][inner], sa = plan.strides[1][inner], sb = plan.strides[2][inner],
                  sc = plan.strides[3][inner];
    for_each_run<4>(plan, [&](const int64_t* at, int64_t n) {
      R* o = out + at[0];
      const T *x = pa + at[1], *y = pb + at[2], *z = pc + at[3];
      for (int64_t i = 0; i < n; ++i)
        o[i * so] = static_cast<R>(f(static_cast<C>(x[i * sa]), static_cast<C>(y[i * sb]), static_cast<C>(z[i * sc])));
    });
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
  fn::BinaryOps::for_each([]<class F> {
    kernels::binary.of<F>().rename(F::name);
    kernels::binary.of<F>().set(DeviceType::cpu, binary_kernel<F>);
  });
  fn::TernaryOps::for_each([]<class F> {
    kernels::ternary.of<F>().rename(F::name);
    kernels::ternary.of<F>().set(DeviceType::cpu, ternary_kernel<F>);
  });
  kernels::where.set(DeviceType::cpu, where_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
