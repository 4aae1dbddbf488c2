// Stochastic gradient descent.
#pragma once

#include "weft/optim/optimizer.h"

namespace weft::optim {

/// Options of SGD.
struct WEFT_API SGDOptions {
  double lr = 1e-3;         ///< learning rate
  double momentum = 0;      ///< share of the running sum of gradients that stays
  double dampening = 0;     ///< b = momentum b + (1 - dampening) g; not in the first step
  double weight_decay = 0;  ///< added to the gradient: g + weight_decay p
  bool nesterov = false;    ///< needs momentum and no dampening
  bool maximize = false;    ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "SGD";
  static constexpr StateNames state_names = {"momentum_buffer"};
  /// Only dampening may be negative.
  static bool any_sign(std::string_view option) { return option == "dampening"; }
  /// ValueError for nesterov without momentum or with dampening.
  void check() const;
  template <class F> static void visit(SGDOptions& o, const F& f) {
    f("lr", o.lr), f("momentum", o.momentum), f("dampening", o.dampening), f("weight_decay", o.weight_decay);
    f("nesterov", o.nesterov), f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<SGDOptions>;

/// p -= lr d, where g' = g + weight_decay p; b = momentum b + (1 - dampening) g'; d = g' + momentum b with Nesterov,
/// b with momentum, g' without. As PyTorch's SGD.
class WEFT_API SGD : public OptimizerOf<SGDOptions> {
 public:
  using OptimizerOf::OptimizerOf;
  using Optimizer::step;
  void step() override;
};

}  // namespace weft::optim
