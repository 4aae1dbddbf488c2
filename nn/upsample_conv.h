// Convolution with a pixel shuffle behind it (PyTorch-Encoding).
#pragma once

#include "weft/nn/conv.h"
#include "weft/nn/module.h"

namespace weft::nn {

/// Options of UpsampleConv2d: those of Conv2d, and the factor. kernel_size is required.
struct UpsampleConv2dOptions {
  ByName by_name = {};
  Dims<2> kernel_size;
  Dims<2> stride = 1;
  Padding<2> padding = 0;
  Dims<2> dilation = 1;
  int64_t groups = 1;
  int64_t scale_factor = 1;  ///< s, of both axes
  bool bias = true;
};
/// A convolution to out scale_factor^2 channels, then pixel shuffle: [N, in, H, W] -> [N, out, s h, s w] with h, w
/// those of the convolution. UpsampleConv2d(16, 16, {.kernel_size = 3, .padding = 1, .scale_factor = 2}) makes 12 x 12
/// of 6 x 6. weight [out s^2, in / groups, kh, kw] and bias [out s^2] begin as U(+-1 / sqrt(in kh kw)).
class WEFT_API UpsampleConv2d : public ConvOf<ConvBase, UpsampleConv2dOptions> {
 public:
  UpsampleConv2d(int64_t in_channels, int64_t out_channels, const UpsampleConv2dOptions& o);
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  /// First values, as above.
  void reset_parameters();

 private:
  int64_t made_for_;  // the scale factor of the weight
};

}  // namespace weft::nn
