// Transforms of pictures without chance: functions of tensors, u8 or floats, [C, H, W] or [N, C, H, W] (or any planes
// [..., H, W] where colours do not matter). Names, parameters and values are those of torchvision's v2 functional
// forms. u8 counts from 0 to 255, floats from 0 to 1. `boxes` are f32 [n, 4]: x0, y0, x1, y1 in pixels.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft::data {

/// Height and width. A width of 0 means that one number was given: a square, or a resize's shorter side.
struct Size {
  int64_t height = 0, width = 0;  ///< in pixels
  Size() = default;
  Size(int64_t height, int64_t width = 0) : height(height), width(width) {}
  friend bool operator==(const Size&, const Size&) = default;
};

/// How a resize or a warp makes values; warps take nearest and bilinear. box: means over the pixels whose centres an
/// output pixel covers; lanczos: a = 3.
enum class Interpolation : uint8_t { nearest, nearest_exact, bilinear, bicubic, box, lanczos };
constexpr auto mode_words(Interpolation) {
  return make_words("interpolation", "nearest", "nearest-exact", "bilinear", "bicubic", "box", "lanczos");
}

/// What stands outside of a picture. symmetric mirrors with the edge, reflect without.
enum class PaddingMode : uint8_t { constant, edge, reflect, symmetric };
constexpr auto mode_words(PaddingMode) {
  return make_words("padding_mode", "constant", "edge", "reflect", "symmetric");
}

/// Values of the pixels that come from outside: none (0), one, or one for each channel.
using Fill = std::vector<double>;

/// Pixels on each side: of one number, of {horizontal, vertical}, or {left, top, right, bottom}.
struct Padding {
  int64_t left = 0, top = 0, right = 0, bottom = 0;  ///< in pixels
  Padding(int64_t all = 0) : Padding(all, all, all, all) {}
  Padding(int64_t horizontal, int64_t vertical) : Padding(horizontal, vertical, horizontal, vertical) {}
  Padding(int64_t left, int64_t top, int64_t right, int64_t bottom)
      : left(left), top(top), right(right), bottom(bottom) {}
};

}  // namespace weft::data

