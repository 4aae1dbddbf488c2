// RMSprop, Adagrad and Adadelta: steps scaled by the size of past gradients.
#pragma once

#include "weft/optim/optimizer.h"

namespace weft::optim {

/// Options of RMSprop.
struct WEFT_API RMSpropOptions {
  double lr = 1e-2;         ///< learning rate
  double alpha = 0.99;      ///< of the running mean of g^2
  double eps = 1e-8;        ///< added to the root
  double weight_decay = 0;  ///< weight_decay p is added to g
  double momentum = 0;      ///< b = momentum b + g / (sqrt(v) + eps), p -= lr b
  bool centered = false;    ///< subtracts the square of the running mean of g
  bool maximize = false;    ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "RMSprop";
  static constexpr StateNames state_names = {"square_avg", "grad_avg", "momentum_buffer"};
  template <class F> static void visit(RMSpropOptions& o, const F& f) {
    f("lr", o.lr), f("alpha", o.alpha), f("eps", o.eps), f("weight_decay", o.weight_decay), f("momentum", o.momentum);
    f("centered", o.centered), f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<RMSpropOptions>;

/// v = alpha v + (1 - alpha) g^2, p -= lr g / (sqrt(v) + eps); centred and with momentum as PyTorch's RMSprop.
class WEFT_API RMSprop : public OptimizerOf<RMSpropOptions> {
 public:
  using OptimizerOf::OptimizerOf;
  using Optimizer::step;
  void step() override;

 private:
};

/// Options of Adagrad.
struct WEFT_API AdagradOptions {
  double lr = 1e-2;                      ///< learning rate
  double lr_decay = 0;                   ///< see below
  double weight_decay = 0;               ///< weight_decay p is added to g
  double initial_accumulator_value = 0;  ///< where s begins
  double eps = 1e-10;                    ///< added to the root
  bool maximize = false;                 ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "Adagrad";
  static constexpr StateNames state_names = {"sum"};
  template <class F> static void visit(AdagradOptions& o, const F& f) {
    f("lr", o.lr), f("lr_decay", o.lr_decay), f("weight_decay", o.weight_decay);
    f("initial_accumulator_value", o.initial_accumulator_value), f("eps", o.eps), f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<AdagradOptions>;

/// s += g^2, p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps). (Duchi et al. 2011.) As PyTorch's Adagrad.
class WEFT_API Adagrad : public OptimizerOf<AdagradOptions> {
 public:
  using OptimizerOf::OptimizerOf;
  using Optimizer::step;
  void step() override;
};

/// Options of Adadelta.
struct WEFT_API AdadeltaOptions {
  double lr = 1;            ///< factor of d
  double rho = 0.9;         ///< of both running means
  double eps = 1e-6;        ///< under both roots
  double weight_decay = 0;  ///< weight_decay p is added to g
  bool maximize = false;    ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "Adadelta";
  static constexpr StateNames state_names = {"square_avg", "acc_delta"};
  /// ValueError for rho above 1.
  void check() const;
  template <class F> static void visit(AdadeltaOptions& o, const F& f) {
    f("lr", o.lr), f("rho", o.rho), f("eps", o.eps), f("weight_decay", o.weight_decay), f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<AdadeltaOptions>;

/// v = rho v + (1 - rho) g^2, d = sqrt(a + eps) / sqrt(v + eps) g, a = rho a + (1 - rho) d^2, p -= lr d. (Zeiler 2012.)
/// As PyTorch's Adadelta.
class WEFT_API Adadelta : public OptimizerOf<AdadeltaOptions> {
 public:
  using OptimizerOf::OptimizerOf;
  using Optimizer::step;
  void step() override;
};

}  // namespace weft::optim
