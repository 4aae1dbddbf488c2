#include "weft/nn/resample.h"

#include "weft/autograd/ops/shape/shape.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;
using detail::shown;

namespace {

std::string upsample_text(const InterpolateOptions& o) {
  std::string out;
  if (!o.scale_factor.empty()) {
    out = "scale_factor=";
    if (o.scale_factor.size() == 1) {
      out += py(o.scale_factor[0]);
    } else {
      out += "(";
      for (size_t i = 0; i < o.scale_factor.size(); ++i)
        out += (i ? ", " : "") + py(o.scale_factor[static_cast<int>(i)]);
      out += ")";
    }
  } else {
    out = "size=" + (o.size.size() == 1 ? py(o.size[0]) : py(o.size));
  }
  return weft::str(out, ", mode='", o.mode.text(), "'");
}

}  // namespace

Upsample::Upsample(const InterpolateOptions& o) : Module("Upsample"), options(o) {
  set_extra("", [options = options.share()] { return upsample_text(options); });
  WEFT_CHECK(o.size.empty() != o.scale_factor.empty(), ValueError, "Upsample: give either size or scale_factor");
}

UpsamplingNearest2d::UpsamplingNearest2d(const UpsamplingOptions& o)
    : Upsample({.size = o.size, .scale_factor = o.scale_factor}) {
  state().name = "UpsamplingNearest2d";
}
UpsamplingBilinear2d::UpsamplingBilinear2d(const UpsamplingOptions& o)
    : Upsample(
          {.size = o.size, .scale_factor = o.scale_factor, .mode = InterpolateMode::bilinear, .align_corners = true}) {
  state().name = "UpsamplingBilinear2d";
}

namespace {
void check_positive(const Module& m, const char* what, int64_t value) {
  WEFT_CHECK(value > 0, ValueError, m.name(), ": ", what, " must be positive, got ", value);
}
}  // namespace

PixelShuffle::PixelShuffle(int64_t upscale_factor) : Module("PixelShuffle"), upscale_factor(upscale_factor) {
  check_positive(*this, "upscale_factor", upscale_factor);
  set_extra("", shown("upscale_factor=", this->upscale_factor));
}
Tensor PixelShuffle::forward(const Tensor& x) const {
  check_positive(*this, "upscale_factor", upscale_factor);
  return pixel_shuffle(x, upscale_factor);
}

PixelUnshuffle::PixelUnshuffle(int64_t downscale_factor)
    : Module("PixelUnshuffle"), downscale_factor(downscale_factor) {
  check_positive(*this, "downscale_factor", downscale_factor);
  set_extra("", shown("downscale_factor=", this->downscale_factor));
}
Tensor PixelUnshuffle::forward(const Tensor& x) const {
  check_positive(*this, "downscale_factor", downscale_factor);
  return pixel_unshuffle(x, downscale_factor);
}

ChannelShuffle::ChannelShuffle(int64_t groups) : Module("ChannelShuffle"), groups(groups) {
  check_positive(*this, "groups", groups);
  set_extra("", shown("groups=", this->groups));
}
Tensor ChannelShuffle::forward(const Tensor& x) const {
  check_positive(*this, "groups", groups);
  return channel_shuffle(x, groups);
}

Tensor Upsample::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return interpolate(x, options); });
}
Tensor PixelShuffle::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor PixelUnshuffle::operator()(const Tensor& x) const { return nn::call(*this, x); }
Tensor ChannelShuffle::operator()(const Tensor& x) const { return nn::call(*this, x); }

}  // namespace weft::nn
