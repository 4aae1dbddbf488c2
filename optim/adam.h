// Adam and AdamW.
#pragma once

#include "weft/optim/optimizer.h"

namespace weft::optim {

/// Options of both; only the default decay differs.
template <bool Decoupled> struct AdamOptionsOf {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = Decoupled ? 1e-2 : 0;
  bool amsgrad = false;
  bool maximize = false;

  static constexpr const char* name = Decoupled ? "AdamW" : "Adam";
  /// ValueError for a negative rate, eps or decay, and for betas outside [0, 1).
  void check() const {
    WEFT_CHECK(lr >= 0, ValueError, name, ": invalid lr ", lr);
    WEFT_CHECK(eps >= 0, ValueError, name, ": invalid eps ", eps);
    WEFT_CHECK(weight_decay >= 0, ValueError, name, ": invalid weight_decay ", weight_decay);
    for (double b : betas)
      WEFT_CHECK(b >= 0 && b < 1, ValueError, name, ": invalid betas (", betas[0], ", ", betas[1], ")");
  }
  template <class F> static void visit(AdamOptionsOf& o, const F& f) {
    f("lr", o.lr), f("beta1", o.betas[0]), f("beta2", o.betas[1]), f("eps", o.eps);
    f("weight_decay", o.weight_decay), f("amsgrad", o.amsgrad), f("maximize", o.maximize);
  }
};
using AdamOptions = AdamOptionsOf<false>;
using AdamWOptions = AdamOptionsOf<true>;

template <bool Decoupled> class WEFT_API AdamOf : public OptimizerOf<AdamOptionsOf<Decoupled>> {
  using Base = OptimizerOf<AdamOptionsOf<Decoupled>>;

 public:
  explicit AdamOf(std::vector<Tensor> params, AdamOptionsOf<Decoupled> o = {}) : Base({{std::move(params), o}}) {}
  explicit AdamOf(std::vector<typename Base::Group> groups) : Base(std::move(groups)) {}
  using Optimizer::step;
  void step() override;
  double momentum(int64_t group = 0) const override { return this->options(group).betas[0]; }
  void set_momentum(double m, int64_t group) override { this->options(group).betas[0] = m; }

 protected:
  std::array<const char*, 3> state_names() const override { return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}; }
};

extern template class AdamOf<false>;
extern template class AdamOf<true>;

/// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p -= lr m' / (sqrt(v') + eps) with m' = m / (1 - beta1^t),
/// v' = v / (1 - beta2^t); weight_decay p is added to g. (Kingma & Ba 2015; amsgrad: Reddi et al. 2018.) As PyTorch's.
using Adam = AdamOf<false>;
/// Adam with decay apart from the gradient: p *= 1 - lr weight_decay first (Loshchilov & Hutter 2019).
using AdamW = AdamOf<true>;

}  // namespace weft::optim
