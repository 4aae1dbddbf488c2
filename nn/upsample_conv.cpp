#include "weft/nn/upsample_conv.h"

#include "weft/autograd/ops/shape/shape.h"
#include "weft/nn/call.h"
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
    : ConvOf("UpsampleConv2d", in_channels, conv_channels(out, o), o), made_for_(o.scale_factor) {
  out_channels = out;
  show([options = options.share()] {
    const ConvGeometry g = conv_geometry(*options);
    return weft::str(", kernel_size=", py(g.kernel_size), ", stride=", py(g.params.stride),
                     ", padding=", g.padding_text.empty() ? py(g.params.padding_lo) : g.padding_text,
                     ", scale_factor=", options->scale_factor,
                     g.params.groups != 1 ? ", groups=" + py(g.params.groups) : "", g.bias ? "" : ", bias=False");
  });
  reset_parameters();
}
void UpsampleConv2d::reset_parameters() {
  // of all inputs, also where groups see a part of them
  const double bound = init::default_bound(in_channels * kernel_size[0] * kernel_size[1]);
  init::uniform_(weight, -bound, bound);
  if (bias.defined()) init::uniform_(bias, -bound, bound);
}
Tensor UpsampleConv2d::forward(const Tensor& x) const {
  WEFT_CHECK(options->scale_factor == made_for_, ValueError, name(), ": scale_factor cannot change, got ",
             options->scale_factor, " for a weight that was made for ", made_for_);
  return pixel_shuffle(convolve(x, weight), made_for_);
}

Tensor UpsampleConv2d::operator()(const Tensor& x) const { return nn::call(*this, x); }

}  // namespace weft::nn
