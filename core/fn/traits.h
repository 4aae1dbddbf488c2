// What a functor of core/fn says about itself, and the lists that close the sets of functors.
//
//   struct Tanh {                                     // y = tanh x
//     static constexpr const char* name = "tanh";     // in errors and tables
//     static constexpr Domain domain = Domain::floating;
//     template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const { ... }   // T: float or double (halves go through
//     float)
//   };
//
// A functor may carry parameters as plain members (double). `static constexpr bool predicate = true` makes the output
// bool.
#pragma once

#include <type_traits>

#include "weft/core/dtype.h"

namespace weft::fn {

/// A number as a functor's parameter: exact for integers too. Takes a C++ number or a Scalar.
struct Number {
  double d = 0;
  int64_t i = 0;
  Number() = default;
  Number(double v) : d(v), i(Scalar(v).to_int64()) {}
  Number(const Scalar& s) : d(s.to_double()), i(s.to_int64()) {}
  template <class T> WEFT_HD WEFT_INLINE T to() const {
    if constexpr (std::is_floating_point_v<T>) return static_cast<T>(d);
    else return static_cast<T>(i);
  }
};

/// Which dtypes a functor takes: f32 f64 bf16 f16; those and integers; those and bool; integers and bool.
enum class Domain : uint8_t { floating, numeric, all, integral };

template <class F>
concept Predicate = requires {
  requires F::predicate;
};
/// Element type of the result for inputs of type T.
template <class F, class T> using result_t = std::conditional_t<Predicate<F>, bool, T>;
template <class F> constexpr Dtype result_dtype(Dtype in) { return Predicate<F> ? Dtype::boolean : in; }

/// The dtypes of a functor's domain; floating where it names none (reductions and optimiser steps that say so
/// elsewhere).
template <class F> constexpr DtypeSet dtypes_of() {
  if constexpr (requires { F::domain; })
    return F::domain == Domain::floating   ? kFloatingDtypes
           : F::domain == Domain::numeric  ? kNumericDtypes
           : F::domain == Domain::integral ? kIntegralDtypes
                                           : kAllDtypes;
  else return kFloatingDtypes;
}

template <class... T> struct TypeList {
  static constexpr int size = sizeof...(T);
  /// Calls `f.template operator()<T>()` for each.
  template <class F> static constexpr void for_each(F&& f) { (f.template operator()<T>(), ...); }
};
template <class T, class L> struct IndexOf;
template <class T, class... U> struct IndexOf<T, TypeList<U...>> {
  static constexpr int find() {
    int i = 0, at = -1;
    ((std::is_same_v<T, U> ? void(at = i) : void(), ++i), ...);
    return at;
  }
  static constexpr int value = find();
  static_assert(value >= 0, "functor is not in its list (core/fn)");
};

template <class F, class G> WEFT_INLINE void dispatch_domain(Dtype d, G&& g) {
  if constexpr (F::domain == Domain::floating) dispatch_floating(d, F::name, g);
  else if constexpr (F::domain == Domain::numeric) dispatch_numeric(d, F::name, g);
  else if constexpr (F::domain == Domain::integral) dispatch_integral(d, F::name, g);
  else dispatch_all(d, F::name, g);
}

}  // namespace weft::fn
