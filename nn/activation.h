// Activation layers. Formulas are those of the ops (autograd/ops/elementwise/activation.h); names and printing are
// PyTorch's; numbers come alone, `LeakyReLU(0.2)`, or by name, `LeakyReLU({.negative_slope = 0.2})`.
#pragma once

#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// max(x, 0).
struct WEFT_API ReLU : Module {
  ReLU() : Module("ReLU") {}
  Tensor operator()(const Tensor& x) const;
};
/// min(max(x, 0), 6).
struct WEFT_API ReLU6 : Module {
  ReLU6() : Module("ReLU6") {}
  Tensor operator()(const Tensor& x) const;
};
/// Options of LeakyReLU.
struct LeakyReLUOptions {
  double negative_slope = 0.01;  ///< the slope where x <= 0
};
/// x where x > 0, negative_slope x elsewhere.
struct WEFT_API LeakyReLU : Module {
  explicit LeakyReLU(Only<double> negative_slope = 0.01);
  explicit LeakyReLU(const LeakyReLUOptions& o) : LeakyReLU(o.negative_slope) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> negative_slope;
};
/// Options of PReLU.
struct PReLUOptions {
  int64_t num_parameters = 1;  ///< 1, or the channels of x
  double init = 0.25;          ///< first value of every slope
};
/// x where x > 0, weight x elsewhere. weight [num_parameters] begins as `init`; one slope for all or one per channel
/// (axis 1).
struct WEFT_API PReLU : Module {
  explicit PReLU(Only<int64_t> num_parameters = 1, double init = 0.25);
  explicit PReLU(const PReLUOptions& o) : PReLU(o.num_parameters, o.init) {}
  Tensor operator()(const Tensor& x) const;
  int64_t num_parameters;
  Parameter weight;
};
/// Options of ELU.
struct ELUOptions {
  double alpha = 1;  ///< the limit for x to -infinity is -alpha
};
/// x where x > 0, alpha (exp(x) - 1) elsewhere.
struct WEFT_API ELU : Module {
  explicit ELU(Only<double> alpha = 1);
  explicit ELU(const ELUOptions& o) : ELU(o.alpha) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> alpha;
};
/// Scaled ELU of self-normalising networks (Klambauer et al. 2017); with AlphaDropout and weights of variance 1 / fan
/// in.
struct WEFT_API SELU : Module {
  SELU() : Module("SELU") {}
  Tensor operator()(const Tensor& x) const;
};
/// Options of GELU.
struct GELUOptions {
  Choice<Approximate> approximate = Approximate::none;  ///< none: by erf; tanh: by the tanh approximation
};
/// x Phi(x), with Phi the normal distribution function (Hendrycks & Gimpel 2016).
struct WEFT_API GELU : Module {
  explicit GELU(Choice<Approximate> approximate = Approximate::none);
  explicit GELU(const GELUOptions& o) : GELU(o.approximate) {}
  Tensor operator()(const Tensor& x) const;
  Option<Choice<Approximate>> approximate;
};
/// x sigmoid(x), also called swish.
struct WEFT_API SiLU : Module {
  SiLU() : Module("SiLU") {}
  Tensor operator()(const Tensor& x) const;
};
/// x tanh(softplus(x)).
struct WEFT_API Mish : Module {
  Mish() : Module("Mish") {}
  Tensor operator()(const Tensor& x) const;
};
/// 1 / (1 + exp(-x)).
struct WEFT_API Sigmoid : Module {
  Sigmoid() : Module("Sigmoid") {}
  Tensor operator()(const Tensor& x) const;
};
/// log(1 / (1 + exp(-x))), without overflow.
struct WEFT_API LogSigmoid : Module {
  LogSigmoid() : Module("LogSigmoid") {}
  Tensor operator()(const Tensor& x) const;
};
/// clamp(x / 6 + 1/2, 0, 1).
struct WEFT_API Hardsigmoid : Module {
  Hardsigmoid() : Module("Hardsigmoid") {}
  Tensor operator()(const Tensor& x) const;
};
/// x clamp(x / 6 + 1/2, 0, 1).
struct WEFT_API Hardswish : Module {
  Hardswish() : Module("Hardswish") {}
  Tensor operator()(const Tensor& x) const;
};
/// Options of Hardtanh.
struct HardtanhOptions {
  double min_val = -1, max_val = 1;  ///< bounds of the result
};
/// min(max(x, min_val), max_val). ValueError unless min_val < max_val.
struct WEFT_API Hardtanh : Module {
  explicit Hardtanh(Only<double> min_val = -1, double max_val = 1);
  explicit Hardtanh(const HardtanhOptions& o) : Hardtanh(o.min_val, o.max_val) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> min_val, max_val;
};
/// (exp(x) - exp(-x)) / (exp(x) + exp(-x)).
struct WEFT_API Tanh : Module {
  Tanh() : Module("Tanh") {}
  Tensor operator()(const Tensor& x) const;
};
/// Options of Softplus.
struct SoftplusOptions {
  double beta = 1, threshold = 20;  ///< sharpness; the result is x where beta x > threshold
};
/// log(1 + exp(beta x)) / beta; x itself where beta x > threshold.
struct WEFT_API Softplus : Module {
  explicit Softplus(Only<double> beta = 1, double threshold = 20);
  explicit Softplus(const SoftplusOptions& o) : Softplus(o.beta, o.threshold) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> beta, threshold;
};
/// Options of Softshrink.
struct SoftshrinkOptions {
  double lambd = 0.5;  ///< what x is moved towards 0 by; not negative
};
/// x - lambd where x > lambd, x + lambd where x < -lambd, 0 between. ValueError from the call if lambd < 0.
struct WEFT_API Softshrink : Module {
  explicit Softshrink(Only<double> lambd = 0.5);
  explicit Softshrink(const SoftshrinkOptions& o) : Softshrink(o.lambd) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> lambd;
};
/// x / (1 + |x|).
struct WEFT_API Softsign : Module {
  Softsign() : Module("Softsign") {}
  Tensor operator()(const Tensor& x) const;
};
/// Options of CELU.
struct CELUOptions {
  double alpha = 1;  ///< the limit for x to -infinity is -alpha
};
/// x where x > 0, alpha (exp(x / alpha) - 1) elsewhere. ValueError unless alpha > 0.
struct WEFT_API CELU : Module {
  explicit CELU(Only<double> alpha = 1);
  explicit CELU(const CELUOptions& o) : CELU(o.alpha) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> alpha;
};
/// Options of GLU.
struct GLUOptions {
  int64_t dim = -1;  ///< the axis that is halved
};
/// a sigmoid(b), where a and b are the halves of x along `dim`: [.., 2 n, ..] -> [.., n, ..]. ShapeError for an odd
/// size.
struct WEFT_API GLU : Module {
  explicit GLU(Only<int64_t> dim = -1);
  explicit GLU(const GLUOptions& o) : GLU(o.dim) {}
  Tensor operator()(const Tensor& x) const;
  Option<int64_t> dim;
};
/// Options of Hardshrink.
struct HardshrinkOptions {
  double lambd = 0.5;  ///< elements of at most this size become 0
};
/// x where |x| > lambd, else 0.
struct WEFT_API Hardshrink : Module {
  explicit Hardshrink(Only<double> lambd = 0.5);
  explicit Hardshrink(const HardshrinkOptions& o) : Hardshrink(o.lambd) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> lambd;
};
/// x - tanh(x).
struct WEFT_API Tanhshrink : Module {
  Tanhshrink() : Module("Tanhshrink") {}
  Tensor operator()(const Tensor& x) const;
};
/// Options of Threshold; both are required.
struct ThresholdOptions {
  double threshold, value;  ///< elements up to `threshold` become `value`
};
/// x where x > threshold, else value; NaN stays NaN.
struct WEFT_API Threshold : Module {
  Threshold(double threshold, double value);
  explicit Threshold(const ThresholdOptions& o) : Threshold(o.threshold, o.value) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> threshold, value;
};
/// Options of RReLU.
struct RReLUOptions {
  double lower = 1.0 / 8, upper = 1.0 / 3;  ///< the slope is drawn between them
};
/// x where x > 0, a x elsewhere: in training a ~ U(lower, upper) for each element, in evaluation (lower + upper) / 2.
struct WEFT_API RReLU : Module {
  explicit RReLU(Only<double> lower = 1.0 / 8, double upper = 1.0 / 3);
  explicit RReLU(const RReLUOptions& o) : RReLU(o.lower, o.upper) {}
  Tensor operator()(const Tensor& x) const;
  Option<double> lower, upper;
};
/// Options of Softmax, Softmin and LogSoftmax.
struct SoftmaxOptions {
  int64_t dim;  ///< the axis whose elements sum to 1; required
};
using SoftminOptions = SoftmaxOptions;
using LogSoftmaxOptions = SoftmaxOptions;
/// exp(x) / sum(exp(x)) along `dim`.
struct WEFT_API Softmax : Module {
  explicit Softmax(int64_t dim);
  explicit Softmax(const SoftmaxOptions& o) : Softmax(o.dim) {}
  Tensor operator()(const Tensor& x) const;
  Option<int64_t> dim;
};
/// Softmax over the channels of [N, C, H, W] or [C, H, W]. ShapeError for another rank.
struct WEFT_API Softmax2d : Module {
  Softmax2d() : Module("Softmax2d") {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
};
/// softmax(-x) along `dim`.
struct WEFT_API Softmin : Module {
  explicit Softmin(int64_t dim);
  explicit Softmin(const SoftminOptions& o) : Softmin(o.dim) {}
  Tensor operator()(const Tensor& x) const;
  Option<int64_t> dim;
};
/// log softmax(x) along `dim`, without overflow.
struct WEFT_API LogSoftmax : Module {
  explicit LogSoftmax(int64_t dim);
  explicit LogSoftmax(const LogSoftmaxOptions& o) : LogSoftmax(o.dim) {}
  Tensor operator()(const Tensor& x) const;
  Option<int64_t> dim;
};

}  // namespace weft::nn
