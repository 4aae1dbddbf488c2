// Scalar maths for f32 and f64 and the integers, the same on CPU and CUDA.
// f64 uses the standard library; f32's transcendental functions are polynomials that compilers vectorise.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "weft/core/fn/integer.h"
#include "weft/core/fn/math_f32.h"

namespace weft::fn {
inline namespace WEFT_ISA {

template <class T>
concept Real = std::is_floating_point_v<T>;
template <class T>
concept Integer = std::is_integral_v<T>;

template <class T> WEFT_HD WEFT_INLINE T lowest() {
  if constexpr (Real<T>) return -std::numeric_limits<T>::infinity();
  else return std::numeric_limits<T>::lowest();
}
template <class T> WEFT_HD WEFT_INLINE T highest() {
  if constexpr (Real<T>) return std::numeric_limits<T>::infinity();
  else return std::numeric_limits<T>::max();
}

template <Real T> WEFT_HD WEFT_INLINE T exp(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::exp(x);
  else return std::exp(x);
}
template <Real T> WEFT_HD WEFT_INLINE T exp2(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::exp2(x);
  else return std::exp2(x);
}
template <Real T> WEFT_HD WEFT_INLINE T expm1(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::expm1(x);
  else return std::expm1(x);
}
template <Real T> WEFT_HD WEFT_INLINE T log(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::log(x);
  else return std::log(x);
}
template <Real T> WEFT_HD WEFT_INLINE T log2(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::log2(x);
  else return std::log2(x);
}
template <Real T> WEFT_HD WEFT_INLINE T log10(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::log10(x);
  else return std::log10(x);
}
template <Real T> WEFT_HD WEFT_INLINE T log1p(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::log1p(x);
  else return std::log1p(x);
}
template <Real T> WEFT_HD WEFT_INLINE T sqrt(T x) { return std::sqrt(x); }
template <Real T> WEFT_HD WEFT_INLINE T sin(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::sin(x);
  else return std::sin(x);
}
template <Real T> WEFT_HD WEFT_INLINE T cos(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::cos(x);
  else return std::cos(x);
}
template <Real T> WEFT_HD WEFT_INLINE T tan(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::tan(x);
  else return std::tan(x);
}
template <Real T> WEFT_HD WEFT_INLINE T asin(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::asin(x);
  else return std::asin(x);
}
template <Real T> WEFT_HD WEFT_INLINE T acos(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::acos(x);
  else return std::acos(x);
}
template <Real T> WEFT_HD WEFT_INLINE T atan(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::atan(x);
  else return std::atan(x);
}
template <Real T> WEFT_HD WEFT_INLINE T atan2(T y, T x) {
  if constexpr (std::is_same_v<T, float>) return f32::atan2(y, x);
  else return std::atan2(y, x);
}
template <Real T> WEFT_HD WEFT_INLINE T sinh(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::sinh(x);
  else return std::sinh(x);
}
template <Real T> WEFT_HD WEFT_INLINE T cosh(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::cosh(x);
  else return std::cosh(x);
}
template <Real T> WEFT_HD WEFT_INLINE T tanh(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::tanh(x);
  else return std::tanh(x);
}
template <Real T> WEFT_HD WEFT_INLINE T erf(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::erf(x);
  else return std::erf(x);
}
template <Real T> WEFT_HD WEFT_INLINE T erfc(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::erfc(x);
  else return std::erfc(x);
}
template <Real T> WEFT_HD WEFT_INLINE T floor(T x) { return std::floor(x); }
template <Real T> WEFT_HD WEFT_INLINE T ceil(T x) { return std::ceil(x); }
template <Real T> WEFT_HD WEFT_INLINE T trunc(T x) { return std::trunc(x); }
template <Real T> WEFT_HD WEFT_INLINE T round_even(T x) { return std::nearbyint(x); }

template <class T> WEFT_HD WEFT_INLINE T abs(T x) {
  if constexpr (Real<T>) return std::fabs(x);
  else if constexpr (std::is_unsigned_v<T>) return x;
  else return x < 0 ? sub(T(0), x) : x;
}
template <class T> WEFT_HD WEFT_INLINE T clamp(T x, T lo, T hi) { return x < lo ? lo : (x > hi ? hi : x); }
/// 1 / (1 + exp(-x)), without overflow on either side.
template <Real T> WEFT_HD WEFT_INLINE T sigmoid(T x) {
  if constexpr (std::is_same_v<T, float>) return f32::sigmoid(x);
  else return x >= T(0) ? T(1) / (T(1) + std::exp(-x)) : std::exp(x) / (T(1) + std::exp(x));
}
/// log(1 + exp(x)), without overflow.
template <Real T> WEFT_HD WEFT_INLINE T softplus(T x) {
  return (x > T(0) ? x : T(0)) + fn::log1p(fn::exp(-fn::abs(x)));
}

template <class T> WEFT_HD WEFT_INLINE T pow(T x, T y) {
  if constexpr (std::is_same_v<T, float>) {
    return f32::pow(x, y);
  } else if constexpr (Real<T>) {
    return std::pow(x, y);
  } else {
    // integers: by squaring; negative exponents give 0 except for +-1
    if (y < T(0)) return x == T(1) ? T(1) : (x == T(-1) ? (y % 2 ? T(-1) : T(1)) : T(0));
    T r = 1;
    for (T b = x; y > 0; y = static_cast<T>(y >> 1), b = mul(b, b))
      if (y & 1) r = mul(r, b);
    return r;
  }
}
// Integer division by zero gives 0: ops check where the user can see it. By -1 it is negation, which wraps: the
// processor traps on the least integer.
template <class T> WEFT_HD WEFT_INLINE bool is_minus_one(T y) {
  if constexpr (std::is_signed_v<T>) return y == T(-1);
  else return false;
}
template <class T> WEFT_HD WEFT_INLINE T div_trunc(T x, T y) {
  if constexpr (Real<T>) return fn::trunc(x / y);
  else return y == T(0) ? T(0) : is_minus_one(y) ? sub(T(0), x) : static_cast<T>(x / y);
}
template <class T> WEFT_HD WEFT_INLINE T fmod(T x, T y) {
  if constexpr (Real<T>) return std::fmod(x, y);
  else return y == T(0) || is_minus_one(y) ? T(0) : static_cast<T>(x % y);
}
/// Remainder with the divisor's sign (Python's %).
template <class T> WEFT_HD WEFT_INLINE T remainder(T x, T y) {
  T m = fn::fmod(x, y);
  return m != T(0) && ((m < T(0)) != (y < T(0))) ? static_cast<T>(m + y) : m;
}
template <class T> WEFT_HD WEFT_INLINE T div_floor(T x, T y) {
  if constexpr (Real<T>) {
    // as Python's //: exact for quotients that rounding would push over an integer
    if (y == T(0)) return x / y;
    T m = std::fmod(x, y), d = (x - m) / y;
    if (m != T(0) && (y < T(0)) != (m < T(0))) d -= T(1);
    if (d == T(0)) return std::copysign(T(0), x / y);
    T f = fn::floor(d);
    return d - f > T(0.5) ? f + T(1) : f;
  } else {
    if (y == T(0)) return T(0);
    if (is_minus_one(y)) return sub(T(0), x);
    T q = static_cast<T>(x / y);
    return x % y != 0 && ((x < 0) != (y < 0)) ? static_cast<T>(q - 1) : q;
  }
}

// Gradients: g times the derivative at x.
template <Real T> WEFT_HD WEFT_INLINE T silu_grad(T g, T x) {
  T s = fn::sigmoid(x);
  return g * s * (T(1) + x * (T(1) - s));
}
template <Real T> WEFT_HD WEFT_INLINE T gelu_grad(T g, T x) {
  T cdf = T(0.5) * (T(1) + fn::erf(x * T(0.70710678118654752440)));
  return g * (cdf + x * T(0.39894228040143267794) * fn::exp(T(-0.5) * x * x));
}
template <Real T> WEFT_HD WEFT_INLINE T gelu_tanh_grad(T g, T x) {
  const T k = T(0.79788456080286535588), c = T(0.044715);
  T t = fn::tanh(k * (x + c * x * x * x));
  return g * (T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * k * (T(1) + T(3) * c * x * x));
}
template <Real T> WEFT_HD WEFT_INLINE T mish_grad(T g, T x) {
  T t = fn::tanh(fn::softplus(x)), s = fn::sigmoid(x);
  return g * (t + x * s * (T(1) - t * t));
}

}  // namespace WEFT_ISA
}  // namespace weft::fn
