// Convolution whose number of spatial axes is known at run time: tripy's Conv.
// Arithmetic is the ops' (autograd/ops/layer/conv.h).
#pragma once

#include <utility>
#include <vector>

#include "weft/nn/conv.h"

namespace weft::nn {

/// One entry per spatial axis; lists left empty take their defaults.
struct ConvNdOptions {
  Shape kernel_size;                                      ///< one entry per spatial axis, at least one
  Shape stride = {};                                      ///< 1 each
  std::vector<std::pair<int64_t, int64_t>> padding = {};  ///< zeros before and after; none
  Shape dilation = {};                                    ///< 1 each
  int64_t groups = 1;                                     ///< divides both numbers of channels
  bool bias = true;                                       ///< adds one number to each output channel
};

/// Defaults filled in. ValueError, from the layer, for lists of other lengths than kernel_size's.
WEFT_API ConvGeometry conv_geometry(const ConvNdOptions& o);

/// Cross-correlation over kernel_size.size() axes, `ConvNd(3, 8, {.kernel_size = {3, 5}})`. x: [N, C, spatial...],
/// always with a batch -> [N, out, (D + before + after - dilation (k - 1) - 1) / stride + 1 ...]. Up to three axes it
/// is Conv1d to Conv3d; beyond, windows of the first axes are copied. First values and state as Conv. ValueError for
/// bad arguments, ShapeError for inputs that do not fit.
class WEFT_API ConvNd : public ConvOf<ConvBase, ConvNdOptions> {
 public:
  ConvNd(int64_t in_channels, int64_t out_channels, const ConvNdOptions& o)
      : ConvOf("ConvNd", in_channels, out_channels, o) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
};

}  // namespace weft::nn
