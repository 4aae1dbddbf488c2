// Losses as modules. Formulas, shapes and errors are those of the ops (autograd/ops/loss/loss.h), options too; weights
// are buffers, so that they move with the module.
#pragma once

#include "weft/autograd/ops/loss/ctc_loss.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/nn/linear.h"
#include "weft/nn/option.h"

namespace weft::nn {

namespace detail {
/// ValueError if a weight was put into a module's options.
WEFT_API void check_no_weight(const Module& m, const Tensor& in_options, const char* which = "weight");
/// The op's options with a module's buffers as their weights.
template <class Options> Options weighted(const Module& m, Options o, const Tensor& weight) {
  check_no_weight(m, o.weight);
  o.weight = weight;
  return o;
}
template <class Options> Options weighted(const Module& m, Options o, const Tensor& weight, const Tensor& pos_weight) {
  check_no_weight(m, o.pos_weight, "pos_weight");
  o.pos_weight = pos_weight;
  return weighted(m, std::move(o), weight);
}
}  // namespace detail

/// What losses take that have no other options: `MSELoss()`, `MSELoss({.reduction = "sum"})`, `MSELoss("sum")`.
struct LossOptions {
  Choice<Reduction> reduction = Reduction::mean;  ///< see Reduction
};

/// Cross entropy of logits x [N, C, spatial...] or [C] with class indices or probabilities: cross_entropy.
class WEFT_API CrossEntropyLoss : public Module {
 public:
  explicit CrossEntropyLoss(const CrossEntropyOptions& o = {});
  explicit CrossEntropyLoss(const Tensor& weight) : CrossEntropyLoss(CrossEntropyOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<CrossEntropyOptions> options;  ///< but for the weight
  /// [C]; undefined without.
  Buffer weight;
};
/// Options of LinearCrossEntropyLoss.
struct LinearCrossEntropyLossOptions {
  Shape out_features = {};                             ///< axes of the logits behind the classes
  bool bias = false;                                   ///< of the linear layer
  Tensor weight = {};                                  ///< of the classes, [num_classes]; a buffer
  Choice<Reduction> reduction = Reduction::mean;       ///< see Reduction
  std::optional<int64_t> ignore_index = std::nullopt;  ///< -100 unless given
  double label_smoothing = 0;                          ///< in [0, 1]
};
/// A linear layer to num_classes logits and their cross entropy in one: linear_cross_entropy. x: [N, in_features] or
/// [in_features], target: [N, out_features...] integers or [N, num_classes, out_features...] probabilities. State:
/// linear.weight [num_classes out_features..., in_features] (, linear.bias).
class WEFT_API LinearCrossEntropyLoss : public Module {
 public:
  LinearCrossEntropyLoss(int64_t in_features, int64_t num_classes, const LinearCrossEntropyLossOptions& o = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Tensor forward(const Tensor& x, const Tensor& target) const;
  /// Number of classes.
  int64_t num_classes;
  Option<LinearCrossEntropyLossOptions> options;  ///< but for the weight
  /// [num_classes]; undefined without.
  Buffer weight;
  /// in_features to the logits.
  Linear linear;
};
/// -x[target] of log-probabilities x [N, C, spatial...] or [C]: nll_loss.
class WEFT_API NLLLoss : public Module {
 public:
  explicit NLLLoss(const NllLossOptions& o = {});
  explicit NLLLoss(const Tensor& weight) : NLLLoss(NllLossOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<NllLossOptions> options;  ///< but for the weight
  /// [C]; undefined without.
  Buffer weight;
};
/// -(t log x + (1 - t) log(1 - x)) for probabilities x: binary_cross_entropy.
class WEFT_API BCELoss : public Module {
 public:
  explicit BCELoss(const ElementLossOptions& o = {});
  explicit BCELoss(const Tensor& weight) : BCELoss(ElementLossOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<ElementLossOptions> options;  ///< but for the weight
  /// A factor of each element; undefined without.
  Buffer weight;
};
/// BCELoss of sigmoid(x), without overflow: binary_cross_entropy_with_logits.
class WEFT_API BCEWithLogitsLoss : public Module {
 public:
  explicit BCEWithLogitsLoss(const BceWithLogitsOptions& o = {});
  explicit BCEWithLogitsLoss(const Tensor& weight) : BCEWithLogitsLoss(BceWithLogitsOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<BceWithLogitsOptions> options;  ///< but for the weights
  /// Factors of each element, and of the positives; undefined without.
  Buffer weight, pos_weight;
};
/// (x - t)^2: mse_loss.
class WEFT_API MSELoss : public Module {
 public:
  explicit MSELoss(const LossOptions& o = {}) : MSELoss(o.reduction) {}
  explicit MSELoss(Choice<Reduction> reduction) : Module("MSELoss"), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<Choice<Reduction>> reduction;
};
/// |x - t|: l1_loss.
class WEFT_API L1Loss : public Module {
 public:
  explicit L1Loss(const LossOptions& o = {}) : L1Loss(o.reduction) {}
  explicit L1Loss(Choice<Reduction> reduction) : Module("L1Loss"), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<Choice<Reduction>> reduction;
};
/// d = |x - t|: 0.5 d^2 / beta below beta, d - 0.5 beta above: smooth_l1_loss. ValueError for a negative beta.
class WEFT_API SmoothL1Loss : public Module {
 public:
  explicit SmoothL1Loss(const SmoothL1LossOptions& o = {}) : SmoothL1Loss(o.beta, o.reduction) {}
  explicit SmoothL1Loss(Only<double> beta, Choice<Reduction> reduction = Reduction::mean)
      : Module("SmoothL1Loss"), beta(beta), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<double> beta;
  Option<Choice<Reduction>> reduction;
};
/// d = |x - t|: 0.5 d^2 up to delta, delta (d - 0.5 delta) above: huber_loss. ValueError unless delta > 0.
class WEFT_API HuberLoss : public Module {
 public:
  explicit HuberLoss(const HuberLossOptions& o = {}) : HuberLoss(o.delta, o.reduction) {}
  explicit HuberLoss(Only<double> delta, Choice<Reduction> reduction = Reduction::mean)
      : Module("HuberLoss"), delta(delta), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<double> delta;
  Option<Choice<Reduction>> reduction;
};
/// t (log t - x) of log-probabilities x: kl_div. "batchmean" is the mathematical divergence.
class WEFT_API KLDivLoss : public Module {
 public:
  explicit KLDivLoss(const KlDivOptions& o = {}) : Module("KLDivLoss"), options(o) {}
  explicit KLDivLoss(Choice<Reduction> reduction) : KLDivLoss(KlDivOptions{.reduction = reduction}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<KlDivOptions> options;
};
/// dice_loss: elektronn3's DiceLoss. State: weight, [C], or [] with the value 1 where none is given.
class WEFT_API DiceLoss : public Module {
 public:
  explicit DiceLoss(const DiceLossOptions& o = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Tensor forward(const Tensor& x, const Tensor& target) const;
  Option<DiceLossOptions> options;  ///< but for the weight
  Buffer weight;
};

/// exp(x) - t x, or x - t log(x + eps): poisson_nll_loss.
class WEFT_API PoissonNLLLoss : public Module {
 public:
  explicit PoissonNLLLoss(const PoissonNllOptions& o = {}) : Module("PoissonNLLLoss"), options(o) {}
  /// PyTorch's short form: `PoissonNLLLoss(false)` takes x for the rate, not its logarithm.
  template <std::same_as<bool> B>
  explicit PoissonNLLLoss(B log_input, Only<bool> full = false)
      : PoissonNLLLoss(PoissonNllOptions{.log_input = log_input, .full = full}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Option<PoissonNllOptions> options;
};
/// 0.5 (log var + (x - t)^2 / var): gaussian_nll_loss. ValueError for a negative variance.
class WEFT_API GaussianNLLLoss : public Module {
 public:
  explicit GaussianNLLLoss(const GaussianNllOptions& o = {}) : Module("GaussianNLLLoss"), options(o) {}
  Tensor operator()(const Tensor& x, const Tensor& target, const Tensor& var) const;
  Option<GaussianNllOptions> options;
};

/// Connectionist temporal classification (Graves et al. 2006): ctc_loss. log_probs: [T, N, C], from log_softmax;
/// targets, input_lengths, target_lengths: integers.
class WEFT_API CTCLoss : public Module {
 public:
  explicit CTCLoss(const CtcLossOptions& o = {}) : Module("CTCLoss"), options(o) {}
  /// PyTorch's short form: `CTCLoss(0)` names the blank class.
  template <std::integral I> explicit CTCLoss(I blank) : CTCLoss(CtcLossOptions{.blank = blank}) {}
  Tensor operator()(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                    const Tensor& target_lengths) const;
  Option<CtcLossOptions> options;
};

}  // namespace weft::nn
