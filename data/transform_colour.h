// Transforms of values: colours, blur, noise, dtype. The mask and the boxes stay. Those that need no colours take the
// channels of volumes, too.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "weft/data/transform_pipeline.h"

namespace weft::data {

/// Brightness, contrast, saturation and hue by drawn factors, in an order that is drawn. One number s: factors of
/// [max(0, 1 - s), 1 + s]; hue: [-s, s] of the circle, within [-0.5, 0.5]. 1 or 3 channels.
struct WEFT_API ColorJitter {
  Range brightness = {}, contrast = {}, saturation = {}, hue = {};  ///< factors; hue is an angle
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// Greys in all channels with probability p.
struct WEFT_API RandomGrayscale {
  double p = 0.1;  ///< probability
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// x^gamma with gamma drawn; of one number s: [max(0, 1 - s), 1 + s]. Any channels.
struct WEFT_API RandomGamma {
  Range gamma = {0.8, 1.25};  ///< the exponent
  double gain = 1;            ///< factor of the result
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// A Gaussian window of kernel_size {width, height} (a height of 0: the width), sigma drawn, in pixels. Slices of a
/// volume each for itself.
struct WEFT_API GaussianBlur {
  std::array<int64_t, 2> kernel_size;  ///< odd
  Range sigma = {0.1, 2};              ///< drawn for each sample
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// Adds N(mean, sigma^2), in units of the whole range of values (255 for u8, whose noise is cut to integers); `clip`
/// to the range.
struct WEFT_API GaussianNoise {
  double mean = 0, sigma = 0.1;  ///< of the noise, as a share of the range
  bool clip = true;              ///< to the range of values
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// (x - mean) / std of each channel; one number counts for all. The image has floats: ToFloat comes first.
struct WEFT_API Normalize {
  std::vector<double> mean, std;  ///< of each channel; std is not 0
  void check() const;
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// The image in another dtype. With `scale` integers' ranges and floats' [0, 1] are mapped on one another, else values
/// stay as they are.
struct WEFT_API ToDtype {
  Dtype dtype = Dtype::f32;  ///< of the result
  bool scale = false;        ///< map the ranges
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

/// The image as f32; u8's 0..255 becomes 0..1.
struct WEFT_API ToFloat {
  void operator()(View& v, Generator& g) const;
  std::string str() const;
};

}  // namespace weft::data
