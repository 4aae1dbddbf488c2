// Cases of kind "schedule": the learning rate (and momentum) after each step of a schedule.
#include <cmath>
#include <memory>

#include "golden/folder.h"
#include "golden/optimizers.h"
#include "weft/optim/schedule.h"

namespace golden {
namespace {

using namespace weft::optim;

/// A schedule ready to be stepped; a metric goes to those that want one.
using Step = std::function<void(double metric)>;

template <class T, class... A> Step steps(A&&... a) {
  auto schedule = std::make_shared<T>(std::forward<A>(a)...);
  return [schedule](double) { schedule->step(); };
}

Step plateau(Optimizer& opt, const Args& a) {
  PlateauOptions o;
  o.mode = a.word("mode", "min");
  o.factor = a.number("factor", 0.1);
  o.patience = a.integer("patience", 10);
  o.threshold = a.number("threshold", 1e-4);
  o.threshold_mode = a.word("threshold_mode", "rel");
  o.cooldown = a.integer("cooldown", 0);
  o.min_lr = a.number("min_lr", 0);
  o.eps = a.number("eps", 1e-8);
  auto schedule = std::make_shared<ReduceLROnPlateau>(opt, o);
  return [schedule](double metric) { schedule->step(metric); };
}

Step one_cycle(Optimizer& opt, const Args& a) {
  OneCycleOptions o{.max_lr = a.number("max_lr", 0)};
  o.total_steps = a.integer("total_steps", 0);
  o.epochs = a.integer("epochs", 0);
  o.steps_per_epoch = a.integer("steps_per_epoch", 0);
  o.pct_start = a.number("pct_start", o.pct_start);
  o.anneal_strategy = a.word("anneal_strategy", "cos");
  o.cycle_momentum = a.boolean("cycle_momentum", true);
  o.base_momentum = a.number("base_momentum", o.base_momentum);
  o.max_momentum = a.number("max_momentum", o.max_momentum);
  o.div_factor = a.number("div_factor", o.div_factor);
  o.final_div_factor = a.number("final_div_factor", o.final_div_factor);
  o.three_phase = a.boolean("three_phase", false);
  return steps<OneCycleLR>(opt, o);
}

Step cyclic(Optimizer& opt, const Args& a) {
  CyclicOptions o{.base_lr = a.number("base_lr", 0), .max_lr = a.number("max_lr", 0)};
  o.step_size_up = a.integer("step_size_up", o.step_size_up);
  o.step_size_down = a.integer("step_size_down", o.step_size_down);
  o.mode = a.word("mode", "triangular");
  o.gamma = a.number("gamma", o.gamma);
  o.cycle_momentum = a.boolean("cycle_momentum", true);
  o.base_momentum = a.number("base_momentum", o.base_momentum);
  o.max_momentum = a.number("max_momentum", o.max_momentum);
  return steps<CyclicLR>(opt, o);
}

Step encoding(Optimizer& opt, const Args& a) {
  const std::string mode = a.word("mode", "");
  if (mode != "cos" && mode != "poly" && mode != "step") throw Skip("mode " + mode);
  using Mode = EncodingLROptions::Mode;
  (void)a.number("base_lr", 0);  // the case's base_lr
  return steps<EncodingLR>(opt, EncodingLROptions{.mode = mode == "cos"    ? Mode::cos
                                                          : mode == "poly" ? Mode::poly
                                                                           : Mode::step,
                                                  .num_epochs = a.integer("num_epochs"),
                                                  .iters_per_epoch = a.integer("iters_per_epoch", 0),
                                                  .lr_step = a.integer("lr_step", 0),
                                                  .warmup_epochs = a.integer("warmup_epochs", 0)});
}

Step make_schedule(const std::string& name, Optimizer& opt, const Args& a) {
  if (name == "optim.StepLR") return steps<StepLR>(opt, a.integer("step_size"), a.number("gamma", 0.1));
  if (name == "optim.MultiStepLR") return steps<MultiStepLR>(opt, a.ints("milestones"), a.number("gamma", 0.1));
  if (name == "optim.ExponentialLR") return steps<ExponentialLR>(opt, a.number("gamma", 1));
  if (name == "optim.CosineAnnealingLR")
    return steps<CosineAnnealingLR>(opt, a.integer("T_max"), a.number("eta_min", 0));
  if (name == "optim.CosineAnnealingWarmRestarts")
    return steps<CosineAnnealingWarmRestarts>(opt, a.integer("T_0"), a.integer("T_mult", 1), a.number("eta_min", 0));
  if (name == "optim.PolynomialLR") return steps<PolynomialLR>(opt, a.integer("total_iters", 5), a.number("power", 1));
  if (name == "optim.LinearLR")
    return steps<LinearLR>(opt, a.number("start_factor", 1.0 / 3), a.number("end_factor", 1),
                           a.integer("total_iters", 5));
  if (name == "optim.ConstantLR")
    return steps<ConstantLR>(opt, a.number("factor", 1.0 / 3), a.integer("total_iters", 5));
  if (name == "optim.OneCycleLR") return one_cycle(opt, a);
  if (name == "optim.ReduceLROnPlateau") return plateau(opt, a);
  if (name == "optim.WarmupPolyLR")
    return steps<WarmupPolyLR>(opt, a.integer("total"), a.integer("warmup", 0), a.number("power", 0.9));
  if (name == "optim.WarmupCosineLR")
    return steps<WarmupCosineLR>(opt, a.integer("total"), a.integer("warmup", 0), a.number("min_factor", 0));
  if (name == "optim.CyclicLR") return cyclic(opt, a);
  if (name == "optim.encoding.LR_Scheduler") return encoding(opt, a);
  throw Skip("scheduler " + name);
}

}  // namespace

void run_schedule(const Folder& folder, const Value& item, Failures& failures) {
  // The optimiser's own rate is the case's base rate.
  Value with_lr = item["optimizer_args"];
  with_lr.kind = Value::Kind::object;
  Value lr;
  lr.kind = Value::Kind::number;
  lr.number = item["base_lr"].as_double();
  with_lr.members.push_back({"lr", lr});
  const Value none;
  const Args common = folder.args(item, "args");
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(
      item["optimizer"].as_string(), common.inner(with_lr),
      {{{weft::zeros({1}, Dtype::f64).set_requires_grad()}, &none}});
  const Step step = make_schedule(item["scheduler"].as_string(), *optimizer, common);
  common.check_all_read();

  const bool momentum = item.has("momentums"), metric = item.has("metrics");
  const std::vector<double> metrics = metric ? folder.tensor(item, item["metrics"].as_string()).to_vector<double>()
                                             : std::vector<double>();
  std::vector<double> lrs, momentums;
  for (int64_t i = 0;; ++i) {
    lrs.push_back(optimizer->lr());
    if (momentum) momentums.push_back(optimizer->momentum());
    if (i == item["steps"].as_int()) break;
    step(metric ? metrics.at(static_cast<size_t>(i)) : 0);
  }
  Tolerance t = Folder::tolerance(item, "outputs");
  if (!item.has("rtol")) t.rtol = 1e-9;
  failures.add("lrs", difference(weft::tensor(lrs), folder.tensor(item, item["lrs"].as_string()), t));
  if (momentum)
    failures.add("momentums",
                 difference(weft::tensor(momentums), folder.tensor(item, item["momentums"].as_string()), t));
}

}  // namespace golden
