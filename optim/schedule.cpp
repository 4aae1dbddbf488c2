#include "weft/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "weft/core/recording.h"

namespace weft::optim {

namespace {

double ratio(int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }
double to_the(int64_t n, double x) { return std::pow(x, static_cast<double>(n)); }
double half_cosine(double share) { return (1 + std::cos(M_PI * share)) / 2; }

void positive(const char* what, int64_t x) { WEFT_CHECK(x > 0, ValueError, what, " must be positive, got ", x); }
void in_unit(const char* what, double x) {
  WEFT_CHECK(x >= 0 && x <= 1, ValueError, what, " must be in [0, 1], got ", x);
}

/// base (i + 1) / warmup, then base times `after` of the share of the steps from warmup to total.
template <class After> Schedule::Rate warmed_up(const char* name, int64_t total, int64_t warmup, After after) {
  WEFT_CHECK(total > warmup && warmup >= 0, ValueError, name, ": needs total > warmup >= 0, got ", total, " and ",
             warmup);
  return [=](int64_t i, double base) {
    if (i < warmup) return base * ratio(i + 1, warmup);
    return base * after(ratio(std::min(i, total) - warmup, total - warmup));
  };
}

/// A one-cycle schedule's value at step i of a course first -> top -> last (or first again, then last).
double along(const OneCycleOptions& o, int64_t i, double first, double top, double last) {
  const double n = static_cast<double>(o.total_steps), x = static_cast<double>(i);
  const double up = o.pct_start * n - 1;
  auto between = [&](double a, double b, double at, double length) {
    const double share = length > 0 ? at / length : 1;  // a phase may have no length
    return o.anneal_strategy == OneCycleOptions::Anneal::cos ? b + (a - b) * half_cosine(share) : a + (b - a) * share;
  };
  if (x <= up) return between(first, top, x, up);
  if (!o.three_phase) return between(top, last, x - up, n - 1 - up);
  const double down = 2 * o.pct_start * n - 2;
  return x <= down ? between(top, first, x - up, down - up) : between(first, last, x - down, n - 1 - down);
}

/// How far up a cyclic schedule is at step i, in [0, 1] times the cycle's own height.
double height(const CyclicOptions& o, int64_t i) {
  const int64_t period = o.step_size_up + o.step_size_down, cycle = i / period, at = i % period;
  const double up = at <= o.step_size_up ? ratio(at, o.step_size_up) : 1 - ratio(at - o.step_size_up, o.step_size_down);
  switch (o.mode) {
    case CyclicOptions::Mode::triangular: return up;
    case CyclicOptions::Mode::triangular2: return up / to_the(cycle, 2);
    default: return up * to_the(i, o.gamma);
  }
}

}  // namespace

Schedule::Schedule(Optimizer& opt) : opt_(&opt) {
  opt.keep_initial_lr();
  for (int64_t g = 0; g < opt.num_groups(); ++g) base_.push_back(opt.initial_lr(g));
}
Schedule::Schedule(Optimizer& opt, Rate rate, Momentum momentum) : Schedule(opt) {
  WEFT_CHECK(rate, ValueError, "Schedule: the function of the rate is empty");
  start(std::move(rate), std::move(momentum));
}
void Schedule::start(Rate rate, Momentum momentum) {
  rate_ = std::move(rate);
  momentum_ = std::move(momentum);
  apply(0, base_);
}

void Schedule::step() {
  if (weft::detail::Recording* r = weft::detail::recording())
    return r->defer(
        "step of a schedule", {}, {}, [this] { step(); }, [there = alive_.watch()] { return !there.expired(); });
  std::vector<double> base = base_;
  while (static_cast<int64_t>(base.size()) < opt_->num_groups())  // groups that were added since
    base.push_back(opt_->lr(static_cast<int64_t>(base.size())));
  apply(i_ + 1, std::move(base));
}
void Schedule::apply(int64_t i, std::vector<double> base) {
  const std::optional<double> m = momentum(i);
  std::vector<double> rates;
  for (double b : base) rates.push_back(rate(i, b));
  const auto groups = static_cast<int64_t>(rates.size());
  for (int64_t g = 0; m && g < groups; ++g) opt_->set_momentum(*m, g);  // refused by the first group, if at all
  for (int64_t g = 0; g < groups; ++g) opt_->set_lr(rates[static_cast<size_t>(g)], g);
  i_ = i;
  base_ = std::move(base);
}
std::vector<double> Schedule::get_last_lr() const {
  std::vector<double> out;
  for (double b : base_) out.push_back(rate(i_, b));
  return out;
}

StateDict Schedule::state_dict() const {
  StateDict out;
  out.metadata["steps"] = std::to_string(i_);
  for (size_t g = 0; g < base_.size(); ++g) out.metadata[weft::str("base.", g)] = number_text(base_[g]);
  return out;
}
void Schedule::load_state_dict(const StateDict& dict) {
  StateReader in(dict, "the schedule");
  int64_t i = in.count("steps");
  std::vector<double> base;
  for (size_t g = 0; g < base_.size(); ++g) base.push_back(in.number(weft::str("base.", g)));
  in.finish();
  apply(i, std::move(base));
}

LambdaLR::LambdaLR(Optimizer& opt, std::function<double(int64_t)> f) : Schedule(opt) {
  WEFT_CHECK(f, ValueError, "LambdaLR: the function is empty");
  start([f](int64_t i, double base) { return base * f(i); });
}

MultiplicativeLR::MultiplicativeLR(Optimizer& opt, std::function<double(int64_t)> f) : Schedule(opt) {
  WEFT_CHECK(f, ValueError, "MultiplicativeLR: the function is empty");
  // The product up to step `at` is kept, so that f is called once per step.
  start([f, at = int64_t{0}, product = 1.0](int64_t i, double base) mutable {
    if (i < at) at = 0, product = 1;
    while (at < i) product *= f(++at);
    return base * product;
  });
}

StepLR::StepLR(Optimizer& opt, int64_t step_size, double gamma) : Schedule(opt) {
  positive("StepLR: step_size", step_size);
  start([=](int64_t i, double base) { return base * to_the(i / step_size, gamma); });
}

MultiStepLR::MultiStepLR(Optimizer& opt, std::vector<int64_t> milestones, double gamma) : Schedule(opt) {
  std::sort(milestones.begin(), milestones.end());
  start([=](int64_t i, double base) {
    const auto next = std::upper_bound(milestones.begin(), milestones.end(), i);
    return base * to_the(next - milestones.begin(), gamma);
  });
}

ExponentialLR::ExponentialLR(Optimizer& opt, double gamma)
    : Schedule(opt, [=](int64_t i, double base) { return base * to_the(i, gamma); }) {}

CosineAnnealingLR::CosineAnnealingLR(Optimizer& opt, int64_t T_max, double eta_min) : Schedule(opt) {
  positive("CosineAnnealingLR: T_max", T_max);
  start([=](int64_t i, double base) { return eta_min + (base - eta_min) * half_cosine(ratio(i, T_max)); });
}

CosineAnnealingWarmRestarts::CosineAnnealingWarmRestarts(Optimizer& opt, int64_t T_0, int64_t T_mult, double eta_min)
    : Schedule(opt) {
  positive("CosineAnnealingWarmRestarts: T_0", T_0);
  positive("CosineAnnealingWarmRestarts: T_mult", T_mult);
  start([=](int64_t i, double base) {
    int64_t period = T_0;
    if (T_mult == 1) i %= period;
    else
      for (; i >= period; period *= T_mult) i -= period;
    return eta_min + (base - eta_min) * half_cosine(ratio(i, period));
  });
}

PolynomialLR::PolynomialLR(Optimizer& opt, int64_t total_iters, double power) : Schedule(opt) {
  positive("PolynomialLR: total_iters", total_iters);
  start(
      [=](int64_t i, double base) { return base * std::pow(1 - ratio(std::min(i, total_iters), total_iters), power); });
}

LinearLR::LinearLR(Optimizer& opt, double start_factor, double end_factor, int64_t total_iters) : Schedule(opt) {
  WEFT_CHECK(start_factor > 0 && start_factor <= 1 && end_factor >= 0 && end_factor <= 1, ValueError,
             "LinearLR: start_factor must be in (0, 1] and end_factor in [0, 1], got ", start_factor, " and ",
             end_factor);
  positive("LinearLR: total_iters", total_iters);
  start([=](int64_t i, double base) {
    return base * (start_factor + (end_factor - start_factor) * ratio(std::min(i, total_iters), total_iters));
  });
}

ConstantLR::ConstantLR(Optimizer& opt, double factor, int64_t total_iters) : Schedule(opt) {
  in_unit("ConstantLR: factor", factor);
  start([=](int64_t i, double base) { return i < total_iters ? base * factor : base; });
}

WarmupPolyLR::WarmupPolyLR(Optimizer& opt, int64_t total, int64_t warmup, double power)
    : Schedule(opt, warmed_up("WarmupPolyLR", total, warmup, [=](double s) { return std::pow(1 - s, power); })) {}

WarmupCosineLR::WarmupCosineLR(Optimizer& opt, int64_t total, int64_t warmup, double min_factor)
    : Schedule(opt, warmed_up("WarmupCosineLR", total, warmup,
                              [=](double s) { return min_factor + (1 - min_factor) * half_cosine(s); })) {}

OneCycleLR::OneCycleLR(Optimizer& opt, OneCycleOptions o) : Schedule(opt) {
  WEFT_CHECK(o.total_steps == 0 || (o.epochs == 0 && o.steps_per_epoch == 0), ValueError, "OneCycleLR: total_steps ",
             o.total_steps, " goes without epochs and steps_per_epoch, got ", o.epochs, " and ", o.steps_per_epoch);
  WEFT_CHECK(o.total_steps != 0 || (o.epochs != 0 && o.steps_per_epoch != 0), ValueError,
             "OneCycleLR: needs total_steps, or epochs and steps_per_epoch");
  if (o.total_steps == 0) o.total_steps = o.epochs * o.steps_per_epoch;
  positive("OneCycleLR: total_steps", o.total_steps);
  in_unit("OneCycleLR: pct_start", o.pct_start);
  Momentum momentum;
  if (o.cycle_momentum)
    momentum = [o](int64_t i) { return along(o, i, o.max_momentum, o.base_momentum, o.max_momentum); };
  start(
      [o, first = o.max_lr / o.div_factor](int64_t i, double) {
        WEFT_CHECK(i <= o.total_steps, ValueError, "OneCycleLR: step ", i, " of a cycle of ", o.total_steps, " steps");
        return along(o, i, first, o.max_lr, first / o.final_div_factor);
      },
      momentum);
}

CyclicLR::CyclicLR(Optimizer& opt, CyclicOptions o) : Schedule(opt) {
  positive("CyclicLR: step_size_up", o.step_size_up);
  if (o.step_size_down == 0) o.step_size_down = o.step_size_up;
  positive("CyclicLR: step_size_down", o.step_size_down);
  Momentum momentum;
  if (o.cycle_momentum)
    momentum = [o](int64_t i) { return o.max_momentum - (o.max_momentum - o.base_momentum) * height(o, i); };
  start([o](int64_t i, double) { return o.base_lr + (o.max_lr - o.base_lr) * height(o, i); }, momentum);
}

EncodingLR::EncodingLR(Optimizer& opt, const EncodingLROptions& o) : Schedule(opt) {
  using Mode = EncodingLROptions::Mode;
  positive("EncodingLR: iters_per_epoch", o.iters_per_epoch);
  WEFT_CHECK(o.warmup_epochs >= 0 && o.num_epochs > o.warmup_epochs, ValueError,
             "EncodingLR: needs num_epochs > warmup_epochs >= 0, got ", o.num_epochs, " and ", o.warmup_epochs);
  if (o.mode == Mode::step) positive("EncodingLR: lr_step", o.lr_step);
  const int64_t warmup = o.warmup_epochs * o.iters_per_epoch, total = o.num_epochs * o.iters_per_epoch - warmup;
  start([=](int64_t i, double base) {
    if (i < warmup) return base * ratio(i, warmup);
    switch (o.mode) {
      case Mode::cos: return base * half_cosine(ratio(i - warmup, total));
      case Mode::poly: return base * std::pow(1 - ratio(std::min(i - warmup, total), total), 0.9);
      default: return base * to_the(i / o.iters_per_epoch / o.lr_step, 0.1);
    }
  });
}

ChainedScheduler::ChainedScheduler(Optimizer& opt, const std::vector<Schedule>& parts) : Schedule(opt) {
  WEFT_CHECK(!parts.empty(), ValueError, "ChainedScheduler: needs at least one schedule");
  start(
      [parts](int64_t i, double base) {
        for (const Schedule& part : parts) base = part.rate(i, base);
        return base;
      },
      [parts](int64_t i) {
        std::optional<double> last;
        for (const Schedule& part : parts)
          if (auto m = part.momentum(i)) last = m;
        return last;
      });
}

SequentialLR::SequentialLR(Optimizer& opt, const std::vector<Schedule>& parts, const std::vector<int64_t>& milestones)
    : Schedule(opt) {
  WEFT_CHECK(milestones.size() + 1 == parts.size(), ValueError, "SequentialLR: ", parts.size(),
             " schedules need one milestone less, got ", milestones.size());
  for (size_t k = 0; k < milestones.size(); ++k) {
    const int64_t before = k ? milestones[k - 1] : 0;
    WEFT_CHECK(milestones[k] > before, ValueError, "SequentialLR: milestones must rise from above 0, got ",
               milestones[k], " after ", before);
  }
  // The number of the part that rules step i, and how many steps that part has had.
  auto part = [milestones](int64_t i) {
    const auto next = std::upper_bound(milestones.begin(), milestones.end(), i);
    return std::pair(static_cast<size_t>(next - milestones.begin()), next == milestones.begin() ? i : i - next[-1]);
  };
  start(
      [=](int64_t i, double base) {
        const auto [k, steps] = part(i);
        return parts[k].rate(steps, base);
      },
      [=](int64_t i) {
        const auto [k, steps] = part(i);
        return parts[k].momentum(steps);
      });
}

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& opt, const PlateauOptions& o)
    : opt_(opt),
      o_(o),
      best_(o.mode == PlateauOptions::Mode::min ? std::numeric_limits<double>::infinity()
                                                : -std::numeric_limits<double>::infinity()) {
  WEFT_CHECK(o.factor < 1, ValueError, "ReduceLROnPlateau: factor must be below 1, got ", o.factor);
}
bool ReduceLROnPlateau::better(double metric) const {
  const bool relative = o_.threshold_mode == PlateauOptions::ThresholdMode::rel;
  if (o_.mode == PlateauOptions::Mode::min)
    return metric < (relative ? best_ * (1 - o_.threshold) : best_ - o_.threshold);
  return metric > (relative ? best_ * (1 + o_.threshold) : best_ + o_.threshold);
}
void ReduceLROnPlateau::step(double metric) {
  if (better(metric)) {
    best_ = metric;
    bad_ = 0;
  } else {
    ++bad_;
  }
  if (cooling_ > 0) {
    --cooling_;
    bad_ = 0;
  }
  if (bad_ <= o_.patience) return;
  for (int64_t g = 0; g < opt_.num_groups(); ++g) {
    double before = opt_.lr(g), after = std::max(before * o_.factor, o_.min_lr);
    if (before - after > o_.eps) opt_.set_lr(after, g);
  }
  cooling_ = o_.cooldown;
  bad_ = 0;
}
std::vector<double> ReduceLROnPlateau::get_last_lr() const {
  std::vector<double> out;
  for (int64_t g = 0; g < opt_.num_groups(); ++g) out.push_back(opt_.lr(g));
  return out;
}
StateDict ReduceLROnPlateau::state_dict() const {
  StateDict out;
  out.metadata = {{"best", number_text(best_)}, {"bad", std::to_string(bad_)}, {"cooling", std::to_string(cooling_)}};
  return out;
}
void ReduceLROnPlateau::load_state_dict(const StateDict& dict) {
  StateReader in(dict, "the schedule");
  double best = in.number("best");
  int64_t bad = in.count("bad"), cooling = in.count("cooling");
  in.finish();
  best_ = best;
  bad_ = bad;
  cooling_ = cooling;
}

}  // namespace weft::optim
