#include "weft/optim/rmsprop.h"

namespace weft::optim {

void RMSprop::step() {
  const auto as = [&]<bool Centered, bool Momentum>() {
    using F = fn::RmsProp<Centered, Momentum>;
    auto make = [](const RMSpropOptions& o) { return F{o.lr, o.alpha, o.eps, o.weight_decay, o.momentum, o.maximize}; };
    auto uses = [&](int32_t g) { return options(g).centered == Centered && (options(g).momentum > 0) == Momentum; };
    return part(
        hypers<F>(make), uses, [](Slot&, double*, bool) {}, [](int32_t) { return 0.0; });
  };
  run(as.operator()<false, false>(), as.operator()<true, false>(), as.operator()<false, true>(),
      as.operator()<true, true>());
}

void Adagrad::step() {
  auto make = [](const AdagradOptions& o) { return fn::Adagrad{o.eps, o.weight_decay, o.maximize}; };
  auto fill = [&](Slot& s, double* scale, bool) {
    const AdagradOptions& o = options(s.group);
    scale[0] = o.lr / (1 + static_cast<double>(s.step - 1) * o.lr_decay);
  };
  run(part(
      hypers<fn::Adagrad>(make), [](int32_t) { return true; }, fill,
      [&](int32_t g) { return options(g).initial_accumulator_value; }));
}

void AdadeltaOptions::check() const { WEFT_CHECK(rho <= 1, ValueError, "Adadelta: invalid rho ", rho); }

void Adadelta::step() {
  auto make = [](const AdadeltaOptions& o) { return fn::Adadelta{o.lr, o.rho, o.eps, o.weight_decay, o.maximize}; };
  run(part(
      hypers<fn::Adadelta>(make), [](int32_t) { return true; }, [](Slot&, double*, bool) {},
      [](int32_t) { return 0.0; }));
}

template class OptimizerOf<RMSpropOptions>;
template class OptimizerOf<AdagradOptions>;
template class OptimizerOf<AdadeltaOptions>;

}  // namespace weft::optim
