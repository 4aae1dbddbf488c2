// Activation layers. Formulas are those of the ops (autograd/ops/elementwise/activation.h); names and printing are
// PyTorch's; numbers come alone, `LeakyReLU(0.2)`, or by name, `LeakyReLU({.negative_slope = 0.2})`.
#pragma once

#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

struct WEFT_API ReLU : Module {
  ReLU() : Module("ReLU") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return relu(x); });
  }
};
struct WEFT_API ReLU6 : Module {
  ReLU6() : Module("ReLU6") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return relu6(x); });
  }
};
struct LeakyReLUOptions {
  double negative_slope = 0.01;
};
struct WEFT_API LeakyReLU : Module {
  explicit LeakyReLU(Only<double> negative_slope = 0.01);
  explicit LeakyReLU(const LeakyReLUOptions& o) : LeakyReLU(o.negative_slope) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return leaky_relu(x, negative_slope); });
  }
  Option<double> negative_slope;
};
struct PReLUOptions {
  int64_t num_parameters = 1;
  double init = 0.25;
};
/// weight [num_parameters] begins as `init`; one slope for all or one per channel (axis 1).
struct WEFT_API PReLU : Module {
  explicit PReLU(Only<int64_t> num_parameters = 1, double init = 0.25);
  explicit PReLU(const PReLUOptions& o) : PReLU(o.num_parameters, o.init) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return prelu(x, weight); });
  }
  int64_t num_parameters;
  Parameter weight;
};
struct ELUOptions {
  double alpha = 1;
};
struct WEFT_API ELU : Module {
  explicit ELU(Only<double> alpha = 1);
  explicit ELU(const ELUOptions& o) : ELU(o.alpha) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return elu(x, alpha); });
  }
  Option<double> alpha;
};
struct WEFT_API SELU : Module {
  SELU() : Module("SELU") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return selu(x); });
  }
};
struct GELUOptions {
  Choice<Approximate> approximate = Approximate::none;
};
struct WEFT_API GELU : Module {
  explicit GELU(Choice<Approximate> approximate = Approximate::none);
  explicit GELU(const GELUOptions& o) : GELU(o.approximate) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return gelu(x, *approximate); });
  }
  Option<Choice<Approximate>> approximate;
};
struct WEFT_API SiLU : Module {
  SiLU() : Module("SiLU") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return silu(x); });
  }
};
struct WEFT_API Mish : Module {
  Mish() : Module("Mish") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return mish(x); });
  }
};
struct WEFT_API Sigmoid : Module {
  Sigmoid() : Module("Sigmoid") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return sigmoid(x); });
  }
};
struct WEFT_API LogSigmoid : Module {
  LogSigmoid() : Module("LogSigmoid") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return logsigmoid(x); });
  }
};
struct WEFT_API Hardsigmoid : Module {
  Hardsigmoid() : Module("Hardsigmoid") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return hardsigmoid(x); });
  }
};
struct WEFT_API Hardswish : Module {
  Hardswish() : Module("Hardswish") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return hardswish(x); });
  }
};
struct HardtanhOptions {
  double min_val = -1, max_val = 1;
};
struct WEFT_API Hardtanh : Module {
  explicit Hardtanh(Only<double> min_val = -1, double max_val = 1);
  explicit Hardtanh(const HardtanhOptions& o) : Hardtanh(o.min_val, o.max_val) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return hardtanh(x, min_val, max_val); });
  }
  Option<double> min_val, max_val;
};
struct WEFT_API Tanh : Module {
  Tanh() : Module("Tanh") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return tanh(x); });
  }
};
struct SoftplusOptions {
  double beta = 1, threshold = 20;
};
struct WEFT_API Softplus : Module {
  explicit Softplus(Only<double> beta = 1, double threshold = 20);
  explicit Softplus(const SoftplusOptions& o) : Softplus(o.beta, o.threshold) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return softplus(x, beta, threshold); });
  }
  Option<double> beta, threshold;
};
struct SoftshrinkOptions {
  double lambd = 0.5;
};
struct WEFT_API Softshrink : Module {
  explicit Softshrink(Only<double> lambd = 0.5);
  explicit Softshrink(const SoftshrinkOptions& o) : Softshrink(o.lambd) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return softshrink(x, lambd); });
  }
  Option<double> lambd;
};
struct WEFT_API Softsign : Module {
  Softsign() : Module("Softsign") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return softsign(x); });
  }
};
struct CELUOptions {
  double alpha = 1;
};
struct WEFT_API CELU : Module {
  explicit CELU(Only<double> alpha = 1);
  explicit CELU(const CELUOptions& o) : CELU(o.alpha) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return celu(x, alpha); });
  }
  Option<double> alpha;
};
struct GLUOptions {
  int64_t dim = -1;
};
struct WEFT_API GLU : Module {
  explicit GLU(Only<int64_t> dim = -1);
  explicit GLU(const GLUOptions& o) : GLU(o.dim) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return glu(x, dim); });
  }
  Option<int64_t> dim;
};
struct HardshrinkOptions {
  double lambd = 0.5;
};
struct WEFT_API Hardshrink : Module {
  explicit Hardshrink(Only<double> lambd = 0.5);
  explicit Hardshrink(const HardshrinkOptions& o) : Hardshrink(o.lambd) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return hardshrink(x, lambd); });
  }
  Option<double> lambd;
};
struct WEFT_API Tanhshrink : Module {
  Tanhshrink() : Module("Tanhshrink") {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return tanhshrink(x); });
  }
};
struct ThresholdOptions {
  double threshold, value;
};
struct WEFT_API Threshold : Module {
  Threshold(double threshold, double value);
  explicit Threshold(const ThresholdOptions& o) : Threshold(o.threshold, o.value) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return weft::threshold(x, threshold, value); });
  }
  Option<double> threshold, value;
};
struct RReLUOptions {
  double lower = 1.0 / 8, upper = 1.0 / 3;
};
/// Random slopes in training mode only.
struct WEFT_API RReLU : Module {
  explicit RReLU(Only<double> lower = 1.0 / 8, double upper = 1.0 / 3);
  explicit RReLU(const RReLUOptions& o) : RReLU(o.lower, o.upper) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return rrelu(x, lower, upper, is_training()); });
  }
  Option<double> lower, upper;
};
struct SoftmaxOptions {
  int64_t dim;
};
using SoftminOptions = SoftmaxOptions;
using LogSoftmaxOptions = SoftmaxOptions;
struct WEFT_API Softmax : Module {
  explicit Softmax(int64_t dim);
  explicit Softmax(const SoftmaxOptions& o) : Softmax(o.dim) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return softmax(x, dim); });
  }
  Option<int64_t> dim;
};
/// Softmax over the channels of [N, C, H, W] or [C, H, W]. ShapeError for another rank.
struct WEFT_API Softmax2d : Module {
  Softmax2d() : Module("Softmax2d") {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
};
struct WEFT_API Softmin : Module {
  explicit Softmin(int64_t dim);
  explicit Softmin(const SoftminOptions& o) : Softmin(o.dim) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return softmin(x, dim); });
  }
  Option<int64_t> dim;
};
struct WEFT_API LogSoftmax : Module {
  explicit LogSoftmax(int64_t dim);
  explicit LogSoftmax(const LogSoftmaxOptions& o) : LogSoftmax(o.dim) {}
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return log_softmax(x, dim); });
  }
  Option<int64_t> dim;
};

}  // namespace weft::nn