namespace weft::data::functional {

/// Options of resize.
struct ResizeOptions {
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< how values are made
  /// The longer side's limit, where `size` is one number for the shorter side.
  std::optional<int64_t> max_size = std::nullopt;
  /// Shrinking widens the kernel, as in Pillow; nearest has no kernel. Without it: bilinear and bicubic.
  bool antialias = true;
};
/// x: [..., C, H, W] -> [..., C, height, width]. u8 has torchvision's bits: Pillow's way
/// (fixed-point weights, bytes between the two passes), with which bilinear agrees to 1 and bicubic to a few levels.
/// Other integers: in f32, rounded. Floats of bilinear and bicubic are differentiable. ValueError for sizes below 1.
WEFT_API Tensor resize(const Tensor& x, Size size, const ResizeOptions& o = {});
/// The size that `resize` gives a picture.
WEFT_API Size resized(Size picture, Size size, std::optional<int64_t> max_size = {});
/// Boxes of a picture of size `from` in the same picture of size `to`.
WEFT_API Tensor resize_boxes(const Tensor& boxes, Size from, Size to);

/// The rectangle at (top, left); what lies outside of x is 0. A view where all is inside.
WEFT_API Tensor crop(const Tensor& x, int64_t top, int64_t left, int64_t height, int64_t width);
/// Moved to the rectangle and clamped to it; boxes outside of it become empty ones at its edge, and stay.
WEFT_API Tensor crop_boxes(const Tensor& boxes, int64_t top, int64_t left, int64_t height, int64_t width);
/// The middle, with zeros around where x is smaller.
WEFT_API Tensor center_crop(const Tensor& x, Size size);
/// crop, then resize.
WEFT_API Tensor resized_crop(const Tensor& x, int64_t top, int64_t left, int64_t height, int64_t width, Size size,
                             const ResizeOptions& o = {});
/// More pixels on each side. Several `fill` values: constant only. ValueError for negative padding and for reflect
/// beyond the other edge.
WEFT_API Tensor pad(const Tensor& x, const Padding& padding, const Fill& fill = {},
                    Choice<PaddingMode> mode = PaddingMode::constant);
/// Boxes moved by left and top and clamped to the padded picture; `from`: the picture's size before.
WEFT_API Tensor pad_boxes(const Tensor& boxes, const Padding& padding, Size from);

/// Left and right, or top and bottom, change places: a copy. hflip and vflip are torchvision's short names.
WEFT_API Tensor horizontal_flip(const Tensor& x);
WEFT_API Tensor vertical_flip(const Tensor& x);
inline Tensor hflip(const Tensor& x) { return horizontal_flip(x); }
inline Tensor vflip(const Tensor& x) { return vertical_flip(x); }
/// The boxes of the flipped picture, whose size is `from`.
WEFT_API Tensor hflip_boxes(const Tensor& boxes, Size from);
WEFT_API Tensor vflip_boxes(const Tensor& boxes, Size from);

// Warps (rotate, affine, elastic) are for the CPU and have no gradient: grid_sample has.
/// Options of rotate.
struct RotateOptions {
  Choice<Interpolation> interpolation = Interpolation::nearest;  ///< nearest or bilinear
  bool expand = false;                                           ///< the result holds the whole turned picture
  std::optional<std::array<double, 2>> center = std::nullopt;    ///< x, y in pixels; none: the middle
  Fill fill = {};                                                ///< of what comes from outside
};
/// x turned counter-clockwise by `angle` degrees. Multiples of 90 degrees about the middle, where the shape allows it,
/// are exact.
WEFT_API Tensor rotate(const Tensor& x, double angle, const RotateOptions& o = {});
/// The boxes around the turned boxes, clamped to the picture.
WEFT_API Tensor rotate_boxes(const Tensor& boxes, double angle, Size from, const RotateOptions& o = {});

/// Options of affine.
struct AffineOptions {
  double angle = 0;                                              ///< degrees, clockwise
  std::array<double, 2> translate = {0, 0};                      ///< x, y in pixels, after the rotation
  double scale = 1;                                              ///< about the centre
  std::array<double, 2> shear = {0, 0};                          ///< x, y in degrees
  Choice<Interpolation> interpolation = Interpolation::nearest;  ///< nearest or bilinear
  Fill fill = {};                                                ///< of what comes from outside
  std::optional<std::array<double, 2>> center = std::nullopt;    ///< x, y in pixels; none: the middle
};
/// x sheared, scaled and turned about the centre, then moved; the size stays. affine_boxes: the boxes around the moved
/// boxes, clamped to the picture.
WEFT_API Tensor affine(const Tensor& x, const AffineOptions& o);
WEFT_API Tensor affine_boxes(const Tensor& boxes, Size from, const AffineOptions& o);

/// Options of elastic.
struct ElasticOptions {
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< nearest or bilinear
  Fill fill = {};                                                 ///< of what comes from outside
};
/// y(p) = x(p + displacement(p)). displacement: [1, H, W, 2], (x, y) in units of half the picture's sides.
WEFT_API Tensor elastic(const Tensor& x, const Tensor& displacement, const ElasticOptions& o = {});
/// By the displacement at the corners, with the sign turned, which is the inverse for smooth ones.
WEFT_API Tensor elastic_boxes(const Tensor& boxes, const Tensor& displacement);

// Colours: 1 or 3 channels; factors >= 0, and 1 changes nothing.
/// 0.2989 R + 0.587 G + 0.114 B, cut to integers for u8. `channels`: 1 or 3 equal ones.
WEFT_API Tensor rgb_to_grayscale(const Tensor& x, int64_t channels = 1);
/// factor x.
WEFT_API Tensor adjust_brightness(const Tensor& x, double factor);
/// factor x + (1 - factor) mean of the greys.
WEFT_API Tensor adjust_contrast(const Tensor& x, double factor);
/// factor x + (1 - factor) grey.
WEFT_API Tensor adjust_saturation(const Tensor& x, double factor);
/// The hue turned by `factor` of the circle, in [-0.5, 0.5]. Computed in f32; no gradient.
WEFT_API Tensor adjust_hue(const Tensor& x, double factor);
/// gain x^gamma, with x between 0 and 1; any channels. gamma >= 0.
WEFT_API Tensor adjust_gamma(const Tensor& x, double gamma, double gain = 1);

/// Gaussian window of kernel_size {width, height}, odd, and sigma {x, y} pixels; edges are reflected. Any channels.
WEFT_API Tensor gaussian_blur(const Tensor& x, std::array<int64_t, 2> kernel_size, std::array<double, 2> sigma);
/// sigma 0.15 k + 0.35.
WEFT_API Tensor gaussian_blur(const Tensor& x, int64_t kernel_size);
/// (x - mean) / std of each channel; one number counts for all. Floats only. ValueError for a std of 0.
WEFT_API Tensor normalize(const Tensor& x, const std::vector<double>& mean, const std::vector<double>& std);
/// x in another dtype; `scale`: integers' ranges and floats' [0, 1] are mapped on one another (u8 128 -> 128 / 255;
/// floats to integers: floor(x (max + 0.999))).
WEFT_API Tensor to_dtype(const Tensor& x, Dtype dtype, Only<bool> scale = false);

}  // namespace weft::data::functional
