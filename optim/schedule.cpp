#include "weft/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weft::optim {

namespace {

double ratio(int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }
double half_cosine(double share) { return (1 + std::cos(M_PI * share)) / 2; }

void positive(const char* name, const char* what, int64_t x) {
  WEFT_CHECK(x > 0, ValueError, name, ": ", what, " must be positive, got ", x);
}

}  // namespace

Schedule::Schedule(Optimizer& opt) : opt_(opt) {
  opt.keep_initial_lr();
  for (int64_t g = 0; g < opt.num_groups(); ++g) base_.push_back(opt.initial_lr(g));
}
Schedule::~Schedule() = default;

std::optional<double> Schedule::momentum(int64_t) const { return {}; }

void Schedule::step() { apply(i_ + 1, base_); }
void Schedule::apply(int64_t i, std::vector<double> base) {
  const std::optional<double> m = momentum(i);
  std::vector<double> rates;
  for (double b : base) rates.push_back(rate(i, b));
  const auto groups = static_cast<int64_t>(rates.size());
  for (int64_t g = 0; m && g < groups; ++g) opt_.set_momentum(*m, g);  // refused by the first group, if at all
  for (int64_t g = 0; g < groups; ++g) opt_.set_lr(rates[static_cast<size_t>(g)], g);
  i_ = i;
  base_ = std::move(base);
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

MultiplicativeLR::MultiplicativeLR(Optimizer& opt, std::function<double(int64_t)> f) : Schedule(opt), f_(std::move(f)) {
  WEFT_CHECK(f_, ValueError, "MultiplicativeLR: the function is empty");
  apply();
}
double MultiplicativeLR::rate(int64_t i, double base) const {
  if (i < at_) {
    at_ = 0;
    product_ = 1;
  }
  while (at_ < i) product_ *= f_(++at_);
  return base * product_;
}

StepLR::StepLR(Optimizer& opt, int64_t step_size, double gamma) : Schedule(opt), step_size_(step_size), gamma_(gamma) {
  positive("StepLR", "step_size", step_size);
  apply();
}
double StepLR::rate(int64_t i, double base) const {
  return base * std::pow(gamma_, static_cast<double>(i / step_size_));
}

MultiStepLR::MultiStepLR(Optimizer& opt, std::vector<int64_t> milestones, double gamma)
    : Schedule(opt), milestones_(std::move(milestones)), gamma_(gamma) {
  apply();
}
double MultiStepLR::rate(int64_t i, double base) const {
  auto passed = std::count_if(milestones_.begin(), milestones_.end(), [&](int64_t m) { return m <= i; });
  return base * std::pow(gamma_, static_cast<double>(passed));
}

double ExponentialLR::rate(int64_t i, double base) const { return base * std::pow(gamma_, static_cast<double>(i)); }

CosineAnnealingLR::CosineAnnealingLR(Optimizer& opt, int64_t T_max, double eta_min)
    : Schedule(opt), t_max_(T_max), eta_min_(eta_min) {
  positive("CosineAnnealingLR", "T_max", T_max);
  apply();
}
double CosineAnnealingLR::rate(int64_t i, double base) const {
  return eta_min_ + (base - eta_min_) * half_cosine(ratio(i, t_max_));
}

CosineAnnealingWarmRestarts::CosineAnnealingWarmRestarts(Optimizer& opt, int64_t T_0, int64_t T_mult, double eta_min)
    : Schedule(opt), t_0_(T_0), t_mult_(T_mult), eta_min_(eta_min) {
  positive("CosineAnnealingWarmRestarts", "T_0", T_0);
  positive("CosineAnnealingWarmRestarts", "T_mult", T_mult);
  apply();
}
double CosineAnnealingWarmRestarts::rate(int64_t i, double base) const {
  int64_t period = t_0_;
  if (t_mult_ == 1) i %= period;
  else
    for (; i >= period; period *= t_mult_) i -= period;
  return eta_min_ + (base - eta_min_) * half_cosine(ratio(i, period));
}

PolynomialLR::PolynomialLR(Optimizer& opt, int64_t total_iters, double power)
    : Schedule(opt), total_(total_iters), power_(power) {
  positive("PolynomialLR", "total_iters", total_iters);
  apply();
}
double PolynomialLR::rate(int64_t i, double base) const {
  return base * std::pow(1 - ratio(std::min(i, total_), total_), power_);
}

LinearLR::LinearLR(Optimizer& opt, double start_factor, double end_factor, int64_t total_iters)
    : Schedule(opt), start_(start_factor), end_(end_factor), total_(total_iters) {
  WEFT_CHECK(start_factor > 0 && start_factor <= 1 && end_factor >= 0 && end_factor <= 1, ValueError,
             "LinearLR: factors must be in (0, 1], got ", start_factor, " and ", end_factor);
  positive("LinearLR", "total_iters", total_iters);
  apply();
}
double LinearLR::rate(int64_t i, double base) const {
  return base * (start_ + (end_ - start_) * ratio(std::min(i, total_), total_));
}

ConstantLR::ConstantLR(Optimizer& opt, double factor, int64_t total_iters)
    : Schedule(opt), factor_(factor), total_(total_iters) {
  WEFT_CHECK(factor >= 0 && factor <= 1, ValueError, "ConstantLR: factor must be in [0, 1], got ", factor);
  apply();
}
double ConstantLR::rate(int64_t i, double base) const { return i < total_ ? base * factor_ : base; }

OneCycleLR::OneCycleLR(Optimizer& opt, const OneCycleOptions& o) : Schedule(opt), o_(o) {
  positive("OneCycleLR", "total_steps", o.total_steps);
  WEFT_CHECK(o.pct_start >= 0 && o.pct_start <= 1, ValueError, "OneCycleLR: pct_start must be in [0, 1], got ",
             o.pct_start);
  apply();
}
/// The value at step i of a course first -> top -> last (or first again, then last).
double OneCycleLR::along(int64_t i, double first, double top, double last) const {
  const double n = static_cast<double>(o_.total_steps), x = static_cast<double>(i);
  const double up = o_.pct_start * n - 1;
  auto between = [&](double a, double b, double at, double length) {
    const double share = length > 0 ? at / length : 1;  // a phase may have no length
    return o_.cosine ? b + (a - b) * half_cosine(share) : a + (b - a) * share;
  };
  if (x <= up) return between(first, top, x, up);
  if (!o_.three_phase) return between(top, last, x - up, n - 1 - up);
  const double down = 2 * o_.pct_start * n - 2;
  return x <= down ? between(top, first, x - up, down - up) : between(first, last, x - down, n - 1 - down);
}
double OneCycleLR::rate(int64_t i, double) const {
  WEFT_CHECK(i <= o_.total_steps, ValueError, "OneCycleLR: step ", i, " of a cycle of ", o_.total_steps, " steps");
  const double first = o_.max_lr / o_.div_factor;
  return along(i, first, o_.max_lr, first / o_.final_div_factor);
}
std::optional<double> OneCycleLR::momentum(int64_t i) const {
  if (!o_.cycle_momentum) return {};
  return along(i, o_.max_momentum, o_.base_momentum, o_.max_momentum);
}

CyclicLR::CyclicLR(Optimizer& opt, const CyclicOptions& o) : Schedule(opt), o_(o) {
  positive("CyclicLR", "step_size_up", o.step_size_up);
  if (o.step_size_down == 0) o_.step_size_down = o.step_size_up;
  positive("CyclicLR", "step_size_down", o_.step_size_down);
  apply();
}
/// How far up at step i, in [0, 1] times the cycle's own height.
double CyclicLR::height(int64_t i) const {
  const int64_t period = o_.step_size_up + o_.step_size_down, cycle = i / period, at = i % period;
  const double up = at <= o_.step_size_up ? ratio(at, o_.step_size_up)
                                          : 1 - ratio(at - o_.step_size_up, o_.step_size_down);
  switch (o_.mode) {
    case CyclicOptions::Mode::triangular: return up;
    case CyclicOptions::Mode::triangular2: return up / std::exp2(static_cast<double>(cycle));
    default: return up * std::pow(o_.gamma, static_cast<double>(i));
  }
}
double CyclicLR::rate(int64_t i, double) const { return o_.base_lr + (o_.max_lr - o_.base_lr) * height(i); }
std::optional<double> CyclicLR::momentum(int64_t i) const {
  if (!o_.cycle_momentum) return {};
  return o_.max_momentum - (o_.max_momentum - o_.base_momentum) * height(i);
}

double ChainedScheduler::rate(int64_t i, double base) const {
  for (const auto& part : parts_) base = part->rate(i, base);
  return base;
}
std::optional<double> ChainedScheduler::momentum(int64_t i) const {
  std::optional<double> last;
  for (const auto& part : parts_)
    if (auto m = part->momentum(i)) last = m;
  return last;
}

void SequentialLR::check() const {
  WEFT_CHECK(milestones_.size() + 1 == parts_.size(), ValueError, "SequentialLR: ", parts_.size(), " schedules need ",
             parts_.size() - 1, " milestones, got ", milestones_.size());
  int64_t before = 0;
  for (int64_t m : milestones_) {
    WEFT_CHECK(m > before, ValueError, "SequentialLR: milestones must rise from above 0, got ", m, " after ", before);
    before = m;
  }
}
std::pair<const Schedule*, int64_t> SequentialLR::part(int64_t i) const {
  const auto next = std::upper_bound(milestones_.begin(), milestones_.end(), i);
  const int64_t start = next == milestones_.begin() ? 0 : next[-1];
  return {parts_[static_cast<size_t>(next - milestones_.begin())].get(), i - start};
}
double SequentialLR::rate(int64_t i, double base) const {
  const auto [schedule, steps] = part(i);
  return schedule->rate(steps, base);
}
std::optional<double> SequentialLR::momentum(int64_t i) const {
  const auto [schedule, steps] = part(i);
  return schedule->momentum(steps);
}

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& opt, const PlateauOptions& o)
    : opt_(opt),
      o_(o),
      best_(o.mode == PlateauOptions::Mode::min ? std::numeric_limits<double>::infinity()
                                                : -std::numeric_limits<double>::infinity()) {
  WEFT_CHECK(o.factor < 1, ValueError, "ReduceLROnPlateau: factor must be below 1, got ", o.factor);
}
bool ReduceLROnPlateau::better(double metric) const {
  if (o_.mode == PlateauOptions::Mode::min)
    return metric < (o_.relative ? best_ * (1 - o_.threshold) : best_ - o_.threshold);
  return metric > (o_.relative ? best_ * (1 + o_.threshold) : best_ + o_.threshold);
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

WarmupPolyLR::WarmupPolyLR(Optimizer& opt, int64_t total, int64_t warmup, double power)
    : Schedule(opt), total_(total), warmup_(warmup), power_(power) {
  WEFT_CHECK(total > warmup && warmup >= 0, ValueError, "WarmupPolyLR: needs total > warmup >= 0, got ", total, " and ",
             warmup);
  apply();
}
double WarmupPolyLR::rate(int64_t i, double base) const {
  if (i < warmup_) return base * ratio(i + 1, warmup_);
  return base * std::pow(1 - ratio(std::min(i, total_) - warmup_, total_ - warmup_), power_);
}

WarmupCosineLR::WarmupCosineLR(Optimizer& opt, int64_t total, int64_t warmup, double min_factor)
    : Schedule(opt), total_(total), warmup_(warmup), min_factor_(min_factor) {
  WEFT_CHECK(total > warmup && warmup >= 0, ValueError, "WarmupCosineLR: needs total > warmup >= 0, got ", total,
             " and ", warmup);
  apply();
}
double WarmupCosineLR::rate(int64_t i, double base) const {
  if (i < warmup_) return base * ratio(i + 1, warmup_);
  return base * (min_factor_ + (1 - min_factor_) * half_cosine(ratio(std::min(i, total_) - warmup_, total_ - warmup_)));
}

EncodingLR::EncodingLR(Optimizer& opt, const EncodingLROptions& o) : Schedule(opt), o_(o) {
  positive("EncodingLR", "iters_per_epoch", o.iters_per_epoch);
  WEFT_CHECK(o.warmup_epochs >= 0 && o.num_epochs > o.warmup_epochs, ValueError,
             "EncodingLR: needs num_epochs > warmup_epochs >= 0, got ", o.num_epochs, " and ", o.warmup_epochs);
  if (o.mode == EncodingLROptions::Mode::step) positive("EncodingLR", "lr_step", o.lr_step);
  apply();
}
double EncodingLR::rate(int64_t i, double base) const {
  const int64_t warmup = o_.warmup_epochs * o_.iters_per_epoch, total = o_.num_epochs * o_.iters_per_epoch - warmup;
  if (i < warmup) return base * ratio(i, warmup);
  switch (o_.mode) {
    case EncodingLROptions::Mode::cos: return base * half_cosine(ratio(i - warmup, total));
    case EncodingLROptions::Mode::poly: return base * std::pow(1 - ratio(std::min(i - warmup, total), total), 0.9);
    default: return base * std::pow(0.1, static_cast<double>(i / o_.iters_per_epoch / o_.lr_step));
  }
}

}  // namespace weft::optim
