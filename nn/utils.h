// Parameters as one vector.
// Knows Module, no layer.
#pragma once

#include "weft/nn/module.h"

namespace weft::nn {

/// All elements, in the order of the list and row-major: [sum of numel]. Differentiable.
[[nodiscard]] WEFT_API Tensor parameters_to_vector(const std::vector<Tensor>& params);
/// Copies the vector's elements into the parameters, in the same order. ShapeError unless it has as many as they;
/// nothing is changed then.
WEFT_API void vector_to_parameters(const Tensor& vector, const std::vector<Tensor>& params);

namespace utils {
using nn::parameters_to_vector;
using nn::vector_to_parameters;
}  // namespace utils

}  // namespace weft::nn
