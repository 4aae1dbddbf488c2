// y = f(x): the elementwise functions of one argument, for CPU loops and CUDA kernels alike.
// A new one: its struct, its place in UnaryOps, then docs, op block and op-table row under autograd/ and tests/.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/special.h"
#include "weft/core/fn/traits.h"

namespace weft::fn {

/// Struct of a function that is one expression of x on floating types.
#define WEFT_UNARY(Name, text, dom, ...)                                                      \
  struct Name {                                                                               \
    static constexpr const char* name = text;                                                 \
    static constexpr Domain domain = Domain::dom;                                             \
    template <class T> WEFT_HD WEFT_INLINE auto operator()(T x) const { return __VA_ARGS__; } \
  };

/// With a shorter form for arguments that are not `rare`: vector loops test a block, then take one of the two for all
/// of it.
#define WEFT_TRIG(Name, op)                                                          \
  struct Name {                                                                      \
    static constexpr const char* name = #op;                                         \
    static constexpr Domain domain = Domain::floating;                               \
    template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const { return op(x); } \
    WEFT_HD WEFT_INLINE float common(float x) const { return f32::op##_common(x); }  \
    WEFT_HD WEFT_INLINE bool rare(float x) const { return f32::trig_rare(x); }       \
  };

// clang-format off: one line per function
WEFT_UNARY(Abs, "abs", numeric, abs(x))
WEFT_UNARY(Exp, "exp", floating, exp(x))
WEFT_UNARY(Exp2, "exp2", floating, exp2(x))
WEFT_UNARY(Log, "log", floating, log(x))
WEFT_UNARY(Log2, "log2", floating, log2(x))
WEFT_UNARY(Log10, "log10", floating, log10(x))
WEFT_UNARY(Log1p, "log1p", floating, log1p(x))
WEFT_UNARY(Expm1, "expm1", floating, expm1(x))
WEFT_UNARY(Sqrt, "sqrt", floating, sqrt(x))
WEFT_UNARY(Rsqrt, "rsqrt", floating, T(1) / sqrt(x))
WEFT_UNARY(Square, "square", numeric, mul(x, x))
WEFT_TRIG(Sin, sin)
WEFT_TRIG(Cos, cos)
WEFT_TRIG(Tan, tan)
WEFT_UNARY(Asin, "asin", floating, asin(x))
WEFT_UNARY(Acos, "acos", floating, acos(x))
WEFT_UNARY(Atan, "atan", floating, atan(x))
WEFT_UNARY(Sinh, "sinh", floating, sinh(x))
WEFT_UNARY(Cosh, "cosh", floating, cosh(x))
WEFT_UNARY(Tanh, "tanh", floating, tanh(x))
WEFT_UNARY(Asinh, "asinh", floating, T(std::asinh(static_cast<double>(x))))
WEFT_UNARY(Acosh, "acosh", floating, T(std::acosh(static_cast<double>(x))))
WEFT_UNARY(Atanh, "atanh", floating, T(std::atanh(static_cast<double>(x))))
WEFT_UNARY(Erf, "erf", floating, erf(x))
WEFT_UNARY(Erfc, "erfc", floating, erfc(x))
WEFT_UNARY(Sigmoid, "sigmoid", floating, sigmoid(x))
WEFT_UNARY(Reciprocal, "reciprocal", floating, T(1) / x)
WEFT_UNARY(Sign, "sign", numeric, T((x > T(0)) - (x < T(0))))
WEFT_UNARY(Floor, "floor", floating, floor(x))
WEFT_UNARY(Ceil, "ceil", floating, ceil(x))
WEFT_UNARY(Round, "round", floating, round_even(x))
WEFT_UNARY(Trunc, "trunc", floating, trunc(x))
WEFT_UNARY(Relu, "relu", numeric, x < T(0) ? T(0) : x)  // NaN stays NaN
WEFT_UNARY(Silu, "silu", floating, x* sigmoid(x))
WEFT_UNARY(Gelu, "gelu", floating, T(0.5) * x * (T(1) + erf(x * T(0.70710678118654752440))))
WEFT_UNARY(GeluTanh, "gelu", floating,
           T(0.5) * x * (T(1) + tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x))))
