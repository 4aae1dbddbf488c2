// Transforms that move pixels: sizes, crops, flips, rotations and deformations of image, mask and boxes together. Each
// acts on the last two axes, so that the slices of a volume are treated alike.
#pragma once

#include <optional>
#include <string>

#include "weft/data/transform_functional.h"
#include "weft/data/transform_pipeline.h"

namespace weft::data {

/// To a size; of one number: the shorter side. The mask by nearest.
struct WEFT_API Resize {
  Size size;                                                      ///< width 0: of the shorter side
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< of the image
  std::optional<int64_t> max_size = std::nullopt;                 ///< of the longer side, for one number
  bool antialias = true;                                          ///< see functional::resize
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// To the target's size, shape kept, times a factor drawn from scale_range.
struct WEFT_API ScaleJitter {
  Size target_size;                                               ///< shape that is fitted
  Range scale_range = {0.1, 2};                                   ///< of the factor
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< of the image
  bool antialias = true;                                          ///< see functional::resize
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// A rectangle of `scale` of the area and of width / height `ratio` (drawn by its logarithm), resized. After ten
/// rectangles that do not fit: the middle.
struct WEFT_API RandomResizedCrop {
  Size size;                                                      ///< of the result
  Range scale = {0.08, 1};                                        ///< shares of the picture's area
  Range ratio = {3.0 / 4, 4.0 / 3};                               ///< width / height
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< of the image
  bool antialias = true;                                          ///< see functional::resize
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// A place drawn for a rectangle of `size`. ValueError where the picture, with its padding, is smaller; pad_if_needed
/// adds what is missing on both sides.
struct WEFT_API RandomCrop {
  Size size;                                                 ///< of the rectangle
  Padding padding = {};                                      ///< added before
  bool pad_if_needed = false;                                ///< of too small pictures
  Fill fill = {};                                            ///< of the image's padding
  int64_t mask_fill = 0;                                     ///< of the mask's padding
  Choice<PaddingMode> padding_mode = PaddingMode::constant;  ///< of image and mask
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// The middle; zeros around smaller pictures.
struct WEFT_API CenterCrop {
  Size size;  ///< of the result
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// More pixels on each side: functional::pad.
struct WEFT_API Pad {
  Padding padding;                                           ///< on each side
  Fill fill = {};                                            ///< of the image's padding
  int64_t mask_fill = 0;                                     ///< of the mask's padding
  Choice<PaddingMode> padding_mode = PaddingMode::constant;  ///< boxes: constant only
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// Left and right change places with probability p.
struct WEFT_API RandomHorizontalFlip {
  double p = 0.5;  ///< probability
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};
/// Top and bottom change places with probability p.
struct WEFT_API RandomVerticalFlip {
  double p = 0.5;  ///< probability
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// By an angle in degrees, counter-clockwise; of one number d: from -d to d.
struct WEFT_API RandomRotation {
  Range degrees;                                                 ///< of the angle
  Choice<Interpolation> interpolation = Interpolation::nearest;  ///< of the image
  bool expand = false;                                           ///< see functional::rotate
  std::optional<std::array<double, 2>> center = std::nullopt;    ///< x, y in pixels; none: the middle
  Fill fill = {};                                                ///< of the image, outside
  int64_t mask_fill = 0;                                         ///< of the mask, outside
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// functional::affine with drawn parameters.
struct WEFT_API RandomAffine {
  Range degrees;                                                 ///< of the angle, clockwise
  std::array<double, 2> translate = {0, 0};                      ///< most, in parts of the width and of the height
  Range scale = {1, 1};                                          ///< of one number s: [1 - s, 1 + s]
  std::array<Range, 2> shear = {};                               ///< degrees along x and along y
  Choice<Interpolation> interpolation = Interpolation::nearest;  ///< of the image
  Fill fill = {};                                                ///< of the image, outside
  int64_t mask_fill = 0;                                         ///< of the mask, outside
  std::optional<std::array<double, 2>> center = std::nullopt;    ///< x, y in pixels; none: the middle
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// functional::elastic by noise of [-1, 1) blurred with sigma pixels, times alpha pixels / 2 (both {x, y}). The blur's
/// window is cut where it is wider than the picture allows.
struct WEFT_API ElasticTransform {
  std::array<double, 2> alpha = {50, 50};                         ///< pixels; strength
  std::array<double, 2> sigma = {5, 5};                           ///< pixels; smoothness
  Choice<Interpolation> interpolation = Interpolation::bilinear;  ///< of the image
  Fill fill = {};                                                 ///< of the image, outside
  int64_t mask_fill = 0;                                          ///< of the mask, outside
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

}  // namespace weft::data
