// Losses as modules.
#include "golden/modules.h"
#include "golden/words.h"
#include "weft/nn/adaptive_softmax.h"
#include "weft/nn/loss.h"

namespace golden {

using namespace weft;

void add_loss_modules(Modules& m) {
  m.add("nn.CrossEntropyLoss", [](const Args& a) {
    return pair_layer(nn::CrossEntropyLoss({.weight = a.tensor("weight"),
                                            .ignore_index = a.integer("ignore_index", -100),
                                            .reduction = reduction(a),
                                            .label_smoothing = a.number("label_smoothing", 0)}));
  });
  m.add("nn.NLLLoss", [](const Args& a) {
    return pair_layer(nn::NLLLoss(
        {.weight = a.tensor("weight"), .ignore_index = a.integer("ignore_index", -100), .reduction = reduction(a)}));
  });
  m.add("nn.BCELoss", [](const Args& a) {
    return pair_layer(nn::BCELoss({.reduction = reduction(a), .weight = a.tensor("weight")}));
  });
  m.add("nn.BCEWithLogitsLoss", [](const Args& a) {
    return pair_layer(nn::BCEWithLogitsLoss(
        {.reduction = reduction(a), .weight = a.tensor("weight"), .pos_weight = a.tensor("pos_weight")}));
  });
  m.add("nn.MSELoss", [](const Args& a) { return pair_layer(nn::MSELoss(reduction(a))); });
  m.add("nn.L1Loss", [](const Args& a) { return pair_layer(nn::L1Loss(reduction(a))); });
  m.add("nn.SmoothL1Loss",
        [](const Args& a) { return pair_layer(nn::SmoothL1Loss(a.number("beta", 1), reduction(a))); });
  m.add("nn.HuberLoss", [](const Args& a) { return pair_layer(nn::HuberLoss(a.number("delta", 1), reduction(a))); });
  m.add("nn.KLDivLoss", [](const Args& a) {
    return pair_layer(nn::KLDivLoss({.reduction = reduction(a), .log_target = a.boolean("log_target", false)}));
  });
  m.add("nn.PoissonNLLLoss", [](const Args& a) {
    return pair_layer(nn::PoissonNLLLoss({.log_input = a.boolean("log_input", true),
                                          .full = a.boolean("full", false),
                                          .eps = a.number("eps", 1e-8),
                                          .reduction = reduction(a)}));
  });
  m.add("nn.GaussianNLLLoss", [](const Args& a) {
    return triple_layer(nn::GaussianNLLLoss(
        {.full = a.boolean("full", false), .eps = a.number("eps", 1e-6), .reduction = reduction(a)}));
  });
  m.add("nn.CTCLoss", [](const Args& a) -> Built {
    const nn::CTCLoss loss({.blank = a.integer("blank", 0),
                            .reduction = reduction(a),
                            .zero_infinity = a.boolean("zero_infinity", false)});
    return {loss, [loss](const std::vector<Tensor>& x, const Args&) {
              return std::vector<Tensor>{loss(x.at(0), x.at(1), x.at(2), x.at(3))};
            }};
  });
  m.add("nn.LinearCrossEntropyLoss", [](const Args& a) {
    return pair_layer(nn::LinearCrossEntropyLoss(a.integer("in_features"), a.integer("num_classes"),
                                                 {.out_features = a.opt_ints("out_features").value_or(Shape{}),
                                                  .bias = a.boolean("bias", false),
                                                  .weight = a.tensor("weight"),
                                                  .reduction = reduction(a),
                                                  .ignore_index = a.opt_integer("ignore_index"),
                                                  .label_smoothing = a.number("label_smoothing", 0)}));
  });
  m.add("nn.AdaptiveLogSoftmaxWithLoss", [](const Args& a) -> Built {
    const nn::AdaptiveLogSoftmaxWithLoss net(
        a.integer("in_features"), a.integer("n_classes"), a.ints("cutoffs"),
        {.div_value = a.number("div_value", 4), .head_bias = a.boolean("head_bias", false)});
    return {net, [net](const std::vector<Tensor>& x, const Args& call) {
              const std::string method = call.word("method", "forward");
              if (method == "log_prob") return std::vector<Tensor>{net.log_prob(x.at(0))};
              if (method == "predict") return std::vector<Tensor>{net.predict(x.at(0))};
              if (method != "forward") throw Skip("method " + method);
              const nn::AdaptiveLogSoftmaxResult r = net(x.at(0), x.at(1));
              return std::vector<Tensor>{r.output, r.loss};
            }};
  });
  m.add("elektronn3.DiceLoss", [](const Args& a) {
    return pair_layer(nn::DiceLoss({.apply_softmax = a.boolean("apply_softmax", true),
                                    .weight = a.tensor("weight"),
                                    .smooth = a.number("smooth", 0),
                                    .eps = a.number("eps", 1e-4)}));
  });
}

}  // namespace golden
