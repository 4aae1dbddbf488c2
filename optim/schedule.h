// Learning-rate schedules, in closed form: the rate is a function of the number of steps, so that a schedule can be resumed at any.
// Knows optimisers through what every one of them has.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "weft/optim/optimizer.h"

namespace weft::optim {

/// Base of the schedules. The first rate is set on construction; `step()` once per iteration or epoch, after the optimiser's.
/// i counts the calls of step(), base is a group's initial rate: what it had when the optimiser's first schedule was made, as in
/// PyTorch. The optimiser must outlive the schedule.
class WEFT_API Schedule {
 public:
  explicit Schedule(Optimizer& opt);
  virtual ~Schedule();
  Schedule(Schedule&&) = default;  // into a ChainedScheduler or SequentialLR
  Schedule& operator=(const Schedule&) = delete;
  void step();
  int64_t steps() const { return i_; }
  /// The rate after i steps.
  virtual double rate(int64_t i, double base) const = 0;
  /// The momentum after i steps, of schedules that change it.
  virtual std::optional<double> momentum(int64_t i) const;
  /// Steps so far and base rates, as metadata. Functions are not saved.
  StateDict state_dict() const;
  /// ValueError that names what is missing or no number; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 protected:
  void apply() { apply(i_, base_); }
  Optimizer& opt_;
  std::vector<double> base_;
  int64_t i_ = 0;

 private:
  /// Goes to step i with these base rates; stays where it is when that throws.
  void apply(int64_t i, std::vector<double> base);
};

/// base * f(i).
class WEFT_API LambdaLR : public Schedule {
 public:
  LambdaLR(Optimizer& opt, std::function<double(int64_t)> f) : Schedule(opt), f_(std::move(f)) {
    WEFT_CHECK(f_, ValueError, "LambdaLR: the function is empty");
    apply();
  }
  double rate(int64_t i, double base) const override { return base * f_(i); }

 private:
  std::function<double(int64_t)> f_;
};

/// base * f(1) * ... * f(i).
class WEFT_API MultiplicativeLR : public Schedule {
 public:
  MultiplicativeLR(Optimizer& opt, std::function<double(int64_t)> f);
  double rate(int64_t i, double base) const override;

 private:
  std::function<double(int64_t)> f_;
  mutable int64_t at_ = 0;  // the product up to here
  mutable double product_ = 1;
};

/// base * gamma^floor(i / step_size).
class WEFT_API StepLR : public Schedule {
 public:
  StepLR(Optimizer& opt, int64_t step_size, double gamma = 0.1);
  double rate(int64_t i, double base) const override;

 private:
  int64_t step_size_;
  double gamma_;
};

/// base * gamma^(number of milestones that are <= i).
class WEFT_API MultiStepLR : public Schedule {
 public:
  MultiStepLR(Optimizer& opt, std::vector<int64_t> milestones, double gamma = 0.1);
  double rate(int64_t i, double base) const override;

 private:
  std::vector<int64_t> milestones_;
  double gamma_;
};

/// base * gamma^i.
class WEFT_API ExponentialLR : public Schedule {
 public:
  ExponentialLR(Optimizer& opt, double gamma) : Schedule(opt), gamma_(gamma) { apply(); }
  double rate(int64_t i, double base) const override;

 private:
  double gamma_;
};

/// eta_min + (base - eta_min) (1 + cos(pi i / T_max)) / 2; rises again after T_max.
class WEFT_API CosineAnnealingLR : public Schedule {
 public:
  CosineAnnealingLR(Optimizer& opt, int64_t T_max, double eta_min = 0);
  double rate(int64_t i, double base) const override;

 private:
  int64_t t_max_;
  double eta_min_;
};

/// The same over periods of T_0, T_0 T_mult, T_0 T_mult^2, ... (Loshchilov & Hutter 2017).
class WEFT_API CosineAnnealingWarmRestarts : public Schedule {
 public:
  CosineAnnealingWarmRestarts(Optimizer& opt, int64_t T_0, int64_t T_mult = 1, double eta_min = 0);
  double rate(int64_t i, double base) const override;

