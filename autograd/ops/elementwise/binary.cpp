#include "weft/autograd/ops/elementwise/binary.h"

#include <cmath>

#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/refuse.h"

namespace weft {
namespace detail {

namespace {
int category(Dtype d) { return is_floating(d) ? 2 : d == Dtype::boolean ? 0 : 1; }
}  // namespace

Dtype result_dtype(const Tensor& a, const Tensor& b) {
  const Dtype da = a.dtype(), db = b.dtype();
  if (da == db) return da;
  if ((a.rank() == 0) == (b.rank() == 0)) return promote(da, db);
  const Dtype full = a.rank() ? da : db, zero = a.rank() ? db : da;
  return category(full) >= category(zero) ? full : promote(full, zero);
}
Dtype result_dtype(const Tensor& a, const Scalar& s) {
  const Dtype d = a.dtype();
  const int c = s.is_floating() ? 2 : s.is_integer() ? 1 : 0;
  if (category(d) >= c) return d;
  return c == 2 ? default_dtype() : Dtype::i64;
}

}  // namespace detail

namespace {
using namespace detail;
using kernels::map;
using kernels::map2;

/// f(x, y) in their common dtype, not recorded.
template <class F> Tensor apply(const Tensor& x, const Tensor& y, const F& f = {}) {
  check_defined(F::name, x, y);
  if (x.dtype() == y.dtype()) return map2<F>(x, y, f);
  NoGrad guard;
  const Dtype d = result_dtype(x, y);
  return map2<F>(cast(x, d), cast(y, d), f);
}
/// The same in floating arithmetic: integers go to the default dtype.
template <class F> Tensor apply_float(const Tensor& x, const Tensor& y, const F& f = {}) {
  check_defined(F::name, x, y);
  const Dtype d = result_dtype(x, y);
  if (is_floating(d)) return apply<F>(x, y, f);
  return map2<F>(x.to(default_dtype()), y.to(default_dtype()), f);
}
/// x in the dtype of its result with s.
Tensor raised(const char* op, const Tensor& x, const Scalar& s) {
  check_defined(op, x);
  return cast(x, result_dtype(x, s));
}

void check_alpha(const char* op, const Scalar& alpha, Dtype result) {
  WEFT_CHECK(!alpha.is_floating() || is_floating(result), ValueError, op, ": alpha=", alpha,
             " must be an integer for dtype ", result);
}
bool is_one(const Scalar& s) { return s.to_double() == 1; }
/// g * a without a pass for a = 1.
Tensor times(const Tensor& g, const Scalar& a) { return is_one(a) ? g : g * a; }

/// div, fmod and remainder.
template <class F> Tensor apply_divided(const Tensor& x, const Tensor& y) {
  NoGrad guard;
  if (!is_floating(result_dtype(x, y))) refuse_any(F::name, eq(y, 0), "integer division by zero");
  return apply<F>(x, y);
}

/// x + a * y for a = alpha or -alpha, recorded.
Tensor add_scaled(const char* name, Tensor z, const Tensor& x, const Tensor& y, const Scalar& a) {
  if (!recording(x, y)) return unrecorded(name, std::move(z));
  if (is_one(a) && x.shape() == y.shape())
    return record(name, std::move(z), {x, y}, [](BackwardCtx& c) -> Grads { return {c.grad(), c.grad()}; });
  return record(name, std::move(z), {x, y}, [a, sx = x.shape(), sy = y.shape()](BackwardCtx& c) -> Grads {
    Grads r(2);
    if (c.needs(0)) r[0] = sum_to(c.grad(), sx);
    if (c.needs(1)) r[1] = times(sum_to(c.grad(), sy), a);
    return r;
  });
}
}  // namespace

Tensor add(const Tensor& x, const Tensor& y, Scalar alpha) {
  const OpName op("add");
  if (is_one(alpha)) return add_scaled(op, apply<fn::Add>(x, y), x, y, alpha);
  check_alpha(op, alpha, result_dtype(x, y));
  check_operands(op, x, y);
  return add_scaled(op, apply<fn::AddScaled>(x, y, {alpha}), x, y, alpha);
}
Tensor sub(const Tensor& x, const Tensor& y, Scalar alpha) {
  const OpName op("sub");
  const Scalar a = -alpha;
  if (is_one(alpha)) return add_scaled(op, apply<fn::Sub>(x, y), x, y, a);
  check_alpha(op, alpha, result_dtype(x, y));
  check_operands(op, x, y);
  return add_scaled(op, apply<fn::AddScaled>(x, y, {a}), x, y, a);
}
Tensor add(const Tensor& in, Scalar y, Scalar alpha) {
  const OpName op("add");
  Tensor x = raised(op, in, y);
  check_alpha(op, alpha, x.dtype());
  if (x.dtype() == Dtype::boolean) return map2<fn::Add>(x, y);
  const Scalar b = is_one(alpha)            ? y
                   : is_floating(x.dtype()) ? Scalar(y.to_double() * alpha.to_double())
                                            : Scalar(y.to_int64() * alpha.to_int64());
  Tensor z = map<fn::AddScalar>(x, {b});
  if (!recording(x)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x}, [](BackwardCtx& c) -> Grads { return {c.grad()}; });
}
Tensor sub(const Tensor& x, Scalar y, Scalar alpha) {
  const OpName op("sub");
  WEFT_CHECK(x.dtype() != Dtype::boolean || !y.is_bool(), DtypeError, "not defined for bool; use logical_xor");
  return add(x, -y, alpha);
}
Tensor sub(Scalar x, const Tensor& in) {
  const OpName op("sub");
  WEFT_CHECK(in.dtype() != Dtype::boolean || !x.is_bool(), DtypeError, "not defined for bool; use logical_xor");
  Tensor y = raised(op, in, x);
  Tensor z = map<fn::RsubScalar>(y, {x});
  if (!recording(y)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {y}, [](BackwardCtx& c) -> Grads { return {neg(c.grad())}; });
}

