// Element types: their names, sizes and promotion; bf16 and f16 as C++ types.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <type_traits>

#include "weft/core/choice.h"
#include "weft/core/error.h"
#include "weft/core/export.h"

namespace weft {

/// Element type of a tensor. `boolean` is one byte, 0 or 1.
enum class Dtype : uint8_t { f32, f64, bf16, f16, i64, i32, u8, boolean, i8, i16, u16 };

/// What numbers a dtype holds. A complex kind would be one more.
enum class DtypeKind : uint8_t { boolean, unsigned_integer, signed_integer, floating };

/// All that is known of a dtype, one row of kDtypeTraits.
struct DtypeTraits {
  const char* name;         ///< weft's: "f32"
  const char* torch_name;   ///< PyTorch's and numpy's: "float32"
  const char* npy;          ///< in .npy files, without the byte order: "f4"; null where numpy has no such dtype
  const char* safetensors;  ///< in safetensors files: "F32"
  size_t size;              ///< of an element, in bytes
  DtypeKind kind;           ///< bool, integer or floating
  Dtype compute;            ///< arithmetic on one element is done in this dtype
  Dtype sum;                ///< sums and products over many elements are given in this dtype
};
// clang-format off: a table, in the order of the enumerators
inline constexpr DtypeTraits kDtypeTraits[] = {
    {"f32", "float32", "f4", "F32", 4, DtypeKind::floating, Dtype::f32, Dtype::f32},
    {"f64", "float64", "f8", "F64", 8, DtypeKind::floating, Dtype::f64, Dtype::f64},
    {"bf16", "bfloat16", nullptr, "BF16", 2, DtypeKind::floating, Dtype::f32, Dtype::bf16},
    {"f16", "float16", "f2", "F16", 2, DtypeKind::floating, Dtype::f32, Dtype::f16},
    {"i64", "int64", "i8", "I64", 8, DtypeKind::signed_integer, Dtype::i64, Dtype::i64},
    {"i32", "int32", "i4", "I32", 4, DtypeKind::signed_integer, Dtype::i32, Dtype::i64},
    {"u8", "uint8", "u1", "U8", 1, DtypeKind::unsigned_integer, Dtype::u8, Dtype::i64},
    {"bool", "bool", "b1", "BOOL", 1, DtypeKind::boolean, Dtype::boolean, Dtype::i64},
    {"i8", "int8", "i1", "I8", 1, DtypeKind::signed_integer, Dtype::i32, Dtype::i64},
    {"i16", "int16", "i2", "I16", 2, DtypeKind::signed_integer, Dtype::i32, Dtype::i64},
    {"u16", "uint16", "u2", "U16", 2, DtypeKind::unsigned_integer, Dtype::i32, Dtype::i64}};
// clang-format on
/// Number of dtypes, and a dtype's row.
inline constexpr int kDtypes = sizeof(kDtypeTraits) / sizeof(kDtypeTraits[0]);
constexpr const DtypeTraits& traits(Dtype d) { return kDtypeTraits[static_cast<int>(d)]; }

/// A set of dtypes.
struct DtypeSet {
  uint16_t bits = 0;  ///< bit i: the i-th enumerator
  constexpr DtypeSet() = default;
  template <class... D> constexpr explicit DtypeSet(D... d) : bits(((1u << static_cast<int>(d)) | ...)) {}
  /// The dtypes whose traits pass `test`.
  template <class F> static constexpr DtypeSet where(F test) {
    DtypeSet s;
    for (int i = 0; i < kDtypes; ++i)
      if (test(kDtypeTraits[i])) s.bits = static_cast<uint16_t>(s.bits | 1u << i);
    return s;
  }
  /// Is d one of the set?
  constexpr bool has(Dtype d) const { return bits >> static_cast<int>(d) & 1; }
  /// Those that are in both.
  friend constexpr DtypeSet operator&(DtypeSet a, DtypeSet b) {
    a.bits &= b.bits;
    return a;
  }
};
/// f32, f64, bf16, f16.
inline constexpr DtypeSet kFloatingDtypes = DtypeSet::where(
    [](const DtypeTraits& t) { return t.kind == DtypeKind::floating; });
/// The integers and bool.
inline constexpr DtypeSet kIntegralDtypes = DtypeSet::where([](const DtypeTraits& t) {
  return t.kind == DtypeKind::boolean || t.kind == DtypeKind::unsigned_integer || t.kind == DtypeKind::signed_integer;
});
/// i8, i16 and u16: arithmetic on them is i32's, cut to their size.
inline constexpr DtypeSet kShortDtypes = DtypeSet::where(
    [](const DtypeTraits& t) { return t.kind != DtypeKind::floating && t.size < traits(t.compute).size; });
/// All but bool.
inline constexpr DtypeSet kNumericDtypes = DtypeSet::where(
    [](const DtypeTraits& t) { return t.kind != DtypeKind::boolean; });
/// What heavy kernels take: numbers without the short integers, which ops widen for them.
inline constexpr DtypeSet kWideDtypes = DtypeSet::where([](const DtypeTraits& t) {
  return t.kind == DtypeKind::floating || (t.kind != DtypeKind::boolean && t.size == traits(t.compute).size);
});
/// All.
inline constexpr DtypeSet kAllDtypes = DtypeSet::where([](const DtypeTraits&) { return true; });
/// What index tensors hold.
inline constexpr DtypeSet kIndexDtypes(Dtype::i64, Dtype::i32);
/// "f32, f64, bf16 or f16", in the order of the table.
WEFT_API std::ostream& operator<<(std::ostream& os, DtypeSet set);

/// bfloat16: the upper half of an f32, rounded to nearest even. Arithmetic goes through float. Conversions are the
/// hardware's in CUDA kernels: the same bits, but for those of a NaN.
struct bf16 {
  uint16_t bits;  ///< sign, 8 bits of exponent, 7 of mantissa
  bf16() = default;
  WEFT_HD WEFT_INLINE bf16(float f) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(f));
#else
    const uint32_t u = std::bit_cast<uint32_t>(f), quiet = u | 0x400000u, rounded = u + 0x7fffu + (u >> 16 & 1u);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>((nan ? quiet : rounded) >> 16);  // one width, so that compilers vectorise it
#endif
  }
  /// The same number as f32.
  WEFT_HD WEFT_INLINE operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

