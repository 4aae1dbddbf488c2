// Learning-rate schedules, in closed form: the rate is a function of the number of steps, so that a schedule can be resumed at any.
// Knows optimisers through what every one of them has.
#pragma once

#include <functional>
#include <vector>

#include "weft/optim/optimizer.h"

namespace weft::optim {

/// Base of the schedules. The first rate is set on construction; `step()` once per iteration or epoch, after the optimiser's.
/// i counts the calls of step(), base is a group's rate at construction. The optimiser must outlive the schedule.
class WEFT_API Schedule {
 public:
  explicit Schedule(Optimizer& opt);
  virtual ~Schedule();
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;
  void step();
  int64_t steps() const { return i_; }
  /// Steps so far and base rates, as metadata.
  StateDict state_dict() const;
  void load_state_dict(const StateDict& dict);

 protected:
  /// The rate after i steps.
  virtual double rate(int64_t i, double base) const = 0;
  virtual void apply();
  Optimizer& opt_;
  std::vector<double> base_;
  int64_t i_ = 0;
};

/// base * f(i).
class WEFT_API LambdaLR : public Schedule {
 public:
  LambdaLR(Optimizer& opt, std::function<double(int64_t)> f) : Schedule(opt), f_(std::move(f)) {
    WEFT_CHECK(f_, ValueError, "LambdaLR: the function is empty");
    apply();
  }

 protected:
  double rate(int64_t i, double base) const override { return base * f_(i); }

 private:
  std::function<double(int64_t)> f_;
};

/// base * gamma^floor(i / step_size).
class WEFT_API StepLR : public Schedule {
 public:
  StepLR(Optimizer& opt, int64_t step_size, double gamma = 0.1);

 protected:
  double rate(int64_t i, double base) const override;

 private:
  int64_t step_size_;
  double gamma_;
};

/// base * gamma^(number of milestones that are <= i).
class WEFT_API MultiStepLR : public Schedule {
 public:
  MultiStepLR(Optimizer& opt, std::vector<int64_t> milestones, double gamma = 0.1);

 protected:
  double rate(int64_t i, double base) const override;

 private:
  std::vector<int64_t> milestones_;
  double gamma_;
};

/// base * gamma^i.
class WEFT_API ExponentialLR : public Schedule {
 public:
  ExponentialLR(Optimizer& opt, double gamma) : Schedule(opt), gamma_(gamma) { apply(); }

 protected:
  double rate(int64_t i, double base) const override;

 private:
  double gamma_;
};

/// eta_min + (base - eta_min) (1 + cos(pi i / T_max)) / 2; rises again after T_max.
class WEFT_API CosineAnnealingLR : public Schedule {
 public:
  CosineAnnealingLR(Optimizer& opt, int64_t T_max, double eta_min = 0);

 protected:
  double rate(int64_t i, double base) const override;

 private:
  int64_t t_max_;
  double eta_min_;
};

/// The same over periods of T_0, T_0 T_mult, T_0 T_mult^2, ... (Loshchilov & Hutter 2017).
class WEFT_API CosineAnnealingWarmRestarts : public Schedule {
 public:
  CosineAnnealingWarmRestarts(Optimizer& opt, int64_t T_0, int64_t T_mult = 1, double eta_min = 0);

 protected:
  double rate(int64_t i, double base) const override;

 private:
  int64_t t_0_, t_mult_;
  double eta_min_;
};

/// base * (1 - min(i, total_iters) / total_iters)^power.
class WEFT_API PolynomialLR : public Schedule {
 public:
  explicit PolynomialLR(Optimizer& opt, int64_t total_iters = 5, double power = 1);

 protected:
  double rate(int64_t i, double base) const override;

 private:
  int64_t total_;
  double power_;
};

/// base times a factor that goes from start_factor to end_factor in total_iters steps.
class WEFT_API LinearLR : public Schedule {
 public:
  explicit LinearLR(Optimizer& opt, double start_factor = 1.0 / 3, double end_factor = 1, int64_t total_iters = 5);

 protected:
  double rate(int64_t i, double base) const override;

 private:
  double start_, end_;
  int64_t total_;
};

/// base * factor for total_iters steps, then base.
class WEFT_API ConstantLR : public Schedule {
 public:
  explicit ConstantLR(Optimizer& opt, double factor = 1.0 / 3, int64_t total_iters = 5);

 protected:
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
  bool cycle_momentum = true;  ///< momentum goes the other way, where the optimiser has one
  double base_momentum = 0.85, max_momentum = 0.95;
  double div_factor = 25;         ///< the first rate is max_lr / div_factor
  double final_div_factor = 1e4;  ///< the last one is the first / final_div_factor
  bool three_phase = false;       ///< up, down to the first rate, then down to the last
};
/// Up to max_lr and down again in total_steps (Smith & Topin 2019). ValueError for more steps than that.
class WEFT_API OneCycleLR : public Schedule {
 public:
  OneCycleLR(Optimizer& opt, const OneCycleOptions& o);

 protected:
  double rate(int64_t i, double base) const override;
  void apply() override;

 private:
  double along(int64_t i, double first, double top, double last) const;
  OneCycleOptions o_;
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

 protected:
  double rate(int64_t i, double base) const override;

 private:
  int64_t total_, warmup_;
  double power_;
};

/// The same warm-up, then base times a cosine from 1 to min_factor at total, and min_factor from there on.
class WEFT_API WarmupCosineLR : public Schedule {
 public:
  WarmupCosineLR(Optimizer& opt, int64_t total, int64_t warmup = 0, double min_factor = 0);

 protected:
  double rate(int64_t i, double base) const override;

 private:
  int64_t total_, warmup_;
  double min_factor_;
};

}  // namespace weft::optim
