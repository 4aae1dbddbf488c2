#include "weft/train/early_stopping.h"

#include <cmath>

#include "weft/train/numbers.h"

namespace weft::training {

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& o) : o_(o) {
  WEFT_CHECK(o.patience >= 1, ValueError, "EarlyStopping: patience must be at least 1, got ", o.patience);
  WEFT_CHECK(o.min_delta >= 0, ValueError, "EarlyStopping: min_delta must not be negative, got ", o.min_delta);
}

bool EarlyStopping::update(double metric) {
  const double gain = o_.higher_is_better ? metric - best_ : best_ - metric;
  // The first number is better than none. Equal infinities have no difference.
  if (std::isnan(best_) ? !std::isnan(metric) : gain > o_.min_delta) {
    best_ = metric;
    waited_ = 0;
  } else {
    ++waited_;
  }
  return stopped();
}

StateDict EarlyStopping::state_dict() const { return with_number(with_number({}, "best", best_), "waited", waited_); }

void EarlyStopping::load_state_dict(const StateDict& dict) {
  const auto best = number_of<double>(dict, "best");
  waited_ = number_of<int64_t>(dict, "waited");
  best_ = best;
}

}  // namespace weft::training
