#include "weft/autograd/ops/elementwise/unary.h"

#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"

namespace weft {
namespace {
using namespace detail;
using kernels::map;

constexpr double kLn2 = 0.69314718055994530942;
constexpr double kLn10 = 2.30258509299404568402;
constexpr double kTwoOverSqrtPi = 1.12837916709551257390;
}  // namespace

Tensor abs(const Tensor& x) {
  return record("abs", map<fn::Abs>(x), {x},
                [x = Saved(x)](BackwardCtx& c) -> Grads { return {c.grad() * sign(c.get(x))}; });
}
Tensor neg(const Tensor& x) {
  return record("neg", map<fn::Neg>(x), {x}, [](BackwardCtx& c) -> Grads { return {neg(c.grad())}; });
}
Tensor sign(const Tensor& x) { return x.dtype() == Dtype::boolean ? x : flat<fn::Sign>(x); }
Tensor square(const Tensor& in) {
  Tensor x = in.dtype() == Dtype::boolean ? in.to(Dtype::i64) : in;
  return record("square", map<fn::Square>(x), {x},
                [x = Saved(x)](BackwardCtx& c) -> Grads { return {c.grad() * c.get(x) * 2}; });
}
Tensor sqrt(const Tensor& x) {
  return from_output<fn::Sqrt>(x, [](const Tensor& g, const Tensor& y) { return g / (y * 2); });
}
Tensor rsqrt(const Tensor& x) {
  return from_output<fn::Rsqrt>(autocast(CastPolicy::fp32, x),
                                [](const Tensor& g, const Tensor& y) { return g * (y * y * y) * -0.5; });
}
Tensor reciprocal(const Tensor& x) {
  return from_output<fn::Reciprocal>(autocast(CastPolicy::fp32, x),
                                     [](const Tensor& g, const Tensor& y) { return neg(g * (y * y)); });
}

Tensor exp(const Tensor& x) {
  return from_output<fn::Exp>(autocast(CastPolicy::fp32, x), [](const Tensor& g, const Tensor& y) { return g * y; });
}
Tensor exp2(const Tensor& x) {
  return from_output<fn::Exp2>(autocast(CastPolicy::fp32, x),
                               [](const Tensor& g, const Tensor& y) { return g * y * kLn2; });
}
Tensor expm1(const Tensor& x) {
  return from_output<fn::Expm1>(autocast(CastPolicy::fp32, x),
                                [](const Tensor& g, const Tensor& y) { return g * (y + 1); });
}
Tensor log(const Tensor& x) {
  return from_input<fn::Log>(autocast(CastPolicy::fp32, x), [](const Tensor& g, const Tensor& x) { return g / x; });
}
Tensor log2(const Tensor& x) {
  return from_input<fn::Log2>(autocast(CastPolicy::fp32, x),
                              [](const Tensor& g, const Tensor& x) { return g / (x * kLn2); });
}
Tensor log10(const Tensor& x) {
  return from_input<fn::Log10>(autocast(CastPolicy::fp32, x),
                               [](const Tensor& g, const Tensor& x) { return g / (x * kLn10); });
}
Tensor log1p(const Tensor& x) {
  return from_input<fn::Log1p>(autocast(CastPolicy::fp32, x),
                               [](const Tensor& g, const Tensor& x) { return g / (x + 1); });
}

Tensor sin(const Tensor& x) {
  return from_input<fn::Sin>(x, [](const Tensor& g, const Tensor& x) { return g * cos(x); });
}
Tensor cos(const Tensor& x) {
  return from_input<fn::Cos>(x, [](const Tensor& g, const Tensor& x) { return neg(g * sin(x)); });
}
Tensor tan(const Tensor& x) {
  return from_output<fn::Tan>(autocast(CastPolicy::fp32, x),
                              [](const Tensor& g, const Tensor& y) { return g * (y * y + 1); });
}
Tensor asin(const Tensor& x) {
  return from_input<fn::Asin>(autocast(CastPolicy::fp32, x),
                              [](const Tensor& g, const Tensor& x) { return g * rsqrt(1 - x * x); });
}
Tensor acos(const Tensor& x) {
  return from_input<fn::Acos>(autocast(CastPolicy::fp32, x),
                              [](const Tensor& g, const Tensor& x) { return neg(g * rsqrt(1 - x * x)); });
}
Tensor atan(const Tensor& x) {
  return from_input<fn::Atan>(x, [](const Tensor& g, const Tensor& x) { return g / (x * x + 1); });
}
Tensor sinh(const Tensor& x) {
  return from_input<fn::Sinh>(autocast(CastPolicy::fp32, x),
                              [](const Tensor& g, const Tensor& x) { return g * cosh(x); });
}
Tensor cosh(const Tensor& x) {
  return from_input<fn::Cosh>(autocast(CastPolicy::fp32, x),
                              [](const Tensor& g, const Tensor& x) { return g * sinh(x); });
}
Tensor tanh(const Tensor& x) {
  return from_output_fused<fn::Tanh, fn::TanhGrad>(x, [](const Tensor& g, const Tensor& y) { return g * (1 - y * y); });
}

Tensor asinh(const Tensor& x) {
  return from_input<fn::Asinh>(autocast(CastPolicy::fp32, x),
                               [](const Tensor& g, const Tensor& x) { return g * rsqrt(x * x + 1); });
}
Tensor acosh(const Tensor& x) {
  return from_input<fn::Acosh>(autocast(CastPolicy::fp32, x),
                               [](const Tensor& g, const Tensor& x) { return g * rsqrt(x * x - 1); });
}
Tensor atanh(const Tensor& x) {
  return from_input<fn::Atanh>(autocast(CastPolicy::fp32, x),
                               [](const Tensor& g, const Tensor& x) { return g / (1 - x * x); });
}

Tensor erf(const Tensor& x) {
  return from_input<fn::Erf>(x, [](const Tensor& g, const Tensor& x) { return g * exp(neg(x * x)) * kTwoOverSqrtPi; });
}
Tensor erfc(const Tensor& x) {
  return from_input<fn::Erfc>(x,
                              [](const Tensor& g, const Tensor& x) { return g * exp(neg(x * x)) * -kTwoOverSqrtPi; });
}

Tensor floor(const Tensor& x) { return x.is_floating() ? flat<fn::Floor>(x) : x; }
Tensor ceil(const Tensor& x) { return x.is_floating() ? flat<fn::Ceil>(x) : x; }
Tensor trunc(const Tensor& x) { return x.is_floating() ? flat<fn::Trunc>(x) : x; }
Tensor round(const Tensor& x, Int decimals) {
  if (!x.is_floating()) {
    WEFT_CHECK(decimals >= 0, NotSupported, "round: decimals=", decimals, " needs a floating dtype, got ", x.dtype());
    return x;
  }
  if (decimals == 0) return flat<fn::Round>(x);
  return flat<fn::RoundDecimals>(x, {std::pow(10.0, std::abs(static_cast<double>(decimals))), decimals < 0});
}
Tensor frac(const Tensor& x) {
  const OpName op("frac");
  return x - trunc(x);
}

Tensor detail::clamp_between(const char* op, const Tensor& x, double lo, double hi, bool nan_passes) {
  const double low = std::isnan(lo) ? -INFINITY : lo, high = std::isnan(hi) ? INFINITY : hi;
  Tensor y = map<fn::Clamp>(x, {low, high});
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, std::move(y), {x}, [x = Saved(x), lo, hi, nan_passes](BackwardCtx& c) -> Grads {
    Tensor at = c.get(x);
    if (!c.create_graph()) return {kernels::map2<fn::ClampGrad>(c.take_grad(), at, {lo, hi, nan_passes})};
    Tensor out = logical_or(le(at, lo), ge(at, hi));
    if (!nan_passes) out = logical_or(out, isnan(at));
    return {where(out, 0, c.grad())};
  });
}
Tensor clamp(const Tensor& in, std::optional<Scalar> min, std::optional<Scalar> max) {
  const OpName op("clamp");
  WEFT_CHECK(min || max, ValueError, "neither min nor max is given");
  check_defined(op, in);
  Tensor x = in;
  if (min) x = cast(x, result_dtype(x, *min));
  if (max) x = cast(x, result_dtype(x, *max));
  const double lo = min ? min->to_double() : NAN, hi = max ? max->to_double() : NAN;
  if ((min && std::isnan(lo)) || (max && std::isnan(hi)))  // a bound that is no number: neither is the result
    return record(op, full_like(x, NAN), {x}, [](BackwardCtx& c) -> Grads { return {zeros_like(c.grad())}; });
  return clamp_between(op, x, lo, hi, false);
}
Tensor clamp(const Tensor& x, const Tensor& min, const Tensor& max) {
  const OpName op("clamp");
  WEFT_CHECK(min.defined() || max.defined(), ValueError, "neither min nor max is given");
  for (const Tensor& bound : {min, max})
    if (bound.defined()) check_operands(op, x, bound);
  if (!max.defined()) return maximum(x, min);
  if (!min.defined()) return minimum(x, max);
  Tensor y;
  {
    NoGrad guard;
    y = minimum(maximum(x, min), max);
  }
  if (!recording(x, min) && !recording(max)) return unrecorded(op, std::move(y));
  return record(op, std::move(y), {x, min, max},
                [x = Saved(x), min = Saved(min, "min"), max = Saved(max, "max")](BackwardCtx& c) -> Grads {
                  // PyTorch's shares: halves where x lies on one of two bounds that differ, all of it where they are
                  // equal, and max takes what is left where they are crossed. A NaN fails the tests, so that x keeps
                  // what it has.
                  Grads r(3);
                  const Tensor a = c.get(x), lo = c.get(min), hi = c.get(max), g = c.grad(), half = g * 0.5;
                  const Tensor open = lt(lo, hi), ordered = le(lo, hi), below = lt(a, lo), above = gt(a, hi);
                  const Tensor at_lo = logical_and(open, eq(a, lo)), at_hi = logical_and(open, eq(a, hi));
                  if (c.needs(0)) {
                    const Tensor inside = where(logical_or(at_lo, at_hi), half, g);
                    r[0] = sum_to(where(logical_or(below, above), 0, inside), a.shape());
                  }
                  if (c.needs(1))
                    r[1] = sum_to(where(logical_and(ordered, below), g, where(at_lo, half, 0)), lo.shape());
                  if (c.needs(2)) {
                    const Tensor over = logical_or(logical_and(ordered, above), lt(hi, lo));
                    r[2] = sum_to(where(over, g, where(at_hi, half, 0)), hi.shape());
                  }
                  return r;
                });
}

Tensor isnan(const Tensor& x) { return map<fn::Isnan>(x); }
Tensor isinf(const Tensor& x) { return map<fn::Isinf>(x); }
Tensor isfinite(const Tensor& x) { return map<fn::Isfinite>(x); }
Tensor logical_not(const Tensor& x) { return map<fn::LogicalNot>(x); }

}  // namespace weft
