#include "weft/nn/activation.h"

#include "weft/core/factory.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

LeakyReLU::LeakyReLU(double negative_slope)
    : Module("LeakyReLU", "negative_slope=" + py(negative_slope)), negative_slope(negative_slope) {}

PReLU::PReLU(int64_t num_parameters, double init)
    : Module("PReLU", "num_parameters=" + py(num_parameters)), num_parameters(num_parameters) {
  WEFT_CHECK(num_parameters >= 0, ValueError, "PReLU: num_parameters must not be negative, got ", num_parameters);
  weight = param("weight", full({num_parameters}, init));
}

ELU::ELU(double alpha) : Module("ELU", "alpha=" + py(alpha)), alpha(alpha) {}

GELU::GELU(Choice<Approximate> approximate)
    : Module("GELU", weft::str("approximate='", approximate.text(), "'")), approximate(approximate) {}

Hardtanh::Hardtanh(double min_val, double max_val)
    : Module("Hardtanh", "min_val=" + py(min_val) + ", max_val=" + py(max_val)), min_val(min_val), max_val(max_val) {
  WEFT_CHECK(min_val < max_val, ValueError, "Hardtanh: min_val ", min_val, " must be below max_val ", max_val);
}

Softplus::Softplus(double beta, double threshold)
    : Module("Softplus", "beta=" + py(beta) + ", threshold=" + py(threshold)), beta(beta), threshold(threshold) {}

Softshrink::Softshrink(double lambd) : Module("Softshrink", py(lambd)), lambd(lambd) {}

Softmax::Softmax(int64_t dim) : Module("Softmax", "dim=" + py(dim)), dim(dim) {}

Tensor Softmax2d::operator()(const Tensor& x) const {
  WEFT_CHECK(x.rank() == 3 || x.rank() == 4, ShapeError, "Softmax2d: expected 3D or 4D input, got ", x.shape());
  return softmax(x, -3);
}

Softmin::Softmin(int64_t dim) : Module("Softmin", "dim=" + py(dim)), dim(dim) {}

CELU::CELU(double alpha) : Module("CELU", "alpha=" + py(alpha)), alpha(alpha) {
  WEFT_CHECK(alpha > 0, ValueError, "CELU: alpha must be positive, got ", alpha);
}

GLU::GLU(int64_t dim) : Module("GLU", "dim=" + py(dim)), dim(dim) {}

Hardshrink::Hardshrink(double lambd) : Module("Hardshrink", py(lambd)), lambd(lambd) {}

Threshold::Threshold(double threshold, double value)
    : Module("Threshold", "threshold=" + py(threshold) + ", value=" + py(value)), threshold(threshold), value(value) {}

RReLU::RReLU(double lower, double upper)
    : Module("RReLU", "lower=" + py(lower) + ", upper=" + py(upper)), lower(lower), upper(upper) {
  WEFT_CHECK(lower <= upper, ValueError, "RReLU: lower ", lower, " is greater than upper ", upper);
}

LogSoftmax::LogSoftmax(int64_t dim) : Module("LogSoftmax", "dim=" + py(dim)), dim(dim) {}

}  // namespace weft::nn
