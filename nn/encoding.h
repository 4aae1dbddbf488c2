// Layers of PyTorch-Encoding (Zhang et al. 2017 and 2018) and of multi-style transfer (Zhang & Dana 2017).
#pragma once

#include "weft/core/choice.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Which axis of a rank-3 input holds the features' numbers. automatic: the last one if it has size D, else the second.
enum class EncodingLayout : uint8_t { automatic, bnd, bdn };
constexpr auto mode_words(EncodingLayout) { return make_words("Encoding: layout", "automatic", "bnd", "bdn"); }
/// Options of Encoding, EncodingDrop and EncodingCosine.
struct EncodingOptions {
  Choice<EncodingLayout> layout = EncodingLayout::automatic;  ///< of inputs of rank 3
};

/// Residuals to D-dimensional codewords, weighted by how near they are, summed over all features: weft::encode.
/// x: [B, D, H, W], or [B, N, D] or [B, D, N] -> [B, K, D]. `codewords` [K, D] begin as U(+-1 / sqrt(K D)), `scale` [K]
/// as U(-1, 0); the sign of `scale` is the original code's. ValueError unless D, K > 0; ShapeError for inputs that do
/// not fit.
class WEFT_API Encoding : public Module {
 public:
  Encoding(int64_t D, int64_t K, EncodingOptions o = {});
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  /// First values, as above.
  void reset_parameters();
  /// Features and number of codewords.
  int64_t D, K;
  Option<Choice<EncodingLayout>> layout;
  Parameter codewords, scale;
};

/// Encoding whose scale is noise: drawn from U(-1, 0) for each forward when training, -1/2 in evaluation. The stored
/// `scale` has no meaning; it is there for checkpoints.
class WEFT_API EncodingDrop : public Encoding {
 public:
  EncodingDrop(int64_t D, int64_t K, EncodingOptions o = {});
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
};

/// Assignment by the dot product with the codewords instead of the distance, without a scale.
class WEFT_API EncodingCosine : public Module {
 public:
  EncodingCosine(int64_t D, int64_t K, EncodingOptions o = {});
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  /// Features and number of codewords.
  int64_t D, K;
  Option<Choice<EncodingLayout>> layout;
  /// [K, D]
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
  Tensor operator()(const Tensor& x) const;
  Tensor forward(const Tensor& x) const;
  int64_t C;
  Parameter weight;
  /// The present target: [1, C, C] or [B, C, C].
  Tensor target() const;
};

}  // namespace weft::nn
