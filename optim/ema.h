// A moving average of weights, to evaluate and to ship instead of the last ones.
#pragma once

#include <vector>

#include "weft/core/alive.h"
#include "weft/optim/param_list.h"
#include "weft/optim/state.h"

namespace weft::optim {

/// Options of ExponentialMovingAverage.
struct EmaOptions {
  double decay = 0.999;  ///< share of the average that stays in an update; in [0, 1]
  /// min(decay, (1 + t) / (10 + t)) in update t = 1, 2, ...: the first weights are soon forgotten
  bool warmup = false;
};

/// average = decay average + (1 - decay) weights at every `update()`; it begins with the weights at construction.
/// (Polyak & Juditsky 1992; PyTorch's AveragedModel with get_ema_multi_avg_fn, which begins at the first update.)
/// Halves are averaged in f32.
///     optim::ExponentialMovingAverage ema(model.parameters(), {.decay = 0.999});
///     ... opt.step(); ema.update(); ...
///     { auto scope = ema.average_parameters(); evaluate(model); }
class WEFT_API ExponentialMovingAverage {
 public:
  /// `buffers` (`model.buffers()`) are averaged as well; those that are not floating are copied. Without
  /// `buffers` the model keeps its own. ValueError for a decay outside [0, 1], an undefined tensor, or one given twice.
  explicit ExponentialMovingAverage(ParamList params, const EmaOptions& o = {}, const ParamList& buffers = {});
  ~ExponentialMovingAverage();
  ExponentialMovingAverage(const ExponentialMovingAverage&) = delete;
  ExponentialMovingAverage& operator=(const ExponentialMovingAverage&) = delete;

  /// After every optimiser step. Error while the averages are in use.
  void update();
  /// Number of updates so far.
  int64_t updates() const { return updates_; }

  /// While it lives, the parameters hold the averages. Nothing is copied: contents change places, back at the end.
  class [[nodiscard]] Scope {
   public:
    /// A scope moves; its end puts the weights back.
    Scope(Scope&& o) noexcept : ema_(std::exchange(o.ema_, nullptr)) {}
    Scope& operator=(Scope&&) = delete;
    WEFT_API ~Scope();

   private:
    friend class ExponentialMovingAverage;
    explicit Scope(ExponentialMovingAverage* ema) : ema_(ema) {}
    ExponentialMovingAverage* ema_;
  };
  /// Error when the averages are in use already. The scope must not outlive the average.
  Scope average_parameters();
  /// Puts the averages into the parameters for good.
  void copy_to_parameters();

  /// `average.INDEX` in the order of parameters and buffers, `updates`, `decay` and `warmup` as metadata.
  StateDict state_dict() const;
  /// One ValueError for all that is missing, unexpected, misshapen or no number; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 private:
  struct Entry {
    Tensor source;   // the parameter or buffer
    Tensor average;  // its dtype and order of elements
    Tensor master;   // f32, of halves
  };
  void check_idle(const char* what) const;
  void follow();
  void swap();
  EmaOptions o_;
  std::vector<Entry> entries_;
  int64_t updates_ = 0;
  bool in_use_ = false;
  weft::detail::Alive alive_;
};

}  // namespace weft::optim
