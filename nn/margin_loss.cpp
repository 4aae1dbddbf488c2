#include "weft/nn/margin_loss.h"

#include "weft/nn/call.h"

namespace weft::nn {

MultiMarginLoss::MultiMarginLoss(const MultiMarginOptions& o) : Module("MultiMarginLoss"), options(o) {
  WEFT_CHECK(o.p == 1 || o.p == 2, ValueError, "MultiMarginLoss: p must be 1 or 2, got ", o.p);
  WEFT_CHECK(!o.weight.defined() || o.weight.rank() == 1, ShapeError, "MultiMarginLoss: weight must be [C], got ",
             o.weight.shape());
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
}

MultiLabelSoftMarginLoss::MultiLabelSoftMarginLoss(const MultilabelSoftMarginOptions& o)
    : Module("MultiLabelSoftMarginLoss"), options(o) {
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
}

TripletMarginLoss::TripletMarginLoss(const TripletMarginOptions& o) : Module("TripletMarginLoss"), options(o) {
  WEFT_CHECK(o.margin > 0, ValueError, "TripletMarginLoss: margin must be greater than 0, got ", o.margin);
}

TripletMarginWithDistanceLoss::TripletMarginWithDistanceLoss(const TripletDistanceOptions& o)
    : Module("TripletMarginWithDistanceLoss"), options(o) {
  WEFT_CHECK(o.margin > 0, ValueError, "TripletMarginWithDistanceLoss: margin must be greater than 0, got ", o.margin);
  if (!options->distance) options->distance = add("distance_function", PairwiseDistance());
}

Tensor MarginRankingLoss::operator()(const Tensor& a, const Tensor& b, const Tensor& y) const {
  return nn::call(*this, a, [&](const Tensor& a) { return margin_ranking_loss(a, b, y, margin, *reduction); });
}
Tensor HingeEmbeddingLoss::operator()(const Tensor& x, const Tensor& y) const {
  return nn::call(*this, x, [&](const Tensor& x) { return hinge_embedding_loss(x, y, *margin, *reduction); });
}
Tensor CosineEmbeddingLoss::operator()(const Tensor& a, const Tensor& b, const Tensor& y) const {
  return nn::call(*this, a, [&](const Tensor& a) { return cosine_embedding_loss(a, b, y, margin, *reduction); });
}
Tensor SoftMarginLoss::operator()(const Tensor& x, const Tensor& y) const {
  return nn::call(*this, x, [&](const Tensor& x) { return soft_margin_loss(x, y, *reduction); });
}
Tensor MultiMarginLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) {
    return multi_margin_loss(x, target, detail::weighted(*this, *options, weight));
  });
}
Tensor MultiLabelMarginLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return multilabel_margin_loss(x, target, *reduction); });
}
Tensor MultiLabelSoftMarginLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) {
    return multilabel_soft_margin_loss(x, target, detail::weighted(*this, *options, weight));
  });
}
Tensor TripletMarginLoss::operator()(const Tensor& anchor, const Tensor& positive, const Tensor& negative) const {
  return nn::call(*this, anchor,
                  [&](const Tensor& anchor) { return triplet_margin_loss(anchor, positive, negative, options); });
}
Tensor TripletMarginWithDistanceLoss::operator()(const Tensor& anchor, const Tensor& positive,
                                                 const Tensor& negative) const {
  return nn::call(*this, anchor, [&](const Tensor& anchor) {
    return triplet_margin_with_distance_loss(anchor, positive, negative, options);
  });
}

}  // namespace weft::nn
