#include "weft/autograd/ops/elementwise/activation.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"

namespace weft {
namespace {
using namespace detail;

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kInvSqrt2Pi = 0.39894228040143267794;
constexpr double kSqrt2OverPi = 0.79788456080286535588;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kSeluScale = 1.0507009873554804934193349852946;

/// elu, selu and celu: y = scale * (x > 0 ? x : alpha * (exp(rate * x) - 1)).
Tensor scaled_elu(const Tensor& x, double alpha, double scale, double rate = 1) {
  return from_input_fused<fn::Elu, fn::EluGrad>(
      x,
      [alpha, scale, rate](const Tensor& g, const Tensor& x) {
        // the clamp keeps exp finite where its value is not taken, so that 0 * inf does not reach second derivatives
        return where(le(x, 0), g * exp(clamp(x, {}, 0) * rate) * (alpha * scale * rate), g * scale);
      },
      {alpha, scale, rate}, {alpha, scale, rate});
}
}  // namespace

Tensor relu(const Tensor& x) {
  if (!x.is_floating()) return kernels::map<fn::Relu>(x);
  return from_output_fused<fn::Relu, fn::ReluGrad>(
      x, [](const Tensor& g, const Tensor& y) { return where(le(y, 0), 0, g); });
}
Tensor relu6(const Tensor& x) {
  const OpName op("relu6");
  return hardtanh(x, 0, 6);
}
Tensor leaky_relu(const Tensor& x, double slope) {
  return from_input_fused<fn::LeakyRelu, fn::LeakyReluGrad>(
      x, [slope](const Tensor& g, const Tensor& x) { return where(gt(x, 0), g, g * slope); }, {slope}, {slope});
}
Tensor prelu(const Tensor& x, const Tensor& weight) {
  const OpName op("prelu");
  WEFT_CHECK(weight.rank() <= 1, ShapeError, "weight must be of shape [1] or [C], got ", weight.shape());
  Tensor w = weight;
  if (w.numel() != 1) {
    const int64_t channels = x.rank() > 1 ? x.size(1) : 1;
    WEFT_CHECK(w.numel() == channels, ShapeError, "weight ", w.shape(), " does not fit ", channels, " channels of x ",
               x.shape());
    Shape s = Shape::filled(x.rank(), 1);
    s[1] = channels;
    w = w.reshape(s);
  } else if (w.rank() == 1 && x.rank() == 0) {
    w = w.reshape({});
  }
  Tensor y;
  {
    NoGrad guard;
    y = where(gt(x, 0), x, w * x);
  }
  // Not the parts' gradients: where x > 0, an infinite weight would come in as 0 times infinity.
  return record(op, std::move(y), {x, w}, [x = Saved(x), w = Saved(w, "weight")](BackwardCtx& c) -> Grads {
    Grads r(2);
    const Tensor at = c.get(x), slope = c.get(w), g = c.grad(), above = gt(at, 0);
    if (c.needs(0)) r[0] = sum_to(where(above, g, g * slope), at.shape());
    if (c.needs(1)) r[1] = sum_to(where(above, 0, g * at), slope.shape());
    return r;
  });
}
Tensor elu(const Tensor& x, double alpha) { return scaled_elu(x, alpha, 1); }
Tensor selu(const Tensor& x) {
  const OpName op("selu");
  return scaled_elu(x, kSeluAlpha, kSeluScale);
}

Tensor sigmoid(const Tensor& x) {
  return from_output_fused<fn::Sigmoid, fn::SigmoidGrad>(
      x, [](const Tensor& g, const Tensor& y) { return g * y * (1 - y); });
}
Tensor logsigmoid(const Tensor& x) {
  return from_input<fn::Logsigmoid>(x, [](const Tensor& g, const Tensor& x) { return g * sigmoid(neg(x)); });
}
Tensor hardsigmoid(const Tensor& x) {
  const OpName op("hardsigmoid");
  return from_input<fn::Hardsigmoid>(
      x, [](const Tensor& g, const Tensor& x) { return where(logical_and(gt(x, -3), lt(x, 3)), g * (1.0 / 6), 0); });
}
Tensor hardswish(const Tensor& x) {
  const OpName op("hardswish");
  return from_input_fused<fn::Hardswish, fn::HardswishGrad>(x, [](const Tensor& g, const Tensor& x) {
    return where(le(x, -3), 0, where(lt(x, 3), g * (x * (1.0 / 3) + 0.5), g));
  });
}
Tensor hardtanh(const Tensor& x, double lo, double hi) {
  const OpName op("hardtanh");
  WEFT_CHECK(lo <= hi, ValueError, "min_val ", lo, " is greater than max_val ", hi);
  check_defined(op, x);
  return clamp_between(op, cast(cast(x, result_dtype(x, Scalar(lo))), result_dtype(x, Scalar(hi))), lo, hi, true);
}
Tensor silu(const Tensor& x) {
  return from_input_fused<fn::Silu, fn::SiluGrad>(x, [](const Tensor& g, const Tensor& x) {
    Tensor s = sigmoid(x);
    return g * (s * (1 + x * (1 - s)));
  });
}
Tensor gelu(const Tensor& x, Choice<Approximate> approximate) {
  if (approximate == Approximate::tanh)
    return from_input_fused<fn::GeluTanh, fn::GeluTanhGrad>(x, [](const Tensor& g, const Tensor& x) {
      Tensor x2 = x * x;
      Tensor t = tanh(x * (x2 * 0.044715 + 1) * kSqrt2OverPi);
      return g * ((t + 1) * 0.5 + x * (1 - t * t) * (x2 * (3 * 0.044715) + 1) * (0.5 * kSqrt2OverPi));
    });
  return from_input_fused<fn::Gelu, fn::GeluGrad>(x, [](const Tensor& g, const Tensor& x) {
    return g * ((erf(x * kSqrtHalf) + 1) * 0.5 + x * exp(x * x * -0.5) * kInvSqrt2Pi);
  });
}
Tensor mish(const Tensor& x) {
  return from_input_fused<fn::Mish, fn::MishGrad>(x, [](const Tensor& g, const Tensor& x) {
    Tensor t = tanh(softplus(x));
    return g * (t + x * sigmoid(x) * (1 - t * t));
  });
}
Tensor softplus(const Tensor& x, double beta, double threshold) {
  const OpName op("softplus");
  return from_input_fused<fn::Softplus, fn::SoftplusGrad>(x,
                                                          [beta, threshold](const Tensor& g, const Tensor& x) {
                                                            Tensor z = x * beta;
                                                            return where(gt(z, threshold), g, g * sigmoid(z));
                                                          },
                                                          {beta, threshold}, {beta, threshold});
}
Tensor softshrink(const Tensor& x, double lambd) {
  const OpName op("softshrink");
  WEFT_CHECK(lambd >= 0, ValueError, "lambd must not be negative, got ", lambd);
  return from_input<fn::Softshrink>(
      x, [lambd](const Tensor& g, const Tensor& x) { return where(le(abs(x), lambd), 0, g); }, {lambd});
}
Tensor softsign(const Tensor& x) {
  return from_input<fn::Softsign>(x, [](const Tensor& g, const Tensor& x) { return g / square(abs(x) + 1); });
}
Tensor celu(const Tensor& x, double alpha) {
  const OpName op("celu");
  WEFT_CHECK(alpha > 0, ValueError, "alpha must be positive, got ", alpha);
  return scaled_elu(x, alpha, 1, 1 / alpha);
}
Tensor glu(const Tensor& x, Int dim) {
  const OpName op("glu");
  WEFT_CHECK(x.rank() > 0, ShapeError, "needs an axis to halve, got rank 0");
  const int d = wrap_dim(op, dim, x.rank());
  const int64_t n = x.size(d) / 2;
  WEFT_CHECK(x.size(d) == 2 * n, ShapeError, "axis ", d, " of ", x.shape(), " must be even to be halved");
  return x.narrow(d, 0, n) * sigmoid(x.narrow(d, n, n));
}
Tensor hardshrink(const Tensor& x, double lambd) {
  const OpName op("hardshrink");
  return where(le(abs(x), lambd), 0, x);
}
Tensor tanhshrink(const Tensor& x) {
  const OpName op("tanhshrink");
  return x - tanh(x);
}
Tensor threshold(const Tensor& x, double threshold, double value) {
  const OpName op("threshold");
  return where(le(x, threshold), Scalar(value), x).to(x.dtype());
}

}  // namespace weft
