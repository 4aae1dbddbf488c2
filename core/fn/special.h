// Gamma functions and their kin, and the draws that need them. All are computed in f64 and rounded once, from series
// that are public (DLMF chapters 5, 7 and 25): nothing here calls a library function with hidden state.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/philox.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// c0 + c1 z + c2 z^2 + ...
WEFT_HD WEFT_INLINE double polynomial(double, double c) { return c; }
template <class... C> WEFT_HD WEFT_INLINE double polynomial(double z, double c, C... more) {
  return c + z * polynomial(z, more...);
}

/// sin(pi x) for x >= 0, exact at the integers and halves.
WEFT_HD WEFT_INLINE double sin_pi(double x) {
  const double f = x - 2 * std::floor(x / 2), r = f > 1 ? f - 1 : f,
               s = std::sin(3.14159265358979323846 * (r > 0.5 ? 1 - r : r));
  return f > 1 ? -s : s;
}

/// log |Gamma(2 + z)| for |z| <= 1/2: z (1 - gamma) + sum (-1)^k (zeta(k) - 1) z^k / k (DLMF 5.7.3). Exact at its zero.
WEFT_HD WEFT_INLINE double lgamma_2(double z) {
  return z * polynomial(z, 0.42278433509846713939, 0.32246703342411321824, -0.067352301053198095133,
                        0.020580808427784547879, -0.0073855510286739852663, 0.0028905103307415232858,
                        -0.0011927539117032609771, 0.00050966952474304242234, -0.00022315475845357937976,
                        0.000099457512781808533715, -0.0000449262367381331417, 0.000020507212775670691553,
                        -9.439488275268395904e-6, 4.3748667899074878042e-6, -2.0392157538013662368e-6,
                        9.5514121304074198329e-7, -4.4924691987645660433e-7, 2.1207184805554665869e-7,
                        -1.0043224823968099609e-7, 4.7698101693639805658e-8, -2.271109460894316491e-8,
                        1.0838659214896954091e-8, -5.1834750419700466551e-9, 2.4836745438024783172e-9,
                        -1.1921401405860912074e-9, 5.7313672416788620133e-10, -2.7595228851242331452e-10);
}
/// log |Gamma(x)|, x > -1/2: near 2 by its series, below and above by the recurrence, far out by Stirling's
/// (DLMF 5.11.1).
WEFT_HD WEFT_INLINE double lgamma_positive(double x) {
  if (x < 0.5) return lgamma_2(x) - std::log1p(x) - std::log(std::fabs(x));
  if (x < 1.5) return lgamma_2(x - 1) - std::log1p(x - 1);
  if (x < 8) {
    double p = 1;
    for (; x >= 2.5; p *= x) x -= 1;
    return lgamma_2(x - 2) + std::log(p);
  }
  const double r = 1 / x;
  return (x - 0.5) * (std::log(x) - 1) + 0.41893853320467274178 +
         r * polynomial(r * r, 0.083333333333333333333, -0.0027777777777777777778, 0.00079365079365079365079,
                        -0.0005952380952380952381, 0.00084175084175084175084, -0.0019175269175269175269,
                        0.0064102564102564102564, -0.02955065359477124183, 0.17964437236883057316);
}
/// log |Gamma(x)|: infinite at 0, -1, -2, ...
WEFT_HD WEFT_INLINE double lgamma(double x) {
  if (x > -0.5 || x != x) return lgamma_positive(x);
  if (x == std::floor(x)) return std::numeric_limits<double>::infinity();
  return std::log(3.14159265358979323846 / std::fabs(x * sin_pi(-x))) - lgamma_positive(-x);
}

/// The derivative of log Gamma, x > 0 (DLMF 5.5.2, 5.11.2).
WEFT_HD WEFT_INLINE double digamma_positive(double x) {
  double s = 0;
  for (; x < 10; x += 1) s -= 1 / x;
  const double r = 1 / (x * x);
  return s + std::log(x) - 0.5 / x -
         r * polynomial(r, 0.083333333333333333333, -0.0083333333333333333333, 0.003968253968253968254,
                        -0.0041666666666666666667, 0.0075757575757575757576, -0.021092796092796092796,
                        0.083333333333333333333);
}
/// At 0 minus infinity with the zero's sign, NaN at the negative integers.
WEFT_HD WEFT_INLINE double digamma(double x) {
  if (x > 0 || x != x) return digamma_positive(x);
  if (x == 0) return -1 / x;
  const double r = x - std::nearbyint(x);  // exact
  if (!(r != 0)) return std::numeric_limits<double>::quiet_NaN();
  return digamma_positive(1 - x) - 3.14159265358979323846 / std::tan(3.14159265358979323846 * r);
}

