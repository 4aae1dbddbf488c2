#include "weft/optim/sgd.h"

namespace weft::optim {

void SGDOptions::check() const {
  WEFT_CHECK(!nesterov || (momentum > 0 && dampening == 0), ValueError,
             "SGD: nesterov needs momentum > 0 and dampening 0, got ", momentum, " and ", dampening);
}

void SGD::step() {
  auto make = [](const SGDOptions& o) { return fn::Sgd{o.lr, o.momentum, o.weight_decay, o.nesterov, o.maximize}; };
  auto with_momentum = [&](int32_t g) { return options(g).momentum != 0; };
  auto zero = [](int32_t) { return 0.0; };
  run(part(
          hypers<fn::Sgd>(make), [&](int32_t g) { return !with_momentum(g); }, [](Slot&, double*, bool) {}, zero),
      part(
          hypers<fn::SgdMomentum>([&](const SGDOptions& o) { return fn::SgdMomentum{make(o)}; }), with_momentum,
          [&](Slot& s, double* scale, bool fresh) {
            const SGDOptions& o = options(s.group);
            scale[0] = fresh ? 0 : o.momentum;
            scale[1] = fresh ? 1 : 1 - o.dampening;
          },
          zero));
}

template class OptimizerOf<SGDOptions>;

}  // namespace weft::optim
