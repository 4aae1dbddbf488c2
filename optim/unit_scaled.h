// u-muP's optimisers (Blake et al. 2024): the plain ones, with a learning rate for each parameter by its tags
// (autograd/mup.h). One rate then serves networks of any width and depth.
#pragma once

#include <algorithm>

#include "weft/autograd/mup.h"
#include "weft/autograd/ops/elementwise/scale.h"
#include "weft/optim/adam.h"
#include "weft/optim/sgd.h"

namespace weft::unit_scaled {

/// Factor of the learning rate of p under Adam, by its mup type, times depth^-1/2 if it has a depth: weight fan^-1/2,
/// others 1. fan: size(0) of a vector, else the elements of p[0] (so an embedding's width).
WEFT_API double adam_lr_scale(const Tensor& p);
/// The same under SGD: as Adam's where `readout_constraint` is none; with to_output_scale weight fan^1/2, bias and norm
/// size(0), output 1. ValueError for another constraint.
WEFT_API double sgd_lr_scale(const Tensor& p, Choice<Constraint> readout_constraint = Constraint::none);

/// One group for each parameter, lr *= lr_scale(p). With independent_weight_decay the decay becomes weight_decay / lr,
/// so that a step decays by weight_decay whatever the rate is (a schedule still acts on both). ValueError: a parameter
/// without a mup type (unless allowed: its lr stays); a negative lr or weight_decay; independent decay at lr 0.
template <class Options, class LrScale>
std::vector<optim::ParamGroup<Options>> scaled_parameters(const std::vector<optim::ParamGroup<Options>>& groups,
                                                          const LrScale& lr_scale,
                                                          Only<bool> independent_weight_decay = true,
                                                          Only<bool> allow_non_unit_scaling_params = false) {
  std::vector<optim::ParamGroup<Options>> out;
  for (const optim::ParamGroup<Options>& g : groups) {
    for (double x : {g.options.lr, g.options.weight_decay})
      WEFT_CHECK(x >= 0, ValueError, Options::name, ": invalid lr or weight_decay ", x);
    for (const Tensor& p : g.params) {
      Options o = g.options;
      const bool tagged = mup_info(p).type != MupType::none;
      WEFT_CHECK(tagged || allow_non_unit_scaling_params, ValueError, Options::name, ": a parameter ", p.shape(),
                 " has no mup type; use unit-scaled layers or allow_non_unit_scaling_params");
      if (tagged) o.lr *= lr_scale(p);
      if (independent_weight_decay && o.weight_decay != 0) {
        WEFT_CHECK(o.lr != 0, ValueError, Options::name, ": independent weight decay ", o.weight_decay,
                   " needs a learning rate other than 0");
        o.weight_decay /= o.lr;
      }
      out.push_back({{p}, o});
    }
  }
  return out;
}

/// Options of Adam and AdamW: PyTorch's, but no decay by default, and u-muP's two.
struct AdamOptions {
  double lr = 1e-3;                            ///< learning rate, before the scales
  std::array<double, 2> betas = {0.9, 0.999};  ///< as optim::AdamOptions', as are the next two
  double eps = 1e-8;
  double weight_decay = 0;  ///< decay per step, or times lr
  bool amsgrad = false;
  bool maximize = false;                       ///< steps uphill
  bool independent_weight_decay = true;        ///< decay apart from lr, see scaled_parameters
  bool allow_non_unit_scaling_params = false;  ///< parameters without a mup type keep lr
};

/// Base of Adam and AdamW of unit scaling.
template <bool Decoupled> class WEFT_API AdamOf : public optim::AdamOf<Decoupled> {
  using Base = optim::AdamOf<Decoupled>;

 public:
  /// A group with these options.
  using Group = optim::ParamGroup<AdamOptions>;
  explicit AdamOf(optim::ParamList params, AdamOptions o = {}) : AdamOf(std::vector<Group>{{std::move(params), o}}) {
    defaults_ = o;
  }
  AdamOf(optim::ParamList params, optim::LearningRate auto lr)
      : AdamOf(std::move(params), AdamOptions{.lr = static_cast<double>(lr)}) {}
  /// Several groups, each with its own options. Errors as scaled_parameters.
  explicit AdamOf(const std::vector<Group>& groups);
  /// The options that the optimiser was made with.
  const AdamOptions& defaults() const { return defaults_; }
  /// Adds parameters later, with scaled rates.
  void add_group(optim::NewGroup<AdamOptions> g);
  void add_param_group(optim::NewGroup<AdamOptions> g) { add_group(std::move(g)); }

 private:
  AdamOptions defaults_;
};
extern template class AdamOf<false>;
extern template class AdamOf<true>;

/// optim::Adam with the learning rates of adam_lr_scale.
using Adam = AdamOf<false>;
/// optim::AdamW with the learning rates of adam_lr_scale. With independent decay a step multiplies by 1 - weight_decay.
using AdamW = AdamOf<true>;

/// Options of unit_scaled::SGD: PyTorch's, and u-muP's three.
struct SGDOptions {
  double lr = 1e-3;     ///< learning rate, before the scales
  double momentum = 0;  ///< as optim::SGDOptions', as are the next four but the decay
  double dampening = 0;
  double weight_decay = 0;  ///< decay per step, or times lr
  bool nesterov = false;
  bool maximize = false;
  Choice<Constraint> readout_constraint = Constraint::none;  ///< of the readout layer: none or to_output_scale
  bool independent_weight_decay = true;                      ///< decay apart from lr, see scaled_parameters
  bool allow_non_unit_scaling_params = false;                ///< parameters without a mup type keep lr
};

/// optim::SGD with the learning rates of sgd_lr_scale.
class WEFT_API SGD : public optim::SGD {
 public:
  /// A group with these options.
  using Group = optim::ParamGroup<SGDOptions>;
  explicit SGD(optim::ParamList params, SGDOptions o = {}) : SGD(std::vector<Group>{{std::move(params), o}}) {
    defaults_ = o;
  }
  SGD(optim::ParamList params, optim::LearningRate auto lr)
      : SGD(std::move(params), SGDOptions{.lr = static_cast<double>(lr)}) {}
  /// Several groups, each with its own options. Errors as scaled_parameters.
  explicit SGD(const std::vector<Group>& groups);
  /// The options that the optimiser was made with.
  const SGDOptions& defaults() const { return defaults_; }
  /// Adds parameters later, with scaled rates.
  void add_group(optim::NewGroup<SGDOptions> g);
  void add_param_group(optim::NewGroup<SGDOptions> g) { add_group(std::move(g)); }

 private:
  SGDOptions defaults_;
};

}  // namespace weft::unit_scaled

/// Beside the plain optimisers: optim::unit_scaled::Adam.
namespace weft::optim {
namespace unit_scaled = weft::unit_scaled;
}
