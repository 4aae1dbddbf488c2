// What normalisation kernels are told beside their tensors.
#pragma once

#include <cstdint>

namespace weft {

/// Activation that a normalisation applies to its result: y > 0 ? y : 0, or y >= 0 ? y : slope y.
enum class Activation : uint8_t { none, relu, leaky_relu };

/// Where the backward kernels find the sign that the activation saw, and the normalised value.
enum class NormSource : uint8_t {
  input,   ///< x is the input; the sign is computed again
  output,  ///< x is the input; y, the activated output, is given for the sign (there was a residual)
  /// x is the activated output itself (in-place activated BN): mean = beta, inv = 1 / gamma undo the affine map
  folded,
};

/// What the kernels of normalisations take beside tensors.
struct NormParams {
  double eps = 1e-5;                         ///< inside the square root
  Activation activation = Activation::none;  ///< applied to the result
  double slope = 0.01;                       ///< of leaky_relu
  NormSource source = NormSource::input;     ///< for backward
};

}  // namespace weft
