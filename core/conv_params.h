// The geometry of a convolution, as ops and kernels pass it around.
// Knows no tensor.
#pragma once

#include <optional>

#include "weft/core/choice.h"
#include "weft/core/norm_params.h"
#include "weft/core/shape.h"

namespace weft {

/// How f32 convolutions are computed on a CPU: where it pays by Winograd's transforms, or always as sums of products.
enum class ConvAlgorithm : uint8_t { winograd, direct };
constexpr auto mode_words(ConvAlgorithm) {
  return make_words("set_float32_conv_algorithm: algorithm", "winograd", "direct");
}

/// Per spatial axis: step of the window, zeros before and after, distance of the taps; and the number of groups.
/// Output size: floor((L + padding_lo + padding_hi - dilation (k - 1) - 1) / stride) + 1.
struct ConvParams {
  Shape stride, padding_lo, padding_hi, dilation;  ///< one entry for each spatial axis
  int64_t groups = 1;                              ///< of channels that do not mix
  std::optional<ConvAlgorithm> algorithm = {};     ///< unset: the calling thread's; gradients keep that of their op

  /// Stride 1, no padding, dilation 1, for `rank` spatial axes.
  static ConvParams plain(int rank) {
    return {Shape::filled(rank, 1), Shape::filled(rank, 0), Shape::filled(rank, 0), Shape::filled(rank, 1), 1};
  }
  /// floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1 on a spatial axis.
  int64_t output_size(int axis, int64_t size, int64_t kernel) const {
    return (size + padding_lo[axis] + padding_hi[axis] - dilation[axis] * (kernel - 1) - 1) / stride[axis] + 1;
  }
  /// The least size whose output has `size`: a transposed convolution's result without output_padding.
  int64_t input_size(int axis, int64_t size, int64_t kernel) const {
    return (size - 1) * stride[axis] - padding_lo[axis] - padding_hi[axis] + dilation[axis] * (kernel - 1) + 1;
  }
};

/// What a fused convolution does to its sums last.
struct ConvEpilogue {
  Activation activation = Activation::none;
  double slope = 0;  ///< of leaky_relu
};

}  // namespace weft
