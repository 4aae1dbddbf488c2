#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <ostream>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/search.h"
#include "weft/core/factory.h"
#include "weft/train/metrics.h"
#include "weft/train/numbers.h"

namespace weft::training {

namespace {

[[noreturn]] void refuse(const char* what, int64_t label, int64_t classes) {
  raise<ValueError>("ConfusionMatrix: the ", what, " has the class ", label, ", outside of 0..", classes - 1,
                    "; ignore_index leaves one out");
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int64_t num_classes, ConfusionMatrixOptions o)
    : classes_(num_classes), o_(std::move(o)) {
  WEFT_CHECK(num_classes >= 1 && num_classes <= 1 << 15, ValueError, "ConfusionMatrix: ", num_classes,
             " classes are not in 1..32768");
  WEFT_CHECK(o_.names.empty() || static_cast<int64_t>(o_.names.size()) == num_classes, ValueError,
             "ConfusionMatrix: ", o_.names.size(), " names for ", num_classes, " classes");
}

void ConfusionMatrix::update(const Tensor& pred, const Tensor& target) {
  const NoGrad guard;
  WEFT_CHECK(!target.is_floating(), DtypeError, "ConfusionMatrix: the target must be integers or bools, got ",
             target.dtype());
  Tensor classes = pred.detach();
  if (pred.is_floating()) {
    WEFT_CHECK(pred.rank() == target.rank() + 1 && pred.rank() >= 2 && pred.size(1) == classes_, ShapeError,
               "ConfusionMatrix: scores ", pred.shape(), " of [N, ", classes_, ", ...] do not fit the target ",
               target.shape());
    classes = argmax(classes, 1);
  }
  WEFT_CHECK(classes.shape() == target.shape(), ShapeError, "ConfusionMatrix: predictions ", pred.shape(),
             " do not fit the target ", target.shape());
  WEFT_CHECK(pred.device() == target.device(), DeviceError, "ConfusionMatrix: predictions are on ", pred.device(),
             ", the target on ", target.device());
  const Tensor p = classes.to(Dtype::i64).contiguous().flatten();
  const Tensor t = target.detach().to(Dtype::i64).contiguous().flatten();
  const int64_t pairs = classes_ * classes_;
  Tensor counts;
  if (t.is_cpu()) {
    counts = zeros({pairs + 2}, Dtype::i64);
    auto* count = counts.mut_data<int64_t>();
    const auto *predicted = p.data<int64_t>(), *truth = t.data<int64_t>();
    const auto legal = [&](int64_t c) { return c >= 0 && c < classes_; };
    for (int64_t i = 0; i < t.numel(); ++i) {
      if (truth[i] == o_.ignore_index) {
        ++count[pairs];
        continue;
      }
      if (!legal(truth[i])) refuse("target", truth[i], classes_);
      if (!legal(predicted[i])) refuse("prediction", predicted[i], classes_);
      ++count[truth[i] * classes_ + predicted[i]];
    }
  } else {
    const auto illegal = [&](const Tensor& x) { return logical_or(lt(x, 0), ge(x, classes_)); };
    Tensor place = where(logical_or(illegal(t), illegal(p)), pairs + 1, t * classes_ + p);
    if (o_.ignore_index) place = where(eq(t, *o_.ignore_index), pairs, place);
    counts = bincount(place, {}, pairs + 2);
  }
  counts_ = counts_.defined() ? add(counts_.to(counts.device()), counts) : counts;
}

void ConfusionMatrix::merge(const ConfusionMatrix& o) {
  WEFT_CHECK(classes_ == o.classes_, ValueError, "ConfusionMatrix: ", o.classes_, " classes cannot be merged into ",
             classes_);
  if (o.counts_.defined()) counts_ = counts_.defined() ? add(counts_, o.counts_.to(counts_.device())) : o.counts_;
}

void ConfusionMatrix::all_reduce_(const ProcessGroup& group) {
  const NoGrad guard;
  const Tensor classes = group.all_gather(tensor(std::vector<int64_t>{classes_}));
  for (int r = 0; r < group.size(); ++r)
    WEFT_CHECK(classes.data<int64_t>()[r] == classes_, ValueError, "ConfusionMatrix: rank ", group.rank(), " has ",
               classes_, " classes, rank ", r, " has ", classes.data<int64_t>()[r]);
  // On the host: a rank without data has no device.
  Tensor all = counts_.defined() ? counts_.to(Device()).clone() : zeros({classes_ * classes_ + 2}, Dtype::i64);
  group.all_reduce_(all);
  counts_ = counts_.defined() ? all.to(counts_.device()) : all;
}

Tensor ConfusionMatrix::counts() const {
  if (!counts_.defined()) return zeros({classes_, classes_}, Dtype::i64);
  const Tensor all = counts_.to(Device());
  const int64_t pairs = classes_ * classes_, wrong = all[pairs + 1].item<int64_t>();
  WEFT_CHECK(wrong == 0, ValueError, "ConfusionMatrix: ", wrong, " predictions or targets are outside of 0..",
             classes_ - 1, "; ignore_index leaves one out");
  return all.slice(0, 0, pairs).clone().reshape({classes_, classes_});
}

double ConfusionMatrix::accuracy() const {
  const std::vector<int64_t> count = counts().to_vector<int64_t>();
  double right = 0, all = 0;
  for (size_t i = 0; i < count.size(); ++i) {
    all += static_cast<double>(count[i]);
    if (i % static_cast<size_t>(classes_ + 1) == 0) right += static_cast<double>(count[i]);
  }
  return right / all;  // NaN for 0 / 0
}

template <class F> std::vector<double> ConfusionMatrix::by_class(const F& f) const {
  const std::vector<int64_t> count = counts().to_vector<int64_t>();
  const auto n = static_cast<size_t>(classes_);
  std::vector<double> out(n, std::numeric_limits<double>::quiet_NaN());
  for (size_t c = 0; c < n; ++c) {
    int64_t truth = 0, predicted = 0;
    for (size_t k = 0; k < n; ++k) truth += count[c * n + k], predicted += count[k * n + c];
    if (truth + predicted > 0 && o_.ignore_index != static_cast<int64_t>(c))
      out[c] = f(static_cast<double>(count[c * n + c]), static_cast<double>(truth), static_cast<double>(predicted));
  }
  return out;
}

std::vector<double> ConfusionMatrix::iou() const {
  return by_class([](double right, double truth, double predicted) { return right / (truth + predicted - right); });
}
std::vector<double> ConfusionMatrix::dice() const {
  return by_class([](double right, double truth, double predicted) { return 2 * right / (truth + predicted); });
}
std::vector<double> ConfusionMatrix::precision() const {
  return by_class([](double right, double, double predicted) { return predicted > 0 ? right / predicted : 0; });
}
std::vector<double> ConfusionMatrix::recall() const {
  return by_class([](double right, double truth, double) { return truth > 0 ? right / truth : 0; });
}

double ConfusionMatrix::mean_iou() const { return mean_of(iou()); }
double ConfusionMatrix::mean_dice() const { return mean_of(dice()); }
double ConfusionMatrix::mean_precision() const { return mean_of(precision()); }
double ConfusionMatrix::mean_recall() const { return mean_of(recall()); }

std::string ConfusionMatrix::str() const {
  size_t width = 8;
  for (const std::string& name : o_.names) width = std::max(width, name.size());
  const auto cell = [](double x) {
    char text[16];
    std::snprintf(text, sizeof text, "%11.4f", x);
    return std::string(std::isnan(x) ? "          -" : text);
  };
  const auto row = [&](const std::string& name, const std::vector<double>& numbers, const std::string& last) {
    std::string line = name + std::string(width - name.size(), ' ');
    for (const double x : numbers) line += cell(x);
    return line + std::string(12 - std::min<size_t>(11, last.size()), ' ') + last + '\n';
  };
  const std::vector<double> each[] = {iou(), dice(), precision(), recall()};
  const std::vector<int64_t> count = counts().to_vector<int64_t>();
  const auto n = static_cast<size_t>(classes_);
  std::string text = "class" + std::string(width - 5, ' ') +
                     "        IoU       Dice  precision     recall       truth\n";
  int64_t all = 0;
  for (size_t c = 0; c < n; ++c) {
    int64_t truth = 0;
    for (size_t k = 0; k < n; ++k) truth += count[c * n + k];
    all += truth;
    text += row(o_.names.empty() ? std::to_string(c) : o_.names[c], {each[0][c], each[1][c], each[2][c], each[3][c]},
                std::to_string(truth));
  }
  text += row("mean", {mean_iou(), mean_dice(), mean_precision(), mean_recall()}, std::to_string(all));
  return text + "accuracy" + std::string(width - 8, ' ') + cell(accuracy()) + '\n';
}

std::ostream& operator<<(std::ostream& os, const ConfusionMatrix& m) { return os << m.str(); }

StateDict ConfusionMatrix::state_dict() const {
  StateDict dict;
  dict.insert("counts", counts());
  return dict;
}

void ConfusionMatrix::load_state_dict(const StateDict& dict) {
  const Tensor& counts = checked(dict, "counts", Dtype::i64, {classes_, classes_});
  Tensor all = zeros({classes_ * classes_ + 2}, Dtype::i64);
  all.slice(0, 0, classes_ * classes_).copy_(counts.to(Device()).flatten());
  counts_ = all;
}

}  // namespace weft::training
