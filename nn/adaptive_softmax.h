// Softmax over very many classes (torch.nn.AdaptiveLogSoftmaxWithLoss).
#pragma once

#include "weft/nn/containers.h"
#include "weft/nn/linear.h"

namespace weft::nn {

/// Options of AdaptiveLogSoftmaxWithLoss.
struct AdaptiveLogSoftmaxOptions {
  double div_value = 4;    ///< cluster i has in_features / div_value^i hidden features, rounded down
  bool head_bias = false;  ///< of the head; the clusters have none
};
/// Result of its call.
struct AdaptiveLogSoftmaxResult {
  Tensor output;  ///< log-probability of each target: [N] or []
  Tensor loss;    ///< -mean(output)
};

/// An approximate softmax whose frequent classes, 0 to cutoffs[0] - 1, are the head's own outputs and whose others
/// stand in clusters, each one output of the head and a small net of its own: log p(y) = log softmax(head(x))[y], or
/// log softmax(head(x))[cutoffs[0] + i] + log softmax(tail[i](x))[y - cutoffs[i]]. Each cluster computes its own
/// targets' rows only; the targets are read on the host. (Grave et al. 2017.) x: [N, in_features], target: [N] integers
/// in 0..n_classes - 1, or [in_features] and []. State: head.weight (, head.bias), tail.i.0.weight [hidden,
/// in_features], tail.i.1.weight [classes of the cluster, hidden]. ValueError unless cutoffs rise strictly
/// within 1..n_classes - 1, and for targets out of range; ShapeError for shapes that do not fit.
class WEFT_API AdaptiveLogSoftmaxWithLoss : public Module {
 public:
  AdaptiveLogSoftmaxWithLoss(int64_t in_features, int64_t n_classes, const std::vector<int64_t>& cutoffs,
                             AdaptiveLogSoftmaxOptions o = {});
  AdaptiveLogSoftmaxResult operator()(const Tensor& x, const Tensor& target) const;
  AdaptiveLogSoftmaxResult forward(const Tensor& x, const Tensor& target) const;
  /// Log-probabilities of all classes: [N, in_features] -> [N, n_classes].
  Tensor log_prob(const Tensor& x) const;
  /// The most probable classes: [N, in_features] -> [N] i64. Clusters are computed only where the head's greatest
  /// output is one.
  Tensor predict(const Tensor& x) const;
  /// First values of the head and the clusters, as Linear's.
  void reset_parameters();
  int64_t in_features, n_classes;
  std::vector<int64_t> cutoffs;  ///< with n_classes behind them
  Linear head;
  ModuleList tail;

 private:
  Tensor full_log_prob(const Tensor& x, const Tensor& head_output) const;
  Tensor scores_of_head(const char* what, const Tensor& x) const;
};

}  // namespace weft::nn