Tensor mul(const Tensor& x, const Tensor& y) {
  const OpName op("mul");
  Tensor z = apply<fn::Mul>(x, y);
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x, y}, [x = Saved(x), y = Saved(y, "other")](BackwardCtx& c) -> Grads {
    Grads r(2);
    Tensor a = c.get(x), b = c.get(y);
    if (c.needs(0)) r[0] = sum_to(c.grad() * b, a.shape());
    if (c.needs(1)) r[1] = sum_to(c.grad() * a, b.shape());
    return r;
  });
}
Tensor mul(const Tensor& in, Scalar y) {
  const OpName op("mul");
  Tensor x = raised(op, in, y);
  if (x.dtype() == Dtype::boolean) return map2<fn::Mul>(x, y);
  Tensor z = map<fn::MulScalar>(x, {y});
  if (!recording(x)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x}, [y](BackwardCtx& c) -> Grads {
    if (!c.create_graph()) return {map<fn::MulScalar>(c.take_grad(), {y})};
    return {c.grad() * y};
  });
}

Tensor div(const Tensor& x, const Tensor& y, Choice<RoundingMode> mode) {
  const OpName op("div");
  if (mode != RoundingMode::none) {
    Tensor z = mode == RoundingMode::trunc ? apply_divided<fn::DivTrunc>(x, y) : apply_divided<fn::DivFloor>(x, y);
    return record(op, std::move(z), {x, y}, [sx = x.shape(), sy = y.shape()](BackwardCtx& c) -> Grads {
      Tensor g = zeros_like(c.grad());
      return {sum_to(g, sx), sum_to(g, sy)};
    });
  }
  Tensor z = apply_float<fn::Div>(x, y);
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x, y}, [x = Saved(x), y = Saved(y, "other")](BackwardCtx& c) -> Grads {
    Grads r(2);
    Tensor a = c.get(x), b = c.get(y);
    Tensor q = c.grad() / b;
    if (c.needs(0)) r[0] = sum_to(q, a.shape());
    if (c.needs(1)) r[1] = sum_to(neg(q * (a / b)), b.shape());
    return r;
  });
}
Tensor div(const Tensor& in, Scalar y, Choice<RoundingMode> mode) {
  const OpName op("div");
  if (mode != RoundingMode::none) return div(in, number_beside(op, y, in), mode);
  check_defined(op, in);
  Tensor x = as_float(in);
  Tensor z = map<fn::DivScalar>(x, {y});
  if (!recording(x)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x}, [y](BackwardCtx& c) -> Grads { return {c.grad() / y}; });
}
Tensor div(Scalar x, const Tensor& y, Choice<RoundingMode> mode) {
  const OpName op("div");
  if (mode != RoundingMode::none) return div(number_beside(op, x, y), y, mode);
  return mul(reciprocal(y), x);
}

