// EncNetLite: a small EncNet (Zhang et al. 2018), whose Encoding layer sees the whole picture and gates the channels.
// Knows neither pictures nor training.
#pragma once

#include <weft/weft.h>

#include <memory>

/// SyncBatchNorm, and the ReLU that follows where `relu` is set: fused where the norm has no group.
struct Norm : weft::nn::SyncBatchNorm {
  Norm(int64_t channels, bool relu, weft::ProcessGroup group);
  weft::Tensor operator()(const weft::Tensor& x) const { return normalise(x, {}); }
  /// relu(norm(x) + residual).
  weft::Tensor operator()(const weft::Tensor& x, const weft::Tensor& residual) const { return normalise(x, residual); }

 private:
  weft::Tensor normalise(const weft::Tensor& x, const weft::Tensor& residual) const;
  bool relu_;
};

/// What the network gives.
struct Segmented {
  weft::Tensor scores;    ///< [N, classes, H, W]
  weft::Tensor presence;  ///< [N, classes], logits: is the class anywhere in the picture?
};

struct EncNetLiteOptions {
  int64_t classes = 11;
  int64_t codes = 16;  ///< codewords of the Encoding layer
  /// Whose batches the norms see together.
  weft::ProcessGroup group = {};
};

/// 1.52 million parameters. A dilated ResNet down to 1/8, the context module on that map, and a decoder that joins the
/// map of 1/4, where poles and signs are still to be seen.
class EncNetLite : public weft::nn::Module {
 public:
  explicit EncNetLite(const EncNetLiteOptions& o = {});
  /// x: [N, 3, H, W] of any size -> scores of that size.
  Segmented operator()(const weft::Tensor& x) const;
  /// Training keeps the borders of the parts alone and computes what is between them again in backward.
  void checkpoint_activations(bool on) { checkpointed_ = on; }

 private:
  bool checkpointed_ = false;
  weft::nn::Sequential stem, layer1, layer2, layer3, conv5, connect, fusion, context_conv;
  weft::nn::Encoding encoding;
  Norm code_norm;
  weft::nn::Linear fc, selayer;
  weft::nn::Sequential skip, dec, conv6;
};