 private:
  int64_t t_0_, t_mult_;
  double eta_min_;
};

/// base * (1 - min(i, total_iters) / total_iters)^power.
class WEFT_API PolynomialLR : public Schedule {
 public:
  explicit PolynomialLR(Optimizer& opt, int64_t total_iters = 5, double power = 1);
  double rate(int64_t i, double base) const override;

 private:
  int64_t total_;
  double power_;
};

/// base times a factor that goes from start_factor to end_factor in total_iters steps.
class WEFT_API LinearLR : public Schedule {
 public:
  explicit LinearLR(Optimizer& opt, double start_factor = 1.0 / 3, double end_factor = 1, int64_t total_iters = 5);
  double rate(int64_t i, double base) const override;

 private:
  double start_, end_;
  int64_t total_;
};

/// base * factor for total_iters steps, then base.
class WEFT_API ConstantLR : public Schedule {
 public:
  explicit ConstantLR(Optimizer& opt, double factor = 1.0 / 3, int64_t total_iters = 5);
  double rate(int64_t i, double base) const override;

 private:
  double factor_;
  int64_t total_;
};

struct OneCycleOptions {
  double max_lr;
  int64_t total_steps;
  double pct_start = 0.3;      ///< share of the steps in which the rate rises
  bool cosine = true;          ///< linear otherwise
  bool cycle_momentum = true;  ///< momentum goes the other way
  double base_momentum = 0.85, max_momentum = 0.95;
  double div_factor = 25;         ///< the first rate is max_lr / div_factor
  double final_div_factor = 1e4;  ///< the last one is the first / final_div_factor
  bool three_phase = false;       ///< up, down to the first rate, then down to the last
};
/// Up to max_lr and down again in total_steps rates (Smith & Topin 2019); one step more goes on along the curve, ValueError beyond,
/// as in PyTorch. NotSupported for cycle_momentum where the optimiser has no momentum.
class WEFT_API OneCycleLR : public Schedule {
 public:
  OneCycleLR(Optimizer& opt, const OneCycleOptions& o);
  double rate(int64_t i, double base) const override;
  std::optional<double> momentum(int64_t i) const override;

 private:
  double along(int64_t i, double first, double top, double last) const;
  OneCycleOptions o_;
};

struct CyclicOptions {
  enum class Mode : uint8_t { triangular, triangular2, exp_range };
  double base_lr, max_lr;
  int64_t step_size_up = 2000;
  int64_t step_size_down = 0;  ///< 0: as step_size_up
  Mode mode = Mode::triangular;
  double gamma = 1;            ///< of exp_range
  bool cycle_momentum = true;  ///< momentum goes the other way
  double base_momentum = 0.8, max_momentum = 0.9;
};
/// Straight up from base_lr to max_lr and down again (Smith 2017), with heights 1; 1, 1/2, 1/4, ... (triangular2); or gamma^i
/// (exp_range). NotSupported for cycle_momentum where the optimiser has no momentum.
class WEFT_API CyclicLR : public Schedule {
 public:
  CyclicLR(Optimizer& opt, const CyclicOptions& o);
  double rate(int64_t i, double base) const override;
  std::optional<double> momentum(int64_t i) const override;

