#include "weft/train/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/train/numbers.h"

namespace weft::training {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void check_labels(const char* what, const Tensor& x) {
  WEFT_CHECK(!x.is_floating(), DtypeError, what, ": classes must be integers or bools, got ", x.dtype());
}

}  // namespace

void Mean::update(double value, double weight) {
  sum_ += value * weight;
  weight_ += weight;
}

void Mean::update(const Tensor& values, double weight) {
  const NoGrad guard;
  const Tensor part = mul(sum(values.detach().to(Dtype::f64)), weight);
  device_sum_ = device_sum_.defined() ? add(device_sum_.to(part.device()), part) : part;
  weight_ += weight * static_cast<double>(values.numel());
}

void Mean::all_reduce_(const ProcessGroup& group) {
  Tensor all = tensor(std::vector<double>{sum_, device_sum_.defined() ? device_sum_.item<double>() : 0, weight_});
  group.all_reduce_(all);
  const auto sums = all.to_vector<double>();
  sum_ = sums[0], device_sum_ = scalar(sums[1], Dtype::f64), weight_ = sums[2];
}

double Mean::compute() const {
  const double total = sum_ + (device_sum_.defined() ? device_sum_.item<double>() : 0);
  return weight_ == 0 ? kNan : total / weight_;
}

StateDict Mean::state_dict() const {
  StateDict dict = with_number(with_number({}, "sum", sum_), "weight", weight_);
  return with_number(std::move(dict), "tensor_sum", device_sum_.defined() ? device_sum_.item<double>() : 0);
}

void Mean::load_state_dict(const StateDict& dict) {
  Mean m;
  m.sum_ = number_of<double>(dict, "sum");
  m.weight_ = number_of<double>(dict, "weight");
  m.device_sum_ = scalar(number_of<double>(dict, "tensor_sum"), Dtype::f64);
  *this = std::move(m);
}

Ema::Ema(double decay) : decay_(decay) {
  WEFT_CHECK(decay >= 0 && decay < 1, ValueError, "Ema: decay must be in [0, 1), got ", decay);
}

void Ema::update(double value) {
  average_ = decay_ * average_ + (1 - decay_) * value;
  weight_ = decay_ * weight_ + (1 - decay_);
}

double Ema::compute() const { return weight_ == 0 ? kNan : average_ / weight_; }

StateDict Ema::state_dict() const { return with_number(with_number({}, "average", average_), "weight", weight_); }

void Ema::load_state_dict(const StateDict& dict) {
  const auto average = number_of<double>(dict, "average");
  weight_ = number_of<double>(dict, "weight");
  average_ = average;
}

Tensor topk_accuracy(const Tensor& scores, const Tensor& target, int64_t k, const TopkOptions& o) {
  const NoGrad guard;
  check_labels("topk_accuracy", target);
  WEFT_CHECK(scores.rank() == target.rank() + 1 && target.rank() >= 1, ShapeError, "topk_accuracy: scores ",
             scores.shape(), " of [N, C, ...] do not fit the target ", target.shape());
  const int64_t classes = scores.size(1);
  const Tensor x = scores.detach().movedim(1, -1);
  const Tensor truth = target.detach().to(Dtype::i64);
  WEFT_CHECK(x.slice(-1, 0, 1).squeeze(-1).shape() == truth.shape(), ShapeError, "topk_accuracy: scores ",
             scores.shape(), " of [N, C, ...] do not fit the target ", target.shape());
  WEFT_CHECK(k >= 1 && k <= classes, ValueError, "topk_accuracy: k is ", k, ", not in 1..", classes);
  Tensor counted = ones(truth.shape(), {Dtype::boolean, truth.device()}), label = truth;
  if (o.ignore_index) {
    counted = ne(truth, *o.ignore_index);
    label = where(counted, truth, 0);
  }
  label = label.unsqueeze(-1);
  const Tensor own = gather(x, -1, label), ids = arange(classes, {Dtype::i64, x.device()});
  const Tensor ahead = logical_or(logical_not(le(x, own)), logical_and(eq(x, own), lt(ids, label)));
  const Tensor hit = logical_and(lt(sum(ahead.to(Dtype::i64), {-1}), k), counted);
  return sum(hit.to(Dtype::f64)) / sum(counted.to(Dtype::f64));
}

