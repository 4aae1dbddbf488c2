#include "weft/autograd/ops/loss/margin_loss.h"

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/linalg/distance.h"
#include "weft/autograd/ops/loss/common.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

using detail::check_operands;
using detail::reduce_loss;

/// Scores [N, C] of x, [N, C] or [C].
Tensor score_rows(const char* op, const Tensor& x) {
  WEFT_CHECK((x.rank(op) == 1 || x.rank() == 2) && x.size(-1) > 0, ShapeError, op,
             ": expects scores [N, C] or [C] with at least one class, got ", x.shape());
  return x.rank() == 1 ? x.unsqueeze(0) : x;
}

/// The losses of the rows, or of the one.
Tensor reduce_rows(const char* op, const Tensor& each, const Tensor& x, Reduction r) {
  return reduce_loss(op, x.rank() == 1 ? each.squeeze(0) : each, r);
}

}  // namespace

Tensor hinge_embedding_loss(const Tensor& x, const Tensor& y, const HingeEmbeddingOptions& o) {
  return hinge_embedding_loss(x, y, o.margin, o.reduction);
}
Tensor hinge_embedding_loss(const Tensor& x, const Tensor& y, Only<double> margin, Choice<Reduction> reduction) {
  const OpName op("hinge_embedding_loss");
  check_operands(op, x, y);
  return reduce_loss(op, where(ne(y, 1), clamp(double(margin) - x, 0), 0) + where(ne(y, -1), x, 0), reduction);
}

Tensor soft_margin_loss(const Tensor& x, const Tensor& y, Choice<Reduction> reduction) {
  const OpName op("soft_margin_loss");
  check_operands(op, x, y);
  return reduce_loss(op, neg(logsigmoid(y * x)), reduction);
}

Tensor multi_margin_loss(const Tensor& x, const Tensor& target, const MultiMarginOptions& o) {
  const OpName op("multi_margin_loss");
  WEFT_CHECK(o.p == 1 || o.p == 2, ValueError, "p must be 1 or 2, got ", o.p);
  const Tensor rows = score_rows(op, x);
  const int64_t N = rows.size(0), C = rows.size(1);
  WEFT_CHECK(target.rank() <= 1 && target.numel() == N, ShapeError, "target ", target.shape(), " does not fit scores ",
             x.shape());
  WEFT_CHECK(!o.weight.defined() || o.weight.shape() == Shape{C}, ShapeError, "weight ", o.weight.shape(),
             " does not have one entry for each of ", C, " classes");
  const Tensor t = target.reshape({N, 1});
  const Tensor own = eq(t, arange(0, C, 1, t.options()));
  Tensor z = clamp(where(own, 0, rows - gather(rows, 1, t) + o.margin), 0);
  if (o.p == 2) z = square(z);
  if (o.weight.defined()) z = z * index_select(o.weight, 0, t.reshape({N})).unsqueeze(1);
  return reduce_rows(op, sum(where(own, 0, z), 1) / static_cast<double>(C), x, o.reduction);
}

Tensor multilabel_margin_loss(const Tensor& x, const Tensor& target, Choice<Reduction> reduction) {
  const OpName op("multilabel_margin_loss");
  const Tensor rows = score_rows(op, x);
  WEFT_CHECK(target.shape() == x.shape(), ShapeError, "target ", target.shape(),
             " does not have the shape of the scores ", x.shape());
  WEFT_CHECK(!is_floating(target.dtype()) && target.dtype() != Dtype::boolean, DtypeError, "target is ", target.dtype(),
             "; expected i64");
  const Tensor t = target.reshape(rows.shape());
  // how often each class is listed before the first -1
  const Tensor listed = cumprod(ge(t, 0).to(Dtype::i64), 1);
  const Tensor times = scatter_add(zeros(rows.shape(), listed.options()), 1, where(eq(listed, 1), t, 0), listed);
  const Tensor z = clamp(1 - rows.unsqueeze(2) + rows.unsqueeze(1), 0);  // [N, target, other]
  const Tensor each = z * (times.unsqueeze(2) * eq(times, 0).unsqueeze(1).to(Dtype::i64)).to(z.dtype());
  return reduce_rows(op, sum(each, {1, 2}) / static_cast<double>(rows.size(1)), x, reduction);
}

Tensor multilabel_soft_margin_loss(const Tensor& x, const Tensor& target, const MultilabelSoftMarginOptions& o) {
  const OpName op("multilabel_soft_margin_loss");
  check_operands(op, x, target);
  WEFT_CHECK(x.rank() > 0, ShapeError, "needs an axis of classes, got rank 0");
  Tensor each = neg(target * logsigmoid(x) + (1 - target) * logsigmoid(neg(x)));
  if (o.weight.defined()) {
    check_operands(op, each, o.weight);
    each = each * o.weight;
  }
  return reduce_loss(op, mean(each, -1), o.reduction);
}

Tensor triplet_margin_with_distance_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                                         const TripletDistanceOptions& o) {
  const OpName op("triplet_margin_with_distance_loss");
  WEFT_CHECK(o.margin > 0, ValueError, "triplet_margin_with_distance_loss: margin must be greater than 0, got ",
             o.margin);
  const auto distance = [&](const Tensor& a, const Tensor& b) {
    return o.distance ? o.distance(a, b) : pairwise_distance(a, b);
  };
  Tensor far = distance(anchor, negative);
  if (o.swap) far = minimum(far, distance(positive, negative));
  return reduce_loss("triplet_margin_with_distance_loss", clamp(distance(anchor, positive) - far + o.margin, 0),
                     o.reduction);
}

}  // namespace weft