WEFT_UNARY(Mish, "mish", floating, x* tanh(softplus(x)))
WEFT_UNARY(Hardswish, "hardswish", floating, x* clamp(x + T(3), T(0), T(6)) * T(1.0 / 6))

WEFT_UNARY(Hardsigmoid, "hardsigmoid", floating, clamp(x + T(3), T(0), T(6)) * T(1.0 / 6))
WEFT_UNARY(Logsigmoid, "logsigmoid", floating, (x < T(0) ? x : T(0)) - log1p(exp(-abs(x))))
WEFT_UNARY(Softsign, "softsign", floating, x / (T(1) + abs(x)))

WEFT_UNARY(Sinc, "sinc", floating,
           x == T(0) ? T(1) : T(fn::sin(T(3.14159265358979323846) * x) / (T(3.14159265358979323846) * x)))
WEFT_UNARY(Lgamma, "lgamma", floating, T(fn::lgamma(static_cast<double>(x))))
WEFT_UNARY(Digamma, "digamma", floating, T(fn::digamma(static_cast<double>(x))))
WEFT_UNARY(Erfinv, "erfinv", floating, T(fn::erfinv(static_cast<double>(x))))

#undef WEFT_UNARY
#undef WEFT_TRIG

/// Integers wrap: the least one stays as it is.
struct Neg {
  static constexpr const char* name = "neg";
  static constexpr Domain domain = Domain::numeric;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    if constexpr (std::is_integral_v<T>) return sub(T(0), x);
    else return -x;
  }
};
struct LeakyRelu {
  static constexpr const char* name = "leaky_relu";
  static constexpr Domain domain = Domain::floating;
  double slope = 0.01;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const { return x > T(0) ? x : x * T(slope); }
};
/// scale * (x > 0 ? x : alpha * (exp(rate * x) - 1)): elu, selu, and celu.
struct Elu {
  static constexpr const char* name = "elu";
  static constexpr Domain domain = Domain::floating;
  double alpha = 1, scale = 1, rate = 1;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    return x > T(0) ? T(scale) * x : T(scale * alpha) * expm1(x * T(rate));
  }
};
/// log(1 + exp(beta x)) / beta, x where beta x > threshold.
struct Softplus {
  static constexpr const char* name = "softplus";
  static constexpr Domain domain = Domain::floating;
  double beta = 1, threshold = 20;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    T z = x * T(beta);
    return z > T(threshold) ? x : fn::softplus(z) / T(beta);
  }
};
/// x moved towards 0 by `lambd`, 0 on the way; NaN stays NaN.
struct Softshrink {
  static constexpr const char* name = "softshrink";
  static constexpr Domain domain = Domain::floating;
  double lambd = 0.5;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    const T l = T(lambd);
    return x > l ? x - l : x < -l ? x + l : x * T(0);
  }
};
/// min(max(x, lo), hi); NaN stays NaN. Also hardtanh and relu6.
struct Clamp {
  static constexpr const char* name = "clamp";
  static constexpr Domain domain = Domain::numeric;
  double lo = 0, hi = 0;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    if constexpr (Real<T>) {
      x = x < T(lo) ? T(lo) : x;
      return x > T(hi) ? T(hi) : x;
    } else {
      // comparisons in double keep infinite bounds meaningful
      if (static_cast<double>(x) < lo) x = static_cast<T>(lo);
      return static_cast<double>(x) > hi ? static_cast<T>(hi) : x;
    }
  }
};
/// Rounds half to even at `scale` = 10^|decimals|.
struct RoundDecimals {
  static constexpr const char* name = "round";
  static constexpr Domain domain = Domain::floating;
  double scale = 1;
  bool left = false;  // of the point: negative decimals
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    return left ? round_even(x / T(scale)) * T(scale) : round_even(x * T(scale)) / T(scale);
  }
};
/// x^e for a number e.
struct PowScalar {
  static constexpr const char* name = "pow";
  static constexpr Domain domain = Domain::numeric;
  Number exponent = 1;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const { return pow(x, exponent.to<T>()); }
};
// Arithmetic with a number.
#define WEFT_WITH_NUMBER(Name, text, dom, ...)                       \
  struct Name {                                                      \
    static constexpr const char* name = text;                        \
    static constexpr Domain domain = Domain::dom;                    \
    Number number = 0;                                               \
    template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const { \
      const T s = number.to<T>();                                    \
      return T(__VA_ARGS__);                                         \
    }                                                                \
  };
