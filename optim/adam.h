// Adam and its kin: steps along a running mean of the gradients, scaled by the size of past ones.
#pragma once

#include "weft/optim/optimizer.h"

namespace weft::optim {

namespace detail {
WEFT_API void check_betas(const char* name, const std::array<double, 2>& betas);
}

/// Options of Adam and AdamW; only the defaults of the decay differ.
template <bool Decoupled> struct AdamOptionsOf {
  double lr = 1e-3;                            ///< learning rate
  std::array<double, 2> betas = {0.9, 0.999};  ///< of the running means of g and g^2; in [0, 1)
  double eps = 1e-8;                           ///< added to the root
  double weight_decay = Decoupled ? 1e-2 : 0;  ///< lambda of the L2 term, or of the decay
  bool amsgrad = false;                        ///< divides by the greatest v' so far
  bool maximize = false;                       ///< steps uphill
  bool decoupled_weight_decay = Decoupled;     ///< p *= 1 - lr weight_decay, instead of weight_decay p in g

  /// What OptimizerOf asks of options: the name in errors, the names of the state, and every option by its name.
  static constexpr const char* name = Decoupled ? "AdamW" : "Adam";
  static constexpr StateNames state_names = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  /// ValueError for betas outside [0, 1).
  void check() const { detail::check_betas(name, betas); }
  template <class F> static void visit(AdamOptionsOf& o, const F& f) {
    f("lr", o.lr), f("beta1", o.betas[0]), f("beta2", o.betas[1]), f("eps", o.eps), f("weight_decay", o.weight_decay);
    f("amsgrad", o.amsgrad), f("maximize", o.maximize), f("decoupled_weight_decay", o.decoupled_weight_decay);
  }
};
/// Options of Adam: no decay by default, and one in the gradient.
using AdamOptions = AdamOptionsOf<false>;
/// Options of AdamW: decay 1e-2, apart from the gradient.
using AdamWOptions = AdamOptionsOf<true>;

extern template class WEFT_API OptimizerOf<AdamOptionsOf<false>>;
extern template class WEFT_API OptimizerOf<AdamOptionsOf<true>>;

/// Base of Adam and AdamW; they say what a step does.
template <bool Decoupled> class WEFT_API AdamOf : public OptimizerOf<AdamOptionsOf<Decoupled>> {
 public:
  using OptimizerOf<AdamOptionsOf<Decoupled>>::OptimizerOf;
  using Optimizer::step;
  void step() override;
};

extern template class AdamOf<false>;
extern template class AdamOf<true>;

/// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p -= lr m' / (sqrt(v') + eps) with m' = m / (1 -
/// beta1^t), v' = v / (1 - beta2^t); weight_decay p is added to g. (Kingma & Ba 2015; amsgrad: Reddi et al. 2018.) As
/// PyTorch's.
using Adam = AdamOf<false>;
/// Adam with decay apart from the gradient: p *= 1 - lr weight_decay first (Loshchilov & Hutter 2019).
using AdamW = AdamOf<true>;

/// Options of RAdam.
struct WEFT_API RAdamOptions {
  double lr = 1e-3;                            ///< learning rate
  std::array<double, 2> betas = {0.9, 0.999};  ///< of the running means of g and g^2; in [0, 1)
  double eps = 1e-8;                           ///< added to the root
  double weight_decay = 0;                     ///< lambda of the L2 term, or of the decay
  bool decoupled_weight_decay = false;         ///< p *= 1 - lr weight_decay, instead of weight_decay p in g
  bool maximize = false;                       ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "RAdam";
  static constexpr StateNames state_names = {"exp_avg", "exp_avg_sq"};
  /// ValueError for betas outside [0, 1).
  void check() const { detail::check_betas(name, betas); }
  template <class F> static void visit(RAdamOptions& o, const F& f) {
    f("lr", o.lr), f("beta1", o.betas[0]), f("beta2", o.betas[1]), f("eps", o.eps), f("weight_decay", o.weight_decay);
    f("decoupled_weight_decay", o.decoupled_weight_decay), f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<RAdamOptions>;

/// Adam whose first steps, rho_t <= 5, are p -= lr m'; later ones are p -= lr r_t m' sqrt(1 - beta2^t) / (sqrt(v) +
/// eps) with rho = 2 / (1 - beta2) - 1, rho_t = rho - 2 t beta2^t / (1 - beta2^t),
/// r_t^2 = (rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t). (Liu et al. 2020.) As PyTorch's RAdam.
class WEFT_API RAdam : public OptimizerOf<RAdamOptions> {
 public:
  using OptimizerOf::OptimizerOf;
  using Optimizer::step;
  void step() override;
};

/// Options of NAdam.
struct WEFT_API NAdamOptions {
  double lr = 2e-3;                            ///< learning rate
  std::array<double, 2> betas = {0.9, 0.999};  ///< of the running means of g and g^2; in [0, 1)
  double eps = 1e-8;                           ///< added to the root
  double weight_decay = 0;                     ///< lambda of the L2 term, or of the decay
  double momentum_decay = 4e-3;                ///< see below
  bool decoupled_weight_decay = false;         ///< p *= 1 - lr weight_decay, instead of weight_decay p in g
  bool maximize = false;                       ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "NAdam";
  static constexpr StateNames state_names = {"exp_avg", "exp_avg_sq"};
  /// ValueError for betas outside [0, 1).
  void check() const { detail::check_betas(name, betas); }
  template <class F> static void visit(NAdamOptions& o, const F& f) {
    f("lr", o.lr), f("beta1", o.betas[0]), f("beta2", o.betas[1]), f("eps", o.eps), f("weight_decay", o.weight_decay);
    f("momentum_decay", o.momentum_decay), f("decoupled_weight_decay", o.decoupled_weight_decay);
    f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<NAdamOptions>;

/// p -= lr (a g + b m) / (sqrt(v') + eps) with mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), a = (1 - mu_t) / (1 -
/// mu_1 ... mu_t), b = mu_(t+1) / (1 - mu_1 ... mu_(t+1)); m, v' as Adam's. (Dozat 2016.) As PyTorch's NAdam: the
/// products of mu are in f32.
class WEFT_API NAdam : public OptimizerOf<NAdamOptions> {
 public:
  using OptimizerOf::OptimizerOf;
  using Optimizer::step;
  void step() override;

 protected:
  void save_extra(StateDict& dict) const override;
  /// See Optimizer.
  std::function<void()> load_extra(StateReader& in) override;

 private:
  std::vector<float> mu_product_;  // by slot
};

/// Options of Adamax.
struct WEFT_API AdamaxOptions {
  double lr = 2e-3;                            ///< learning rate
  std::array<double, 2> betas = {0.9, 0.999};  ///< of the running mean of g, and of the running maximum; in [0, 1)
  double eps = 1e-8;                           ///< added to |g|
  double weight_decay = 0;                     ///< weight_decay p is added to g
  bool maximize = false;                       ///< steps uphill

  /// As AdamOptionsOf's.
  static constexpr const char* name = "Adamax";
  static constexpr StateNames state_names = {"exp_avg", "exp_inf"};
  /// ValueError for betas outside [0, 1).
  void check() const { detail::check_betas(name, betas); }
  template <class F> static void visit(AdamaxOptions& o, const F& f) {
    f("lr", o.lr), f("beta1", o.betas[0]), f("beta2", o.betas[1]), f("eps", o.eps), f("weight_decay", o.weight_decay);
    f("maximize", o.maximize);
  }
};

extern template class WEFT_API OptimizerOf<AdamaxOptions>;

/// u = max(beta2 u, |g| + eps), p -= lr / (1 - beta1^t) m / u. (Kingma & Ba 2015, 7.1.) As PyTorch's Adamax.
class WEFT_API Adamax : public OptimizerOf<AdamaxOptions> {
 public:
  using OptimizerOf::OptimizerOf;
  using Optimizer::step;
  void step() override;
};

}  // namespace weft::optim
