#include "weft/nn/loss.h"

#include "weft/core/factory.h"

namespace weft::nn {

CrossEntropyLoss::CrossEntropyLoss(const CrossEntropyOptions& o) : Module("CrossEntropyLoss"), options(o) {
  options.weight = buffer("weight", o.weight);
}
NLLLoss::NLLLoss(const NllLossOptions& o) : Module("NLLLoss"), options(o) {
  options.weight = buffer("weight", o.weight);
}
BCELoss::BCELoss(const ElementLossOptions& o) : Module("BCELoss"), options(o) {
  options.weight = buffer("weight", o.weight);
}
BCEWithLogitsLoss::BCEWithLogitsLoss(const BceWithLogitsOptions& o) : Module("BCEWithLogitsLoss"), options(o) {
  options.weight = buffer("weight", o.weight);
  options.pos_weight = buffer("pos_weight", o.pos_weight);
}
DiceLoss::DiceLoss(const DiceLossOptions& o) : Module("DiceLoss"), options(o) {
  options.weight = buffer("weight", o.weight.defined() ? o.weight : scalar(1.0f));
}
Tensor DiceLoss::operator()(const Tensor& x, const Tensor& target) const {
  DiceLossOptions o = options;
  if (o.weight.rank() == 0 && x.rank() >= 2) o.weight = o.weight.expand({x.size(1)});
  return dice_loss(x, target, o);
}

}  // namespace weft::nn
