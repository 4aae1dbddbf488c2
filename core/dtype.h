// Element types: their names, sizes and promotion; bf16 and f16 as C++ types.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <type_traits>

#include "weft/core/error.h"
#include "weft/core/export.h"

namespace weft {

/// Element type of a tensor. `boolean` is one byte, 0 or 1.
enum class Dtype : uint8_t { f32, f64, bf16, f16, i64, i32, u8, boolean };
inline constexpr int kDtypes = 8;

/// A set of dtypes.
struct DtypeSet {
  uint16_t bits = 0;
  constexpr DtypeSet() = default;
  template <class... D> constexpr explicit DtypeSet(D... d) : bits(((1u << static_cast<int>(d)) | ...)) {}
  constexpr bool has(Dtype d) const { return bits >> static_cast<int>(d) & 1; }
  friend constexpr DtypeSet operator&(DtypeSet a, DtypeSet b) {
    a.bits &= b.bits;
    return a;
  }
};
inline constexpr DtypeSet kFloatingDtypes(Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16);
inline constexpr DtypeSet kNumericDtypes(Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32,
                                         Dtype::u8);
inline constexpr DtypeSet kAllDtypes(Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8,
                                     Dtype::boolean);

/// bfloat16: the upper half of an f32, rounded to nearest even. Arithmetic goes through float.
struct bf16 {
  uint16_t bits;
  bf16() = default;
  WEFT_HD WEFT_INLINE bf16(float f) {
    uint32_t u = std::bit_cast<uint32_t>(f);
    bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  WEFT_HD WEFT_INLINE operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

/// IEEE half precision, rounded to nearest even. Arithmetic goes through float.
struct f16 {
  uint16_t bits;
  f16() = default;
  WEFT_HD WEFT_INLINE f16(float f) {
    // Branch-free apart from selects, so that compilers vectorise it: scale into the half's exponent range with
    // a float addition that rounds at the right bit.
    uint32_t u = std::bit_cast<uint32_t>(f), sign = u & 0x80000000u;
    u ^= sign;
    uint32_t sub = std::bit_cast<uint32_t>(std::bit_cast<float>(u) + 0.5f) - 0x3f000000u;
    uint32_t norm = (u + 0xc8000fffu + ((u >> 13) & 1u)) >> 13;
    uint32_t special = u > 0x7f800000u ? 0x7e00u : 0x7c00u;
    uint32_t r = u >= 0x47800000u ? special : (u < 0x38800000u ? sub : norm);
    bits = static_cast<uint16_t>(r | (sign >> 16));
  }
  WEFT_HD WEFT_INLINE operator float() const {
    uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, u = bits & 0x7fffu;
    uint32_t norm = (u << 13) + 0x38000000u;
    uint32_t inf = (u << 13) + 0x70000000u;
    float sub = std::bit_cast<float>((u << 13) + 0x38800000u) - std::bit_cast<float>(0x38800000u);
    uint32_t r = u >= 0x7c00u ? inf : (u < 0x0400u ? std::bit_cast<uint32_t>(sub) : norm);
    return std::bit_cast<float>(r | sign);
  }
};

template <class T> struct dtype_of;
template <> struct dtype_of<float> { static constexpr Dtype value = Dtype::f32; };
template <> struct dtype_of<double> { static constexpr Dtype value = Dtype::f64; };
template <> struct dtype_of<bf16> { static constexpr Dtype value = Dtype::bf16; };
template <> struct dtype_of<f16> { static constexpr Dtype value = Dtype::f16; };
template <> struct dtype_of<int64_t> { static constexpr Dtype value = Dtype::i64; };
template <> struct dtype_of<int32_t> { static constexpr Dtype value = Dtype::i32; };
template <> struct dtype_of<uint8_t> { static constexpr Dtype value = Dtype::u8; };
template <> struct dtype_of<bool> { static constexpr Dtype value = Dtype::boolean; };
template <class T> inline constexpr Dtype dtype_v = dtype_of<std::remove_cv_t<T>>::value;

/// The type that arithmetic on T is done in: float for the halves, T otherwise.
template <class T> using compute_t = std::conditional_t<std::is_same_v<T, bf16> || std::is_same_v<T, f16>, float, T>;

constexpr size_t itemsize(Dtype d) {
  constexpr uint8_t size[kDtypes] = {4, 8, 2, 2, 8, 4, 1, 1};
  return size[static_cast<int>(d)];
}
constexpr bool is_floating(Dtype d) { return d <= Dtype::f16; }
constexpr bool is_half(Dtype d) { return d == Dtype::bf16 || d == Dtype::f16; }
constexpr bool is_integral(Dtype d) { return d >= Dtype::i64; }
/// f32 for the halves, d otherwise: the dtype that statistics and sums are kept in.
constexpr Dtype compute_dtype(Dtype d) { return is_half(d) ? Dtype::f32 : d; }

/// "f32", "bf16", "bool", ...
WEFT_API const char* name(Dtype d);
WEFT_API std::ostream& operator<<(std::ostream& os, Dtype d);
/// The common dtype of a binary op on two tensors, as PyTorch promotes (bool < u8 < i32 < i64 < halves < f32 < f64;
/// f16 with bf16 gives f32).
WEFT_API Dtype promote(Dtype a, Dtype b);

// Dtype switches: `dispatch_floating(x.dtype(), "gelu", [&]<class T> { ... });`
namespace detail {
// Not a template: kernels are compiled per instruction set, and a template's weak copy of theirs could serve everyone.
[[noreturn]] WEFT_API void bad_dtype(Dtype d, const char* op, const char* allowed);
template <class... T, class F>
WEFT_INLINE decltype(auto) dispatch_types(Dtype d, const char* op, const char* allowed, F&& f) {
  bool done = ((d == dtype_v<T> ? (f.template operator()<T>(), true) : false) || ...);
  if (!done) [[unlikely]]
    bad_dtype(d, op, allowed);
}
}  // namespace detail
template <class F> WEFT_INLINE void dispatch_floating(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<float, double, bf16, f16>(d, op, "f32, f64, bf16 or f16", f);
}
template <class F> WEFT_INLINE void dispatch_integral(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<int64_t, int32_t, uint8_t, bool>(d, op, "i64, i32, u8 or bool", f);
}
template <class F> WEFT_INLINE void dispatch_index(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<int64_t, int32_t>(d, op, "i64 or i32", f);
}
template <class F> WEFT_INLINE void dispatch_numeric(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<float, double, bf16, f16, int64_t, int32_t, uint8_t>(d, op, "a number type, not bool", f);
}
template <class F> WEFT_INLINE void dispatch_all(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<float, double, bf16, f16, int64_t, int32_t, uint8_t, bool>(d, op, "any", f);
}
/// By size only, for moves that do not look at the value: uint8_t, uint16_t, uint32_t, uint64_t.
template <class F> WEFT_INLINE void dispatch_size(Dtype d, F&& f) {
  switch (itemsize(d)) {
    case 1: f.template operator()<uint8_t>(); break;
    case 2: f.template operator()<uint16_t>(); break;
    case 4: f.template operator()<uint32_t>(); break;
    default: f.template operator()<uint64_t>(); break;
  }
}

/// A C++ number with its category, so that i64 keeps its exact value and `x * 2` keeps x's dtype.
class Scalar {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> Scalar(T v) {
    if constexpr (std::is_floating_point_v<T>) {
      kind_ = Kind::floating;
      d_ = static_cast<double>(v);
    } else {
      kind_ = std::is_same_v<T, bool> ? Kind::boolean : Kind::integer;
      i_ = static_cast<int64_t>(v);
    }
  }
  bool is_floating() const { return kind_ == Kind::floating; }
  bool is_integer() const { return kind_ == Kind::integer; }
  bool is_bool() const { return kind_ == Kind::boolean; }
  double to_double() const { return is_floating() ? d_ : static_cast<double>(i_); }
  /// Towards 0; the nearest end beyond 64 bits, 0 for NaN.
  int64_t to_int64() const {
    if (!is_floating()) return i_;
    if (!(d_ > -0x1p63 && d_ < 0x1p63)) return d_ > 0 ? INT64_MAX : d_ < 0 ? INT64_MIN : 0;
    return static_cast<int64_t>(d_);
  }
  template <class T> T to() const {
    if constexpr (std::is_same_v<T, bool>) return is_floating() ? d_ != 0 : i_ != 0;
    else if constexpr (std::is_integral_v<T>) return static_cast<T>(to_int64());
    else if constexpr (std::is_same_v<T, double>) return to_double();
    else return T(static_cast<float>(to_double()));
  }

 private:
  enum class Kind : uint8_t { boolean, integer, floating } kind_;
  union {
    double d_;
    int64_t i_;
  };
};
WEFT_API std::ostream& operator<<(std::ostream& os, const Scalar& s);

}  // namespace weft
