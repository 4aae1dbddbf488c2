// Activation functions, element by element, with fused gradients.
// x: any shape, floating (integers go to the default dtype) -> the same shape and layout. Modules of nn/ are thin over
// these.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft {

/// max(x, 0); NaN stays NaN, and its gradient passes (as in relu6, hardtanh, hardswish, elu, selu, celu). Gradient 0 at
/// 0. Takes integers; DtypeError for bool.
WEFT_API Tensor relu(const Tensor& x);
/// min(max(x, 0), 6).
WEFT_API Tensor relu6(const Tensor& x);
/// x where x > 0, slope * x elsewhere.
WEFT_API Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
/// x where x > 0, weight * x elsewhere. weight: [1], or [C] along axis 1 of x. ShapeError otherwise.
WEFT_API Tensor prelu(const Tensor& x, const Tensor& weight);
/// x where x > 0, alpha * (exp(x) - 1) elsewhere.
WEFT_API Tensor elu(const Tensor& x, double alpha = 1);
/// Scaled elu of self-normalising networks (Klambauer et al. 2017).
WEFT_API Tensor selu(const Tensor& x);
/// 1 / (1 + exp(-x)).
WEFT_API Tensor sigmoid(const Tensor& x);
/// log(sigmoid(x)), without overflow.
WEFT_API Tensor logsigmoid(const Tensor& x);
/// clamp(x / 6 + 1/2, 0, 1).
WEFT_API Tensor hardsigmoid(const Tensor& x);
/// x * hardsigmoid(x).
WEFT_API Tensor hardswish(const Tensor& x);
/// min(max(x, min_val), max_val); gradient 0 at the bounds. ValueError if min_val > max_val.
WEFT_API Tensor hardtanh(const Tensor& x, double min_val = -1, double max_val = 1);
/// x * sigmoid(x).
WEFT_API Tensor silu(const Tensor& x);
/// How gelu computes Phi: exactly, by erf, or by the tanh approximation.
enum class Approximate : uint8_t { none, tanh };
constexpr auto mode_words(Approximate) { return make_words("gelu: approximate", "none", "tanh"); }
/// x * Phi(x) with Phi the normal distribution function (Hendrycks & Gimpel 2016).
WEFT_API Tensor gelu(const Tensor& x, Choice<Approximate> approximate = Approximate::none);
/// x * tanh(softplus(x)).
WEFT_API Tensor mish(const Tensor& x);
/// log(1 + exp(beta x)) / beta; x itself where beta x > threshold.
WEFT_API Tensor softplus(const Tensor& x, double beta = 1, double threshold = 20);
/// x - lambd where x > lambd, x + lambd where x < -lambd, 0 between, with gradient 0 there. ValueError if lambd < 0.
WEFT_API Tensor softshrink(const Tensor& x, double lambd = 0.5);
/// x / (1 + |x|). The gradient at infinity is 0 (PyTorch: NaN, of inf / inf).
WEFT_API Tensor softsign(const Tensor& x);
/// x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere. ValueError unless alpha > 0.
WEFT_API Tensor celu(const Tensor& x, double alpha = 1);
/// a * sigmoid(b), where a and b are the halves of x along `dim`. ShapeError if they are not equal.
WEFT_API Tensor glu(const Tensor& x, Int dim = -1);
/// x where |x| > lambd, else 0.
WEFT_API Tensor hardshrink(const Tensor& x, double lambd = 0.5);
/// x - tanh(x).
WEFT_API Tensor tanhshrink(const Tensor& x);
/// x where x > threshold, else value; NaN stays NaN. Takes integers.
WEFT_API Tensor threshold(const Tensor& x, double threshold, double value);

}  // namespace weft
