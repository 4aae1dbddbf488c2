// z = f(x, y): the elementwise functions of two arguments, comparisons, and the fused gradients of unary ops.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/special.h"
#include "weft/core/fn/traits.h"

namespace weft::fn {

/// Struct of a function that is one expression of x and y.
#define WEFT_BINARY(Name, text, dom, ...)                                                          \
  struct Name {                                                                                    \
    static constexpr const char* name = text;                                                      \
    static constexpr Domain domain = Domain::dom;                                                  \
    template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const { return T(__VA_ARGS__); } \
  };
/// Struct of a comparison, -> bool.
#define WEFT_COMPARE(Name, text, ...)                                                              \
  struct Name {                                                                                    \
    static constexpr const char* name = text;                                                      \
    static constexpr Domain domain = Domain::all;                                                  \
    static constexpr bool predicate = true;                                                        \
    template <class T> WEFT_HD WEFT_INLINE bool operator()(T x, T y) const { return __VA_ARGS__; } \
  };

// clang-format off: one line per function
WEFT_BINARY(Add, "add", all, add(x, y))
WEFT_BINARY(Sub, "sub", numeric, sub(x, y))
WEFT_BINARY(Mul, "mul", all, mul(x, y))
WEFT_BINARY(Div, "div", floating, x / y)
WEFT_BINARY(DivTrunc, "div", numeric, div_trunc(x, y))
WEFT_BINARY(DivFloor, "div", numeric, div_floor(x, y))
WEFT_BINARY(Pow, "pow", numeric, pow(x, y))
WEFT_BINARY(Maximum, "maximum", all, x != x || x > y ? x : y)  // NaN wins, from either side
WEFT_BINARY(Minimum, "minimum", all, x != x || x < y ? x : y)
WEFT_BINARY(Atan2, "atan2", floating, atan2(x, y))
WEFT_BINARY(Fmod, "fmod", numeric, fmod(x, y))
WEFT_BINARY(Remainder, "remainder", numeric, remainder(x, y))

WEFT_BINARY(Heaviside, "heaviside", all, x == T(0) ? y : T(x > T(0)))
WEFT_BINARY(Copysign, "copysign", floating, std::copysign(x, y))
WEFT_BINARY(Xlogy, "xlogy", floating, y != y ? y : x == T(0) ? T(0) : x * fn::log(y))
WEFT_BINARY(BitwiseAnd, "bitwise_and", integral, x& y)
WEFT_BINARY(BitwiseOr, "bitwise_or", integral, x | y)
WEFT_BINARY(BitwiseXor, "bitwise_xor", integral, x ^ y)

WEFT_COMPARE(Eq, "eq", x == y)
WEFT_COMPARE(Ne, "ne", x != y)
WEFT_COMPARE(Lt, "lt", x < y)
WEFT_COMPARE(Le, "le", x <= y)
WEFT_COMPARE(Gt, "gt", x > y)
WEFT_COMPARE(Ge, "ge", x >= y)
WEFT_COMPARE(LogicalAnd, "logical_and", x != T(0) && y != T(0))
WEFT_COMPARE(LogicalOr, "logical_or", x != T(0) || y != T(0))
WEFT_COMPARE(LogicalXor, "logical_xor", (x != T(0)) != (y != T(0)))

// Gradients of unary ops, fused: x is the incoming gradient, y the op's input (x-form) or output (y-form). At NaN relu
// and its family pass the gradient on, as PyTorch: what fails the test for being cut off.
WEFT_BINARY(ReluGrad, "relu_grad", floating, y <= T(0) ? T(0) : x)      // y-form or x-form
WEFT_BINARY(SigmoidGrad, "sigmoid_grad", floating, x* y*(T(1) - y))     // y-form
WEFT_BINARY(TanhGrad, "tanh_grad", floating, x*(T(1) - y * y))          // y-form
WEFT_BINARY(SiluGrad, "silu_grad", floating, silu_grad(x, y))           // x-form
WEFT_BINARY(GeluGrad, "gelu_grad", floating, gelu_grad(x, y))           // x-form
WEFT_BINARY(GeluTanhGrad, "gelu_grad", floating, gelu_tanh_grad(x, y))  // x-form
WEFT_BINARY(MishGrad, "mish_grad", floating, mish_grad(x, y))           // x-form

WEFT_BINARY(HardswishGrad, "hardswish_grad", floating,  // x-form
            y <= T(-3) ? T(0)
            : y < T(3) ? x * (y * T(1.0 / 3) + T(0.5))
                       : x)

// clang-format on
#undef WEFT_BINARY
#undef WEFT_COMPARE

struct LeakyReluGrad {  // x-form
  static constexpr const char* name = "leaky_relu_grad";
  static constexpr Domain domain = Domain::floating;
  double slope = 0.01;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T g, T x) const { return x > T(0) ? g : g * T(slope); }
};
struct EluGrad {  // x-form
  static constexpr const char* name = "elu_grad";
  static constexpr Domain domain = Domain::floating;
  double alpha = 1, scale = 1, rate = 1;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T g, T x) const {
    return x <= T(0) ? g * T(scale * alpha * rate) * exp(x * T(rate)) : g * T(scale);
  }
};
struct SoftplusGrad {  // x-form
  static constexpr const char* name = "softplus_grad";
  static constexpr Domain domain = Domain::floating;
  double beta = 1, threshold = 20;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T g, T x) const {
    T z = x * T(beta);
    return z > T(threshold) ? g : g * sigmoid(z);
  }
};
/// g where lo < x < hi; a NaN for a bound that is not there. At x = NaN g for hardtanh (`nan_passes`), 0 for clamp.
struct ClampGrad {  // x-form
  static constexpr const char* name = "clamp_grad";
  static constexpr Domain domain = Domain::floating;
  double lo = 0, hi = 0;
  bool nan_passes = false;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T g, T x) const {
    const bool out = x <= T(lo) || x >= T(hi) || (x != x && !nan_passes);
    return out ? T(0) : g;
  }
};
/// z = x + a * y: add and sub with alpha, and accumulation.
struct AddScaled {
  static constexpr const char* name = "add";
  static constexpr Domain domain = Domain::numeric;
  Number alpha = 1;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const { return static_cast<T>(x + alpha.to<T>() * y); }
};

