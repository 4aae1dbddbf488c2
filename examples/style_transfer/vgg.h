// The trunk of VGG16 (Simonyan and Zisserman 2015) as a frozen measure of content and style.
// Knows nothing of losses.
#pragma once

#include <weft/weft.h>

#include <map>
#include <string>
#include <vector>

/// How pictures are normalised for a features file: blue-green-red minus the mean colour (the original Caffe network),
/// or torchvision's RGB / 255, minus mean, by standard deviation.
inline constexpr const char* kBgrMean = "bgr-mean";
inline constexpr const char* kRgbImagenet = "rgb-imagenet";

/// 3x3 convolutions with ReLU, pooled by 2 between the blocks, as deep as the weights go (relu1_2, relu2_2, relu3_3,
/// relu4_3).
class Vgg {
 public:
  /// `weights`: torchvision's names, features.0.weight, ... `input`: kBgrMean or kRgbImagenet; when empty the metadata
  /// entry `input` of the weights decides, and without it kRgbImagenet holds.
  Vgg(const weft::StateDict& weights, std::string input, weft::Device device);

  /// rgb: [N, 3, H, W] with 0..255 -> the features by name of their tap, up to `last` if one is named. Its weights get
  /// no gradient.
  std::map<std::string, weft::Tensor> operator()(const weft::Tensor& rgb, const std::string& last = "") const;
  const std::string& input() const { return input_; }

  /// Random weights, the same function whichever `input` they are written for. They see colours and grain, no strokes.
  static weft::StateDict random(uint64_t seed, const std::string& input);

 private:
  struct Layer {
    weft::Tensor weight, bias;
    std::string tap;  // name, when the features behind it are given out
    bool pool;        // in front of it
  };
  std::string input_;
  weft::Tensor mean_;
  std::vector<Layer> layers_;
};
