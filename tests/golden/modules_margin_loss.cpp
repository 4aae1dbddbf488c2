// Margin losses, and distances as modules.
#include "golden/modules.h"
#include "golden/words.h"
#include "weft/nn/margin_loss.h"

namespace golden {

using namespace weft;

void add_margin_loss_modules(Modules& m) {
  m.add("nn.CosineSimilarity",
        [](const Args& a) { return pair_layer(nn::CosineSimilarity(a.integer("dim", 1), a.number("eps", 1e-8))); });
  m.add("nn.PairwiseDistance", [](const Args& a) {
    return pair_layer(nn::PairwiseDistance(
        {.p = a.number("p", 2), .eps = a.number("eps", 1e-6), .keepdim = a.boolean("keepdim", false)}));
  });
  m.add("nn.MarginRankingLoss",
        [](const Args& a) { return triple_layer(nn::MarginRankingLoss(a.number("margin", 0), reduction(a))); });
  m.add("nn.CosineEmbeddingLoss",
        [](const Args& a) { return triple_layer(nn::CosineEmbeddingLoss(a.number("margin", 0), reduction(a))); });
  m.add("nn.HingeEmbeddingLoss",
        [](const Args& a) { return pair_layer(nn::HingeEmbeddingLoss(a.number("margin", 1), reduction(a))); });
  m.add("nn.SoftMarginLoss", [](const Args& a) { return pair_layer(nn::SoftMarginLoss(reduction(a))); });
  m.add("nn.MultiLabelMarginLoss", [](const Args& a) { return pair_layer(nn::MultiLabelMarginLoss(reduction(a))); });
  m.add("nn.MultiMarginLoss", [](const Args& a) {
    return pair_layer(nn::MultiMarginLoss({.p = static_cast<int>(a.integer("p", 1)),
                                           .margin = a.number("margin", 1),
                                           .weight = a.tensor("weight"),
                                           .reduction = reduction(a)}));
  });
  m.add("nn.MultiLabelSoftMarginLoss", [](const Args& a) {
    return pair_layer(nn::MultiLabelSoftMarginLoss({.weight = a.tensor("weight"), .reduction = reduction(a)}));
  });
  m.add("nn.TripletMarginLoss", [](const Args& a) {
    return triple_layer(nn::TripletMarginLoss({.margin = a.number("margin", 1),
                                               .p = a.number("p", 2),
                                               .eps = a.number("eps", 1e-6),
                                               .swap = a.boolean("swap", false),
                                               .reduction = reduction(a)}));
  });
  m.add("nn.TripletMarginWithDistanceLoss", [](const Args& a) {
    return triple_layer(nn::TripletMarginWithDistanceLoss(
        {.margin = a.number("margin", 1), .swap = a.boolean("swap", false), .reduction = reduction(a)}));
  });
}

}  // namespace golden
