// Transcendental functions of f32 as polynomials: branch-free apart from selects, so that loops over them vectorise,
// and with every fused multiply-add written out, so that CPU and GPU compute the same bits. Errors are in units in the
// last place, measured over all floats by tests/core/math_test.cpp. Coefficients are minimax fits of our own (relative
// error below 2^-28 each). The base instruction set has no fma: there it is one f64 product and sum, rounded once more
// (same bits but for 1 in 2^29).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "weft/core/export.h"

namespace weft::fn {
inline namespace WEFT_ISA {
namespace f32 {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer, readable in the low bits
inline constexpr int32_t kRoundBits = 0x4b400000;
inline constexpr float kLn2Hi = 0.693147182f, kLn2Lo = -1.90465421e-09f;

WEFT_HD WEFT_INLINE float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__CUDA_ARCH__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  return static_cast<float>(static_cast<double>(a) * b + c);
#endif
}
/// c0 + c1 x + c2 x^2 + ...
template <class... C> WEFT_HD WEFT_INLINE float poly(float x, float c0, C... c) {
  if constexpr (sizeof...(C) == 0) return c0;
  else return f32::fma(f32::poly(x, c...), x, c0);
}
WEFT_HD WEFT_INLINE int32_t bits(float x) { return std::bit_cast<int32_t>(x); }
WEFT_HD WEFT_INLINE float from_bits(int32_t i) { return std::bit_cast<float>(i); }
WEFT_HD WEFT_INLINE float abs(float x) { return from_bits(bits(x) & 0x7fffffff); }
/// Magnitude of x, sign of s.
WEFT_HD WEFT_INLINE float with_sign(float x, float s) {
  return from_bits((bits(x) & 0x7fffffff) | (bits(s) & static_cast<int32_t>(0x80000000)));
}
/// 2^n for -126 <= n <= 127.
WEFT_HD WEFT_INLINE float power_of_2(int32_t n) { return from_bits((n + 127) << 23); }
/// y 2^n with one rounding, for |n| <= 252.
WEFT_HD WEFT_INLINE float scale(float y, int32_t n) {
  const int32_t half = n >> 1;
  return y * power_of_2(half) * power_of_2(n - half);
}
/// NaN passes through.
WEFT_HD WEFT_INLINE float clamp(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

// Exponentials. x = n ln 2 + r, |r| <= ln(2)/2.
struct ExpParts {
  float r;
  int32_t n;
};
WEFT_HD WEFT_INLINE ExpParts exp_parts(float x) {
  const float z = f32::fma(x, 1.44269504f, kRound), n = z - kRound;
  return {f32::fma(n, -kLn2Lo, f32::fma(n, -kLn2Hi, x)), bits(z) - kRoundBits};
}
WEFT_HD WEFT_INLINE float exp_poly(float r) {
  const float p = poly(r, 0.49999994f, 0.166665211f, 0.0416682884f, 0.00836870354f, 0.00138189388f);
  return f32::fma(f32::fma(p, r, 1.f), r, 1.f);
}
/// Error <= 1 ulp, subnormal results included.
WEFT_HD WEFT_INLINE float exp(float x) {
  const ExpParts e = exp_parts(f32::clamp(x, -104.f, 89.f));
  return scale(exp_poly(e.r), e.n);
}
/// exp for -87 <= x <= 88 only.
WEFT_HD WEFT_INLINE float exp_inside(float x) {
  const ExpParts e = exp_parts(x);
  return exp_poly(e.r) * power_of_2(e.n);
}
/// exp(x) / 2 without overflow where that is finite. x >= 0.
WEFT_HD WEFT_INLINE float half_exp(float x) {
  const ExpParts e = exp_parts(x > 90.f ? 90.f : x);
  return scale(exp_poly(e.r), e.n - 1);
}
WEFT_HD WEFT_INLINE float exp2(float x) {
  const float c = f32::clamp(x, -151.f, 129.f), z = c + kRound, r = c - (z - kRound);
  const float p = poly(r, 0.693147182f, 0.240226477f, 0.0555035956f, 0.0096185049f, 0.00133910251f, 0.000153271962f);
  return scale(f32::fma(p, r, 1.f), bits(z) - kRoundBits);
}
/// exp(x) - 1 for -87 <= x <= 89.
WEFT_HD WEFT_INLINE float expm1_inside(float x) {
  const ExpParts e = exp_parts(x);
  const float q = poly(e.r, 0.5f, 0.166666657f, 0.0416664928f, 0.00833354332f, 0.00139323645f, 0.000197643312f);
  const float p = f32::fma(q, e.r * e.r, e.r), t = power_of_2(e.n - 1);
  const float h = f32::fma(p, t, t - 0.5f);
  return h + h;
}
WEFT_HD WEFT_INLINE float expm1(float x) {
  const float y = expm1_inside(f32::clamp(x, -25.f, 89.f));
  return x == 0.f ? x : y;
}

// Logarithms. x = 2^e m, sqrt(1/2) <= m < sqrt(2), f = m - 1.
/// bits(x) - bits(sqrt(1/2)). Unsigned inside: for negative x, whose logarithm nobody takes, the difference wraps.
WEFT_HD WEFT_INLINE int32_t over_sqrt_half(float x) {
  return static_cast<int32_t>(static_cast<uint32_t>(bits(x)) - 0x3f3504f3u);
}
struct LogParts {
  float f, e;
};
WEFT_HD WEFT_INLINE LogParts log_parts(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const int32_t i = over_sqrt_half(tiny ? x * 8388608.f : x);
  const int32_t e = (i >> 23) - (tiny ? 23 : 0);
  return {from_bits((i & 0x007fffff) + 0x3f3504f3) - 1.f, static_cast<float>(e)};
}
/// log(1 + f) - f, with `low` added before the larger terms.
WEFT_HD WEFT_INLINE float log_tail(float f, float low) {
  const float p = poly(f, 0.333333135f, -0.250000089f, 0.200020775f, -0.166679993f, 0.142201751f, -0.12405844f,
                       0.118848473f, -0.116734996f, 0.0675027966f);
  const float f2 = f * f;
  return f32::fma(f2, -0.5f, f32::fma(f2 * f, p, low));
}
/// y where x > 0, and what a logarithm is elsewhere.
WEFT_HD WEFT_INLINE float log_edges(float x, float y) {
  y = x > 0.f ? y : (x == 0.f ? -kInf : kNan);
  return x < kInf ? y : x;
}
WEFT_HD WEFT_INLINE float log(float x) {
  const LogParts p = log_parts(x);
  return log_edges(x, f32::fma(p.e, kLn2Hi, p.f + log_tail(p.f, p.e * kLn2Lo)));
}
WEFT_HD WEFT_INLINE float log2(float x) {
  const LogParts p = log_parts(x);
  const float t = log_tail(p.f, 0.f);
  // log2(e) = 1.4426951 - 1.9259630e-08
  const float low = f32::fma(t, 1.44269502f, p.f * 1.92596303e-08f);
  return log_edges(x, p.e + f32::fma(p.f, 1.44269502f, low));
}
WEFT_HD WEFT_INLINE float log10(float x) {
  const LogParts p = log_parts(x);
  const float y = f32::fma(log_tail(p.f, 0.f), 0.434294492f, p.e * -1.43209888e-08f);
  return log_edges(x, f32::fma(p.e, 0.30103001f, f32::fma(p.f, 0.434294492f, y)));
}
WEFT_HD WEFT_INLINE float log1p(float x) {
  const float u = 1.f + x;
  const int32_t i = over_sqrt_half(u), e = i >> 23;
  // f = 2^-e (1 + x) - 1 without the rounding of 1 + x, which no longer matters for large x
  const float t = power_of_2(-(e < 30 ? e : 30));
  const float f = x > 1e8f ? from_bits((i & 0x007fffff) + 0x3f3504f3) - 1.f : f32::fma(x, t, t - 1.f);
  const float n = static_cast<float>(e);
  const float y = log_edges(u, f32::fma(n, kLn2Hi, f + log_tail(f, n * kLn2Lo)));
  return x == 0.f ? x : y;
}

/// (e - 1/e) / (e + 1/e) through expm1(2 |x|).
WEFT_HD WEFT_INLINE float tanh(float x) {
  const float a = f32::abs(x), t = expm1_inside(2.f * (a > 10.f ? 10.f : a));
  return with_sign(t / (t + 2.f), x);
}
WEFT_HD WEFT_INLINE float sinh(float x) {
  const float a = f32::abs(x), z = a * a, h = half_exp(a);
  const float small = f32::fma(poly(z, 0.166666672f, 0.00833331048f, 0.000198428956f, 2.78221319e-06f), z * a, a);
  return with_sign(a < 1.f ? small : h - 0.25f / h, x);
}
WEFT_HD WEFT_INLINE float cosh(float x) {
  const float h = half_exp(f32::abs(x));
  return h + 0.25f / h;
}
WEFT_HD WEFT_INLINE float sigmoid(float x) {
  const float e = f32::exp(-f32::abs(x));
  return (x >= 0.f ? 1.f : e) / (1.f + e);
}

// Error functions.
/// erf(a) for 0 <= a <= 0.92.
WEFT_HD WEFT_INLINE float erf_small(float a) {
  return f32::fma(poly(a * a, 0.128379166f, -0.376126289f, 0.112836257f, -0.0268557277f, 0.00519237667f,
                       -0.000804915151f, 7.9925805e-05f),
                  a, a);
}
WEFT_HD WEFT_INLINE float erf(float x) {
  const float a = f32::abs(x), c = a > 4.f ? 4.f : a;
  // -log(erfc(a))
  const float q = poly(c, -0.000169204141f, 1.12948835f, 0.633401096f, 0.108219951f, -0.0250802226f, 0.00415606191f,
                       -0.000431345601f, 2.08239217e-05f);
  return with_sign(a < 0.92f ? erf_small(a) : 1.f - exp_inside(-q), x);
}
WEFT_HD WEFT_INLINE float erfc(float x) {
  const float a = f32::abs(x), c = a > 10.1f ? 10.1f : a, t = (c - 4.f) / (c + 4.f);
  const float p = poly(t, 1.23299515f, -0.139621124f, 0.0153757632f, 0.0680958629f, -0.100961827f, 0.0938121155f,
                       -0.0668238103f, 0.0362940393f, -0.0155247794f, 0.00757695921f, 0.00109736109f);
  const float s = c * c, e = f32::exp(-s), rest = f32::fma(-c, c, s);  // exp(-c^2) = e (1 + rest)
  const float y = f32::fma(e, rest, e) * (p / f32::fma(2.f, c, 1.f));
  return a < 0.5f ? 1.f - with_sign(erf_small(a), x) : x < 0.f ? 2.f - y : y;
}

// Trigonometry. x = n pi/2 + r, |r| <= pi/4. The common reduction holds for |x| <= kTrigCommon; beyond it the digits of
// 2/pi are needed. Loops test a block for rare arguments and go through it again if it has one.
inline constexpr float kTrigCommon = 65536.f;
struct TrigParts {
  float r;
  int32_t n;
};
WEFT_HD WEFT_INLINE TrigParts trig_parts(float x) {
  const float z = f32::fma(x, 0.636619772f, kRound), n = z - kRound;
  const float r = f32::fma(n, 1.71512451e-15f, f32::fma(n, 4.37113883e-08f, f32::fma(n, -1.57079637f, x)));
  return {r == 0.f ? x : r, bits(z)};  // only zeros give 0
}
WEFT_HD WEFT_INLINE TrigParts trig_parts_rare(float x) {
  if (!(f32::abs(x) < kInf)) return {kNan, 0};
  // Payne and Hanek: the 24-bit mantissa times the 96 bits of 2/pi that matter, modulo 4.
  const uint32_t two_over_pi[] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                  0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const int32_t e = static_cast<int32_t>((u >> 23) & 0xff) - 127;  // >= 16
  const uint64_t m = (u & 0x007fffff) | 0x00800000;
  const int32_t shift = e - 23 - 2 + 32, word = shift >> 5,
                bit = shift & 31;  // the bits of weight 2 and below of x 2/pi
  auto window = [&](int32_t k) {
    const uint64_t pair = (static_cast<uint64_t>(two_over_pi[k]) << 32) | two_over_pi[k + 1];
    return static_cast<uint32_t>(pair << bit >> 32);
  };
  const uint32_t a = window(word), b = window(word + 1), c = window(word + 2);
  const uint64_t product = (static_cast<uint64_t>(a * static_cast<uint32_t>(m)) << 32) + m * b + (m * c >> 32);
  int32_t n = static_cast<int32_t>(product >> 62);
  int64_t fraction = static_cast<int64_t>(product << 2);  // of a quarter turn, as signed: rounds to nearest
  n += fraction < 0;
  const float r = static_cast<float>(static_cast<double>(fraction) * (1.57079632679489661923 / 18446744073709551616.0));
  return x < 0.f ? TrigParts{-r, -n} : TrigParts{r, n};
}
WEFT_HD WEFT_INLINE float sin_poly(float r) {
  const float z = r * r;
  const float y = f32::fma(poly(z, -0.166666672f, 0.0083333794f, -0.000198530717f, 2.83268014e-06f), z * r, r);
  return r == 0.f ? r : y;  // a zero keeps its sign
}
WEFT_HD WEFT_INLINE float cos_poly(float r) {
  const float z = r * r;
  return f32::fma(poly(z, 0.0416666456f, -0.00138873095f, 2.4432331e-05f), z * z, f32::fma(z, -0.5f, 1.f));
}
/// sin(r + n pi/2).
WEFT_HD WEFT_INLINE float sin_of(TrigParts p) {
  const float y = p.n & 1 ? cos_poly(p.r) : sin_poly(p.r);
  return from_bits(bits(y) ^ (p.n & 2) << 30);
}
WEFT_HD WEFT_INLINE float tan_of(TrigParts p) {
  const float s = sin_poly(p.r), c = cos_poly(p.r);
  return (p.n & 1 ? -c : s) / (p.n & 1 ? s : c);
}
WEFT_HD WEFT_INLINE bool trig_rare(float x) { return !(f32::abs(x) <= kTrigCommon); }
WEFT_HD WEFT_INLINE float sin_common(float x) { return sin_of(trig_parts(x)); }
WEFT_HD WEFT_INLINE float cos_common(float x) {
  const TrigParts p = trig_parts(x);
  return sin_of({p.r, p.n + 1});
}
WEFT_HD WEFT_INLINE float tan_common(float x) { return tan_of(trig_parts(x)); }
WEFT_HD WEFT_INLINE float sin(float x) { return trig_rare(x) ? sin_of(trig_parts_rare(x)) : sin_common(x); }
WEFT_HD WEFT_INLINE float cos(float x) {
  if (!trig_rare(x)) return cos_common(x);
  const TrigParts p = trig_parts_rare(x);
  return sin_of({p.r, p.n + 1});
}
WEFT_HD WEFT_INLINE float tan(float x) { return trig_rare(x) ? tan_of(trig_parts_rare(x)) : tan_common(x); }

inline constexpr float kPi = 3.14159274f, kPiLo = -8.74227766e-08f, kHalfPi = 1.57079637f, kHalfPiLo = -4.37113883e-08f;
/// asin(a) for 0 <= a <= 1/2.
WEFT_HD WEFT_INLINE float asin_poly(float a, float z) {
  return f32::fma(poly(z, 0.166666597f, 0.0750052184f, 0.0445133746f, 0.0318390913f, 0.0143148787f, 0.0376966894f),
                  z * a, a);
}
WEFT_HD WEFT_INLINE float asin(float x) {
  const float a = f32::abs(x);
  const bool far = a > 0.5f;
  const float z = far ? f32::fma(a, -0.5f, 0.5f) : a * a;
  const float p = asin_poly(far ? std::sqrt(z) : a, z);
  return with_sign(far ? f32::fma(p, -2.f, kHalfPiLo) + kHalfPi : p, x);
}
WEFT_HD WEFT_INLINE float acos(float x) {
  const float a = f32::abs(x);
  const bool far = a > 0.5f;
  const float z = far ? f32::fma(a, -0.5f, 0.5f) : a * a;
  const float p = asin_poly(far ? std::sqrt(z) : a, z);
  const float near_half_pi = kHalfPi - (x < 0.f ? -p - kHalfPiLo : p - kHalfPiLo);
  const float far_end = x < 0.f ? f32::fma(p, -2.f, kPiLo) + kPi : 2.f * p;
  return far ? far_end : near_half_pi;
}
/// atan(a / b) for a, b >= 0, not both 0 or infinite.
WEFT_HD WEFT_INLINE float atan_ratio(float a, float b) {
  const bool far = a > 2.41421366f * b, mid = a > 0.414213568f * b;
  const float num = far ? -b : mid ? a - b : a, den = far ? a : mid ? a + b : b;
  const float base = far ? kHalfPi : mid ? 0.785398185f : 0.f, low = far ? kHalfPiLo : mid ? -2.18556941e-08f : 0.f;
  const float t = num / den, z = t * t;
  const float p = f32::fma(poly(z, -0.333333164f, 0.199985281f, -0.14244388f, 0.105991192f, -0.0608985834f), z * t,
                           low);
  return base + (t + p);
}
WEFT_HD WEFT_INLINE float atan(float x) { return with_sign(atan_ratio(f32::abs(x), 1.f), x); }
WEFT_HD WEFT_INLINE float atan2(float y, float x) {
  float a = f32::abs(y), b = f32::abs(x);
  const bool origin = a == 0.f && b == 0.f, corner = a == kInf && b == kInf;
  b = origin || corner ? 1.f : a == kInf ? 0.f : b;
  a = a == kInf ? 1.f : a;
  // halves keep a + b finite
  const float t = atan_ratio(a * 0.5f, b * 0.5f),
              exact = a < 1e-37f && b < 1e-37f ? atan_ratio(a * 16777216.f, b * 16777216.f) : t;
  const float r = bits(x) < 0 ? (kPi - exact) + kPiLo : exact;
  return x != x || y != y ? kNan : with_sign(r, y);
}

/// x^y through f64, which keeps the logarithm's product exact enough; error <= 1 ulp.
WEFT_HD WEFT_INLINE float pow(float x, float y) {
  const float a = f32::abs(x);
  // a = 2^e m; subnormals scaled first
  const bool tiny = a < 1.17549435e-38f;
  const int32_t i = bits(tiny ? a * 8388608.f : a) - 0x3f3504f3;
  const double e = static_cast<double>((i >> 23) - (tiny ? 23 : 0));
  const double m = static_cast<double>(from_bits((i & 0x007fffff) + 0x3f3504f3));
  const double s = (m - 1) / (m + 1), z = s * s;
  const double l = e + s * (2.8853900817779272 +
                            z * (0.96179669392439282 +
                                 z * (0.57707801723623309 +
                                      z * (0.41219840264892482 +
                                           z * (0.32061638421536609 +
                                                z * (0.26144356597398449 + z * 0.24293136213597866))))));
  double p = static_cast<double>(y) * l;
  p = p < -200 ? -200 : p;
  p = p > 200 ? 200 : p;
  const double w = p + 6755399441055744.0, r = p - (w - 6755399441055744.0);
  const double q = 0.99999999996107269 +
                   r * (0.693147180731154 +
                        r * (0.24022651204158044 +
                             r * (0.055504103472715179 +
                                  r * (0.0096180264420269671 +
                                       r * (0.0013333925485892191 +
                                            r * (0.00015469553167467436 + r * 1.5201717518138026e-05))))));
  const int64_t n = std::bit_cast<int64_t>(w) - 0x4338000000000000;
  float v = static_cast<float>(q * std::bit_cast<double>((n + 1023) << 52));
  // what is no finite positive number to a finite power
  const float ay = f32::abs(y);
  const bool whole = ay >= 8388608.f || (ay + 8388608.f) - 8388608.f == ay;
  const bool odd = ay < 16777216.f && whole && ((ay >= 8388608.f ? bits(ay) : bits(ay + 8388608.f)) & 1) != 0;
  v = a == 0.f ? (y > 0.f ? 0.f : kInf) : v;
  v = a == kInf ? (y > 0.f ? kInf : 0.f) : v;
  v = ay == kInf && a != 1.f ? ((a > 1.f) == (y > 0.f) ? kInf : 0.f) : v;
  v = bits(x) < 0 && odd ? -v : v;
  v = x < 0.f && a < kInf && !whole ? kNan : v;
  v = x != x || y != y ? kNan : v;
  return y == 0.f || x == 1.f || (x == -1.f && ay == kInf) ? 1.f : v;
}

}  // namespace f32
}  // namespace WEFT_ISA
}  // namespace weft::fn