namespace {

/// Of `scores` and whether each is a positive.
double average_precision_of(const std::vector<double>& scores, const std::vector<bool>& positive) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const auto all = static_cast<double>(std::count(positive.begin(), positive.end(), true));
  if (all == 0) return kNan;
  double sum = 0, found = 0;
  for (size_t i = 0; i < order.size();) {
    const double score = scores[order[i]], before = found;
    for (; i < order.size() && scores[order[i]] == score; ++i) found += positive[order[i]];
    sum += (found - before) / all * found / static_cast<double>(i);
  }
  return sum;
}

}  // namespace

void AveragePrecision::update(const Tensor& scores, const Tensor& target) {
  const NoGrad guard;
  check_labels("average_precision", target);
  const int rank = scores.rank();
  WEFT_CHECK((rank == 1 || rank == 2) && (target.shape() == scores.shape() || target.shape() == Shape{scores.size(0)}),
             ShapeError, "average_precision: scores ", scores.shape(), " of [N] or [N, C] do not fit the target ",
             target.shape());
  if (!scores_.empty()) {
    WEFT_CHECK(rank == scores_[0].rank() && (rank == 1 || scores.size(1) == scores_[0].size(1)) &&
                   target.rank() == targets_[0].rank(),
               ShapeError, "average_precision: scores ", scores.shape(), " and target ", target.shape(),
               " follow scores ", scores_[0].shape(), " and target ", targets_[0].shape());
  }
  // Copies: what they were made of may be written to.
  scores_.push_back(scores.detach().to(Dtype::f64).clone());
  targets_.push_back(target.detach().to(Dtype::i64).clone());
}

void AveragePrecision::all_gather_(const ProcessGroup& group) {
  // Of each rank, what a rank without scores must know: the ranks of scores and targets, and the classes.
  const bool any = !scores_.empty();
  const std::vector<int64_t> mine{any ? scores_[0].rank() : 0, any ? targets_[0].rank() : 0,
                                  any && scores_[0].rank() == 2 ? scores_[0].size(1) : 0};
  const std::vector<int64_t> all = group.all_gather(tensor(mine)).to_vector<int64_t>();
  std::vector<int64_t> known;
  int of = 0;
  for (int r = 0; r < group.size(); ++r) {
    const std::vector<int64_t> theirs(all.begin() + 3 * r, all.begin() + 3 * (r + 1));
    if (theirs[0] == 0) continue;
    if (known.empty()) known = theirs, of = r;
    WEFT_CHECK(theirs == known, ShapeError, "average_precision: rank ", of, " has scores of rank ", known[0],
               ", targets of ", known[1], " and ", known[2], " classes, rank ", r, " has ", theirs[0], ", ", theirs[1],
               " and ", theirs[2]);
  }
  if (known.empty()) return;
  const auto join = [&](std::vector<Tensor>& parts, int64_t rank, Dtype d) {
    const Tensor none = rank == 2 ? empty({0, known[2]}, d) : empty({0}, d);
    parts = {group.all_gather_cat(parts.empty() ? none : cat(parts).to(Device()))};
  };
  join(scores_, known[0], Dtype::f64);
  join(targets_, known[1], Dtype::i64);
}

std::vector<double> AveragePrecision::by_class() const {
  if (scores_.empty()) return {};
  const bool one = scores_[0].rank() == 1, listed = !one && targets_[0].rank() == 1;
  const size_t classes = one ? 1 : static_cast<size_t>(scores_[0].size(1));
  std::vector<std::vector<double>> scores(classes);
  std::vector<std::vector<bool>> positive(classes);
  for (size_t part = 0; part < scores_.size(); ++part) {
    const std::vector<double> s = scores_[part].to_vector<double>();
    const std::vector<int64_t> t = targets_[part].to_vector<int64_t>();
    for (size_t i = 0; i < s.size(); ++i) {
      const size_t c = i % classes;
      const int64_t label = t[listed ? i / classes : i];
      WEFT_CHECK(!std::isnan(s[i]), ValueError, "average_precision: score ", i, " is NaN");
      WEFT_CHECK(label >= 0 && label < (listed ? static_cast<int64_t>(classes) : 2), ValueError,
                 "average_precision: the target ", label, " is outside of 0..", listed ? classes - 1 : 1);
      scores[c].push_back(s[i]);
      positive[c].push_back(listed ? static_cast<size_t>(label) == c : label == 1);
    }
  }
  std::vector<double> out;
  for (size_t c = 0; c < classes; ++c) out.push_back(average_precision_of(scores[c], positive[c]));
  return out;
}

double AveragePrecision::compute() const { return mean_of(by_class()); }

double average_precision(const Tensor& scores, const Tensor& target) {
  AveragePrecision one;
  one.update(scores, target);
  return one.compute();
}

}  // namespace weft::training
