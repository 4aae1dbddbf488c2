// Runs one functor over tensors: checks, plan, output, kernel. Nothing is recorded here.
#pragma once

#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft::kernels {

namespace detail {
WEFT_API void check_same_device(const char* op, const Tensor& a, const Tensor& b);
WEFT_API bool same_layout(const Tensor& a, const Tensor& b);  ///< equal shape and equal dense strides
WEFT_API void plain_plan(ElementPlan& plan, int operands, int64_t numel);
}  // namespace detail

/// y = f(x). x may be overwritten when it is an rvalue that nobody else holds.
template <class F> Tensor map(const Tensor& x, const F& f = {}) {
  check_defined(F::name, x);
  ElementPlan plan;
  const Tensor* in[] = {&x};
  Tensor y = empty_for(x.shape(), fn::result_dtype<F>(x.dtype()), in, 1);
  make_plan(plan, y, in, 1);
  unary.of<F>()(x.device(), plan, y.mut_raw_data(), x.raw_data(), x.dtype(), &f);
  return y;
}
template <class F> Tensor map(Tensor&& x, const F& f = {}) {
  if (fn::Predicate<F> || !x.is_unique() || !x.is_dense()) return map<F>(static_cast<const Tensor&>(x), f);
  ElementPlan plan;
  detail::plain_plan(plan, 2, x.numel());
  void* p = x.mut_raw_data();
  unary.of<F>()(x.device(), plan, p, p, x.dtype(), &f);
  return std::move(x);
}

/// z = f(x, y) with broadcasting; x and y must share dtype and device.
template <class F> Tensor map2(const Tensor& x, const Tensor& y, const F& f = {}) {
  check_defined(F::name, x, y);
  WEFT_CHECK(x.dtype() == y.dtype(), DtypeError, F::name, ": dtypes differ: ", x.dtype(), " and ", y.dtype());
  detail::check_same_device(F::name, x, y);
  ElementPlan plan;
  const Tensor* in[] = {&x, &y};
  Tensor z = empty_for(x.shape() == y.shape() ? x.shape() : broadcast_shapes(F::name, x.shape(), y.shape()),
                       fn::result_dtype<F>(x.dtype()), in, 2);
  make_plan(plan, z, in, 2);
  binary.of<F>()(x.device(), plan, z.mut_raw_data(), x.raw_data(), y.raw_data(), x.dtype(), &f);
  return z;
}
/// The same, written over x where nobody else holds it (gradients on their way back).
template <class F> Tensor map2(Tensor&& x, const Tensor& y, const F& f = {}) {
  if (fn::Predicate<F> || !x.is_unique() || x.dtype() != y.dtype() || !detail::same_layout(x, y))
    return map2<F>(static_cast<const Tensor&>(x), y, f);
  ElementPlan plan;
  detail::plain_plan(plan, 3, x.numel());
  void* p = x.mut_raw_data();
  binary.of<F>()(x.device(), plan, p, p, y.raw_data(), x.dtype(), &f);
  return std::move(x);
}
/// z = f(x, s) or f(s, x) for a number, converted to x's dtype.
template <class F> Tensor map2(const Tensor& x, const Scalar& s, const F& f = {}) {
  return map2<F>(x, weft::detail::number(s, x.options()), f);
}

/// w = f(a, b, c) with broadcasting; one dtype and device.
template <class F> Tensor map3(const Tensor& a, const Tensor& b, const Tensor& c, const F& f = {}) {
  check_defined(F::name, a, b, c);
  WEFT_CHECK(a.dtype() == b.dtype() && b.dtype() == c.dtype(), DtypeError, F::name, ": dtypes differ: ", a.dtype(),
             ", ", b.dtype(), " and ", c.dtype());
  detail::check_same_device(F::name, a, b);
  detail::check_same_device(F::name, a, c);
  ElementPlan plan;
  const Tensor* in[] = {&a, &b, &c};
  Shape shape = broadcast_shapes(F::name, broadcast_shapes(F::name, a.shape(), b.shape()), c.shape());
  Tensor w = empty_for(shape, fn::result_dtype<F>(a.dtype()), in, 3);
  make_plan(plan, w, in, 3);
  ternary.of<F>()(a.device(), plan, w.mut_raw_data(), a.raw_data(), b.raw_data(), c.raw_data(), a.dtype(), &f);
  return w;
}

}  // namespace weft::kernels
