#include "weft/autograd/ops/elementwise/special.h"

#include <cmath>
#include <limits>

#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"

namespace weft {
namespace {
using namespace detail;

constexpr double kPi = 3.14159265358979323846, kNaturalOf2 = 0.69314718055994530942;

/// f(x, y) in their common floating dtype, not recorded; integers in the default dtype (`raise`), or refused.
template <class F> Tensor floating_pair(const Tensor& x, const Tensor& y, bool raise) {
  check_operands(F::name, x, y);
  Dtype d = result_dtype(x, y);
  WEFT_CHECK(raise || is_floating(d), DtypeError, F::name, ": expects a floating dtype, got ", d,
             "; convert with to()");
  if (!is_floating(d)) d = default_dtype();
  NoGrad guard;
  return kernels::map2<F>(cast(x, d), cast(y, d));
}
/// logaddexp to the base exp(`rate`): the shares of x and y are sigmoids of their distance.
template <class F> Tensor log_of_sum(const Tensor& x, const Tensor& y, double rate) {
  Tensor z = floating_pair<F>(x, y, false);
  if (!recording(x, y)) return unrecorded(F::name, std::move(z));
  return record(F::name, std::move(z), {x, y}, [x = Saved(x), y = Saved(y, "other"), rate](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor a = c.get(x), b = c.get(y), g = c.grad(), apart = (a - b) * rate;
    if (c.needs(0)) r[0] = sum_to(g * sigmoid(apart), a.shape());
    if (c.needs(1)) r[1] = sum_to(g * sigmoid(neg(apart)), b.shape());
    return r;
  });
}
}  // namespace

Tensor logaddexp(const Tensor& x, const Tensor& y) { return log_of_sum<fn::Logaddexp>(x, y, 1); }
Tensor logaddexp2(const Tensor& x, const Tensor& y) { return log_of_sum<fn::Logaddexp2>(x, y, kNaturalOf2); }

Tensor xlogy(const Tensor& x, const Tensor& y) {
  const OpName op("xlogy");
  Tensor z = floating_pair<fn::Xlogy>(x, y, true);
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x, y}, [x = Saved(x), y = Saved(y, "other")](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor a = c.get(x), b = c.get(y), g = c.grad();
    if (c.needs(0)) r[0] = sum_to(where(logical_and(eq(a, 0), le(b, 0)), 0, xlogy(g, b)), a.shape());
    if (c.needs(1)) r[1] = sum_to(g * a / b, b.shape());
    return r;
  });
}
Tensor xlogy(const Tensor& x, Scalar y) { return xlogy(x, number_beside("xlogy", y, x)); }
Tensor xlogy(Scalar x, const Tensor& y) { return xlogy(number_beside("xlogy", x, y), y); }

Tensor hypot(const Tensor& x, const Tensor& y) {
  const OpName op("hypot");
  Tensor z = floating_pair<fn::Hypot>(x, y, false);
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, z, {x, y}, [x = Saved(x), y = Saved(y, "other"), z = Saved::output(z)](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor a = c.get(x), b = c.get(y), length = c.get(z);
    if (c.needs(0)) r[0] = sum_to(c.grad() * (a / length), a.shape());
    if (c.needs(1)) r[1] = sum_to(c.grad() * (b / length), b.shape());
    return r;
  });
}
Tensor copysign(const Tensor& x, const Tensor& y) {
  const OpName op("copysign");
  Tensor z = floating_pair<fn::Copysign>(x, y, true);
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, z, {x, y}, [x = Saved(x), z = Saved::output(z), sy = y.shape()](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor a = c.get(x), zero = eq(a, 0);
    if (c.needs(0)) {
      const Tensor turned = where(zero, 0, c.get(z).detach() / where(zero, 1, a.detach()));
      r[0] = sum_to(c.grad() * turned, a.shape());
    }
    if (c.needs(1)) r[1] = zeros(sy, c.grad().options());
    return r;
  });
}
Tensor copysign(const Tensor& x, Scalar y) {  // as a real number: an unsigned x would take the sign away
  return copysign(x, number_beside("copysign", Scalar(y.to_double()), x));
}

Tensor heaviside(const Tensor& x, const Tensor& values) {
  const OpName op("heaviside");
  check_operands(op, x, values);
  Tensor z = kernels::map2<fn::Heaviside>(x, values);
  if (!recording(x, values)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x, values}, [x = Saved(x), sv = values.shape()](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor a = c.get(x);
    if (c.needs(0)) r[0] = zeros_like(a);
    if (c.needs(1)) r[1] = sum_to(where(eq(a, 0), c.grad(), 0), sv);
    return r;
  });
}

