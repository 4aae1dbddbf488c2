#include "weft/backends/cpu/simd/lines.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels.h"

namespace weft::cpu::WEFT_ISA {
namespace {

template <class T>
void softmax_typed(const MutTensorRef& y, const TensorRef& x, int dim, bool log) {
  using C = compute_t<T>;
  const Lines lines(x, dim);
  const int64_t sx = x.rank ? x.strides[dim] : 0, sy = x.rank ? y.strides[dim] : 0, n = lines.length;
  parallel_for(lines.count, lines.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* in = x.as<T>() + lines.offset(k, x);
      T* out = y.as_mut<T>() + lines.offset(k, y);
      C m = fn::lowest<C>(), s = 0;
      for (int64_t i = 0; i < n; ++i) m = fn::Max{}.step(m, static_cast<C>(in[i * sx]));
      for (int64_t i = 0; i < n; ++i) s += fn::exp(static_cast<C>(in[i * sx]) - m);
      if (log) {
        const C shift = fn::log(s);
        for (int64_t i = 0; i < n; ++i) out[i * sy] = static_cast<T>(static_cast<C>(in[i * sx]) - m - shift);
      } else {
        const C scale = C(1) / s;
        for (int64_t i = 0; i < n; ++i) out[i * sy] = static_cast<T>(fn::exp(static_cast<C>(in[i * sx]) - m) * scale);
      }
    }
  });
}

template <class T>
void softmax_grad_typed(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log) {
  using C = compute_t<T>;
  const Lines lines(y, dim);
  const int64_t sg = y.rank ? g.strides[dim] : 0, sy = y.rank ? y.strides[dim] : 0, sd = y.rank ? dx.strides[dim] : 0, n = lines.length;
  parallel_for(lines.count, lines.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const T* pg = g.as<T>() + lines.offset(k, g);
      const T* py = y.as<T>() + lines.offset(k, y);
      T* pd = dx.as_mut<T>() + lines.offset(k, dx);
      C s = 0;
      if (log) {
        for (int64_t i = 0; i < n; ++i) s += static_cast<C>(pg[i * sg]);
        for (int64_t i = 0; i < n; ++i) pd[i * sd] = static_cast<T>(static_cast<C>(pg[i * sg]) - fn::exp(static_cast<C>(py[i * sy])) * s);
      } else {
        for (int64_t i = 0; i < n; ++i) s += static_cast<C>(pg[i * sg]) * static_cast<C>(py[i * sy]);
        for (int64_t i = 0; i < n; ++i) pd[i * sd] = static_cast<T>((static_cast<C>(pg[i * sg]) - s) * static_cast<C>(py[i * sy]));
      }
    }
  });
}

template <class F>
void for_floating_types(Dtype d, const F& f) {
  switch (d) {
    case Dtype::f32: return f.template operator()<float>();
    case Dtype::f64: return f.template operator()<double>();
    case Dtype::bf16: return f.template operator()<bf16>();
    case Dtype::f16: return f.template operator()<f16>();
    default: return;  // the op has checked
  }
}

void softmax_kernel(const MutTensorRef& y, const TensorRef& x, int dim, bool log) {
  if (x.numel) for_floating_types(x.dtype, [&]<class T> { softmax_typed<T>(y, x, dim, log); });
}
void softmax_grad_kernel(const MutTensorRef& dx, const TensorRef& g, const TensorRef& y, int dim, bool log) {
  if (y.numel) for_floating_types(y.dtype, [&]<class T> { softmax_grad_typed<T>(dx, g, y, dim, log); });
}

}  // namespace

void register_softmax() {
  kernels::softmax.set(DeviceType::cpu, softmax_kernel);
  kernels::softmax_grad.set(DeviceType::cpu, softmax_grad_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
