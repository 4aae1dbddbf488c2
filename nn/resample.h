// Layers that change the resolution: Upsample and the pixel shuffles; and ChannelShuffle.
#pragma once

#include "weft/autograd/ops/layer/resize.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// A size for all axes or one for each: a number or a Shape. No braces, which are options.
template <class S>
concept SizeLike = std::integral<S> || std::same_as<S, Shape>;
namespace detail {
template <SizeLike S> Shape size_of(const S& size) {
  if constexpr (std::integral<S>) return {static_cast<int64_t>(size)};
  else return size;
}
}  // namespace detail

/// interpolate as a layer: `Upsample({.scale_factor = 2, .mode = "bilinear"})`,
/// `Upsample(Shape{32, 48}, "bilinear")`.
class WEFT_API Upsample : public Module {
 public:
  explicit Upsample(const InterpolateOptions& o);
  template <SizeLike S>
  explicit Upsample(const S& size, Choice<InterpolateMode> mode = InterpolateMode::nearest)
      : Upsample(InterpolateOptions{.size = detail::size_of(size), .mode = mode}) {}
  Tensor operator()(const Tensor& x) const;
  Option<InterpolateOptions> options;
};

/// Options of UpsamplingNearest2d and UpsamplingBilinear2d: one of the two.
struct UpsamplingOptions {
  Shape size = {};                ///< of the result, or
  ScaleFactor scale_factor = {};  ///< of the sizes
};
/// Upsample by repetition: `UpsamplingNearest2d({.scale_factor = 2})`.
class WEFT_API UpsamplingNearest2d : public Upsample {
 public:
  explicit UpsamplingNearest2d(const UpsamplingOptions& o);
  template <SizeLike S>
  explicit UpsamplingNearest2d(const S& size) : UpsamplingNearest2d(UpsamplingOptions{.size = detail::size_of(size)}) {}
};
/// Upsample bilinearly with aligned corners.
class WEFT_API UpsamplingBilinear2d : public Upsample {
 public:
  explicit UpsamplingBilinear2d(const UpsamplingOptions& o);
  template <SizeLike S>
  explicit UpsamplingBilinear2d(const S& size)
      : UpsamplingBilinear2d(UpsamplingOptions{.size = detail::size_of(size)}) {}
};

/// Options of PixelShuffle.
struct PixelShuffleOptions {
  int64_t upscale_factor;  ///< r
};
/// pixel_shuffle: [.., C r^2, H, W] -> [.., C, H r, W r].
class WEFT_API PixelShuffle : public Module {
 public:
  explicit PixelShuffle(int64_t upscale_factor);
  explicit PixelShuffle(const PixelShuffleOptions& o) : PixelShuffle(o.upscale_factor) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<int64_t> upscale_factor;
};
/// Options of PixelUnshuffle.
struct PixelUnshuffleOptions {
  int64_t downscale_factor;  ///< r
};
/// pixel_unshuffle: [.., C, H r, W r] -> [.., C r^2, H, W].
class WEFT_API PixelUnshuffle : public Module {
 public:
  explicit PixelUnshuffle(int64_t downscale_factor);
  explicit PixelUnshuffle(const PixelUnshuffleOptions& o) : PixelUnshuffle(o.downscale_factor) {}
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<int64_t> downscale_factor;
};

/// Channels of [N, C, ...] dealt out among the groups: channel_shuffle.
class WEFT_API ChannelShuffle : public Module {
 public:
  explicit ChannelShuffle(int64_t groups);
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  Option<int64_t> groups;
};

}  // namespace weft::nn