Tensor pow(const Tensor& x, const Tensor& y) {
  const OpName op("pow");
  Tensor z = apply<fn::Pow>(autocast(CastPolicy::fp32, x), autocast(CastPolicy::fp32, y));
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, z, {x, y}, [x = Saved(x), y = Saved(y, "exponent"), z = Saved::output(z)](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor g = c.grad(), a = c.get(x), b = c.get(y);
    if (c.needs(0)) r[0] = sum_to(where(eq(b, 0), 0, g * (b * pow(a, b - 1))), a.shape());
    if (c.needs(1)) {
      // d/db a^b = a^b log a, and 0 where a^b = 0 for that reason
      Tensor zero = logical_and(eq(a, 0), ge(b, 0));
      r[1] = sum_to(g * where(zero, 0, c.get(z) * log(where(zero, 1, a))), b.shape());
    }
    return r;
  });
}
Tensor pow(const Tensor& in, Scalar e) {
  const OpName op("pow");
  Tensor x = raised(op, autocast(CastPolicy::fp32, in), e);
  if (x.dtype() == Dtype::boolean) x = x.to(Dtype::i64);
  WEFT_CHECK(x.is_floating() || e.to_int64() >= 0, ValueError, "integers to the negative power ", e,
             "; convert to floating first");
  const double p = e.to_double();
  Tensor z = p == 2                         ? map<fn::Square>(x)
             : p == 0.5 && x.is_floating()  ? map<fn::Sqrt>(x)
             : p == -0.5 && x.is_floating() ? map<fn::Rsqrt>(x)
             : p == -1                      ? map<fn::Reciprocal>(x)
                                            : map<fn::PowScalar>(x, {e});
  if (!recording(x)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x}, [x = Saved(x), p](BackwardCtx& c) -> Grads {
    if (p == 0) return {zeros_like(c.grad())};
    if (p == 1) return {c.grad()};
    return {c.grad() * (pow(c.get(x), p - 1) * p)};
  });
}
Tensor pow(Scalar x, const Tensor& y) { return pow(number_beside("pow", x, y), y); }

namespace {
/// maximum and minimum: all of g where x wins, halves where they are equal.
template <class F, class Less> Tensor extreme(const Tensor& x, const Tensor& y, Less loses) {
  Tensor z = apply<F>(x, y);
  if (!recording(x, y)) return unrecorded(F::name, std::move(z));
  return record(F::name, std::move(z), {x, y}, [x = Saved(x), y = Saved(y, "other"), loses](BackwardCtx& c) -> Grads {
    Grads r(2);
    Tensor a = c.get(x), b = c.get(y);
    Tensor half = where(eq(a, b), c.grad() * 0.5, c.grad());
    if (c.needs(0)) r[0] = sum_to(where(loses(a, b), 0, half), a.shape());
    if (c.needs(1)) r[1] = sum_to(where(loses(b, a), 0, half), b.shape());
    return r;
  });
}
}  // namespace
Tensor maximum(const Tensor& x, const Tensor& y) {
  return extreme<fn::Maximum>(x, y, [](const Tensor& a, const Tensor& b) { return lt(a, b); });
}
Tensor minimum(const Tensor& x, const Tensor& y) {
  return extreme<fn::Minimum>(x, y, [](const Tensor& a, const Tensor& b) { return gt(a, b); });
}
Tensor atan2(const Tensor& y, const Tensor& x) {
  return record("atan2", apply_float<fn::Atan2>(y, x), {y, x},
                [y = Saved(y), x = Saved(x, "other")](BackwardCtx& c) -> Grads {
                  Grads r(2);
                  Tensor a = c.get(y), b = c.get(x);
                  Tensor r2 = a * a + b * b;
                  Tensor g = c.grad() / where(eq(r2, 0), 1, r2);  // 0 at the origin, as PyTorch since 2.10
                  if (c.needs(0)) r[0] = sum_to(g * b, a.shape());
                  if (c.needs(1)) r[1] = sum_to(neg(g * a), b.shape());
                  return r;
                });
}

