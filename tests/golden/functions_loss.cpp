// Losses.
#include "golden/registry.h"
#include "golden/words.h"
#include "support/ops.h"

namespace golden {
namespace {

weft::ElementLossOptions element(const Call& c) { return {.reduction = reduction(c), .weight = c.in("weight")}; }

}  // namespace

void add_loss(Functions& f) {
  f.add("F.mse_loss", {"input", "target", "weight"},
        [](const Call& c) { return weft::mse_loss(c.in("input"), c.in("target"), element(c)); });
  f.add("F.l1_loss", {"input", "target", "weight"},
        [](const Call& c) { return weft::l1_loss(c.in("input"), c.in("target"), element(c)); });
  f.add("F.smooth_l1_loss", {"input", "target"}, [](const Call& c) {
    return weft::smooth_l1_loss(c.in("input"), c.in("target"), c.number("beta", 1), reduction(c));
  });
  f.add("F.huber_loss", {"input", "target", "weight"}, [](const Call& c) {
    return weft::huber_loss(c.in("input"), c.in("target"), c.number("delta", 1), element(c));
  });
  f.add("F.binary_cross_entropy", {"input", "target", "weight"},
        [](const Call& c) { return weft::binary_cross_entropy(c.in("input"), c.in("target"), element(c)); });
  f.add("F.binary_cross_entropy_with_logits", {"input", "target", "weight", "pos_weight"}, [](const Call& c) {
    return weft::binary_cross_entropy_with_logits(
        c.in("input"), c.in("target"),
        {.reduction = reduction(c), .weight = c.in("weight"), .pos_weight = c.in("pos_weight")});
  });
  f.add("F.cross_entropy", {"input", "target", "weight"}, [](const Call& c) {
    return weft::cross_entropy(c.in("input"), c.in("target"),
                               {.weight = c.in("weight"),
                                .ignore_index = c.integer("ignore_index", -100),
                                .reduction = reduction(c),
                                .label_smoothing = c.number("label_smoothing", 0)});
  });
  f.add("F.nll_loss", {"input", "target", "weight"}, [](const Call& c) {
    return weft::nll_loss(
        c.in("input"), c.in("target"),
        {.weight = c.in("weight"), .ignore_index = c.integer("ignore_index", -100), .reduction = reduction(c)});
  });
  f.add("F.kl_div", {"input", "target"}, [](const Call& c) {
    return weft::kl_div(c.in("input"), c.in("target"),
                        {.reduction = reduction(c), .log_target = c.boolean("log_target", false)});
  });
}

}  // namespace golden
