// Distances and similarities of vectors as layers. Formulas are those of the ops (autograd/ops/linalg/distance.h).
#pragma once

#include "weft/autograd/ops/linalg/distance.h"
#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Options of CosineSimilarity.
struct CosineSimilarityOptions {
  int64_t dim = 1;    ///< the axis of the vectors
  double eps = 1e-8;  ///< least norm that is divided by
};
/// sum(a b) / (max(|a|, eps) max(|b|, eps)) along dim; a and b broadcast.
class WEFT_API CosineSimilarity : public Module {
 public:
  explicit CosineSimilarity(Only<int64_t> dim = 1, double eps = 1e-8)
      : Module("CosineSimilarity"), dim(dim), eps(eps) {}
  explicit CosineSimilarity(const CosineSimilarityOptions& o) : CosineSimilarity(o.dim, o.eps) {}
  Tensor operator()(const Tensor& a, const Tensor& b) const {
    return nn::call(*this, a, [&](const Tensor& a) { return cosine_similarity(a, b, dim, eps); });
  }
  Option<int64_t> dim;
  Option<double> eps;
};

/// |a - b + eps|_p along the last axis: [N, D], [N, D] -> [N].
class WEFT_API PairwiseDistance : public Module {
 public:
  explicit PairwiseDistance(const PairwiseDistanceOptions& o = {}) : Module("PairwiseDistance"), options(o) {}
  explicit PairwiseDistance(Only<double> p, double eps = 1e-6) : PairwiseDistance({.p = p, .eps = eps}) {}
  Tensor operator()(const Tensor& a, const Tensor& b) const {
    return nn::call(*this, a, [&](const Tensor& a) { return pairwise_distance(a, b, options); });
  }
  Option<PairwiseDistanceOptions> options;
};

}  // namespace weft::nn