namespace {
/// fmod and remainder: x - y * n, with n the quotient rounded by `mode`.
template <class F> Tensor modulo(const Tensor& x, const Tensor& y, RoundingMode mode) {
  return record(F::name, apply_divided<F>(x, y), {x, y},
                [x = Saved(x), y = Saved(y, "other"), mode](BackwardCtx& c) -> Grads {
                  Grads r(2);
                  Tensor a = c.get(x), b = c.get(y);
                  if (c.needs(0)) r[0] = sum_to(c.grad(), a.shape());
                  if (c.needs(1)) r[1] = sum_to(neg(c.grad() * div(a, b, mode)), b.shape());
                  return r;
                });
}
}  // namespace
Tensor fmod(const Tensor& x, const Tensor& y) {
  const OpName op("fmod");
  return modulo<fn::Fmod>(x, y, RoundingMode::trunc);
}
Tensor fmod(const Tensor& x, Scalar y) {
  const OpName op("fmod");
  return fmod(x, number_beside(op, y, x));
}
Tensor fmod(Scalar x, const Tensor& y) {
  const OpName op("fmod");
  return fmod(number_beside(op, x, y), y);
}
Tensor remainder(const Tensor& x, const Tensor& y) {
  const OpName op("remainder");
  return modulo<fn::Remainder>(x, y, RoundingMode::floor);
}
Tensor remainder(const Tensor& x, Scalar y) {
  const OpName op("remainder");
  return remainder(x, number_beside(op, y, x));
}
Tensor remainder(Scalar x, const Tensor& y) {
  const OpName op("remainder");
  return remainder(number_beside(op, x, y), y);
}

Tensor outer(const Tensor& x, const Tensor& y) {
  const OpName op("outer");
  WEFT_CHECK(x.rank() == 1 && y.rank() == 1, ShapeError, "expects two vectors, got ", x.shape(), " and ", y.shape());
  kernels::detail::check_same_device(op, x, y);
  return x.unsqueeze(1) * y;
}

Tensor eq(const Tensor& x, const Tensor& y) { return apply<fn::Eq>(x, y); }
Tensor ne(const Tensor& x, const Tensor& y) { return apply<fn::Ne>(x, y); }
Tensor lt(const Tensor& x, const Tensor& y) { return apply<fn::Lt>(x, y); }
Tensor le(const Tensor& x, const Tensor& y) { return apply<fn::Le>(x, y); }
Tensor gt(const Tensor& x, const Tensor& y) { return apply<fn::Gt>(x, y); }
Tensor ge(const Tensor& x, const Tensor& y) { return apply<fn::Ge>(x, y); }
Tensor eq(const Tensor& x, Scalar y) { return eq(x, number_beside("eq", y, x)); }
Tensor ne(const Tensor& x, Scalar y) { return ne(x, number_beside("ne", y, x)); }
Tensor lt(const Tensor& x, Scalar y) { return lt(x, number_beside("lt", y, x)); }
Tensor le(const Tensor& x, Scalar y) { return le(x, number_beside("le", y, x)); }
Tensor gt(const Tensor& x, Scalar y) { return gt(x, number_beside("gt", y, x)); }
Tensor ge(const Tensor& x, Scalar y) { return ge(x, number_beside("ge", y, x)); }
Tensor logical_and(const Tensor& x, const Tensor& y) { return apply<fn::LogicalAnd>(x, y); }
Tensor logical_or(const Tensor& x, const Tensor& y) { return apply<fn::LogicalOr>(x, y); }
Tensor logical_xor(const Tensor& x, const Tensor& y) { return apply<fn::LogicalXor>(x, y); }

bool allclose(const Tensor& x, const Tensor& y, double rtol, double atol, Only<bool> equal_nan) {
  check_operands("allclose", x, y);
  NoGrad guard;
  Tensor a = x.to(Dtype::f64), b = y.to(Dtype::f64);
  // equality first: infinities of one sign are close, though their difference is NaN
  Tensor close = logical_or(eq(a, b), logical_and(isfinite(b), le(abs(a - b), add(abs(b) * rtol, atol))));
  if (equal_nan) close = logical_or(close, logical_and(isnan(a), isnan(b)));
  return all(close).item<bool>();
}
bool equal(const Tensor& x, const Tensor& y) { return x.shape() == y.shape() && all(eq(x, y)).item<bool>(); }

}  // namespace weft