/// IEEE half precision, rounded to nearest even. Arithmetic goes through float. Conversions: as bf16's.
struct f16 {
  uint16_t bits;  ///< sign, 5 bits of exponent, 10 of mantissa
  f16() = default;
  WEFT_HD WEFT_INLINE f16(float f) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(f));
#else
    // Branch-free apart from selects, so that compilers vectorise it: scale into the half's exponent range with
    // a float addition that rounds at the right bit.
    uint32_t u = std::bit_cast<uint32_t>(f), sign = u & 0x80000000u;
    u ^= sign;
    uint32_t sub = std::bit_cast<uint32_t>(std::bit_cast<float>(u) + 0.5f) - 0x3f000000u;
    uint32_t norm = (u + 0xc8000fffu + ((u >> 13) & 1u)) >> 13;
    uint32_t special = u > 0x7f800000u ? 0x7e00u : 0x7c00u;
    uint32_t r = u >= 0x47800000u ? special : (u < 0x38800000u ? sub : norm);
    bits = static_cast<uint16_t>(r | (sign >> 16));
#endif
  }
  /// The same number as f32.
  WEFT_HD WEFT_INLINE operator float() const {
#if defined(__CUDA_ARCH__)
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(bits));
    return f;
#else
    uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, u = bits & 0x7fffu;
    uint32_t norm = (u << 13) + 0x38000000u;
    uint32_t inf = (u << 13) + 0x70000000u;
    float sub = std::bit_cast<float>((u << 13) + 0x38800000u) - std::bit_cast<float>(0x38800000u);
    uint32_t r = u >= 0x7c00u ? inf : (u < 0x0400u ? std::bit_cast<uint32_t>(sub) : norm);
    return std::bit_cast<float>(r | sign);
#endif
  }
};

/// The dtype of a C++ element type: dtype_v<float> is f32.
template <class T> struct dtype_of;
template <> struct dtype_of<float> { static constexpr Dtype value = Dtype::f32; };
template <> struct dtype_of<double> { static constexpr Dtype value = Dtype::f64; };
template <> struct dtype_of<bf16> { static constexpr Dtype value = Dtype::bf16; };
template <> struct dtype_of<f16> { static constexpr Dtype value = Dtype::f16; };
template <> struct dtype_of<int64_t> { static constexpr Dtype value = Dtype::i64; };
template <> struct dtype_of<int32_t> { static constexpr Dtype value = Dtype::i32; };
template <> struct dtype_of<uint8_t> { static constexpr Dtype value = Dtype::u8; };
template <> struct dtype_of<bool> { static constexpr Dtype value = Dtype::boolean; };
template <> struct dtype_of<int8_t> { static constexpr Dtype value = Dtype::i8; };
template <> struct dtype_of<int16_t> { static constexpr Dtype value = Dtype::i16; };
template <> struct dtype_of<uint16_t> { static constexpr Dtype value = Dtype::u16; };
template <class T> inline constexpr Dtype dtype_v = dtype_of<std::remove_cv_t<T>>::value;
/// Types of elements.
template <class T>
concept HasDtype = requires {
  dtype_of<std::remove_cv_t<T>>::value;
};

