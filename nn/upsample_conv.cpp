#include "weft/nn/upsample_conv.h"

#include "weft/autograd/ops/shape/shape.h"
#include "weft/nn/init.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

namespace {

int64_t conv_channels(int64_t out, const UpsampleConv2dOptions& o) {
  WEFT_CHECK(o.scale_factor > 0, ValueError, "UpsampleConv2d: scale_factor must be positive, got ", o.scale_factor);
  WEFT_CHECK(o.groups > 0 && out % o.groups == 0, ValueError,
             "UpsampleConv2d: out_channels must be divisible by groups, got ", out, " and ", o.groups);
  return out * o.scale_factor * o.scale_factor;
}

}  // namespace

UpsampleConv2d::UpsampleConv2d(int64_t in_channels, int64_t out, const UpsampleConv2dOptions& o)
    : ConvBase(config("UpsampleConv", in_channels, conv_channels(out, o), o.kernel_size, o)),
      scale_factor(o.scale_factor) {
  out_channels = out;
  std::string text = weft::str(in_channels, ", ", out, ", kernel_size=", py(kernel_size),
                               ", stride=", py(params.stride), ", padding=", py(params.padding_lo),
                               ", scale_factor=", scale_factor);
  if (params.groups != 1) text += ", groups=" + py(params.groups);
  if (!o.bias) text += ", bias=False";
  set_extra(text);
  reset_parameters();
}
void UpsampleConv2d::reset_parameters() {
  // of all inputs, also where groups see a part of them
  const double bound = init::default_bound(in_channels * kernel_size[0] * kernel_size[1]);
  init::uniform_(weight, -bound, bound);
  if (bias.defined()) init::uniform_(bias, -bound, bound);
}
Tensor UpsampleConv2d::forward(const Tensor& x) const { return pixel_shuffle(convolve(x, weight), scale_factor); }

}  // namespace weft::nn
