// Losses that ask for a margin between scores, and the logistic ones beside them. Conventions as in loss.h.
// Those of one pair, triplet or similarity (margin_ranking_loss, ...) are in loss.h.
#pragma once

#include <functional>

#include "weft/autograd/ops/loss/loss.h"

namespace weft {

/// Options of hinge_embedding_loss.
struct HingeEmbeddingOptions {
  double margin = 1;
  Choice<Reduction> reduction = Reduction::mean;
};
/// y = 1: x; y = -1: max(0, margin - x). x, y: one shape.
WEFT_API Tensor hinge_embedding_loss(const Tensor& x, const Tensor& y, const HingeEmbeddingOptions& o);
WEFT_API Tensor hinge_embedding_loss(const Tensor& x, const Tensor& y, Only<double> margin = 1,
                                     Choice<Reduction> reduction = Reduction::mean);
/// log(1 + exp(-y x)), without overflow. x, y (1 or -1): one shape.
WEFT_API Tensor soft_margin_loss(const Tensor& x, const Tensor& y, Choice<Reduction> reduction = Reduction::mean);

/// Options of multi_margin_loss.
struct MultiMarginOptions {
  int p = 1;  ///< 1 or 2
  double margin = 1;
  Tensor weight = {};  ///< [C]
  Choice<Reduction> reduction = Reduction::mean;
};
/// sum over i != t of weight[t] max(0, margin - x[t] + x[i])^p / C. x: [N, C] or [C]; t: classes, i64, i32 or u8, [N]
/// or []. NaN among the scores makes the loss NaN (PyTorch leaves such differences out).
WEFT_API Tensor multi_margin_loss(const Tensor& x, const Tensor& target, const MultiMarginOptions& o = {});
/// sum over targets j and other classes i of max(0, 1 - x[j] + x[i]) / C. x: [N, C] or [C]; target: integers of x's
/// shape, each row a list of classes that ends at the first -1. NaN as in multi_margin_loss.
WEFT_API Tensor multilabel_margin_loss(const Tensor& x, const Tensor& target,
                                       Choice<Reduction> reduction = Reduction::mean);

/// Options of multilabel_soft_margin_loss.
struct MultilabelSoftMarginOptions {
  Tensor weight = {};  ///< of the classes: broadcasts
  Choice<Reduction> reduction = Reduction::mean;
};
/// Mean over the last axis of -weight (t log sigmoid(x) + (1 - t) log sigmoid(-x)). x, t: [N, C] or [C].
WEFT_API Tensor multilabel_soft_margin_loss(const Tensor& x, const Tensor& target,
                                            const MultilabelSoftMarginOptions& o = {});

/// Options of triplet_margin_with_distance_loss.
struct TripletDistanceOptions {
  std::function<Tensor(const Tensor&, const Tensor&)> distance = {};  ///< pairwise_distance unless given
  double margin = 1;
  bool swap = false;  ///< use the distance positive-negative where it is the smaller
  Choice<Reduction> reduction = Reduction::mean;
};
/// max(0, distance(anchor, positive) - distance(anchor, negative) + margin). ValueError unless margin > 0.
WEFT_API Tensor triplet_margin_with_distance_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                                                  const TripletDistanceOptions& o = {});

}  // namespace weft
