#include "weft/optim/adam.h"

#include <cmath>

namespace weft::optim {

namespace {

constexpr auto always = [](int32_t) { return true; };
constexpr auto zero = [](int32_t) { return 0.0; };

double correction(double beta, int64_t t) { return 1 - std::pow(beta, static_cast<double>(t)); }

/// Adam's hyper-parameters from options of any optimiser that has them.
template <class Options> fn::Adam adam(const Options& o) {
  const bool apart = o.decoupled_weight_decay;
  return {o.betas[0], o.betas[1], o.eps, apart ? 0 : o.weight_decay, apart ? 1 - o.lr * o.weight_decay : 1, o.maximize};
}

}  // namespace

void detail::check_betas(const char* name, const std::array<double, 2>& betas) {
  for (double b : betas)
    WEFT_CHECK(b >= 0 && b < 1, ValueError, name, ": invalid betas (", betas[0], ", ", betas[1], ")");
}

template <bool Decoupled> void AdamOf<Decoupled>::step() {
  using Options = AdamOptionsOf<Decoupled>;
  auto fill = [&](Optimizer::Slot& s, double* scale, bool) {
    const Options& o = this->options(s.group);
    scale[0] = o.lr / correction(o.betas[0], s.step);
    scale[1] = 1 / std::sqrt(correction(o.betas[1], s.step));
  };
  auto amsgrad = [&](int32_t g) { return this->options(g).amsgrad; };
  const auto plain = [&](int32_t g) { return !amsgrad(g); };
  this->run(
      this->part(this->template hypers<fn::Adam>(adam<Options>), plain, fill, zero),
      this->part(this->template hypers<fn::AdamAmsgrad>([](const Options& o) { return fn::AdamAmsgrad{adam(o)}; }),
                 amsgrad, fill, zero));
}

template class AdamOf<false>;
template class AdamOf<true>;

void RAdam::step() {
  auto fill = [&](Slot& s, double* scale, bool) {
    const RAdamOptions& o = options(s.group);
    const double t = static_cast<double>(s.step), c2 = correction(o.betas[1], s.step);
    const double rho = 2 / (1 - o.betas[1]) - 1, rho_t = rho - 2 * t * (1 - c2) / c2;
    const double rate = o.lr / correction(o.betas[0], s.step);
    if (rho_t > 5) scale[0] = rate * std::sqrt(c2 * (rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t));
    else scale[1] = rate;
  };
  run(part(hypers<fn::RAdam>([](const RAdamOptions& o) { return fn::RAdam{adam(o)}; }), always, fill, zero));
}

void NAdam::step() {
  mu_product_.resize(slots_.size(), 1);
  auto fill = [&](Slot& s, double* scale, bool) {
    const NAdamOptions& o = options(s.group);
    auto mu = [&](int64_t t) {
      return o.betas[0] * (1 - 0.5 * std::pow(0.96, static_cast<double>(t) * o.momentum_decay));
    };
    float& rounded = mu_product_[static_cast<size_t>(&s - slots_.data())];
    rounded *= static_cast<float>(mu(s.step));
    const double product = rounded;
    const double next = mu(s.step + 1);
    scale[0] = o.lr * (1 - mu(s.step)) / (1 - product);
    scale[1] = o.lr * next / (1 - product * next);
    scale[2] = 1 / std::sqrt(correction(o.betas[1], s.step));
  };
  run(part(hypers<fn::NAdam>([](const NAdamOptions& o) { return fn::NAdam{adam(o)}; }), always, fill, zero));
}

void NAdam::save_extra(StateDict& dict) const {
  for (size_t i = 0; i < mu_product_.size(); ++i)
    if (slots_[i].step) dict.metadata[weft::str("state.", i, ".mu_product")] = number_text(mu_product_[i]);
}

std::function<void()> NAdam::load_extra(StateReader& in) {
  std::vector<float> products(slots_.size(), 1);
  for (size_t i = 0; i < products.size(); ++i)
    if (in.dict().metadata.contains(weft::str("state.", i)))
      products[i] = static_cast<float>(in.number(weft::str("state.", i, ".mu_product")));
  return [this, products] { mu_product_ = products; };
}

void Adamax::step() {
  auto make = [](const AdamaxOptions& o) {
    return fn::Adamax{o.betas[0], o.betas[1], o.eps, o.weight_decay, o.maximize};
  };
  auto fill = [&](Slot& s, double* scale, bool) {
    const AdamaxOptions& o = options(s.group);
    scale[0] = o.lr / correction(o.betas[0], s.step);
  };
  run(part(hypers<fn::Adamax>(make), always, fill, zero));
}

template class OptimizerOf<AdamOptionsOf<false>>;
template class OptimizerOf<AdamOptionsOf<true>>;
template class OptimizerOf<RAdamOptions>;
template class OptimizerOf<NAdamOptions>;
template class OptimizerOf<AdamaxOptions>;

}  // namespace weft::optim
