// Metrics of predictions: exact counts and sums, kept on the device of what they were made of.
// Knows tensors and ranks; no model and no task.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "weft/core/state_dict.h"
#include "weft/distributed/process_group.h"

namespace weft::training {

/// Options of ConfusionMatrix.
struct ConfusionMatrixOptions {
  std::optional<int64_t> ignore_index = std::nullopt;  ///< a truth that is not counted; a class of that number neither
  std::vector<std::string> names = {};                 ///< of the classes, for the table; none: their numbers
};

/// Counts of (truth, prediction), and what is made of them.
///
/// A class that is neither in the truth nor predicted has no scores: they are NaN, and the means leave it out. A class
/// that is in one of the two only has scores of 0. So do torchmetrics' macro averages and scikit-learn's. MONAI leaves
/// out every class that is not in the truth, and so forgives what is predicted where nothing is; medpy refuses it.
class WEFT_API ConfusionMatrix {
 public:
  /// ValueError for less than one class, or names of another number.
  explicit ConfusionMatrix(int64_t num_classes, ConfusionMatrixOptions o = {});
  /// target: classes, integers or bools of any shape [N, ...]. pred: the same, or scores [N, C, ...] in floats, of
  /// which the largest counts. ShapeError; ValueError for a class outside of 0..C-1, and nothing is counted then (on
  /// another device than the CPU `counts` throws it, so that no update has to wait for a value).
  void update(const Tensor& pred, const Tensor& target);
  /// Adds the counts of another part of the data. ValueError for another number of classes.
  void merge(const ConfusionMatrix& o);
  /// Adds the counts of all ranks, on every rank: once, when all data are counted. Every rank calls it. ValueError for
  /// other numbers of classes.
  void all_reduce_(const ProcessGroup& group);
  /// Forgets all counts.
  void reset() { counts_ = Tensor(); }

  /// C.
  int64_t num_classes() const { return classes_; }
  /// i64 [C, C] on the CPU: rows are the truth, columns the prediction.
  Tensor counts() const;
  /// The share of what is predicted right; NaN without data.
  double accuracy() const;
  // By class
  /// true positives / (in the truth or predicted). Also called Jaccard index.
  std::vector<double> iou() const;
  /// 2 true positives / (in the truth + predicted). Also called F1.
  std::vector<double> dice() const;
  /// true positives / predicted; 0 where the class is only in the truth.
  std::vector<double> precision() const;
  /// true positives / in the truth; 0 where the class is only predicted.
  std::vector<double> recall() const;
  /// Means over the classes that are there; NaN where none is.
  double mean_iou() const;
  double mean_dice() const;
  double mean_precision() const;
  double mean_recall() const;
  /// A line for each class, then means and accuracy; "-" for classes that are not there.
  std::string str() const;

  /// `counts`, i64.
  StateDict state_dict() const;
  /// ValueError for another number of classes; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 private:
  /// Of each class f(true positives, in the truth, predicted).
  template <class F> std::vector<double> by_class(const F& f) const;
  int64_t classes_;
  ConfusionMatrixOptions o_;
  Tensor counts_;  // i64 [C C + 2] on the device of the first update; the last two: ignored, and no classes
};
/// Prints `str`.
WEFT_API std::ostream& operator<<(std::ostream& os, const ConfusionMatrix& m);

/// Options of topk_accuracy.
struct TopkOptions {
  std::optional<int64_t> ignore_index = std::nullopt;  ///< a truth that is not counted
};
/// The share of `target` ([N, ...], integers) that is among the k largest of `scores` ([N, C, ...]): f64, rank 0, on
/// their device; NaN where nothing is counted. Of equal scores the lower class is the larger, so that k = 1 is the
/// accuracy of argmax; a NaN is larger than all numbers, and a truth whose score is NaN is a miss.
/// Equivalent, but for equal scores: torchmetrics' top_k accuracy (micro).
[[nodiscard]] WEFT_API Tensor topk_accuracy(const Tensor& scores, const Tensor& target, int64_t k,
                                            const TopkOptions& o = {});

/// Average precision: the sum over all different scores s, in falling order, of (recall at s - recall before) times
/// precision at s, where "at s" takes scores >= s for positive. Not interpolated. Equivalent: scikit-learn's
/// average_precision_score; a class without positives is NaN, and the mean leaves it out (scikit-learn: 0).
class WEFT_API AveragePrecision {
 public:
  /// scores [N] with target [N] (0 or 1), scores [N, C] with target [N] (a class), or with target [N, C] (0 or 1).
  /// ShapeError; the values are checked by `by_class`.
  void update(const Tensor& scores, const Tensor& target);
  /// Joins the scores of all ranks, on every rank; some may have none. Every rank calls it. ShapeError where they
  /// differ in more than N.
  void all_gather_(const ProcessGroup& group);
  /// Forgets all scores.
  void reset() { scores_.clear(), targets_.clear(); }
  /// One number for [N], else one for each class. ValueError for scores that are NaN, and for targets that are neither
  /// 0 nor 1, or no class.
  std::vector<double> by_class() const;
  /// The mean over classes with positives.
  double compute() const;

 private:
  std::vector<Tensor> scores_, targets_;
};
/// AveragePrecision of one batch.
[[nodiscard]] WEFT_API double average_precision(const Tensor& scores, const Tensor& target);

/// A weighted mean, in f64. Tensors are summed on their device, without waiting for it.
///     mean.update(loss.detach(), batch_size);
class WEFT_API Mean {
 public:
  /// Adds value with that weight.
  void update(double value, double weight = 1);
  /// Each element counts with that weight.
  void update(const Tensor& values, double weight = 1);
  /// Adds the values of all ranks, on every rank: once, when all are there. Every rank calls it.
  void all_reduce_(const ProcessGroup& group);
  /// Forgets all values.
  void reset() { *this = Mean(); }
  /// NaN without data.
  double compute() const;
  /// `sum`, `tensor_sum` and `weight`, f64: two sums, so that a loaded mean rounds as the one that was saved.
  StateDict state_dict() const;
  /// ValueError for what is missing or no number; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 private:
  double sum_ = 0, weight_ = 0;
  Tensor device_sum_;
};

/// An exponential average of numbers that come one by one, such as the loss beside a progress bar: average =
/// decay average + (1 - decay) value, divided by 1 - decay^t after t values, so that it does not begin at 0.
class WEFT_API Ema {
 public:
  /// ValueError for a decay outside [0, 1).
  explicit Ema(double decay = 0.98);
  /// Takes the next value.
  void update(double value);
  /// Forgets all values.
  void reset() { average_ = weight_ = 0; }
  /// NaN before the first value.
  double compute() const;
  /// `average` and `weight`, f64.
  StateDict state_dict() const;
  /// ValueError for what is missing or no number; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 private:
  double decay_, average_ = 0, weight_ = 0;
};

}  // namespace weft::training
