// A 3-D U-Net of weight-standardised convolutions for stacks whose slices are thicker than their pixels are wide, and
// the file that it travels in. Knows neither training nor files of volumes.
#pragma once

#include <weft/weft.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

/// Where the group norms of a network take their statistics from.
struct NormStatistics {
  enum class From {
    input,     ///< each sample's own, as in training
    measured,  ///< of the whole batch, and kept
    kept       ///< those that were kept last: then a voxel's result depends on its neighbourhood only
  };
  From from = From::input;
  std::vector<weft::Tensor> mean, var;  ///< kept: [channels] f32, by norm
};

/// GroupNorm with the ReLU that follows it fused in.
struct Norm : weft::nn::GroupNorm {
  Norm(int64_t channels, std::shared_ptr<NormStatistics> statistics);
  weft::Tensor operator()(const weft::Tensor& x) const;

 private:
  size_t index_;
  std::shared_ptr<NormStatistics> statistics_;
};

/// [N, 1, D, H, W] -> logits [N, 1, D, H, W]; H and W are multiples of 4. Kernels are planar (1, 3, 3) at full
/// resolution and (3, 3, 3) below; slices are never pooled. enc0, enc1, enc2: two of (WSConv3d, GroupNorm(4), ReLU)
/// with f, 2 f, 4 f channels; up1, dec1, up0, dec0 the way back; head a 1 x 1 x 1 convolution.
class UNet3d : public weft::nn::Module {
 public:
  /// width: the channels f at full resolution, a multiple of 4.
  explicit UNet3d(int64_t width = 16);
  weft::Tensor operator()(const weft::Tensor& x) const;

  NormStatistics& norms() { return *statistics_; }
  /// How far a voxel sees along D, H and W when the norms' statistics are kept.
  static constexpr std::array<int64_t, 3> reach() { return {6, 24, 24}; }

  int64_t width;
  bool checkpoint_activations = false;  ///< forget what is inside the blocks, compute it again in backward

 private:
  std::shared_ptr<NormStatistics> statistics_ = std::make_shared<NormStatistics>();

 public:
  weft::nn::Sequential enc0, enc1, enc2;
  weft::nn::ConvTranspose3d up1;
  weft::nn::Sequential dec1;
  weft::nn::ConvTranspose3d up0;
  weft::nn::Sequential dec0;
  weft::nn::Conv3d head;
};

/// A network and how grey values become its input: (value - mean) / std.
struct Model {
  UNet3d net;
  double mean = 125, std = 60;

  /// Reads what `save` wrote. The width comes from the tensors. ValueError, with the file's name, for other files.
  static Model load(const std::string& path, weft::Device device);
  /// Weights as f16; `command`: what made it, kept in the metadata.
  void save(const std::string& path, const std::string& command) const;
};
