// RMSprop and Adagrad: steps scaled by the size of past gradients.
#pragma once

#include "weft/optim/optimizer.h"

namespace weft::optim {

struct WEFT_API RMSpropOptions {
  double lr = 1e-2;
  double alpha = 0.99;  ///< of the running mean of g^2
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;  ///< subtracts the square of the running mean of g
  bool maximize = false;

  static constexpr const char* name = "RMSprop";
  void check() const;
  template <class F> static void visit(RMSpropOptions& o, const F& f) {
    f("lr", o.lr), f("alpha", o.alpha), f("eps", o.eps), f("weight_decay", o.weight_decay), f("momentum", o.momentum);
    f("centered", o.centered), f("maximize", o.maximize);
  }
};

/// v = alpha v + (1 - alpha) g^2, p -= lr g / (sqrt(v) + eps); centred and with momentum as PyTorch's RMSprop.
class WEFT_API RMSprop : public OptimizerOf<RMSpropOptions> {
 public:
  explicit RMSprop(std::vector<Tensor> params, RMSpropOptions o = {}) : OptimizerOf({{std::move(params), o}}) {}
  explicit RMSprop(std::vector<Group> groups) : OptimizerOf(std::move(groups)) {}
  using Optimizer::step;
  void step() override;
  double momentum(int64_t group = 0) const override { return options(group).momentum; }
  void set_momentum(double m, int64_t group) override { options(group).momentum = m; }

 protected:
  std::array<const char*, 3> state_names() const override { return {"square_avg", "grad_avg", "momentum_buffer"}; }

 private:
  template <bool Centered, bool Momentum> void step_as();
};

struct WEFT_API AdagradOptions {
  double lr = 1e-2;
  double lr_decay = 0;
  double weight_decay = 0;
  double initial_accumulator_value = 0;
  double eps = 1e-10;
  bool maximize = false;

  static constexpr const char* name = "Adagrad";
  void check() const;
  template <class F> static void visit(AdagradOptions& o, const F& f) {
    f("lr", o.lr), f("lr_decay", o.lr_decay), f("weight_decay", o.weight_decay);
    f("initial_accumulator_value", o.initial_accumulator_value), f("eps", o.eps), f("maximize", o.maximize);
  }
};

/// s += g^2, p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps). (Duchi et al. 2011.) As PyTorch's Adagrad.
class WEFT_API Adagrad : public OptimizerOf<AdagradOptions> {
 public:
  explicit Adagrad(std::vector<Tensor> params, AdagradOptions o = {}) : OptimizerOf({{std::move(params), o}}) {}
  explicit Adagrad(std::vector<Group> groups) : OptimizerOf(std::move(groups)) {}
  using Optimizer::step;
  void step() override;

 protected:
  std::array<const char*, 3> state_names() const override { return {"sum", nullptr, nullptr}; }
};

}  // namespace weft::optim
