#include "weft/autograd/ops/loss/loss.h"

#include <cmath>
#include <numbers>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/distance.h"
#include "weft/autograd/ops/loss/common.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

using detail::check_operands;
using detail::op_name;
using detail::reduce_loss;
using detail::refuse_any;

/// Weighted elements: the mean is by the sum of the weights.
Tensor weighted(const Tensor& each, const ElementLossOptions& o) {
  if (!o.weight.defined()) return reduce_loss(each, o.reduction);
  check_operands(each, o.weight);
  const Tensor product = each * o.weight;
  if (o.reduction == Reduction::mean) return sum(product) / sum(o.weight.expand(product.shape()));
  return reduce_loss(product, o.reduction);
}
/// x - target in autocast's dtype.
Tensor difference(const Tensor& x, const Tensor& target) {
  WEFT_CHECK(x.is_floating(op_name()) && target.is_floating(op_name()), DtypeError, "input is ", x.dtype(),
             " and target ", target.dtype(), "; expected floating dtypes");
  check_operands(x, target);
  return autocast(CastPolicy::fp32, x) - autocast(CastPolicy::fp32, target);
}

/// d^2 / 2 within `bound` and the tangent beyond, over `divisor`: one formula, whose gradient at infinity is finite.
Tensor quadratic_within(const Tensor& d, double bound, double divisor = 1) {
  const Tensor c = clamp(d, -bound, bound);
  return (divisor == 1 ? c : c / divisor) * (d - c * 0.5);
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target, const ElementLossOptions& o) {
  const OpName op("mse_loss");
  return weighted(square(difference(x, target)), o);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, const ElementLossOptions& o) {
  const OpName op("l1_loss");
  return weighted(abs(difference(x, target)), o);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, Only<double> beta, Choice<Reduction> reduction) {
  const OpName op("smooth_l1_loss");
  WEFT_CHECK(beta >= 0, ValueError, "beta must not be negative, got ", beta);
  const Tensor d = difference(x, target);
  if (beta == 0) return reduce_loss(abs(d), reduction);
  return reduce_loss(quadratic_within(d, beta, beta), reduction);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, const SmoothL1LossOptions& o) {
  return smooth_l1_loss(x, target, o.beta, o.reduction);
}

Tensor huber_loss(const Tensor& x, const Tensor& target, const HuberLossOptions& o) {
  return huber_loss(x, target, o.delta, {.reduction = o.reduction, .weight = o.weight});
}
Tensor huber_loss(const Tensor& x, const Tensor& target, Only<double> delta, const ElementLossOptions& o) {
  const OpName op("huber_loss");
  WEFT_CHECK(delta > 0, ValueError, "delta must be positive, got ", delta);
  return weighted(quadratic_within(difference(x, target), delta), o);
}

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target_in, const ElementLossOptions& o) {
  const OpName op("binary_cross_entropy");
  WEFT_CHECK(input.shape() == target_in.shape(), ShapeError, "target ", target_in.shape(),
             " does not have the input's shape ", input.shape());
  const Tensor x = autocast(CastPolicy::fp32, input), t = autocast(CastPolicy::fp32, target_in);
  const Tensor at = x.detach();
  refuse_any(op, logical_not(logical_and(ge(at, 0), le(at, 1))),
             "all elements of input should be between 0 and 1; for logits use binary_cross_entropy_with_logits");
  Tensor y;
  {
    NoGrad guard;
    const Tensor p = clamp(log(x), -100), q = clamp(log1p(neg(x)), -100);
    y = (t - 1) * q - t * p;
  }
  // A formula of its own: through the clamped logarithms the gradient at 0 and 1 would be 0 times infinity.
  y = record(op, y, {x, t}, [x = Saved::input(x), t = Saved::input(t, "target")](BackwardCtx& c) -> Grads {
    const Tensor xs = c.get(x), ts = c.get(t), g = c.grad();
    Grads r{Tensor(), Tensor()};
    if (c.needs(0)) r[0] = g * (xs - ts) / clamp((1 - xs) * xs, 1e-12);
    if (c.needs(1)) r[1] = g * (clamp(log1p(neg(xs)), -100) - clamp(log(xs), -100));
    return r;
  });
  if (o.weight.defined()) check_operands(x, o.weight);
  return reduce_loss(o.weight.defined() ? y * o.weight : y, o.reduction);
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target_in, const BceWithLogitsOptions& o) {
  const OpName op("binary_cross_entropy_with_logits");
  WEFT_CHECK(input.shape() == target_in.shape(), ShapeError, "target ", target_in.shape(),
             " does not have the input's shape ", input.shape());
  const Tensor x = autocast(CastPolicy::fp32, input), t = autocast(CastPolicy::fp32, target_in);
  kernels::detail::check_same_device(op_name(), x, t);
  for (const Tensor& w : {o.weight, o.pos_weight})
    if (w.defined()) check_operands(x, w);
  Tensor tail = logsigmoid(x);
  if (o.pos_weight.defined()) tail = tail * ((o.pos_weight - 1) * t + 1);
  const Tensor each = (1 - t) * x - tail;
  return reduce_loss(o.weight.defined() ? each * o.weight : each, o.reduction);
}

