// Margin losses, and those of pairs and triplets, as modules. Formulas, shapes and errors are those of the ops
// (autograd/ops/loss/margin_loss.h and loss.h), options too.
#pragma once

#include "weft/autograd/ops/loss/margin_loss.h"
#include "weft/nn/distance.h"
#include "weft/nn/loss.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// max(0, -y (a - b) + margin), y: 1 or -1: margin_ranking_loss.
class WEFT_API MarginRankingLoss : public Module {
 public:
  explicit MarginRankingLoss(const MarginLossOptions& o = {}) : MarginRankingLoss(o.margin, o.reduction) {}
  explicit MarginRankingLoss(Only<double> margin, Choice<Reduction> reduction = Reduction::mean)
      : Module("MarginRankingLoss"), margin(margin), reduction(reduction) {}
  Tensor operator()(const Tensor& a, const Tensor& b, const Tensor& y) const;
  Option<double> margin;
  Option<Choice<Reduction>> reduction;
};
/// x where y is 1, max(0, margin - x) where y is -1: hinge_embedding_loss.
class WEFT_API HingeEmbeddingLoss : public Module {
 public:
  explicit HingeEmbeddingLoss(const HingeEmbeddingOptions& o = {}) : HingeEmbeddingLoss(o.margin, o.reduction) {}
  explicit HingeEmbeddingLoss(Only<double> margin, Choice<Reduction> reduction = Reduction::mean)
      : Module("HingeEmbeddingLoss"), margin(margin), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& y) const;
  Option<double> margin;
  Option<Choice<Reduction>> reduction;
};
/// 1 - cos(a, b) where y is 1, max(0, cos(a, b) - margin) where y is -1: cosine_embedding_loss. a, b: [N, D] or [D].
class WEFT_API CosineEmbeddingLoss : public Module {
 public:
  explicit CosineEmbeddingLoss(const MarginLossOptions& o = {}) : CosineEmbeddingLoss(o.margin, o.reduction) {}
  explicit CosineEmbeddingLoss(Only<double> margin, Choice<Reduction> reduction = Reduction::mean)
      : Module("CosineEmbeddingLoss"), margin(margin), reduction(reduction) {}
  Tensor operator()(const Tensor& a, const Tensor& b, const Tensor& y) const;
  Option<double> margin;
  Option<Choice<Reduction>> reduction;
};
/// log(1 + exp(-y x)), y: 1 or -1: soft_margin_loss.
class WEFT_API SoftMarginLoss : public Module {
 public:
  explicit SoftMarginLoss(const LossOptions& o = {}) : SoftMarginLoss(o.reduction) {}
  explicit SoftMarginLoss(Choice<Reduction> reduction) : Module("SoftMarginLoss"), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& y) const;
  Option<Choice<Reduction>> reduction;
};
/// sum over i != t of weight[t] max(0, margin - x[t] + x[i])^p / C: multi_margin_loss. x: [N, C] or [C].
class WEFT_API MultiMarginLoss : public Module {
 public:
  explicit MultiMarginLoss(const MultiMarginOptions& o = {});
  /// PyTorch's short form: `MultiMarginLoss(2, 0.5)`.
  template <std::integral I>
  explicit MultiMarginLoss(I p, double margin = 1)
      : MultiMarginLoss(MultiMarginOptions{.p = static_cast<int>(p), .margin = margin}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<MultiMarginOptions> options;  ///< but for the weight
  /// [C]; undefined without.
  Buffer weight;
};
/// sum over targets j and other classes i of max(0, 1 - x[j] + x[i]) / C: multilabel_margin_loss.
class WEFT_API MultiLabelMarginLoss : public Module {
 public:
  explicit MultiLabelMarginLoss(const LossOptions& o = {}) : MultiLabelMarginLoss(o.reduction) {}
  explicit MultiLabelMarginLoss(Choice<Reduction> reduction) : Module("MultiLabelMarginLoss"), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<Choice<Reduction>> reduction;
};
/// Mean over the classes of -weight (t log sigmoid(x) + (1 - t) log sigmoid(-x)): multilabel_soft_margin_loss.
class WEFT_API MultiLabelSoftMarginLoss : public Module {
 public:
  explicit MultiLabelSoftMarginLoss(const MultilabelSoftMarginOptions& o = {});
  explicit MultiLabelSoftMarginLoss(const Tensor& weight)
      : MultiLabelSoftMarginLoss(MultilabelSoftMarginOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<MultilabelSoftMarginOptions> options;  ///< but for the weight
  /// Of the classes; undefined without.
  Buffer weight;
};
/// max(0, d(anchor, positive) - d(anchor, negative) + margin), d = pairwise_distance: triplet_margin_loss.
class WEFT_API TripletMarginLoss : public Module {
 public:
  explicit TripletMarginLoss(const TripletMarginOptions& o = {});
  explicit TripletMarginLoss(Only<double> margin, double p = 2) : TripletMarginLoss({.margin = margin, .p = p}) {}
  Tensor operator()(const Tensor& anchor, const Tensor& positive, const Tensor& negative) const;
  Option<TripletMarginOptions> options;
};
/// TripletMarginLoss with any distance; PairwiseDistance unless given.
class WEFT_API TripletMarginWithDistanceLoss : public Module {
 public:
  explicit TripletMarginWithDistanceLoss(const TripletDistanceOptions& o = {});
  Tensor operator()(const Tensor& anchor, const Tensor& positive, const Tensor& negative) const;
  Option<TripletDistanceOptions> options;
};

}  // namespace weft::nn