/// log(exp(x) + exp(y)), from the greater one, so that nothing overflows; NaN wins. Equal infinities stay.
struct Logaddexp {
  static constexpr const char* name = "logaddexp";
  static constexpr Domain domain = Domain::floating;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const {
    const T greater = x != x || x > y ? x : y, apart = x == y ? T(0) : -abs(x - y);
    return greater + log1p(exp(apart));
  }
};
/// The same to the base 2.
struct Logaddexp2 {
  static constexpr const char* name = "logaddexp2";
  static constexpr Domain domain = Domain::floating;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const {
    const T greater = x != x || x > y ? x : y, apart = x == y ? T(0) : -abs(x - y);
    return greater + log1p(exp2(apart)) * T(1.44269504088896340736);
  }
};
/// sqrt(x^2 + y^2) without overflow; infinite if one is, even beside a NaN.
struct Hypot {
  static constexpr const char* name = "hypot";
  static constexpr Domain domain = Domain::floating;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const {
    if constexpr (std::is_same_v<T, float>) {
      const T endless = std::numeric_limits<T>::infinity();
      const double a = x, b = y;
      return abs(x) == endless || abs(y) == endless ? endless : static_cast<T>(sqrt(a * a + b * b));
    } else {
      return std::hypot(x, y);
    }
  }
};
/// x 2^y; 0 where y is negative or as large as x has bits. A bool has one.
struct BitwiseLeftShift {
  static constexpr const char* name = "bitwise_left_shift";
  static constexpr Domain domain = Domain::integral;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const {
    if constexpr (std::is_same_v<T, bool>) return x && !y;
    else return y < T(0) || y >= T(8 * sizeof(T)) ? T(0) : static_cast<T>(static_cast<std::make_unsigned_t<T>>(x) << y);
  }
};
/// x / 2^y, rounded down: 0 or -1 where y is negative or as large as x has bits.
struct BitwiseRightShift {
  static constexpr const char* name = "bitwise_right_shift";
  static constexpr Domain domain = Domain::integral;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const {
    if constexpr (std::is_same_v<T, bool>) return x && !y;
    else return y < T(0) || y >= T(8 * sizeof(T)) ? static_cast<T>(x < T(0) ? -1 : 0) : static_cast<T>(x >> y);
  }
};
/// A Poisson number with rate x, from the stream of element number y. f64 holds every number of an element.
struct Poisson {
  static constexpr const char* name = "poisson";
  static constexpr Domain domain = Domain::floating;
  uint64_t seed = 0, offset = 0;
  template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const {
    return static_cast<T>(fn::draw_poisson(static_cast<double>(x), seed, offset + static_cast<uint64_t>(y)));
  }
};

using BinaryOps = TypeList<Add, Sub, Mul, Div, DivTrunc, DivFloor, Pow, Maximum, Minimum, Atan2, Fmod, Remainder, Eq,
                           Ne, Lt, Le, Gt, Ge, LogicalAnd, LogicalOr, LogicalXor, ReluGrad, SigmoidGrad, TanhGrad,
                           SiluGrad, GeluGrad, GeluTanhGrad, MishGrad, HardswishGrad, LeakyReluGrad, EluGrad,
                           SoftplusGrad, ClampGrad, AddScaled, Logaddexp, Logaddexp2, Hypot, Copysign, Xlogy, Heaviside,
                           BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseLeftShift, BitwiseRightShift, Poisson>;

}  // namespace weft::fn
