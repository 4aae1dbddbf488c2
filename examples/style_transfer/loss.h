// What a picture is measured by: content and style of its features, and smoothness.
// Knows the features' names, no network but the one that computes them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vgg.h"

/// The tap that the content is measured at.
inline constexpr const char* kContentTap = "relu2_2";

/// Sum of squares.
weft::Tensor squares(const weft::Tensor& x);
/// Mean absolute difference of neighbours.
weft::Tensor total_variation(const weft::Tensor& x);
/// Sum of squares of the features of `picture` ("content", "style"). ValueError where there is nothing to measure
/// against.
double feature_scale(const char* picture, const weft::Tensor& features);

/// The Gram matrices of a style picture's features.
class StyleTarget {
 public:
  StyleTarget(const Vgg& vgg, const weft::Tensor& style);
  using Taps = std::map<std::string, weft::Tensor>;
  /// |G - G*|^2 / |G*|^2, the mean over the batch and the taps: the weights mean the same for any pictures and network.
  weft::Tensor relative_error(const Taps& taps) const;
  /// The mean square of G - G*, summed over the taps (as published).
  weft::Tensor error(const Taps& taps) const;

 private:
  struct Gram {
    std::string tap;
    weft::Tensor target;
    double scale;
  };
  std::vector<Gram> grams_;
};
