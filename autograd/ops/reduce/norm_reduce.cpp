// vector_norm and logsumexp.
#include <cmath>
#include <limits>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/common.h"

namespace weft {
namespace {
using namespace detail;

/// d norm / d x at x, with y the norm and g its gradient (axes kept), as PyTorch defines it at 0.
Tensor norm_grad(const Tensor& g, const Tensor& x, const Tensor& y, double p, uint32_t mask) {
  if (p == 0) return zeros_like(x);
  if (p == 1) return g * sign(x);
  const Tensor zero = eq(y, 0);
  if (std::isinf(p)) {
    const Tensor at = eq(abs(x), y);
    return sign(x) * where(at, g / detail::reduce<fn::Sum>(at, mask, true, Dtype::i64).to(g.dtype()), 0);
  }
  // x / y first: g / y alone may be more than the dtype holds. Of a norm of 0 nothing comes, whatever g is.
  const Tensor u = x / where(zero, std::numeric_limits<double>::infinity(), y), by = where(zero, 0, g);
  if (p == 2) return u * by;
  if (p > 2) return u * pow(abs(u), p - 2) * by;
  // below 2 the power of |x| = 0 is infinite, in the derivative at least; 0 times that of y takes its place
  const Tensor origin = logical_or(zero, eq(x, 0)), none = pow(where(zero, 1, y), 1 - p).detach() * 0;
  return where(origin, none, sign(x) * pow(where(origin, 1, abs(u)), p - 1)) * by;
}
}  // namespace

Tensor vector_norm(const Tensor& in, double p, const DimList& dims, Only<bool> keepdim, std::optional<Dtype> dtype) {
  const OpName name("vector_norm");
  constexpr const char* op = "norm";
  WEFT_CHECK(in.is_floating(), DtypeError, "expects a floating dtype, got ", in.dtype(), "; convert with to()");
  WEFT_CHECK(!dtype || is_floating(*dtype), DtypeError, "dtype must be floating, got ", *dtype);
  Tensor x = autocast(CastPolicy::fp32, in);
  const uint32_t mask = dims.mask(op, x.rank());
  const Dtype d = dtype.value_or(x.dtype());
  Tensor y;
  if (std::isinf(p)) {
    WEFT_CHECK(reduced_count(x.shape(), mask) > 0, ShapeError, "the norm of order ", p,
               " of no elements is not defined, x is ", x.shape());
    NoGrad guard;
    y = p > 0 ? detail::reduce<fn::Max>(abs(x), mask, keepdim, d) : detail::reduce<fn::Min>(abs(x), mask, keepdim, d);
  } else if (p == 2) {
    y = detail::reduce<fn::Norm2>(x, mask, keepdim, d);
  } else if (p == 1) {
    y = detail::reduce<fn::SumAbs>(x, mask, keepdim, d);
  } else {
    WEFT_CHECK(p >= 0 || reduced_count(x.shape(), mask) > 0, ShapeError, "the norm of order ", p,
               " of no elements is not defined, x is ", x.shape());
    y = detail::reduce<fn::NormP>(x, mask, keepdim, d, {p});
  }
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, y, {x}, [x = Saved(x), y = Saved::output(y), p, mask](BackwardCtx& c) -> Grads {
    const Dtype t = compute_dtype(c.get(y).dtype());  // the norm of halves may be given in f32
    Tensor a = c.get(x);
    const Shape kept = reduced_shape(a.shape(), mask, true);
    return {norm_grad(c.grad().reshape(kept).to(t), a.to(t), c.get(y).reshape(kept).to(t), p, mask)};
  });
}

Tensor logsumexp(const Tensor& in, const DimList& dims, Only<bool> keepdim) {
  const OpName op("logsumexp");
  Tensor x = autocast(CastPolicy::fp32, as_float(in));
  const uint32_t mask = dims.mask(op, x.rank());
  Tensor y;
  if (x.numel() == 0) {
    y = log(detail::reduce<fn::Sum>(x.detach(), mask, keepdim, x.dtype()));
  } else {
    NoGrad guard;
    const Tensor a = x.to(compute_dtype(x.dtype()));  // a sum of f16 ends at 65504
    Tensor m = detail::reduce<fn::Max>(a, mask, true, a.dtype());
    m = where(isfinite(m), m, 0);
    y = log(detail::reduce<fn::Sum>(exp(a - m), mask, keepdim, a.dtype())) +
        m.reshape(reduced_shape(x.shape(), mask, keepdim));
    y = y.to(x.dtype());
  }
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, y, {x}, [x = Saved(x), y = Saved::output(y), mask](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x);
    const Shape kept = reduced_shape(a.shape(), mask, true);
    return {c.grad().reshape(kept) * exp(a - c.get(y).reshape(kept))};
  });
}

}  // namespace weft