/// bf16 or f16.
template <class T> inline constexpr bool is_half_v = std::is_same_v<T, bf16> || std::is_same_v<T, f16>;
/// int8_t, int16_t or uint16_t.
template <class T>
inline constexpr bool is_short_v = std::is_same_v<T, int8_t> || std::is_same_v<T, int16_t> ||
                                   std::is_same_v<T, uint16_t>;
/// The type that arithmetic on T is done in: float for the halves, int32_t for the short integers, T otherwise.
template <class T>
using compute_t = std::conditional_t<is_half_v<T>, float, std::conditional_t<is_short_v<T>, int32_t, T>>;

/// Bytes of an element.
constexpr size_t itemsize(Dtype d) { return traits(d).size; }
/// f64, f32, bf16 and f16; bf16 and f16 alone.
constexpr bool is_floating(Dtype d) { return kFloatingDtypes.has(d); }
constexpr bool is_half(Dtype d) { return d == Dtype::bf16 || d == Dtype::f16; }
/// Integers and bool.
constexpr bool is_integral(Dtype d) { return kIntegralDtypes.has(d); }
/// Integers that hold negative numbers.
constexpr bool is_signed_integer(Dtype d) { return traits(d).kind == DtypeKind::signed_integer; }
/// i8, i16 and u16.
constexpr bool is_short(Dtype d) { return kShortDtypes.has(d); }
/// f32 for the halves, i32 for the short integers, d otherwise: the dtype that arithmetic is done in.
constexpr Dtype compute_dtype(Dtype d) { return traits(d).compute; }
/// d for floating dtypes, i64 for the others: the dtype of sums and products, unless one is asked for.
constexpr Dtype sum_dtype(Dtype d) { return traits(d).sum; }

/// "f32", "bf16", "bool", ...
WEFT_API const char* name(Dtype d);
/// Prints the name.
WEFT_API std::ostream& operator<<(std::ostream& os, Dtype d);
/// The common dtype of a binary op on two tensors, as PyTorch promotes: the floating one of two kinds; the wider one of
/// one kind (f32 of f16 and bf16); of signed and unsigned integers the least signed one that holds both, i64 at most.
/// u16, which PyTorch promotes with nothing, follows numpy with integers, and gives a floating dtype its way.
WEFT_API Dtype promote(Dtype a, Dtype b);

