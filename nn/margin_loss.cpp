#include "weft/nn/margin_loss.h"

namespace weft::nn {

MultiMarginLoss::MultiMarginLoss(const MultiMarginOptions& o) : Module("MultiMarginLoss"), options(o) {
  WEFT_CHECK(o.p == 1 || o.p == 2, ValueError, "MultiMarginLoss: p must be 1 or 2, got ", o.p);
  WEFT_CHECK(!o.weight.defined() || o.weight.rank() == 1, ShapeError, "MultiMarginLoss: weight must be [C], got ",
             o.weight.shape());
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
}

MultiLabelSoftMarginLoss::MultiLabelSoftMarginLoss(const MultilabelSoftMarginOptions& o)
    : Module("MultiLabelSoftMarginLoss"), options(o) {
  options->weight = Tensor();
  weight = buffer("weight", o.weight);
}

TripletMarginLoss::TripletMarginLoss(const TripletMarginOptions& o) : Module("TripletMarginLoss"), options(o) {
  WEFT_CHECK(o.margin > 0, ValueError, "TripletMarginLoss: margin must be greater than 0, got ", o.margin);
}

TripletMarginWithDistanceLoss::TripletMarginWithDistanceLoss(const TripletDistanceOptions& o)
    : Module("TripletMarginWithDistanceLoss"), options(o) {
  WEFT_CHECK(o.margin > 0, ValueError, "TripletMarginWithDistanceLoss: margin must be greater than 0, got ", o.margin);
  if (!options->distance) options->distance = add("distance_function", PairwiseDistance());
}

}  // namespace weft::nn
