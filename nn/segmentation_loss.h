// Losses of segmentation with context (EncNet) and with smoothed labels (PyTorch-Encoding).
#pragma once

#include "weft/autograd/ops/loss/loss.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Options of SegmentationLosses.
struct SegmentationLossesOptions {
  bool se_loss = false;       ///< a second input: presence of each class in the image, logits [B, nclass]
  double se_weight = 0.2;     ///< factor of the se term
  int64_t nclass = -1;        ///< needed for se_loss
  bool aux = false;           ///< another input: the auxiliary head's logits
  double aux_weight = 0.4;    ///< factor of the aux term
  Tensor weight = {};         ///< of the classes, in all terms
  int64_t ignore_index = -1;  ///< labels of pred's and aux's terms that do not count
};
/// EncNet's loss: CE(pred, target) + aux_weight CE(aux, target) + se_weight BCE(sigmoid(se), presence), where
/// presence[b, c] is 1 if label c is anywhere in image b. pred, aux: [B, C, H, W], target: [B, H, W]. Call it with the
/// inputs that the options name, in the order pred, se, aux, target.
class WEFT_API SegmentationLosses : public Module {
 public:
  explicit SegmentationLosses(SegmentationLossesOptions o = {});
  Tensor operator()(const Tensor& pred, const Tensor& target) const;
  Tensor forward(const Tensor& pred, const Tensor& target) const;
  Tensor operator()(const Tensor& pred, const Tensor& se_or_aux, const Tensor& target) const;
  Tensor forward(const Tensor& pred, const Tensor& se_or_aux, const Tensor& target) const;
  Tensor operator()(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const;
  Tensor forward(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const;
  Option<SegmentationLossesOptions> options;

 private:
  Tensor loss(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const;
};

/// mean((1 - smoothing) nll + smoothing (-mean_c log p_c)). x: [N, C], target: [N].
class WEFT_API LabelSmoothing : public Module {
 public:
  explicit LabelSmoothing(double smoothing = 0.1);
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Tensor forward(const Tensor& x, const Tensor& target) const;
  Option<double> smoothing;
};

}  // namespace weft::nn