WEFT_WITH_NUMBER(AddScalar, "add", numeric, add(x, s))
WEFT_WITH_NUMBER(RsubScalar, "sub", numeric, sub(s, x))
WEFT_WITH_NUMBER(MulScalar, "mul", numeric, mul(x, s))
WEFT_WITH_NUMBER(DivScalar, "div", floating, x / s)
// clang-format on
#undef WEFT_WITH_NUMBER

struct Isnan {
  static constexpr const char* name = "isnan";
  static constexpr Domain domain = Domain::all;
  static constexpr bool predicate = true;
  template <class T> WEFT_HD WEFT_INLINE bool operator()(T x) const { return x != x; }
};
struct Isinf {
  static constexpr const char* name = "isinf";
  static constexpr Domain domain = Domain::all;
  static constexpr bool predicate = true;
  template <class T> WEFT_HD WEFT_INLINE bool operator()(T x) const { return !(x != x) && x - x != T(0); }
};
struct Isfinite {
  static constexpr const char* name = "isfinite";
  static constexpr Domain domain = Domain::all;
  static constexpr bool predicate = true;
  template <class T> WEFT_HD WEFT_INLINE bool operator()(T x) const { return x - x == T(0); }
};
struct LogicalNot {
  static constexpr const char* name = "logical_not";
  static constexpr Domain domain = Domain::all;
  static constexpr bool predicate = true;
  template <class T> WEFT_HD WEFT_INLINE bool operator()(T x) const { return x == T(0); }
};

/// The n-th derivative of digamma.
struct Polygamma {
  static constexpr const char* name = "polygamma";
  static constexpr Domain domain = Domain::floating;
  double n = 0;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    return static_cast<T>(fn::polygamma(n, static_cast<double>(x)));
  }
};
/// log(z / (1 - z)) with z = x, or x between eps and 1 - eps for an eps >= 0.
struct Logit {
  static constexpr const char* name = "logit";
  static constexpr Domain domain = Domain::floating;
  double eps = -1;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    if (eps >= 0) {
      const T lo = T(eps), hi = T(1) - lo;
      x = x < lo ? lo : x > hi ? hi : x;
    }
    return fn::log(x / (T(1) - x));
  }
};
/// Numbers in place of NaN and the infinities.
struct NanToNum {
  static constexpr const char* name = "nan_to_num";
  static constexpr Domain domain = Domain::floating;
  double nan = 0, posinf = 0, neginf = 0;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    return x != x ? T(nan) : x - x == T(0) ? x : x > T(0) ? T(posinf) : T(neginf);
  }
};
/// All bits turned; of a bool its opposite.
struct BitwiseNot {
  static constexpr const char* name = "bitwise_not";
  static constexpr Domain domain = Domain::integral;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x) const {
    if constexpr (std::is_same_v<T, bool>) return !x;
    else return static_cast<T>(~x);
  }
};

using UnaryOps =
    TypeList<Abs, Neg, Exp, Exp2, Log, Log2, Log10, Log1p, Expm1, Sqrt, Rsqrt, Square, Sin, Cos, Tan, Asin, Acos, Atan,
             Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Erf, Erfc, Sigmoid, Reciprocal, Sign, Floor, Ceil, Round, Trunc,
             Relu, Silu, Gelu, GeluTanh, Mish, Hardswish, Hardsigmoid, Logsigmoid, Softsign, LeakyRelu, Elu, Softplus,
             Softshrink, Clamp, RoundDecimals, PowScalar, AddScalar, RsubScalar, MulScalar, DivScalar, Isnan, Isinf,
             Isfinite, LogicalNot, Sinc, Lgamma, Digamma, Erfinv, Polygamma, Logit, NanToNum, BitwiseNot>;

}  // namespace weft::fn
