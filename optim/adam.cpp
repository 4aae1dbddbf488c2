#include "weft/optim/adam.h"

#include <cmath>

namespace weft::optim {

template <bool Decoupled> void AdamOf<Decoupled>::step() {
  using Options = AdamOptionsOf<Decoupled>;
  auto make = [](const Options& o) {
    return fn::Adam{
        o.betas[0], o.betas[1], o.eps, Decoupled ? 0 : o.weight_decay, Decoupled ? 1 - o.lr * o.weight_decay : 1,
        o.maximize};
  };
  auto fill = [&](typename Base::Slot& s, double* scale, bool) {
    const Options& o = this->options(s.group);
    double t = static_cast<double>(s.step);
    scale[0] = o.lr / (1 - std::pow(o.betas[0], t));
    scale[1] = 1 / std::sqrt(1 - std::pow(o.betas[1], t));
  };
  auto amsgrad = [&](int32_t g) { return this->options(g).amsgrad; };
  auto zero = [](int32_t) { return 0.0; };
  this->template run<fn::Adam>(
      this->template hypers<fn::Adam>(make), [&](int32_t g) { return !amsgrad(g); }, fill, zero);
  this->template run<fn::AdamAmsgrad>(
      this->template hypers<fn::AdamAmsgrad>([&](const Options& o) { return fn::AdamAmsgrad{make(o)}; }), amsgrad, fill,
      zero);
}

template class AdamOf<false>;
template class AdamOf<true>;

}  // namespace weft::optim
