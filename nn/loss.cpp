#include "weft/nn/loss.h"

#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

void detail::check_no_weight(const Module& m, const Tensor& in_options, const char* which) {
  WEFT_CHECK(!in_options.defined(), ValueError, m.name(), ": options.", which, " is ", in_options.shape(),
             ", but the weights are the buffer '", which, "'; make a new loss with them");
}

CrossEntropyLoss::CrossEntropyLoss(const CrossEntropyOptions& o) : Module("CrossEntropyLoss"), options(o) {
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
}
LinearCrossEntropyLoss::LinearCrossEntropyLoss(int64_t in_features, int64_t num_classes,
                                               const LinearCrossEntropyLossOptions& o)
    : Module("LinearCrossEntropyLoss"),
      num_classes(num_classes),
      options(o),
      linear(add("linear", Linear(in_features, num_classes * o.out_features.numel(), {.bias = o.bias}))) {
  WEFT_CHECK(!o.weight.defined() || o.weight.shape() == Shape{num_classes}, ShapeError, name(),
             ": expected weight shape to be ", Shape{num_classes}, ", got ", o.weight.shape());
  WEFT_CHECK(o.label_smoothing >= 0 && o.label_smoothing <= 1, ValueError, name(),
             ": expected label_smoothing to be in range [0, 1], got ", o.label_smoothing);
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
  set_extra(weft::str("in_features=", in_features, ", num_classes=", num_classes), [options = options.share()] {
    return weft::str(", out_features=", py(options->out_features), ", bias=", py(options->bias),
                     ", reduction=", options->reduction.text(), ", ignore_index=", py(options->ignore_index),
                     ", label_smoothing=", py(options->label_smoothing), ", options=None");
  });
}
Tensor LinearCrossEntropyLoss::forward(const Tensor& x, const Tensor& target) const {
  detail::check_no_weight(*this, options->weight);
  detail::check_unchanged(*this, "bias", options->bias, linear.bias.defined());
  Shape classes{num_classes};
  for (const int64_t n : options->out_features) classes.push_back(n);
  WEFT_CHECK(classes.numel() == linear.weight.size(0), ValueError, name(), ": options.out_features is ",
             py(options->out_features), ", but the parameters have ", linear.weight.size(0), " rows for ", num_classes,
             " classes; make a new loss");
  return linear_cross_entropy(x, linear.weight.unflatten(0, classes), target,
                              options->bias ? linear.bias.reshape(classes) : Tensor(),
                              {.weight = weight.tensor(),
                               .ignore_index = options->ignore_index.value_or(-100),
                               .reduction = options->reduction,
                               .label_smoothing = options->label_smoothing});
}
NLLLoss::NLLLoss(const NllLossOptions& o) : Module("NLLLoss"), options(o) {
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
}
BCELoss::BCELoss(const ElementLossOptions& o) : Module("BCELoss"), options(o) {
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
}
BCEWithLogitsLoss::BCEWithLogitsLoss(const BceWithLogitsOptions& o) : Module("BCEWithLogitsLoss"), options(o) {
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
  options->pos_weight = Tensor();
  pos_weight = buffer("pos_weight", o.pos_weight);
}
DiceLoss::DiceLoss(const DiceLossOptions& o) : Module("DiceLoss"), options(o) {
  options->weight = Tensor();
  weight = buffer("weight", o.weight.defined() ? o.weight : scalar(1.0f));
}
Tensor DiceLoss::forward(const Tensor& x, const Tensor& target) const {
  const bool one = weight.rank() == 0 && x.rank() >= 2;
  return dice_loss(x, target, detail::weighted(*this, *options, one ? weight.expand({x.size(1)}) : weight.tensor()));
}

Tensor CrossEntropyLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x,
                  [&](const Tensor& x) { return cross_entropy(x, target, detail::weighted(*this, *options, weight)); });
}
Tensor LinearCrossEntropyLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, target);
}
Tensor NLLLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x,
                  [&](const Tensor& x) { return nll_loss(x, target, detail::weighted(*this, *options, weight)); });
}
Tensor BCELoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) {
    return binary_cross_entropy(x, target, detail::weighted(*this, *options, weight));
  });
}
Tensor BCEWithLogitsLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) {
    return binary_cross_entropy_with_logits(x, target, detail::weighted(*this, *options, weight, pos_weight));
  });
}
Tensor MSELoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return mse_loss(x, target, {.reduction = *reduction}); });
}
Tensor L1Loss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return l1_loss(x, target, {.reduction = *reduction}); });
}
Tensor SmoothL1Loss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return smooth_l1_loss(x, target, *beta, *reduction); });
}
Tensor HuberLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return huber_loss(x, target, *delta, {.reduction = *reduction}); });
}
Tensor KLDivLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return kl_div(x, target, options); });
}
Tensor DiceLoss::operator()(const Tensor& x, const Tensor& target) const { return nn::call(*this, x, target); }
Tensor PoissonNLLLoss::operator()(const Tensor& x, const Tensor& target) const {
  return nn::call(*this, x, [&](const Tensor& x) { return poisson_nll_loss(x, target, options); });
}
Tensor GaussianNLLLoss::operator()(const Tensor& x, const Tensor& target, const Tensor& var) const {
  return nn::call(*this, x, [&](const Tensor& x) { return gaussian_nll_loss(x, target, var, options); });
}
Tensor CTCLoss::operator()(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                           const Tensor& target_lengths) const {
  return nn::call(*this, log_probs, [&](const Tensor& log_probs) {
    return ctc_loss(log_probs, targets, input_lengths, target_lengths, options);
  });
}

}  // namespace weft::nn
