// Layers of PyTorch-Encoding (Zhang et al. 2017 and 2018) and of multi-style transfer (Zhang & Dana 2017), and the
// small ones that come with them.
#pragma once

#include "weft/autograd/ops/loss.h"
#include "weft/nn/conv.h"
#include "weft/nn/gram.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Which axis of a rank-3 input holds the features' numbers. automatic: the last one if it has size D, else the second.
enum class EncodingLayout : uint8_t { automatic, bnd, bdn };
constexpr auto mode_words(EncodingLayout) { return make_words("Encoding: layout", "automatic", "bnd", "bdn"); }
struct EncodingOptions {
  Choice<EncodingLayout> layout = EncodingLayout::automatic;
};

/// Residuals to D-dimensional codewords, weighted by how near they are, summed over all features: weft::encode.
/// x: [B, D, H, W], or [B, N, D] or [B, D, N] -> [B, K, D]. `codewords` [K, D] begin as U(+-1 / sqrt(K D)), `scale` [K]
/// as U(-1, 0); the sign of `scale` is the original code's. ValueError unless D, K > 0; ShapeError for inputs that do
/// not fit.
class WEFT_API Encoding : public Module {
 public:
  Encoding(int64_t D, int64_t K, EncodingOptions o = {});
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  void reset_parameters();
  int64_t D, K;
  EncodingLayout layout;
  Parameter codewords, scale;
};

/// Encoding whose scale is noise: drawn from U(-1, 0) for each forward when training, -1/2 in evaluation. The stored
/// `scale` has no meaning; it is there for checkpoints.
class WEFT_API EncodingDrop : public Encoding {
 public:
  EncodingDrop(int64_t D, int64_t K, EncodingOptions o = {});
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
};

/// Assignment by the dot product with the codewords instead of the distance, without a scale.
class WEFT_API EncodingCosine : public Module {
 public:
  EncodingCosine(int64_t D, int64_t K, EncodingOptions o = {});
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  int64_t D, K;
  EncodingLayout layout;
  Parameter codewords;
};

/// Matches second-order statistics: y_b = (W G)^T x_b with x_b as [C, H W] (the CoMatch layer of MSG-Net). x: [B, C, H,
/// W] -> the same. weight [1, C, C] begins as U(0, 0.02). The target G, [1, C, C] or one per sample [B, C, C], is no
/// parameter and not in the state dict; it begins as the identity.
class WEFT_API Inspiration : public Module {
 public:
  /// B: how many targets the layer begins with.
  explicit Inspiration(int64_t C, int64_t B = 1);
  /// G: [C, C] or [B, C, C]; gradients flow into what it was made of. ShapeError otherwise.
  void set_target(const Tensor& G);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  int64_t C;
  Parameter weight;
  Tensor target() const;
};

struct UpsampleConv2dOptions {
  ByName by_name = {};
  Dims<2> kernel_size;
  Dims<2> stride = 1;
  Padding<2> padding = 0;
  Dims<2> dilation = 1;
  int64_t groups = 1;
  int64_t scale_factor = 1;
  bool bias = true;
};
/// A convolution to out scale_factor^2 channels, then pixel shuffle: [N, in, H, W] -> [N, out, s h, s w] with h, w
/// those of the convolution. UpsampleConv2d(16, 16, {.kernel_size = 3, .padding = 1, .scale_factor = 2}) makes 12 x 12
/// of 6 x 6. weight [out s^2, in / groups, kh, kw] and bias [out s^2] begin as U(+-1 / sqrt(in kh kw)).
class WEFT_API UpsampleConv2d : public ConvBase {
 public:
  UpsampleConv2d(int64_t in_channels, int64_t out_channels, const UpsampleConv2dOptions& o);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  void reset_parameters();
  int64_t scale_factor;
};

/// x / max(|x|_p, 1e-8) along dim.
class WEFT_API Normalize : public Module {
 public:
  explicit Normalize(double p = 2, int64_t dim = 1);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  double p;
  int64_t dim;
};

/// x.view(size); one size may be -1.
class WEFT_API View : public Module {
 public:
  explicit View(const Shape& size);
  Tensor operator()(const Tensor& x) const {
    return nn::call(*this, x, [&](const Tensor& x) { return x.reshape(size); });
  }
  Shape size;
};

/// Sum over one axis.
class WEFT_API Sum : public Module {
 public:
  explicit Sum(int64_t dim, bool keep_dim = false);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  int64_t dim;
  bool keep_dim;
};
/// Mean over one axis.
class WEFT_API Mean : public Module {
 public:
  explicit Mean(int64_t dim, bool keep_dim = false);
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  int64_t dim;
  bool keep_dim;
};
/// Mean over height and width. [B, C, H, W] -> [B, C].
class WEFT_API GlobalAvgPool2d : public Module {
 public:
  GlobalAvgPool2d() : Module("GlobalAvgPool2d") {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
};

struct SegmentationLossesOptions {
  bool se_loss = false;  ///< a second input: presence of each class in the image, logits [B, nclass]
  double se_weight = 0.2;
  int64_t nclass = -1;  ///< needed for se_loss
  bool aux = false;     ///< another input: the auxiliary head's logits
  double aux_weight = 0.4;
  Tensor weight = {};  ///< of the classes, in all terms
  int64_t ignore_index = -1;
};
/// EncNet's loss: CE(pred, target) + aux_weight CE(aux, target) + se_weight BCE(sigmoid(se), presence), where
/// presence[b, c] is 1 if label c is anywhere in image b. pred, aux: [B, C, H, W], target: [B, H, W]. Call it with the
/// inputs that the options name, in the order pred, se, aux, target.
class WEFT_API SegmentationLosses : public Module {
 public:
  explicit SegmentationLosses(SegmentationLossesOptions o = {});
  Tensor operator()(const Tensor& pred, const Tensor& target) const { return nn::call(*this, pred, target); }
  Tensor forward(const Tensor& pred, const Tensor& target) const;
  Tensor operator()(const Tensor& pred, const Tensor& se_or_aux, const Tensor& target) const {
    return nn::call(*this, pred, se_or_aux, target);
  }
  Tensor forward(const Tensor& pred, const Tensor& se_or_aux, const Tensor& target) const;
  Tensor operator()(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const {
    return nn::call(*this, pred, se, aux, target);
  }
  Tensor forward(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const;
  Option<SegmentationLossesOptions> options;

 private:
  Tensor loss(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const;
};

/// mean((1 - smoothing) nll + smoothing (-mean_c log p_c)). x: [N, C], target: [N].
class WEFT_API LabelSmoothing : public Module {
 public:
  explicit LabelSmoothing(double smoothing = 0.1);
  Tensor operator()(const Tensor& x, const Tensor& target) const { return nn::call(*this, x, target); }
  Tensor forward(const Tensor& x, const Tensor& target) const;
  double smoothing;
};

}  // namespace weft::nn
