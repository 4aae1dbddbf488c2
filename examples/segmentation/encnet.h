// EncNet as published (Zhang et al. 2018): a dilated ResNet-50 of PyTorch-Encoding's kind (three convolutions in the
// stem), the context module with 32 codewords, and an auxiliary head. For weights that are converted; `train` takes
// EncNetLite. Knows neither pictures nor training.
#pragma once

#include <weft/weft.h>

#include <memory>
#include <string>

struct EncNetOptions {
  int64_t classes = 150;
  int64_t codes = 32;
  bool lateral = false;  ///< joins the maps of 1/8 of three depths
  bool se_loss = true;   ///< the layer that says which classes are there
  bool aux = true;       ///< the head on the third layer
  /// Whose batches the norms see together.
  weft::ProcessGroup group = {};
};

/// 35 million parameters. Keys are those of PyTorch-Encoding's EncNet: pretrained.*, head.*, auxlayer.*.
class EncNet : public weft::nn::Module {
 public:
  explicit EncNet(const EncNetOptions& o = {});
  struct Output {
    weft::Tensor scores;    ///< [N, classes, H, W]
    weft::Tensor presence;  ///< [N, classes], logits; undefined without se_loss
    weft::Tensor aux;       ///< [N, classes, H, W]; undefined without aux
  };
  /// x: [N, 3, H, W], normalised as ImageNet's.
  Output operator()(const weft::Tensor& x) const;
  /// Loads a file of converted weights, strictly. The backbone's own classifier (pretrained.fc), which such files have,
  /// is passed over. ValueError that names every key that is missing, unexpected or misshapen.
  void load(const std::string& path);

 private:
  weft::nn::Sequential stem_, layer1_, layer2_, layer3_, layer4_, conv5_, fusion_, context_, conv6_, aux_;
  std::optional<weft::nn::Sequential> connect2_, connect3_;
  weft::nn::Sequential gate_;
  std::optional<weft::nn::Linear> selayer_;
};