 private:
  double height(int64_t i) const;
  CyclicOptions o_;
};

/// What schedules of schedules share. Parts are made in place, `ChainedScheduler(opt, LinearLR(opt), ExponentialLR(opt, 0.9))`,
/// and belong to it; they are asked for rates and never stepped.
class WEFT_API CompositeSchedule : public Schedule {
 protected:
  template <std::derived_from<Schedule>... S>
  requires(sizeof...(S) > 0) explicit CompositeSchedule(Optimizer& opt, S... parts) : Schedule(opt) {
    (parts_.push_back(std::make_unique<S>(std::move(parts))), ...);
  }
  std::vector<std::unique_ptr<Schedule>> parts_;
};

/// All at once: each takes the rate of the one before as its base, so that factors multiply. As PyTorch's for schedules that
/// multiply the rate (with eta_min = 0 for the cosines); the momentum is that of the last one that has any.
class WEFT_API ChainedScheduler : public CompositeSchedule {
 public:
  template <std::derived_from<Schedule>... S>
  explicit ChainedScheduler(Optimizer& opt, S... parts) : CompositeSchedule(opt, std::move(parts)...) {
    apply();
  }
  double rate(int64_t i, double base) const override;
  std::optional<double> momentum(int64_t i) const override;
};

/// One after the other: part k from step milestones[k - 1] on, counting from there.
///     SequentialLR schedule(opt, {5}, LinearLR(opt, 0.1, 1, 5), CosineAnnealingLR(opt, 95));
class WEFT_API SequentialLR : public CompositeSchedule {
 public:
  /// ValueError unless there is one milestone less than parts, in rising order.
  template <std::derived_from<Schedule>... S>
  SequentialLR(Optimizer& opt, std::vector<int64_t> milestones, S... parts)
      : CompositeSchedule(opt, std::move(parts)...), milestones_(std::move(milestones)) {
    check();
    apply();
  }
  double rate(int64_t i, double base) const override;
  std::optional<double> momentum(int64_t i) const override;

 private:
  void check() const;
  /// The part that rules step i, and how many steps it has had.
  std::pair<const Schedule*, int64_t> part(int64_t i) const;
  std::vector<int64_t> milestones_;
};

struct PlateauOptions {
  enum class Mode : uint8_t { min, max } mode = Mode::min;
  double factor = 0.1;
  int64_t patience = 10;    ///< bad epochs that are tolerated
  double threshold = 1e-4;  ///< an improvement is more than this
  bool relative = true;     ///< times the best value; absolute otherwise
  int64_t cooldown = 0;     ///< epochs after a reduction that do not count
  double min_lr = 0;
  double eps = 1e-8;  ///< smaller changes are not made
};
/// rate *= factor when `metric` has not improved for more than `patience` calls of step(metric).
class WEFT_API ReduceLROnPlateau {
 public:
  /// ValueError for a factor of 1 or more.
  explicit ReduceLROnPlateau(Optimizer& opt, const PlateauOptions& o = {});
  void step(double metric);
  StateDict state_dict() const;
  void load_state_dict(const StateDict& dict);

 private:
  bool better(double metric) const;
  Optimizer& opt_;
  PlateauOptions o_;
  double best_;
  int64_t bad_ = 0, cooling_ = 0;
};

/// base (i + 1) / warmup while i < warmup, then base (1 - (i - warmup) / (total - warmup))^power, 0 from total on.
class WEFT_API WarmupPolyLR : public Schedule {
 public:
  WarmupPolyLR(Optimizer& opt, int64_t total, int64_t warmup = 0, double power = 0.9);
  double rate(int64_t i, double base) const override;

 private:
  int64_t total_, warmup_;
  double power_;
};

/// The same warm-up, then base times a cosine from 1 to min_factor at total, and min_factor from there on.
class WEFT_API WarmupCosineLR : public Schedule {
 public:
  WarmupCosineLR(Optimizer& opt, int64_t total, int64_t warmup = 0, double min_factor = 0);
  double rate(int64_t i, double base) const override;

 private:
  int64_t total_, warmup_;
  double min_factor_;
};

struct EncodingLROptions {
  enum class Mode : uint8_t { cos, poly, step } mode;
  int64_t num_epochs, iters_per_epoch;
  int64_t lr_step = 0;  ///< epochs of `step`
  int64_t warmup_epochs = 0;
};
/// PyTorch-Encoding's LR_Scheduler. i < W = warmup_epochs iters_per_epoch: base i / W, so that the first step changes nothing (its
/// quirk). From there, with s = (i - W) / ((num_epochs - warmup_epochs) iters_per_epoch): base (1 + cos(pi s)) / 2, base (1 - s)^0.9, or
/// base 0.1^floor(epoch / lr_step). Groups keep their own base, where the original gives all but the first ten times the rate.
class WEFT_API EncodingLR : public Schedule {
 public:
  EncodingLR(Optimizer& opt, const EncodingLROptions& o);
  double rate(int64_t i, double base) const override;

 private:
  EncodingLROptions o_;
};

}  // namespace weft::optim
