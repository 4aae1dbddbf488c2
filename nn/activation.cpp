#include "weft/nn/activation.h"

#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;
using detail::shown;

LeakyReLU::LeakyReLU(Only<double> negative_slope) : Module("LeakyReLU"), negative_slope(negative_slope) {
  set_extra("", shown("negative_slope=", this->negative_slope));
}

PReLU::PReLU(Only<int64_t> num_parameters, double init)
    : Module("PReLU", "num_parameters=" + py(int64_t{num_parameters})), num_parameters(num_parameters) {
  WEFT_CHECK(num_parameters >= 0, ValueError, "PReLU: num_parameters must not be negative, got ", num_parameters);
  weight = param("weight", full({num_parameters}, init));
}

ELU::ELU(Only<double> alpha) : Module("ELU"), alpha(alpha) { set_extra("", shown("alpha=", this->alpha)); }

GELU::GELU(Choice<Approximate> approximate) : Module("GELU"), approximate(approximate) {
  set_extra("", [how = this->approximate.share()] {
    return *how == Approximate::tanh ? "approximate='tanh'" : "approximate='none'";
  });
}

Hardtanh::Hardtanh(Only<double> min_val, double max_val) : Module("Hardtanh"), min_val(min_val), max_val(max_val) {
  WEFT_CHECK(min_val < max_val, ValueError, "Hardtanh: min_val ", min_val, " must be below max_val ", max_val);
  set_extra("", shown("min_val=", this->min_val, ", max_val=", this->max_val));
}

Softplus::Softplus(Only<double> beta, double threshold) : Module("Softplus"), beta(beta), threshold(threshold) {
  set_extra("", shown("beta=", this->beta, ", threshold=", this->threshold));
}

Softshrink::Softshrink(Only<double> lambd) : Module("Softshrink"), lambd(lambd) { set_extra("", shown(this->lambd)); }

Softmax::Softmax(int64_t dim) : Module("Softmax"), dim(dim) { set_extra("", shown("dim=", this->dim)); }

Tensor Softmax2d::forward(const Tensor& x) const {
  WEFT_CHECK(x.rank() == 3 || x.rank() == 4, ShapeError, "Softmax2d: expected 3D or 4D input, got ", x.shape());
  return softmax(x, -3);
}

Softmin::Softmin(int64_t dim) : Module("Softmin"), dim(dim) { set_extra("", shown("dim=", this->dim)); }

CELU::CELU(Only<double> alpha) : Module("CELU"), alpha(alpha) {
  WEFT_CHECK(alpha > 0, ValueError, "CELU: alpha must be positive, got ", alpha);
  set_extra("", shown("alpha=", this->alpha));
}

GLU::GLU(Only<int64_t> dim) : Module("GLU"), dim(dim) { set_extra("", shown("dim=", this->dim)); }

Hardshrink::Hardshrink(Only<double> lambd) : Module("Hardshrink"), lambd(lambd) { set_extra("", shown(this->lambd)); }

Threshold::Threshold(double threshold, double value) : Module("Threshold"), threshold(threshold), value(value) {
  set_extra("", shown("threshold=", this->threshold, ", value=", this->value));
}

RReLU::RReLU(Only<double> lower, double upper) : Module("RReLU"), lower(lower), upper(upper) {
  WEFT_CHECK(lower <= upper, ValueError, "RReLU: lower ", lower, " is greater than upper ", upper);
  set_extra("", shown("lower=", this->lower, ", upper=", this->upper));
}

LogSoftmax::LogSoftmax(int64_t dim) : Module("LogSoftmax"), dim(dim) { set_extra("", shown("dim=", this->dim)); }

Tensor ReLU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return relu(x); });
}
Tensor ReLU6::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return relu6(x); });
}
Tensor LeakyReLU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return leaky_relu(x, negative_slope); });
}
Tensor PReLU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return prelu(x, weight); });
}
Tensor ELU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return elu(x, alpha); });
}
Tensor SELU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return selu(x); });
}
Tensor GELU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return gelu(x, *approximate); });
}
Tensor SiLU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return silu(x); });
}
Tensor Mish::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return mish(x); });
}
Tensor Sigmoid::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return sigmoid(x); });
}
Tensor LogSigmoid::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return logsigmoid(x); });
}
Tensor Hardsigmoid::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return hardsigmoid(x); });
}
Tensor Hardswish::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return hardswish(x); });
}
Tensor Hardtanh::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return hardtanh(x, min_val, max_val); });
}
Tensor Tanh::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return tanh(x); });
}
Tensor Softplus::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return softplus(x, beta, threshold); });
}
Tensor Softshrink::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return softshrink(x, lambd); });
}
Tensor Softsign::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return softsign(x); });
}
Tensor CELU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return celu(x, alpha); });
}
Tensor GLU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return glu(x, dim); });
}
Tensor Hardshrink::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return hardshrink(x, lambd); });
}
Tensor Tanhshrink::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return tanhshrink(x); });
}
Tensor Threshold::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return weft::threshold(x, threshold, value); });
}
Tensor RReLU::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return rrelu(x, lower, upper, is_training()); });
}
Tensor Softmax::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return softmax(x, dim); });
}
Tensor Softmax2d::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor Softmin::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return softmin(x, dim); });
}
Tensor LogSoftmax::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return log_softmax(x, dim); });
}

}  // namespace weft::nn
