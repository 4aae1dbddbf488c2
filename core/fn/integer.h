// Arithmetic in which integers wrap, divisions of integers that round up or down, and division by multiplication.
// Knows no tensors.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "weft/core/export.h"

namespace weft::fn {

/// Unsigned, and wide enough that no operand is promoted to int: a product of two u16 leaves the range of int.
template <std::integral T> using Wrapping = std::conditional_t<(sizeof(T) > sizeof(uint32_t)), uint64_t, uint32_t>;
// x + y, x - y, x * y; integers wrap around, where the language leaves an overflow of signed ones undefined.
template <class T> WEFT_HD WEFT_INLINE constexpr T add(T x, T y) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<Wrapping<T>>(x) + static_cast<Wrapping<T>>(y));
  else return static_cast<T>(x + y);
}
template <class T> WEFT_HD WEFT_INLINE constexpr T sub(T x, T y) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<Wrapping<T>>(x) - static_cast<Wrapping<T>>(y));
  else return static_cast<T>(x - y);
}
template <class T> WEFT_HD WEFT_INLINE constexpr T mul(T x, T y) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<Wrapping<T>>(x) * static_cast<Wrapping<T>>(y));
  else return static_cast<T>(x * y);
}

/// a / b rounded up, b > 0.
template <std::integral A, std::integral B> WEFT_HD WEFT_INLINE constexpr std::common_type_t<A, B> ceil_div(A a, B b) {
  using I = std::common_type_t<A, B>;
  return a > 0 ? (static_cast<I>(a) - 1) / static_cast<I>(b) + 1 : static_cast<I>(a) / static_cast<I>(b);
}
/// a / b rounded down, b > 0.
template <std::integral A, std::integral B> WEFT_HD WEFT_INLINE constexpr std::common_type_t<A, B> floor_div(A a, B b) {
  using I = std::common_type_t<A, B>;
  return a >= 0 ? static_cast<I>(a) / static_cast<I>(b) : (static_cast<I>(a) + 1) / static_cast<I>(b) - 1;
}
/// The least multiple of `step` > 0 that is no less than a.
template <std::integral A, std::integral B>
WEFT_HD WEFT_INLINE constexpr std::common_type_t<A, B> round_up(A a, B step) {
  return ceil_div(a, step) * static_cast<std::common_type_t<A, B>>(step);
}

/// n / d for n < 2^31 as a multiplication and a shift.
struct FastDivisor {
  uint32_t divisor = 1, multiplier = 0, shift = 0;
  FastDivisor() = default;
  WEFT_INLINE explicit FastDivisor(uint32_t d) : divisor(d) {
    while ((uint64_t{1} << shift) < d) ++shift;
    multiplier = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - d)) / d + 1);
  }
  WEFT_HD WEFT_INLINE uint32_t divide(uint32_t n) const {
    const auto high = static_cast<uint32_t>((uint64_t{n} * multiplier) >> 32);
    return (high + n) >> shift;
  }
};

/// n / d for n up to a limit: as FastDivisor where that is below 2^31, else divided.
struct Divisor {
  int64_t d = 1;
  FastDivisor fast;
  bool wide = false;
  Divisor() = default;
  /// For numbers up to `most`, which is no less than `divisor` > 0.
  WEFT_INLINE Divisor(int64_t divisor, int64_t most) : d(divisor), wide(most >= int64_t{1} << 31) {
    if (!wide) fast = FastDivisor(static_cast<uint32_t>(divisor));
  }
  WEFT_HD WEFT_INLINE int64_t divide(int64_t n) const { return wide ? n / d : fast.divide(static_cast<uint32_t>(n)); }
};

/// The last digit of `number` in base `size`; the digits before it stay in `number`.
template <std::integral I> WEFT_HD WEFT_INLINE int64_t take_digit(I& number, int64_t size) {
  const I rest = number / static_cast<I>(size), digit = number - rest * static_cast<I>(size);
  number = rest;
  return static_cast<int64_t>(digit);
}
WEFT_HD WEFT_INLINE int64_t take_digit(uint32_t& number, const FastDivisor& size) {
  const uint32_t rest = size.divide(number), digit = number - rest * size.divisor;
  number = rest;
  return static_cast<int64_t>(digit);
}

}  // namespace weft::fn
