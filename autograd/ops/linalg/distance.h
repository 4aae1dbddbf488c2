// Distances and similarities of vectors.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// sum(a b) / (max(|a|, eps) max(|b|, eps)) along dim; a and b broadcast.
WEFT_API Tensor cosine_similarity(const Tensor& a, const Tensor& b, Int dim = 1, double eps = 1e-8);
/// Options of pairwise_distance.
struct PairwiseDistanceOptions {
  double p = 2;          ///< order of the norm
  double eps = 1e-6;     ///< added to each difference
  bool keepdim = false;  ///< leave the last axis with size 1
};
/// |a - b + eps|_p along the last axis.
WEFT_API Tensor pairwise_distance(const Tensor& a, const Tensor& b, const PairwiseDistanceOptions& o = {});
/// x: [N, M] -> [N (N - 1) / 2] p-norms of the differences of rows i < j, in the order of (i, j). A
/// difference that is NaN makes the distance NaN.
WEFT_API Tensor pdist(const Tensor& x, double p = 2);
/// a: [..., P, M], b: [..., R, M] -> [..., P, R] of p-norms of differences; the gradient at distance 0 is 0. A
/// difference that is NaN makes the distance NaN, for p = infinity, too (PyTorch leaves it out there).
/// p = infinity: the greatest differences, where several are equal, share the gradient in equal parts, as in amax
/// (PyTorch gives all of it to each).
WEFT_API Tensor cdist(const Tensor& a, const Tensor& b, double p = 2);

}  // namespace weft