// Dtype switches: `dispatch_floating(x.dtype(), "gelu", [&]<class T> { ... });`
namespace detail {
// Not a template: kernels are compiled per instruction set, and a template's weak copy of theirs could serve everyone.
[[noreturn]] WEFT_API void bad_dtype(Dtype d, const char* op, DtypeSet expected);
template <class... T, class F> WEFT_INLINE void dispatch_types(Dtype d, const char* op, F&& f) {
  constexpr DtypeSet expected(dtype_v<T>...);
  bool done = ((d == dtype_v<T> ? (f.template operator()<T>(), true) : false) || ...);
  if (!done) [[unlikely]]
    bad_dtype(d, op, expected);
}
}  // namespace detail
/// Each calls `f.template operator()<T>()` with the C++ type of d. DtypeError, in the name of `op`, that lists the
/// dtypes it takes for another one.
template <class F> WEFT_INLINE void dispatch_floating(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<float, double, bf16, f16>(d, op, f);
}
/// The integers and bool.
template <class F> WEFT_INLINE void dispatch_integral(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<int64_t, int32_t, uint8_t, bool, int8_t, int16_t, uint16_t>(d, op, f);
}
/// The dtypes of kIndexDtypes.
template <class F> WEFT_INLINE void dispatch_index(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<int64_t, int32_t>(d, op, f);
}
/// The dtypes of kWideDtypes.
template <class F> WEFT_INLINE void dispatch_wide(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<float, double, bf16, f16, int64_t, int32_t, uint8_t>(d, op, f);
}
/// All but bool; all.
template <class F> WEFT_INLINE void dispatch_numeric(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<float, double, bf16, f16, int64_t, int32_t, uint8_t, int8_t, int16_t, uint16_t>(d, op, f);
}
template <class F> WEFT_INLINE void dispatch_all(Dtype d, const char* op, F&& f) {
  detail::dispatch_types<float, double, bf16, f16, int64_t, int32_t, uint8_t, bool, int8_t, int16_t, uint16_t>(d, op,
                                                                                                               f);
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
/// For sums in place: float, double, and integers by their size, since signed and unsigned ones wrap alike.
template <class F> WEFT_INLINE void dispatch_added(Dtype d, const char* op, F&& f) {
  constexpr DtypeSet added = DtypeSet::where([](const DtypeTraits& t) {
    return t.kind != DtypeKind::boolean && (t.kind != DtypeKind::floating || t.size > 2);
  });
  if (!added.has(d)) detail::bad_dtype(d, op, added);
  if (is_floating(d)) detail::dispatch_types<float, double>(d, op, f);
  else dispatch_size(d, f);
}

namespace detail {
/// ValueError: i64, the widest integer, does not hold the number.
[[noreturn]] WEFT_API void raise_too_large(uint64_t number);
}  // namespace detail

/// A C++ number with its category, so that i64 keeps its exact value and `x * 2` keeps x's dtype. ValueError for
/// integers of 2^63 and more.
class Scalar {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> Scalar(T v) {
    if constexpr (std::is_floating_point_v<T>) {
      kind_ = Kind::floating;
      d_ = static_cast<double>(v);
    } else {
      kind_ = std::is_same_v<T, bool> ? Kind::boolean : Kind::integer;
      if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(int64_t))
        if (v > T{INT64_MAX}) [[unlikely]]
          detail::raise_too_large(v);
      i_ = static_cast<int64_t>(v);
    }
  }
  /// Classes that stand for a number, as an nn::Option does.
  template <class C>
  requires(!std::same_as<C, Scalar> && (Boolean<C> || Integer<C> || detail::StandsFor<C, double>)&&std::is_class_v<C>)
      Scalar(const C& c)
      : Scalar(static_cast<std::conditional_t<Boolean<C>, bool, std::conditional_t<Integer<C>, int64_t, double>>>(c)) {}
  /// The category that the number had in C++.
  bool is_floating() const { return kind_ == Kind::floating; }
  bool is_integer() const { return kind_ == Kind::integer; }
  bool is_bool() const { return kind_ == Kind::boolean; }
  /// Of a bool the negative integer; the least integer stays.
  Scalar operator-() const {
    if (is_floating()) return -d_;
    return static_cast<int64_t>(-static_cast<uint64_t>(i_));
  }
  /// The value as a double; beyond 2^53 integers are rounded.
  double to_double() const { return is_floating() ? d_ : static_cast<double>(i_); }
  /// Towards 0; the nearest end beyond 64 bits, 0 for NaN.
  int64_t to_int64() const {
    if (!is_floating()) return i_;
    if (!(d_ > -0x1p63 && d_ < 0x1p63)) return d_ > 0 ? INT64_MAX : d_ < 0 ? INT64_MIN : 0;
    return static_cast<int64_t>(d_);
  }
  /// T can hold the value, whatever becomes of its fraction: no integer out of range, no NaN in an integer, no finite
  /// value that becomes infinite.
  template <class T> bool fits() const {
    if constexpr (std::is_same_v<T, bool>) {
      return true;
    } else if constexpr (std::is_integral_v<T>) {
      constexpr T least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
      if (!is_floating())
        return i_ < 0 ? least < 0 && i_ >= static_cast<int64_t>(least) : static_cast<uint64_t>(i_) <= most;
      const double v = __builtin_trunc(d_);  // both ends are powers of two: exact in f64
      return v >= static_cast<double>(least) && v < 2 * static_cast<double>(most / 2 + 1);
    } else {
      return !__builtin_isfinite(to_double()) || __builtin_isfinite(static_cast<double>(to<T>()));
    }
  }
  /// The value as T, by way of f32 for the halves.
  template <class T> WEFT_INLINE T to() const {
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
/// Prints as C++ prints the number.
WEFT_API std::ostream& operator<<(std::ostream& os, const Scalar& s);

namespace detail {
/// ValueError in the name of `op`: a number type of that many bytes cannot hold the value.
[[noreturn]] WEFT_API void raise_unfit(const char* op, const Scalar& value, char kind, size_t bytes);
/// The value as a T. ValueError in the name of `op` unless it fits.
template <class T> T fitting(const char* op, const Scalar& value) {
  constexpr char kind = std::is_integral_v<T> ? std::is_unsigned_v<T> ? 'u' : 'i' : std::is_same_v<T, bf16> ? 'b' : 'f';
  if (!value.fits<T>()) [[unlikely]]
    raise_unfit(op, value, kind, sizeof(T));
  if constexpr (kind == 'u' && !std::is_same_v<T, bool>)  // beyond i64, through which `to` goes
    if (value.is_floating()) return static_cast<T>(value.to_double());
  return value.to<T>();
}
}  // namespace detail

}  // namespace weft
