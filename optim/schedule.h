// Learning-rate schedules in closed form: a rate is a function of the number of steps, so that a schedule resumes at
// any step. Knows of an optimiser only what all optimisers have.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "weft/core/alive.h"
#include "weft/core/choice.h"
#include "weft/optim/optimizer.h"

namespace weft::optim {

/// Sets the rates of an optimiser: the first on construction, the next at every `step()`, which follows the optimiser's
/// step, once per iteration or epoch. A copy counts on its own. The optimiser must outlive the schedule.
///     optim::Schedule schedule(opt, [](int64_t i, double base) { return base / (1 + 0.01 * i); });
/// The types below have no members of their own: they make a Schedule, and a `std::vector<Schedule>` holds any of them.
/// Their constructors throw a ValueError for counts below 1 and factors out of range.
class WEFT_API Schedule {
 public:
  /// The rate of a group after i calls of step(). base: what the group's rate was when the optimiser's first schedule
  /// was made, as in PyTorch.
  using Rate = std::function<double(int64_t i, double base)>;
  /// The momentum after i calls, or nothing to leave it as it is.
  using Momentum = std::function<std::optional<double>(int64_t i)>;

  /// ValueError for an empty rate; NotSupported for a momentum where the optimiser has none.
  Schedule(Optimizer& opt, Rate rate, Momentum momentum = {});
  /// Goes to the next step and sets its rates.
  void step();
  /// Calls of step() so far.
  int64_t steps() const { return i_; }
  /// The rate after i steps for that base rate; changes nothing.
  double rate(int64_t i, double base) const { return rate_(i, base); }
  /// The momentum after i steps, or nothing; changes nothing.
  std::optional<double> momentum(int64_t i) const { return momentum_ ? momentum_(i) : std::nullopt; }
  /// The rates that the schedule has set, by group.
  std::vector<double> get_last_lr() const;
  /// Steps so far and base rates, as metadata. Functions are not saved.
  StateDict state_dict() const;
  /// ValueError that names what is missing or no number; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 protected:
  /// For derived classes, which call `start`.
  explicit Schedule(Optimizer& opt);
  /// Sets the first rate: a constructor checks its arguments, then calls this.
  void start(Rate rate, Momentum momentum = {});

