#include "weft/nn/adaptive_softmax.h"

#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

namespace {

std::vector<int64_t> checked_cutoffs(std::vector<int64_t> cutoffs, int64_t n_classes) {
  WEFT_CHECK(!cutoffs.empty(), ValueError, "AdaptiveLogSoftmaxWithLoss: cutoffs should have at least one number");
  cutoffs.push_back(n_classes);
  for (size_t i = 0; i + 1 < cutoffs.size(); ++i)
    WEFT_CHECK(cutoffs[i] > 0 && cutoffs[i] < cutoffs[i + 1], ValueError,
               "AdaptiveLogSoftmaxWithLoss: cutoffs should be unique, positive integers sorted in an increasing order, "
               "each between 1 and n_classes-1 = ",
               n_classes - 1, ", got ", cutoffs[i], " before ", cutoffs[i + 1]);
  return cutoffs;
}

/// Python's in // div_value^power.
int64_t hidden_features(int64_t in, double div_value, size_t power) {
  const double x = static_cast<double>(in), by = std::pow(div_value, static_cast<double>(power));
  return static_cast<int64_t>(std::round((x - std::fmod(x, by)) / by));
}

}  // namespace

AdaptiveLogSoftmaxWithLoss::AdaptiveLogSoftmaxWithLoss(int64_t in_features, int64_t n_classes,
                                                       const std::vector<int64_t>& cutoffs, AdaptiveLogSoftmaxOptions o)
    : Module("AdaptiveLogSoftmaxWithLoss"),
      in_features(in_features),
      n_classes(n_classes),
      cutoffs(checked_cutoffs(cutoffs, n_classes)),
      head(add("head", Linear(in_features, cutoffs[0] + static_cast<int64_t>(cutoffs.size()), {.bias = o.head_bias}))),
      tail(add("tail", ModuleList())) {
  WEFT_CHECK(o.div_value > 0, ValueError, name(), ": div_value must be positive, got ", o.div_value);
  for (size_t i = 0; i + 1 < this->cutoffs.size(); ++i) {
    const int64_t hidden = hidden_features(in_features, o.div_value, i + 1);
    tail.push_back(Sequential(Linear(in_features, hidden, {.bias = false}),
                              Linear(hidden, this->cutoffs[i + 1] - this->cutoffs[i], {.bias = false})));
  }
}

void AdaptiveLogSoftmaxWithLoss::reset_parameters() {
  head.reset_parameters();
  for (int64_t i = 0; i < tail.size(); ++i)
    for (int64_t k : {0, 1}) tail.at<Sequential>(i).at<Linear>(k).reset_parameters();
}

AdaptiveLogSoftmaxResult AdaptiveLogSoftmaxWithLoss::forward(const Tensor& input, const Tensor& target_in) const {
  WEFT_CHECK(target_in.rank() <= 1 && input.rank() == target_in.rank() + 1, ShapeError, name(), ": target ",
             target_in.shape(), " should be [N] for an input [N, ", in_features, "], or [] for [", in_features,
             "]; got input ", input.shape());
  WEFT_CHECK(!target_in.is_floating() && target_in.dtype() != Dtype::boolean, DtypeError, name(), ": target is ",
             target_in.dtype(), "; expected integers");
  const bool batched = target_in.rank() == 1;
  const Tensor x = batched ? input : input.unsqueeze(0);
  const std::vector<int64_t> target = target_in.to_vector<int64_t>();
  WEFT_CHECK(x.size(0) == static_cast<int64_t>(target.size()), ShapeError, name(), ": input ", input.shape(),
             " and target ", target_in.shape(), " should have the same size in the batch dimension");
  const auto index = [&](const std::vector<int64_t>& v) { return tensor(v).to(x.device()); };

  struct Part {
    std::vector<int64_t> rows, classes;  // of the targets in a cluster
  };
  std::vector<Part> parts(cutoffs.size() - 1);
  std::vector<int64_t> of_head;
  for (size_t n = 0; n < target.size(); ++n) {
    const int64_t y = target[n];
    WEFT_CHECK(y >= 0 && y < n_classes, ValueError, name(), ": target values should be in [0, ", n_classes - 1,
               "], but ", y, " was found");
    size_t at = 0;
    while (y >= cutoffs[at]) ++at;
    of_head.push_back(at == 0 ? y : cutoffs[0] + static_cast<int64_t>(at) - 1);
    if (at == 0) continue;
    parts[at - 1].rows.push_back(static_cast<int64_t>(n));
    parts[at - 1].classes.push_back(y - cutoffs[at - 1]);
  }
  const auto picked = [&](const Tensor& scores, const std::vector<int64_t>& classes) {
    return gather(log_softmax(scores, 1), 1, index(classes).unsqueeze(1)).squeeze(1);
  };
  Tensor output = picked(scores_of_head("input", x), of_head);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].rows.empty()) continue;
    const Tensor rows = index(parts[i].rows);
    const Tensor scores = tail.call(static_cast<int64_t>(i), index_select(x, 0, rows));
    output = index_add(output, 0, rows, picked(scores, parts[i].classes));
  }
  const Tensor loss = mean(-output);
  return {batched ? output : output.squeeze(0), loss};
}

Tensor AdaptiveLogSoftmaxWithLoss::scores_of_head(const char* what, const Tensor& x) const {
  WEFT_CHECK(x.rank() == 2 && x.size(1) == in_features, ShapeError, name(), ": ", what, " should be [N, ", in_features,
             "], got ", x.shape());
  return head(x);
}

Tensor AdaptiveLogSoftmaxWithLoss::full_log_prob(const Tensor& x, const Tensor& head_output) const {
  const Tensor of_head = log_softmax(head_output, 1);
  std::vector<Tensor> parts{of_head.narrow(1, 0, cutoffs[0])};
  for (int64_t i = 0; i < tail.size(); ++i)
    parts.push_back(log_softmax(tail.call(i, x), 1) + of_head.narrow(1, cutoffs[0] + i, 1));
  return cat(parts, 1);
}

Tensor AdaptiveLogSoftmaxWithLoss::log_prob(const Tensor& x) const {
  return full_log_prob(x, scores_of_head("input of log_prob", x));
}

Tensor AdaptiveLogSoftmaxWithLoss::predict(const Tensor& x) const {
  const Tensor scores = scores_of_head("input of predict", x), best = argmax(scores, 1);
  const Tensor rows = nonzero(ge(best, cutoffs[0])).squeeze(1);
  if (rows.numel() == 0) return best;
  const Tensor all = full_log_prob(index_select(x, 0, rows), index_select(scores, 0, rows));
  return scatter(best, 0, rows, argmax(all, 1));
}

AdaptiveLogSoftmaxResult AdaptiveLogSoftmaxWithLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, target);
}

}  // namespace weft::nn