namespace {
/// fmax and fmin: all of g to the winner, x where both are NaN, and halves where they are equal.
Tensor number_extreme(const char* op, const Tensor& x, const Tensor& y,
                      Tensor (*no_worse)(const Tensor&, const Tensor&)) {
  const OpName name(op);
  check_operands(op, x, y);
  const auto x_wins = [no_worse](const Tensor& a, const Tensor& b) { return logical_or(no_worse(a, b), isnan(b)); };
  Tensor z = where(x_wins(x.detach(), y.detach()), x.detach(), y.detach());
  if (!recording(x, y)) return unrecorded(op, std::move(z));
  return record(op, std::move(z), {x, y}, [x = Saved(x), y = Saved(y, "other"), x_wins](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor a = c.get(x), b = c.get(y), wins = x_wins(a, b), equal = eq(a, b);
    const Tensor half = where(equal, c.grad() * 0.5, c.grad());
    if (c.needs(0)) r[0] = sum_to(where(wins, half, 0), a.shape());
    if (c.needs(1)) r[1] = sum_to(where(logical_and(wins, logical_not(equal)), 0, half), b.shape());
    return r;
  });
}
}  // namespace
Tensor fmax(const Tensor& x, const Tensor& y) { return number_extreme("fmax", x, y, ge); }
Tensor fmin(const Tensor& x, const Tensor& y) { return number_extreme("fmin", x, y, le); }

Tensor logit(const Tensor& x, std::optional<double> eps) {
  const double e = eps.value_or(-1);
  return from_input<fn::Logit>(x,
                               [e](const Tensor& g, const Tensor& x) {
                                 const Tensor out = e < 0 ? logical_or(lt(x, 0), gt(x, 1))
                                                          : logical_or(lt(x, e), gt(x, 1 - e));
                                 const Tensor inside = where(out, 0.5, x);
                                 return where(out, e < 0 ? NAN : 0.0, g / (inside * (1 - inside)));
                               },
                               {e});
}

namespace {
/// The derivative of sinc: near 0, where its two terms cancel, by its series.
Tensor sinc_slope(const Tensor& x) {
  const Tensor near = lt(abs(x), 0.1), u = x * kPi, small = where(near, u, 0), big = where(near, 1, u),
               t = small * small;
  Tensor p = 12 / 6227020800.0 * t - 10 / 39916800.0;
  for (const double k : {1 / 45360.0, -1 / 840.0, 1 / 30.0, -1 / 3.0}) p = p * t + k;
  return where(near, small * p, (big * cos(big) - sin(big)) / (big * big)) * kPi;
}
}  // namespace
Tensor sinc(const Tensor& x) {
  return from_input<fn::Sinc>(
      x, [](const Tensor& g, const Tensor& x) { return g * sinc_slope(cast(x, compute_dtype(x.dtype()))); });
}

Tensor nan_to_num(const Tensor& x, const NanToNumOptions& o) {
  check_defined("nan_to_num", x);
  if (!x.is_floating()) return x.clone();
  const double greatest = x.dtype() == Dtype::f64    ? std::numeric_limits<double>::max()
                          : x.dtype() == Dtype::f32  ? double{std::numeric_limits<float>::max()}
                          : x.dtype() == Dtype::bf16 ? 0x1.FEp127
                                                     : 65504.0;
  return from_input<fn::NanToNum>(x, [](const Tensor& g, const Tensor& x) { return where(isfinite(x), g, 0); },
                                  {o.nan, o.posinf.value_or(greatest), o.neginf.value_or(-greatest)});
}

Tensor lgamma(const Tensor& x) {
  return from_input<fn::Lgamma>(x, [](const Tensor& g, const Tensor& x) { return g * digamma(x); });
}
Tensor digamma(const Tensor& x) {
  return from_input<fn::Digamma>(x, [](const Tensor& g, const Tensor& x) { return g * polygamma(1, x); });
}
Tensor polygamma(Int n, const Tensor& x) {
  WEFT_CHECK(n >= 0 && n <= 10'000, ValueError, "polygamma: n must be in [0, 10000], got ", n);
  return from_input<fn::Polygamma>(x, [n](const Tensor& g, const Tensor& x) { return g * polygamma(n + 1, x); },
                                   {static_cast<double>(n)});
}
Tensor erfinv(const Tensor& x) {
  return from_output<fn::Erfinv>(autocast(CastPolicy::fp32, x), [](const Tensor& g, const Tensor& y) {
    return g * exp(y * y) * 0.88622692545275801365;
  });
}

}  // namespace weft
