// Transforms of volumes [C, D, H, W] with masks [D, H, W], by axis and with spacing: the distance of neighbours along
// D, H and W, in any unit. Sizes and other triples are in that order.
#pragma once

#include <array>
#include <string>

#include "weft/data/transform_functional.h"
#include "weft/data/transform_pipeline.h"

namespace weft::data {

/// Depth, height and width, in elements.
using Size3d = std::array<int64_t, 3>;
/// Distance of neighbours along D, H and W.
using Spacing = std::array<double, 3>;

namespace functional {

// x: [..., D, H, W] of any dtype.
/// Separable, as `resize`: bilinear and bicubic stand for their kernels along each axis.
WEFT_API Tensor resize3d(const Tensor& x, Size3d size, Choice<Interpolation> interpolation = Interpolation::bilinear,
                         Only<bool> antialias = true);
/// The block that begins at `start`; what lies outside of x is 0.
WEFT_API Tensor crop3d(const Tensor& x, Size3d start, Size3d size);
/// `before` and `behind` elements more along each axis.
WEFT_API Tensor pad3d(const Tensor& x, Size3d before, Size3d behind, double fill = 0,
                      Choice<PaddingMode> mode = PaddingMode::constant);

/// Options of affine3d.
struct Affine3dOptions {
  /// Degrees about the axes D, H and W; about W first. The plane of the other two axes turns as `rotate` turns (H, W).
  std::array<double, 3> degrees = {0, 0, 0};
  std::array<double, 3> translate = {0, 0, 0};  ///< in the spacing's unit, after scale and rotation
  std::array<double, 3> scale = {1, 1, 1};      ///< before the rotation
  Spacing spacing = {1, 1, 1};
  Choice<Interpolation> interpolation = Interpolation::bilinear;
  Fill fill = {};
};
/// x scaled and turned about its middle, then moved, in the space that `spacing` says.
WEFT_API Tensor affine3d(const Tensor& x, const Affine3dOptions& o);
/// y(p) = x(p + displacement(p)). displacement: [1, D, H, W, 3], (x, y, z) = (W, H, D) in units of half the sides.
WEFT_API Tensor elastic3d(const Tensor& x, const Tensor& displacement, const ElasticOptions& o = {});
/// Gaussian of sigma (in the spacing's unit) along each axis, cut at 4 sigma and at the axis's end, edges reflected;
/// 0: not along this axis.
WEFT_API Tensor gaussian_blur3d(const Tensor& x, std::array<double, 3> sigma, Spacing spacing = {1, 1, 1});

}  // namespace functional

/// To a size, or to other spacing: `size` 0 means n spacing / to, rounded, along each axis.
struct WEFT_API Resize3d {
  Size3d size = {};                                               ///< of the result; 0: from spacing and to
  Spacing spacing = {1, 1, 1}, to = {1, 1, 1};                    ///< of the volume before; of the result
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< of the image
  bool antialias = true;                                          ///< see functional::resize
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// A place drawn for a block. ValueError where the volume is smaller; pad_if_needed adds what is missing, half on each
/// side.
struct WEFT_API RandomCrop3d {
  Size3d size;                                               ///< of the block
  bool pad_if_needed = false;                                ///< of too small volumes
  double fill = 0;                                           ///< of the image's padding
  int64_t mask_fill = 0;                                     ///< of the mask's padding
  Choice<PaddingMode> padding_mode = PaddingMode::constant;  ///< of image and mask
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// The middle; zeros around smaller volumes.
struct WEFT_API CenterCrop3d {
  Size3d size;  ///< of the result
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// More elements on each side: functional::pad3d.
struct WEFT_API Pad3d {
  Size3d before, behind;                                     ///< along D, H and W
  double fill = 0;                                           ///< of the image's padding
  int64_t mask_fill = 0;                                     ///< of the mask's padding
  Choice<PaddingMode> padding_mode = PaddingMode::constant;  ///< of image and mask
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// Each axis turned round with its own probability.
struct WEFT_API RandomFlip3d {
  std::array<double, 3> p = {0.5, 0.5, 0.5};  ///< of D, H and W
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// 0 to 3 quarter turns of the plane of the other two axes; of a plane that is no square, 0 or 2. Exact.
struct WEFT_API RandomQuarterTurns {
  int axis = 0;  ///< 0: D, 1: H, 2: W
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// functional::affine3d with drawn parameters; rotation by axis is `.degrees = {{10, 0, 0}}`.
struct WEFT_API RandomAffine3d {
  std::array<Range, 3> degrees = {};                              ///< about D, H and W
  std::array<double, 3> translate = {0, 0, 0};                    ///< most, in the spacing's unit
  Range scale = {1, 1};                                           ///< of all axes; of one number s: [1 - s, 1 + s]
  Spacing spacing = {1, 1, 1};                                    ///< of the volume
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< of the image
  Fill fill = {};                                                 ///< of the image, outside
  int64_t mask_fill = 0;                                          ///< of the mask, outside
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// functional::elastic3d by noise of [-1, 1) blurred with sigma, times alpha / 2, along each axis; alpha and sigma in
/// the spacing's unit.
struct WEFT_API ElasticTransform3d {
  std::array<double, 3> alpha = {50, 50, 50}, sigma = {5, 5, 5};  ///< strength and smoothness along D, H and W
  Spacing spacing = {1, 1, 1};                                    ///< of the volume
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< of the image
  Fill fill = {};                                                 ///< of the image, outside
  int64_t mask_fill = 0;                                          ///< of the mask, outside
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// functional::gaussian_blur3d of the image with a sigma drawn for all axes, in the spacing's unit.
struct WEFT_API GaussianBlur3d {
  Range sigma = {0.1, 2};       ///< drawn for all axes
  Spacing spacing = {1, 1, 1};  ///< of the volume
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

}  // namespace weft::data
