// Losses as modules. Formulas, shapes and errors are those of the ops (autograd/ops/loss.h), options too; weights are buffers,
// so that they move with the module.
#pragma once

#include "weft/autograd/ops/ctc_loss.h"
#include "weft/autograd/ops/loss.h"
#include "weft/nn/linear.h"

namespace weft::nn {

/// What losses take that have no other options: `MSELoss()`, `MSELoss({.reduction = "sum"})`, `MSELoss("sum")`.
struct LossOptions {
  Choice<Reduction> reduction = Reduction::mean;
};

class WEFT_API CrossEntropyLoss : public Module {
 public:
  explicit CrossEntropyLoss(const CrossEntropyOptions& o = {});
  explicit CrossEntropyLoss(const Tensor& weight) : CrossEntropyLoss(CrossEntropyOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const { return cross_entropy(x, target, options); }
  CrossEntropyOptions options;
};
struct LinearCrossEntropyLossOptions {
  Shape out_features = {};  ///< axes of the logits behind the classes
  bool bias = false;
  Tensor weight = {};  ///< of the classes, [num_classes]; a buffer
  Choice<Reduction> reduction = Reduction::mean;
  std::optional<int64_t> ignore_index = std::nullopt;  ///< -100 unless given
  double label_smoothing = 0;
};
/// A linear layer to num_classes logits and their cross entropy in one: linear_cross_entropy. x: [N, in_features] or [in_features], target:
/// [N, out_features...] integers or [N, num_classes, out_features...] probabilities. State: linear.weight [num_classes out_features...,
/// in_features] (, linear.bias).
class WEFT_API LinearCrossEntropyLoss : public Module {
 public:
  LinearCrossEntropyLoss(int64_t in_features, int64_t num_classes, const LinearCrossEntropyLossOptions& o = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  int64_t num_classes;
  LinearCrossEntropyLossOptions options;
  Linear linear;
};
class WEFT_API NLLLoss : public Module {
 public:
  explicit NLLLoss(const NllLossOptions& o = {});
  explicit NLLLoss(const Tensor& weight) : NLLLoss(NllLossOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const { return nll_loss(x, target, options); }
  NllLossOptions options;
};
class WEFT_API BCELoss : public Module {
 public:
  explicit BCELoss(const ElementLossOptions& o = {});
  explicit BCELoss(const Tensor& weight) : BCELoss(ElementLossOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const { return binary_cross_entropy(x, target, options); }
  ElementLossOptions options;
};
class WEFT_API BCEWithLogitsLoss : public Module {
 public:
  explicit BCEWithLogitsLoss(const BceWithLogitsOptions& o = {});
  explicit BCEWithLogitsLoss(const Tensor& weight) : BCEWithLogitsLoss(BceWithLogitsOptions{.weight = weight}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const {
    return binary_cross_entropy_with_logits(x, target, options);
  }
  BceWithLogitsOptions options;
};
class WEFT_API MSELoss : public Module {
 public:
  explicit MSELoss(const LossOptions& o = {}) : MSELoss(o.reduction) {}
  explicit MSELoss(Choice<Reduction> reduction) : Module("MSELoss"), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const {
    return mse_loss(x, target, {.reduction = reduction});
  }
  Reduction reduction;
};
class WEFT_API L1Loss : public Module {
 public:
  explicit L1Loss(const LossOptions& o = {}) : L1Loss(o.reduction) {}
  explicit L1Loss(Choice<Reduction> reduction) : Module("L1Loss"), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const {
    return l1_loss(x, target, {.reduction = reduction});
  }
  Reduction reduction;
};
class WEFT_API SmoothL1Loss : public Module {
 public:
  explicit SmoothL1Loss(const SmoothL1LossOptions& o = {}) : SmoothL1Loss(o.beta, o.reduction) {}
  explicit SmoothL1Loss(double beta, Choice<Reduction> reduction = Reduction::mean)
      : Module("SmoothL1Loss"), beta(beta), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const { return smooth_l1_loss(x, target, beta, reduction); }
  double beta;
  Reduction reduction;
};
class WEFT_API HuberLoss : public Module {
 public:
  explicit HuberLoss(const HuberLossOptions& o = {}) : HuberLoss(o.delta, o.reduction) {}
  explicit HuberLoss(double delta, Choice<Reduction> reduction = Reduction::mean)
      : Module("HuberLoss"), delta(delta), reduction(reduction) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const {
    return huber_loss(x, target, delta, {.reduction = reduction});
  }
  double delta;
  Reduction reduction;
};
class WEFT_API KLDivLoss : public Module {
 public:
  explicit KLDivLoss(const KlDivOptions& o = {}) : Module("KLDivLoss"), options(o) {}
  explicit KLDivLoss(Choice<Reduction> reduction) : KLDivLoss(KlDivOptions{.reduction = reduction}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const { return kl_div(x, target, options); }
  KlDivOptions options;
};
/// elektronn3's DiceLoss. State: weight, [C], or [] with the value 1 where none is given.
class WEFT_API DiceLoss : public Module {
 public:
  explicit DiceLoss(const DiceLossOptions& o = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  DiceLossOptions options;
};

class WEFT_API PoissonNLLLoss : public Module {
 public:
  explicit PoissonNLLLoss(const PoissonNllOptions& o = {}) : Module("PoissonNLLLoss"), options(o) {}
  template <std::same_as<bool> B>
  explicit PoissonNLLLoss(B log_input, bool full = false)
      : PoissonNLLLoss(PoissonNllOptions{.log_input = log_input, .full = full}) {}
  Tensor operator()(const Tensor& x, const Tensor& target) const { return poisson_nll_loss(x, target, options); }
  PoissonNllOptions options;
};
class WEFT_API GaussianNLLLoss : public Module {
 public:
  explicit GaussianNLLLoss(const GaussianNllOptions& o = {}) : Module("GaussianNLLLoss"), options(o) {}
  Tensor operator()(const Tensor& x, const Tensor& target, const Tensor& var) const {
    return gaussian_nll_loss(x, target, var, options);
  }
  GaussianNllOptions options;
};

/// log_probs: [T, N, C], from log_softmax; targets, input_lengths, target_lengths: integers.
class WEFT_API CTCLoss : public Module {
 public:
  explicit CTCLoss(const CtcLossOptions& o = {}) : Module("CTCLoss"), options(o) {}
  template <std::integral I> explicit CTCLoss(I blank) : CTCLoss(CtcLossOptions{.blank = blank}) {}
  Tensor operator()(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                    const Tensor& target_lengths) const {
    return ctc_loss(log_probs, targets, input_lengths, target_lengths, options);
  }
  CtcLossOptions options;
};

}  // namespace weft::nn