Tensor kl_div(const Tensor& input, const Tensor& target_in, const KlDivOptions& o) {
  const OpName op("kl_div");
  check_operands(input, target_in);
  const Tensor x = autocast(CastPolicy::fp32, input), t = autocast(CastPolicy::fp32, target_in);
  Tensor each;
  if (o.log_target) {
    each = exp(t) * (t - x);
  } else {
    const Tensor zero = eq(t, 0);  // t log t is 0 at 0
    each = where(zero, 0, t * log(where(zero, 1, t))) - t * x;
  }
  if (o.reduction != Reduction::batchmean) return reduce_loss(each, o.reduction);
  WEFT_CHECK(x.rank() > 0, ShapeError, "batchmean needs a batch axis, got rank 0");
  return sum(each) / static_cast<double>(x.size(0));
}

Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& y, double margin,
                             Choice<Reduction> reduction) {
  const OpName op("cosine_embedding_loss");
  kernels::detail::check_same_device(op_name(), a, b);
  (void)broadcast_shapes(op_name(), a.shape(), b.shape());
  const int64_t dim = a.rank() == 1 ? 0 : 1;
  constexpr double kEps = 1e-12;  // PyTorch's, under the root: cosine_similarity bounds the norms
  const Tensor c = sum(a * b, dim) / sqrt((sum(square(a), dim) + kEps) * (sum(square(b), dim) + kEps));
  WEFT_CHECK(y.shape() == c.shape(), ShapeError, "y ", y.shape(), " does not fit inputs ", a.shape(), " and ",
             b.shape());
  const Tensor each = where(eq(y, 1), 1 - c, where(eq(y, -1), clamp(c - margin, 0), 0));
  return reduce_loss(each, reduction);
}

Tensor margin_ranking_loss(const Tensor& a, const Tensor& b, const Tensor& y, double margin,
                           Choice<Reduction> reduction) {
  const OpName op("margin_ranking_loss");
  check_operands(a, b);
  check_operands(a, y);
  return reduce_loss(clamp(neg(y) * (a - b) + margin, 0), reduction);
}

Tensor cosine_embedding_loss(const Tensor& a, const Tensor& b, const Tensor& y, const MarginLossOptions& o) {
  return cosine_embedding_loss(a, b, y, o.margin, o.reduction);
}
Tensor margin_ranking_loss(const Tensor& a, const Tensor& b, const Tensor& y, const MarginLossOptions& o) {
  return margin_ranking_loss(a, b, y, o.margin, o.reduction);
}

Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           const TripletMarginOptions& o) {
  const OpName op("triplet_margin_loss");
  WEFT_CHECK(o.margin > 0, ValueError, "margin must be greater than 0, got ", o.margin);
  check_operands(anchor, positive);
  check_operands(anchor, negative);
  const PairwiseDistanceOptions d{.p = o.p, .eps = o.eps};
  Tensor far = pairwise_distance(anchor, negative, d);
  if (o.swap) far = minimum(far, pairwise_distance(positive, negative, d));
  return reduce_loss(clamp(pairwise_distance(anchor, positive, d) - far + o.margin, 0), o.reduction);
}

Tensor poisson_nll_loss(const Tensor& x, const Tensor& t, const PoissonNllOptions& o) {
  const OpName op("poisson_nll_loss");
  check_operands(x, t);
  const Dtype d = compute_dtype(x.dtype());  // eps is less than f16 holds
  Tensor each = o.log_input ? exp(x) - t * x : x - t * log(x.to(d) + o.eps).to(x.dtype());
  if (o.full) {
    const Tensor big = gt(t, 1), at = where(big, t, 1);
    each = each + where(big, at * log(at) - at + log(at * (2 * std::numbers::pi)) * 0.5, 0);
  }
  return reduce_loss(each, o.reduction);
}

Tensor gaussian_nll_loss(const Tensor& x, const Tensor& t, const Tensor& var_in, const GaussianNllOptions& o) {
  const OpName op("gaussian_nll_loss");
  check_operands(x, t);
  refuse_any(op, lt(var_in.detach(), 0), "var has negative entries");
  Tensor var = var_in;
  if (var.shape() != x.shape() && var.rank() + 1 == x.rank()) var = var.unsqueeze(-1);
  check_operands(x, var);
  // The gradient passes the bound as if it were not there (PyTorch).
  var = where(lt(var, o.eps), var - var.detach() + o.eps, var);
  Tensor each = (log(var) + square(x - t) / var) * 0.5;
  if (o.full) each = each + 0.5 * std::log(2 * std::numbers::pi);
  return reduce_loss(each, o.reduction);
}

Tensor dice_loss(const Tensor& input, const Tensor& target, const DiceLossOptions& o) {
  const OpName op("dice_loss");
  WEFT_CHECK(input.rank() >= 2, ShapeError, "input ", input.shape(), " must be [N, C, ...]");
  const Tensor x = autocast(CastPolicy::fp32, input);
  const int64_t C = x.size(1);
  Shape view = Shape::filled(x.rank(), 1), dims{0};
  view[1] = C;
  for (int i = 2; i < x.rank(); ++i) dims.push_back(i);
  Tensor t = target;
  if (target.shape() != x.shape()) {
    Shape expected = x.shape();
    expected.erase(1);
    WEFT_CHECK(target.shape() == expected, ShapeError, "target ", target.shape(), " does not fit input ", x.shape());
    t = eq(target.unsqueeze(1), arange(0, C, 1, {target.dtype(), x.device()}).reshape(view));
  }
  t = t.to(x.dtype());
  const Tensor p = o.apply_softmax ? softmax(x, 1) : x;
  const Tensor overlap = sum(p * t, dims) * 2 + o.smooth, size = sum(p + t, dims) + (o.smooth + o.eps);
  Tensor each = 1 - overlap / size;
  if (o.weight.defined()) each = each * o.weight;
  return mean(each);
}

}  // namespace weft
