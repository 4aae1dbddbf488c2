// z = f(x, y): the elementwise functions of two arguments, comparisons, and the fused gradients of unary ops.
#pragma once

#include "weft/core/fn/math.h"
#include "weft/core/fn/traits.h"

namespace weft::fn {

// Struct of a function that is one expression of x and y.
#define WEFT_BINARY(Name, text, dom, ...)                                                          \
  struct Name {                                                                                    \
    static constexpr const char* name = text;                                                      \
    static constexpr Domain domain = Domain::dom;                                                  \
    template <class T> WEFT_HD WEFT_INLINE T operator()(T x, T y) const { return T(__VA_ARGS__); } \
  };
#define WEFT_COMPARE(Name, text, ...)                                                              \
  struct Name {                                                                                    \
    static constexpr const char* name = text;                                                      \
    static constexpr Domain domain = Domain::all;                                                  \
    static constexpr bool predicate = true;                                                        \
    template <class T> WEFT_HD WEFT_INLINE bool operator()(T x, T y) const { return __VA_ARGS__; } \
  };

// clang-format off: one line per function
WEFT_BINARY(Add, "add", all, x + y)
WEFT_BINARY(Sub, "sub", numeric, x - y)
WEFT_BINARY(Mul, "mul", all, x* y)
WEFT_BINARY(Div, "div", floating, x / y)
WEFT_BINARY(DivTrunc, "div", numeric, div_trunc(x, y))
WEFT_BINARY(DivFloor, "div", numeric, div_floor(x, y))
WEFT_BINARY(Pow, "pow", numeric, pow(x, y))
WEFT_BINARY(Maximum, "maximum", all, x != x || x > y ? x : y)  // NaN wins, from either side
WEFT_BINARY(Minimum, "minimum", all, x != x || x < y ? x : y)
WEFT_BINARY(Atan2, "atan2", floating, atan2(x, y))
WEFT_BINARY(Fmod, "fmod", numeric, fmod(x, y))
WEFT_BINARY(Remainder, "remainder", numeric, remainder(x, y))

WEFT_COMPARE(Eq, "eq", x == y)
WEFT_COMPARE(Ne, "ne", x != y)
WEFT_COMPARE(Lt, "lt", x < y)
WEFT_COMPARE(Le, "le", x <= y)
WEFT_COMPARE(Gt, "gt", x > y)
WEFT_COMPARE(Ge, "ge", x >= y)
WEFT_COMPARE(LogicalAnd, "logical_and", x != T(0) && y != T(0))
WEFT_COMPARE(LogicalOr, "logical_or", x != T(0) || y != T(0))
WEFT_COMPARE(LogicalXor, "logical_xor", (x != T(0)) != (y != T(0)))

// Gradients of unary ops, fused: x is the incoming gradient, y the op's input (x-form) or output (y-form). At NaN relu and its
// family pass the gradient on, as PyTorch: what fails the test for being cut off.
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

using BinaryOps =
    TypeList<Add, Sub, Mul, Div, DivTrunc, DivFloor, Pow, Maximum, Minimum, Atan2, Fmod, Remainder, Eq, Ne, Lt, Le, Gt,
             Ge, LogicalAnd, LogicalOr, LogicalXor, ReluGrad, SigmoidGrad, TanhGrad, SiluGrad, GeluGrad, GeluTanhGrad,
             MishGrad, HardswishGrad, LeakyReluGrad, EluGrad, SoftplusGrad, ClampGrad, AddScaled>;

}  // namespace weft::fn
