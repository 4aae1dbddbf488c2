// Stops a run that gets no better.
// Knows numbers only.
#pragma once

#include <limits>

#include "weft/core/state_dict.h"

namespace weft::training {

/// Options of EarlyStopping.
struct EarlyStoppingOptions {
  int64_t patience = 10;         ///< evaluations without a better metric, in a row, that end the run
  double min_delta = 0;          ///< better means: by more than this
  bool higher_is_better = true;  ///< false for losses
};

/// Counts how long a metric has not become better. A part of a checkpoint like a model.
///     training::EarlyStopping stopping({.patience = 5});
///     if (stopping.update(miou)) break;
class WEFT_API EarlyStopping {
 public:
  /// ValueError for a patience below 1, or a `min_delta` that is negative or NaN.
  explicit EarlyStopping(const EarlyStoppingOptions& o = {});
  /// Takes the next metric, and says whether the patience is used up. NaN is no improvement.
  bool update(double metric);
  /// Is the patience used up?
  bool stopped() const { return waited_ >= o_.patience; }
  /// The best metric so far, NaN before the first; how many updates ago that was.
  double best() const { return best_; }
  int64_t waited() const { return waited_; }
  /// `best`, f64, and `waited`, i64.
  StateDict state_dict() const;
  /// ValueError for what is missing or no such number; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 private:
  EarlyStoppingOptions o_;
  double best_ = std::numeric_limits<double>::quiet_NaN();
  int64_t waited_ = 0;
};

}  // namespace weft::training