 private:
  /// Goes to step i with these base rates; stays where it is when that throws.
  void apply(int64_t i, std::vector<double> base);
  Optimizer* opt_;
  Rate rate_;
  Momentum momentum_;
  std::vector<double> base_;
  int64_t i_ = 0;
  weft::detail::Alive alive_;
};
/// PyTorch's name of Schedule.
using LRScheduler = Schedule;

/// base * f(i).
struct WEFT_API LambdaLR : Schedule {
  LambdaLR(Optimizer& opt, std::function<double(int64_t)> f);
};
/// base * f(1) * ... * f(i).
struct WEFT_API MultiplicativeLR : Schedule {
  MultiplicativeLR(Optimizer& opt, std::function<double(int64_t)> f);
};
/// base * gamma^floor(i / step_size).
struct WEFT_API StepLR : Schedule {
  StepLR(Optimizer& opt, int64_t step_size, double gamma = 0.1);
};
/// base * gamma^(number of milestones that are <= i).
struct WEFT_API MultiStepLR : Schedule {
  MultiStepLR(Optimizer& opt, std::vector<int64_t> milestones, double gamma = 0.1);
};
/// base * gamma^i.
struct WEFT_API ExponentialLR : Schedule {
  ExponentialLR(Optimizer& opt, double gamma);
};
/// eta_min + (base - eta_min) (1 + cos(pi i / T_max)) / 2; rises again after T_max.
struct WEFT_API CosineAnnealingLR : Schedule {
  CosineAnnealingLR(Optimizer& opt, int64_t T_max, double eta_min = 0);
};
/// CosineAnnealingLR over periods of T_0, T_0 T_mult, T_0 T_mult^2, ... (Loshchilov & Hutter 2017).
struct WEFT_API CosineAnnealingWarmRestarts : Schedule {
  CosineAnnealingWarmRestarts(Optimizer& opt, int64_t T_0, int64_t T_mult = 1, double eta_min = 0);
};
/// base * (1 - min(i, total_iters) / total_iters)^power.
struct WEFT_API PolynomialLR : Schedule {
  explicit PolynomialLR(Optimizer& opt, int64_t total_iters = 5, double power = 1);
};
/// base times a factor that goes from start_factor to end_factor in total_iters steps.
struct WEFT_API LinearLR : Schedule {
  explicit LinearLR(Optimizer& opt, double start_factor = 1.0 / 3, double end_factor = 1, int64_t total_iters = 5);
};
/// base * factor for total_iters steps, then base.
struct WEFT_API ConstantLR : Schedule {
  explicit ConstantLR(Optimizer& opt, double factor = 1.0 / 3, int64_t total_iters = 5);
};
/// base (i + 1) / warmup while i < warmup, then base (1 - (i - warmup) / (total - warmup))^power, 0 from total on.
struct WEFT_API WarmupPolyLR : Schedule {
  WarmupPolyLR(Optimizer& opt, int64_t total, int64_t warmup = 0, double power = 0.9);
};
/// The warm-up of WarmupPolyLR, then base times a cosine from 1 to min_factor at total, and min_factor from there on.
struct WEFT_API WarmupCosineLR : Schedule {
  WarmupCosineLR(Optimizer& opt, int64_t total, int64_t warmup = 0, double min_factor = 0);
};

/// Options of OneCycleLR: max_lr, and total_steps or both of epochs and steps_per_epoch, are required.
struct OneCycleOptions {
  /// Along a cosine, or straight.
  enum class Anneal : uint8_t { cos, linear };
  double max_lr;                                     ///< the highest rate
  int64_t total_steps = 0;                           ///< or epochs steps_per_epoch
  int64_t epochs = 0, steps_per_epoch = 0;           ///< total_steps = epochs * steps_per_epoch
  double pct_start = 0.3;                            ///< share of the steps in which the rate rises
  Choice<Anneal> anneal_strategy = Anneal::cos;      ///< how the rate goes between the two
  bool cycle_momentum = true;                        ///< momentum goes the other way
  double base_momentum = 0.85, max_momentum = 0.95;  ///< momentum at the highest rate, and at the lowest
  double div_factor = 25;                            ///< the first rate is max_lr / div_factor
  double final_div_factor = 1e4;                     ///< the last one is the first / final_div_factor
  bool three_phase = false;                          ///< up, down to the first rate, then down to the last
};
constexpr auto mode_words(OneCycleOptions::Anneal) {
  return make_words("OneCycleLR: anneal_strategy", "cos", "linear");
}
/// The rate goes up to max_lr and down again in total_steps rates (Smith & Topin 2019); one step more goes on along the
/// curve, ValueError beyond, as in PyTorch. NotSupported for cycle_momentum where the optimiser has no momentum.
struct WEFT_API OneCycleLR : Schedule {
  OneCycleLR(Optimizer& opt, OneCycleOptions o);
  OneCycleLR(Optimizer& opt, double max_lr, int64_t total_steps) : OneCycleLR(opt, {max_lr, total_steps}) {}
};

/// Options of CyclicLR; both rates are required.
struct CyclicOptions {
  /// The heights of the cycles, below.
  enum class Mode : uint8_t { triangular, triangular2, exp_range };
  double base_lr, max_lr;                          ///< lowest and highest rate of the first cycle
  int64_t step_size_up = 2000;                     ///< steps from base_lr to max_lr
  int64_t step_size_down = 0;                      ///< 0: as step_size_up
  Choice<Mode> mode = Mode::triangular;            ///< see below
  double gamma = 1;                                ///< of exp_range
  bool cycle_momentum = true;                      ///< momentum goes the other way
  double base_momentum = 0.8, max_momentum = 0.9;  ///< momentum at the highest rate, and at the lowest
};
constexpr auto mode_words(CyclicOptions::Mode) {
  return make_words("CyclicLR: mode", "triangular", "triangular2", "exp_range");
}
/// The rate goes straight up from base_lr to max_lr and down again (Smith 2017), with heights 1; 1, 1/2, 1/4, ...
/// (triangular2); or gamma^i (exp_range). NotSupported for cycle_momentum where the optimiser has no momentum.
struct WEFT_API CyclicLR : Schedule {
  CyclicLR(Optimizer& opt, CyclicOptions o);
  CyclicLR(Optimizer& opt, double base_lr, double max_lr) : CyclicLR(opt, CyclicOptions{base_lr, max_lr}) {}
};

/// Options of EncodingLR; mode and both numbers are required.
struct EncodingLROptions {
  /// A cosine, a power of 0.9, or steps by 0.1.
  enum class Mode : uint8_t { cos, poly, step };
  Choice<Mode> mode;                    ///< the curve
  int64_t num_epochs, iters_per_epoch;  ///< of the whole run
  int64_t lr_step = 0;                  ///< epochs of `step`
  int64_t warmup_epochs = 0;            ///< W / iters_per_epoch, below
};
constexpr auto mode_words(EncodingLROptions::Mode) { return make_words("EncodingLR: mode", "cos", "poly", "step"); }
/// PyTorch-Encoding's LR_Scheduler. i < W = warmup_epochs iters_per_epoch: base i / W, so that the first step changes
/// nothing (its quirk). From there, with s = (i - W) / ((num_epochs - warmup_epochs) iters_per_epoch): base (1 + cos(pi
/// s)) / 2, base (1 - s)^0.9, or base 0.1^floor(epoch / lr_step). Groups keep their own base, where the original gives
/// all but the first ten times the rate.
struct WEFT_API EncodingLR : Schedule {
  EncodingLR(Optimizer& opt, const EncodingLROptions& o);
};

/// Several schedules at once: each takes the rate of the one before as its base, so that factors multiply. As PyTorch's
/// for schedules that multiply the rate (with eta_min = 0 for the cosines); the momentum is that of the last one that
/// has any. The parts are asked for rates and never stepped.
///     ChainedScheduler schedule(opt, LinearLR(opt), ExponentialLR(opt, 0.9));
struct WEFT_API ChainedScheduler : Schedule {
  ChainedScheduler(Optimizer& opt, const std::vector<Schedule>& parts);
  template <std::derived_from<Schedule>... S>
  requires(sizeof...(S) > 0) explicit ChainedScheduler(Optimizer& opt, S... parts)
      : ChainedScheduler(opt, std::vector<Schedule>{std::move(parts)...}) {}
};

/// Schedules one after the other: part k runs from step milestones[k - 1] on and counts from there.
///     SequentialLR schedule(opt, {LinearLR(opt, 0.1, 1, 5), CosineAnnealingLR(opt, 95)}, {5});
/// ValueError unless there is one milestone less than parts, in rising order.
struct WEFT_API SequentialLR : Schedule {
  SequentialLR(Optimizer& opt, const std::vector<Schedule>& parts, const std::vector<int64_t>& milestones);
  template <std::derived_from<Schedule>... S>
  requires(sizeof...(S) > 0) SequentialLR(Optimizer& opt, std::vector<int64_t> milestones, S... parts)
      : SequentialLR(opt, std::vector<Schedule>{std::move(parts)...}, std::move(milestones)) {}
};

/// Options of ReduceLROnPlateau.
struct PlateauOptions {
  /// Which metric is better: the smaller or the greater.
  enum class Mode : uint8_t { min, max };
  /// What `threshold` is: a share, or a difference.
  enum class ThresholdMode : uint8_t { rel, abs };
  Choice<Mode> mode = Mode::min;                              ///< max: of accuracies
  double factor = 0.1;                                        ///< of the rate, below 1
  int64_t patience = 10;                                      ///< bad epochs that are tolerated
  double threshold = 1e-4;                                    ///< a smaller improvement does not count
  Choice<ThresholdMode> threshold_mode = ThresholdMode::rel;  ///< a share of the best value, or a difference from it
  int64_t cooldown = 0;                                       ///< epochs after a reduction that do not count
  double min_lr = 0;                                          ///< the rate does not go below it
  double eps = 1e-8;                                          ///< smaller changes are not made
};
constexpr auto mode_words(PlateauOptions::Mode) { return make_words("ReduceLROnPlateau: mode", "min", "max"); }
constexpr auto mode_words(PlateauOptions::ThresholdMode) {
  return make_words("ReduceLROnPlateau: threshold_mode", "rel", "abs");
}
/// rate *= factor when `metric` has not improved for more than `patience` calls of step(metric). No Schedule: its rates
/// follow from the metrics.
class WEFT_API ReduceLROnPlateau {
 public:
  /// ValueError for a factor of 1 or more.
  explicit ReduceLROnPlateau(Optimizer& opt, const PlateauOptions& o = {});
  /// PyTorch's order: `ReduceLROnPlateau(opt, "min", 0.5, 3)`.
  template <std::convertible_to<Choice<PlateauOptions::Mode>> M>
  ReduceLROnPlateau(Optimizer& opt, const M& mode, double factor = 0.1, int64_t patience = 10)
      : ReduceLROnPlateau(opt, PlateauOptions{.mode = mode, .factor = factor, .patience = patience}) {}
  /// Counts one epoch with this metric and lowers the rates where it is due.
  void step(double metric);
  /// The optimiser's rates, by group.
  std::vector<double> get_last_lr() const;
  /// What it has counted, as metadata; the optimiser's rates are not in it. Loading: ValueError for what is missing or
  /// no number, and nothing is changed then.
  StateDict state_dict() const;
  void load_state_dict(const StateDict& dict);

 private:
  bool better(double metric) const;
  Optimizer& opt_;
  PlateauOptions o_;
  double best_;
  int64_t bad_ = 0, cooling_ = 0;
};

/// torch.optim.lr_scheduler: optim::lr_scheduler::StepLR.
namespace lr_scheduler = weft::optim;

}  // namespace weft::optim
