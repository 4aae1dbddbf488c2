#include "weft/nn/segmentation_loss.h"

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

SegmentationLosses::SegmentationLosses(SegmentationLossesOptions o)
    : Module("SegmentationLosses"), options(std::move(o)) {
  WEFT_CHECK(!options->se_loss || options->nclass > 0, ValueError, "SegmentationLosses: se_loss needs nclass, got ",
             options->nclass);
}
Tensor SegmentationLosses::loss(const Tensor& pred, const Tensor& se, const Tensor& aux, const Tensor& target) const {
  const CrossEntropyOptions o{.weight = options->weight, .ignore_index = options->ignore_index};
  Tensor total = cross_entropy(pred, target, o);
  if (aux.defined()) total = total + cross_entropy(aux, target, o) * options->aux_weight;
  if (!se.defined()) return total;
  Tensor presence;
  {
    NoGrad guard;
    // labels outside [0, nclass) fall into a last column that is cut off
    const Tensor labels = target.reshape({target.size(0), -1}).to(Dtype::i64);
    const Tensor counted = where(logical_and(ge(labels, 0), lt(labels, options->nclass)), labels, options->nclass);
    presence = scatter(zeros({target.size(0), options->nclass + 1}, se.options()), 1, counted, 1)
                   .narrow(1, 0, options->nclass);
  }
  return total + binary_cross_entropy_with_logits(se, presence, {.weight = options->weight}) * options->se_weight;
}
Tensor SegmentationLosses::forward(const Tensor& pred, const Tensor& target) const {
  WEFT_CHECK(!options->se_loss && !options->aux, ValueError,
             "SegmentationLosses: with se_loss or aux more inputs are expected than pred and target");
  return loss(pred, {}, {}, target);
}
Tensor SegmentationLosses::forward(const Tensor& pred, const Tensor& other, const Tensor& target) const {
  WEFT_CHECK(options->se_loss != options->aux, ValueError,
             "SegmentationLosses: three inputs go with either se_loss or aux, not with ",
             options->aux ? "both" : "neither");
  return loss(pred, options->se_loss ? other : Tensor(), options->aux ? other : Tensor(), target);
}
Tensor SegmentationLosses::forward(const Tensor& pred, const Tensor& se, const Tensor& aux,
                                   const Tensor& target) const {
  WEFT_CHECK(options->se_loss && options->aux, ValueError, "SegmentationLosses: four inputs need se_loss and aux");
  return loss(pred, se, aux, target);
}

namespace {
void check_smoothing(double smoothing) {
  WEFT_CHECK(smoothing >= 0 && smoothing <= 1, ValueError, "LabelSmoothing: smoothing must be in [0, 1], got ",
             smoothing);
}
}  // namespace

LabelSmoothing::LabelSmoothing(double smoothing) : Module("LabelSmoothing"), smoothing(smoothing) {
  check_smoothing(smoothing);
  set_extra("", detail::shown("smoothing=", this->smoothing));
}
Tensor LabelSmoothing::forward(const Tensor& x, const Tensor& target) const {
  check_smoothing(smoothing);
  WEFT_CHECK(x.rank() == 2, ShapeError, "LabelSmoothing: expected logits [N, C], got ", x.shape());
  return cross_entropy(x, target, {.label_smoothing = smoothing});
}

Tensor SegmentationLosses::operator()(const Tensor& pred, const Tensor& target) const {
  return nn::call(*this, pred, target);
}
Tensor SegmentationLosses::operator()(const Tensor& pred, const Tensor& se_or_aux, const Tensor& target) const {
  return nn::call(*this, pred, se_or_aux, target);
}
Tensor SegmentationLosses::operator()(const Tensor& pred, const Tensor& se, const Tensor& aux,
                                      const Tensor& target) const {
  return nn::call(*this, pred, se, aux, target);
}
Tensor LabelSmoothing::operator()(const Tensor& x, const Tensor& target) const { return nn::call(*this, x, target); }

}  // namespace weft::nn
