#include "weft/nn/activation.h"

#include "weft/core/factory.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

LeakyReLU::LeakyReLU(double negative_slope)
    : Module("LeakyReLU", "negative_slope=" + py(negative_slope)), negative_slope(negative_slope) {}

PReLU::PReLU(int64_t num_parameters, double init)
    : Module("PReLU", "num_parameters=" + py(num_parameters)),
      num_parameters(num_parameters),
      weight(param("weight", full({num_parameters}, init))) {}

ELU::ELU(double alpha) : Module("ELU", "alpha=" + py(alpha)), alpha(alpha) {}

GELU::GELU(Approximate approximate)
    : Module("GELU", approximate == Approximate::tanh ? "approximate='tanh'" : "approximate='none'"),
      approximate(approximate) {}

Hardtanh::Hardtanh(double min_val, double max_val)
    : Module("Hardtanh", "min_val=" + py(min_val) + ", max_val=" + py(max_val)), min_val(min_val), max_val(max_val) {
  WEFT_CHECK(min_val < max_val, ValueError, "Hardtanh: min_val ", min_val, " must be below max_val ", max_val);
}

Softplus::Softplus(double beta, double threshold)
    : Module("Softplus", "beta=" + py(beta) + ", threshold=" + py(threshold)), beta(beta), threshold(threshold) {}

Softshrink::Softshrink(double lambd) : Module("Softshrink", py(lambd)), lambd(lambd) {}

Softmax::Softmax(int64_t dim) : Module("Softmax", "dim=" + py(dim)), dim(dim) {}

LogSoftmax::LogSoftmax(int64_t dim) : Module("LogSoftmax", "dim=" + py(dim)), dim(dim) {}

}  // namespace weft::nn
