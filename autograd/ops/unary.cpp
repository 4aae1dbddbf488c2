#include "weft/autograd/ops/unary.h"

#include <cmath>

#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/elementwise.h"
#include "weft/autograd/ops/select.h"

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
Tensor round(const Tensor& x, int64_t decimals) {
  if (!x.is_floating()) {
    WEFT_CHECK(decimals >= 0, NotSupported, "round: decimals=", decimals, " needs a floating dtype, got ", x.dtype());
    return x;
  }
  if (decimals == 0) return flat<fn::Round>(x);
  return flat<fn::RoundDecimals>(x, {std::pow(10.0, std::abs(static_cast<double>(decimals))), decimals < 0});
}
Tensor frac(const Tensor& x) { return x - trunc(x); }

Tensor clamp(const Tensor& in, std::optional<Scalar> min, std::optional<Scalar> max) {
  WEFT_CHECK(min || max, ValueError, "clamp: neither min nor max is given");
  check_defined("clamp", in);
  Tensor x = in;
  if (min) x = cast(x, result_dtype(x, *min));
  if (max) x = cast(x, result_dtype(x, *max));
  const double lo = min ? min->to_double() : -INFINITY, hi = max ? max->to_double() : INFINITY;
  return record("clamp", map<fn::Clamp>(x, {lo, hi}), {x}, [x = Saved(x), lo, hi](BackwardCtx& c) -> Grads {
    Tensor at = c.get(x);
    if (!c.create_graph()) return {kernels::map2<fn::ClampGrad>(c.take_grad(), at, {lo, hi})};
    return {where(logical_and(gt(at, lo), lt(at, hi)), c.grad(), 0)};
  });
}
Tensor clamp(const Tensor& x, const Tensor& min, const Tensor& max) {
  WEFT_CHECK(min.defined() || max.defined(), ValueError, "clamp: neither min nor max is given");
  for (const Tensor& bound : {min, max})
    if (bound.defined()) check_operands("clamp", x, bound);
  Tensor y = min.defined() ? maximum(x, min) : x;
  return max.defined() ? minimum(y, max) : y;
}

Tensor isnan(const Tensor& x) { return map<fn::Isnan>(x); }
Tensor isinf(const Tensor& x) { return map<fn::Isinf>(x); }
Tensor isfinite(const Tensor& x) { return map<fn::Isfinite>(x); }
Tensor logical_not(const Tensor& x) { return map<fn::LogicalNot>(x); }

}  // namespace weft
