#include "weft/optim/rmsprop.h"

namespace weft::optim {

template <bool Centered, bool Momentum> void RMSprop::step_as() {
  using F = fn::RmsProp<Centered, Momentum>;
  auto make = [](const RMSpropOptions& o) { return F{o.lr, o.alpha, o.eps, o.weight_decay, o.momentum, o.maximize}; };
  auto uses = [&](int32_t g) { return options(g).centered == Centered && (options(g).momentum > 0) == Momentum; };
  run<F>(
      hypers<F>(make), uses, [](Slot&, double*, bool) {}, [](int32_t) { return 0.0; });
}

void RMSprop::step() {
  step_as<false, false>();
  step_as<true, false>();
  step_as<false, true>();
  step_as<true, true>();
}

void Adagrad::step() {
  auto make = [](const AdagradOptions& o) { return fn::Adagrad{o.eps, o.weight_decay, o.maximize}; };
  auto fill = [&](Slot& s, double* scale, bool) {
    const AdagradOptions& o = options(s.group);
    scale[0] = o.lr / (1 + static_cast<double>(s.step - 1) * o.lr_decay);
  };
  run<fn::Adagrad>(
      hypers<fn::Adagrad>(make), [](int32_t) { return true; }, fill,
      [&](int32_t g) { return options(g).initial_accumulator_value; });
}

void AdadeltaOptions::check() const { WEFT_CHECK(rho <= 1, ValueError, "Adadelta: invalid rho ", rho); }

void Adadelta::step() {
  auto make = [](const AdadeltaOptions& o) { return fn::Adadelta{o.lr, o.rho, o.eps, o.weight_decay, o.maximize}; };
  run<fn::Adadelta>(
      hypers<fn::Adadelta>(make), [](int32_t) { return true; }, [](Slot&, double*, bool) {},
      [](int32_t) { return 0.0; });
}

}  // namespace weft::optim