/// The Hurwitz zeta function sum (x + k)^-s for x > 0 and an integer s >= 2, by Euler and Maclaurin (DLMF 25.11.5).
WEFT_HD WEFT_INLINE double zeta_positive(double s, double x) {
  double sum = 0;
  for (; x < 10 + s; x += 1) sum += std::pow(x, -s);
  const double p = std::pow(x, -s), r = 1 / (x * x);
  double term = s * p / x, tail = 0;
  const double c[] = {0.083333333333333333333,   -0.0013888888888888888889,  0.000033068783068783068783,
                      -8.2671957671957671958e-7, 2.0876756987868098979e-8,   -5.2841901386874931848e-10,
                      1.3382536530684678833e-11, -3.3896802963225828668e-13, 8.5860620562778445641e-15};
  for (int j = 0; j < 9; ++j) {
    tail += c[j] * term;
    term *= (s + 2 * j + 1) * (s + 2 * j + 2) * r;
  }
  return sum + p * (x / (s - 1) + 0.5) + tail;
}
/// The same for every x; infinite at 0, -1, -2, ... A negative x goes over all integers at once, from the first place
/// above 0 upwards and from the one below 0 downwards, less those below x. The two are equal halfway between integers,
/// and cancel in odd powers.
WEFT_HD WEFT_INLINE double zeta(double s, double x) {
  if (x > 0 || x != x) return x > 1e300 ? 0 : zeta_positive(s, x);
  const double r = x - std::nearbyint(x);
  if (r == 0) return std::numeric_limits<double>::infinity();
  const double up = zeta_positive(s, r > 0 ? r : 1 + r), down = zeta_positive(s, r > 0 ? 1 - r : -r),
               past = zeta_positive(s, 1 - x);
  return std::fmod(s, 2) == 0 ? up + (down - past) : (up - down) + past;
}
/// The n-th derivative of digamma: (-1)^(n+1) n! zeta(n + 1, x).
WEFT_HD WEFT_INLINE double polygamma(double n, double x) {
  if (n == 0) return digamma(x);
  double factorial = 1;
  for (double k = 2; k <= n; k += 1) factorial *= k;
  const double z = factorial * zeta(n + 1, x);
  return std::fmod(n, 2) == 0 ? -z : z;
}

/// The x with erf(x) = y. A closed form good to three digits (Winitzki, 2008), made exact by two of Halley's steps.
WEFT_HD WEFT_INLINE double erfinv(double y) {
  const double a = std::fabs(y);
  if (!(a < 1)) return a == 1 ? y * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  const double w = std::log1p(-a * a), t = 4.3307467508 + w / 2;
  double x = std::sqrt(-w / 0.147 / (std::sqrt(t * t - w / 0.147) + t));
  for (int i = 0; i < 2; ++i) {
    // far out erf is 1 to all digits: there its complement is compared
    const double e = a < 0.5 ? std::erf(x) - a : (1 - a) - std::erfc(x);
    const double u = e * 0.88622692545275801365 * std::exp(x * x);
    x -= u / (1 + x * u);
  }
  return y < 0 ? -x : x;
}

/// Two doubles in [0, 1) of an element's own stream: the blocks of Philox whose third word counts tries and whose
/// fourth is 1, which no fill of a tensor takes.
WEFT_HD WEFT_INLINE void own_uniforms(uint64_t seed, uint64_t element, uint32_t attempt, double& u, double& v) {
  const PhiloxBlock b = philox_rounds<10>(
      {static_cast<uint32_t>(element), static_cast<uint32_t>(element >> 32), attempt, 1}, static_cast<uint32_t>(seed),
      static_cast<uint32_t>(seed >> 32));
  u = uniform01(b.w0, b.w1);
  v = uniform01(b.w2, b.w3);
}
/// A Poisson number from the element's own stream: by products of uniforms for small rates, by transformed rejection
/// (Hoermann, 1993) above, and by the normal law where that is the same to every digit a double has.
WEFT_HD WEFT_INLINE double draw_poisson(double rate, uint64_t seed, uint64_t element) {
  double u, v;
  if (!(rate > 0) || rate - rate != 0) return rate;
  if (rate < 10) {
    const double end = std::exp(-rate);
    double p = 1, k = 0;
    for (uint32_t i = 0;; ++i) {
      own_uniforms(seed, element, i, u, v);
      if ((p *= u) <= end) return k;
      k += 1;
      if ((p *= v) <= end) return k;
      k += 1;
    }
  }
  if (rate > 1e12) {
    double a, b;
    own_uniforms(seed, element, 0, u, v);
    box_muller(u, v, a, b);
    return std::floor(rate + std::sqrt(rate) * a + 0.5);
  }
  const double b = 0.931 + 2.53 * std::sqrt(rate), a = -0.059 + 0.02483 * b, scale = 1.1239 + 1.1328 / (b - 3.4),
               sure = 0.9277 - 3.6224 / (b - 2), log_rate = std::log(rate);
  for (uint32_t i = 0;; ++i) {
    own_uniforms(seed, element, i, u, v);
    u -= 0.5;
    const double s = 0.5 - std::fabs(u), k = std::floor((2 * a / s + b) * u + rate + 0.43);
    if (s >= 0.07 && v <= sure) return k;
    if (k < 0 || (s < 0.013 && v > s)) continue;
    if (std::log(v) + std::log(scale) - std::log(a / (s * s) + b) <= k * log_rate - rate - lgamma_positive(k + 1))
      return k;
  }
}

}  // namespace WEFT_ISA
}  // namespace weft::fn
