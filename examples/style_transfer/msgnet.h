// MSG-Net (Zhang and Dana 2017): one network that paints in any of its styles, and the file that it travels in.
// Knows neither training nor pictures; its colours are blue-green-red, 0..255.
#pragma once

#include <weft/weft.h>

#include <memory>
#include <string>
#include <vector>

/// Where the instance norms of a network take their statistics from.
struct NormStatistics {
  enum class From {
    picture,  ///< each picture's own, as in training
    batch,    ///< of all pictures of the batch together, and kept
    kept      ///< those of the last batch: then what a pixel becomes depends on its neighbourhood only
  };
  From from = From::picture;
  std::vector<weft::Tensor> mean, var;  ///< kept, by norm
};

/// InstanceNorm2d (no state) with the ReLU that follows it fused in.
struct Norm : weft::nn::InstanceNorm2d {
  Norm(int64_t channels, std::shared_ptr<NormStatistics> statistics);
  weft::Tensor operator()(const weft::Tensor& x) const;

 private:
  size_t index_;
  std::shared_ptr<NormStatistics> statistics_;
};

/// Encoder, CoMatch layer, `blocks` bottlenecks and decoder. The keys are the published network's: the encoder is in
/// the state dict twice (model1.* and model.0.*), and so is the CoMatch weight.
class MsgNet : public weft::nn::Module {
 public:
  explicit MsgNet(int64_t ngf = 32, int64_t blocks = 3);
  /// bgr: [N, 3, H, W] -> the same, painted in the target's style; H and W are rounded up to multiples of 4.
  weft::Tensor operator()(const weft::Tensor& bgr) const { return model(bgr); }
  /// The Gram matrix of a style picture's features, [N, C, C] with C = 4 ngf.
  weft::Tensor gram(const weft::Tensor& bgr) const { return weft::gram_matrix(model1(bgr)); }
  /// The style to paint in: gradients flow into what G was made of.
  void set_target(const weft::Tensor& G) { ins.set_target(G); }
  NormStatistics& norms() { return *statistics_; }
  /// How far a pixel sees when the norms' statistics are kept.
  int64_t reach() const { return 15 + 4 * blocks; }

  int64_t ngf, blocks;

 private:
  std::shared_ptr<NormStatistics> statistics_ = std::make_shared<NormStatistics>();

 public:
  weft::nn::Sequential model1;
  weft::nn::Inspiration ins;
  weft::nn::Sequential model;
};

/// What the demo training begins with in place of PyTorch's first values; `styles`: pictures [1, 3, H, W].
///   - the decoder's last convolution gives out the mean colour and spans 0..255: weights times `output_scale`;
///   - the encoder's features have Gram matrices with a mean diagonal of 1;
///   - CoMatch begins as the scaled inverse of the mean Gram matrix, so that P = W G is near a multiple of the identity
///   for each style.
void init_for_training(MsgNet& net, const std::vector<weft::Tensor>& styles, double output_scale = 64);

/// A trained network with the Gram matrices of its styles.
struct StyleModel {
  MsgNet net;
  std::vector<std::string> names;
  std::vector<weft::Tensor> grams;  ///< [1, C, C]

  /// Reads what `save_style_model` wrote, or bare weights of a network of any size (without styles). Sizes come from
  /// the tensors. Running statistics, which the published files have, are passed over.
  static StyleModel load(const std::string& path, weft::Device device);
};
/// Weights as f16, Gram matrices as f32 tensors `style.NAME`; `command`: what made it, kept in the metadata.
void save_style_model(const StyleModel& model, const std::string& path, const std::string& command);
