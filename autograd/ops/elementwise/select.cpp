#include "weft/autograd/ops/elementwise/select.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/unary.h"

namespace weft {
namespace {
using namespace detail;

/// The kernel of `where`, not recorded.
Tensor choose(const Tensor& cond, const Tensor& x, const Tensor& y) {
  kernels::detail::check_same_device("where", cond, x);
  kernels::detail::check_same_device("where", cond, y);
  const Tensor* in[] = {&cond, &x, &y};
  const Shape shape = broadcast_shapes("where", broadcast_shapes("where", cond.shape(), x.shape()), y.shape());
  ElementPlan plan;
  // the layout follows the operand of full shape, data before mask
  const Tensor* layout[] = {&x, &y, &cond};
  Tensor z = empty_for(shape, x.dtype(), layout, 3);
  make_plan(plan, z, in, 3);
  kernels::where(x.device(), plan, z.mut_raw_data(), cond.raw_data(), x.raw_data(), y.raw_data(), x.dtype());
  return z;
}
Tensor number(const Scalar& s, const Tensor& like) { return detail::number(s, {result_dtype(like, s), like.device()}); }
}  // namespace

Tensor where(const Tensor& cond, const Tensor& x, const Tensor& y) {
  const OpName op("where");
  check_defined(op, cond, x, y);
  WEFT_CHECK(cond.dtype() == Dtype::boolean, DtypeError, "cond must be bool, got ", cond.dtype());
  Tensor z;
  {
    NoGrad guard;
    const Dtype d = result_dtype(x, y);
    z = choose(cond, cast(x, d), cast(y, d));
  }
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x, y},
                [cond = Saved(cond, "cond"), sx = x.shape(), sy = y.shape()](BackwardCtx& c) -> Grads {
                  Grads r(2);
                  Tensor m = c.get(cond);
                  if (c.needs(0)) r[0] = sum_to(where(m, c.grad(), 0), sx);
                  if (c.needs(1)) r[1] = sum_to(where(m, 0, c.grad()), sy);
                  return r;
                });
}
Tensor where(const Tensor& cond, const Tensor& x, Scalar y) {
  const OpName op("where");
  return where(cond, x, number(y, x));
}
Tensor where(const Tensor& cond, Scalar x, const Tensor& y) {
  const OpName op("where");
  return where(cond, number(x, y), y);
}
Tensor where(const Tensor& cond, Scalar x, Scalar y) {
  const OpName op("where");
  const Tensor a = scalar(x).to(cond.device());
  return where(cond, a, number(y, a));
}

Tensor lerp(const Tensor& x, const Tensor& end, const Tensor& weight) {
  const OpName op("lerp");
  return record(op, kernels::map3<fn::Lerp>(x, end, weight), {x, end, weight},
                [x = Saved(x), end = Saved(end, "end"), w = Saved(weight, "weight")](BackwardCtx& c) -> Grads {
                  Grads r(3);
                  const Tensor a = c.get(x), b = c.get(end), t = c.get(w), g = c.grad();
                  if (c.needs(0)) r[0] = sum_to(g * (1 - t), a.shape());
                  if (c.needs(1)) r[1] = sum_to(g * t, b.shape());
                  if (c.needs(2)) r[2] = sum_to(g * (b - a), t.shape());
                  return r;
                });
}
Tensor lerp(const Tensor& x, const Tensor& end, double weight) {
  const OpName op("lerp");
  return lerp(x, end, detail::number(weight, x.options()));
}

Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  const OpName op("addcmul");
  const Dtype d = promote(promote(x.dtype(), a.dtype()), b.dtype());
  WEFT_CHECK(is_floating(d) || !value.is_floating(), ValueError, "value=", value, " must be an integer for dtype ", d);
  return record(op, kernels::map3<fn::Addcmul>(cast(x, d), cast(a, d), cast(b, d), {value}), {x, a, b},
                [sx = x.shape(), a = Saved(a, "tensor1"), b = Saved(b, "tensor2"), value](BackwardCtx& c) -> Grads {
                  Grads r(3);
                  const Tensor p = c.get(a), q = c.get(b), g = c.grad();
                  if (c.needs(0)) r[0] = sum_to(g, sx);
                  if (c.needs(1)) r[1] = sum_to(g * q * value, p.shape());
                  if (c.needs(2)) r[2] = sum_to(g * p * value, q.shape());
                  return r;
                });
}
Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  const OpName op("addcdiv");
  Dtype d = promote(promote(x.dtype(), a.dtype()), b.dtype());
  if (!is_floating(d)) d = default_dtype();
  return record(op, kernels::map3<fn::Addcdiv>(cast(x, d), cast(a, d), cast(b, d), {value}), {x, a, b},
                [sx = x.shape(), a = Saved(a, "tensor1"), b = Saved(b, "tensor2"), value](BackwardCtx& c) -> Grads {
                  Grads r(3);
                  const Tensor p = c.get(a), q = c.get(b), g = c.grad();
                  if (c.needs(0)) r[0] = sum_to(g, sx);
                  if (c.needs(1)) r[1] = sum_to(g / q * value, p.shape());
                  if (c.needs(2)) r[2] = sum_to(neg(g * (p / (q * q)) * value), q.shape());
                  return r;
                });
}

}  // namespace weft
