#include <algorithm>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/feature_layout.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/loss/common.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

/// logits [C] as [1, C]; checks the target's shape. target comes back as contiguous i64.
struct Classes {
  Tensor x, target;
  bool single;
  Classes(const Tensor& input, const Tensor& t, const Tensor& weight)
      : x(input), single(input.rank(detail::op_name()) == 1) {
    WEFT_CHECK(x.is_floating(), DtypeError, "input is ", x.dtype(), "; expected a floating dtype");
    WEFT_CHECK(is_integral(t.dtype(detail::op_name())) && t.dtype() != Dtype::boolean, DtypeError, "target is ",
               t.dtype(), "; expected class indices (i64)");
    WEFT_CHECK(x.rank() >= 1, ShapeError, "input needs a class axis, got rank 0");
    Shape expected = x.shape();
    expected.erase(single ? 0 : 1);
    WEFT_CHECK(t.shape() == expected, ShapeError, "target ", t.shape(), " does not fit input ", x.shape(),
               "; expected ", expected);
    WEFT_CHECK(t.device() == x.device(), DeviceError, "target is on ", t.device(), " but input on ", x.device());
    if (single) x = x.unsqueeze(0);
    const int64_t C = x.size(1);
    WEFT_CHECK(!weight.defined() || weight.shape() == Shape{C}, ShapeError, "weight ", weight.shape(),
               " must have one entry for each of ", C, " classes");
    target = t.to(Dtype::i64).contiguous().reshape(single ? Shape{1} : t.shape());
  }
  Tensor restore(const Tensor& loss) const { return single && loss.rank() == 1 ? loss.squeeze(0) : loss; }
};

/// Targets as 0 and 1 of dtype t, [N, C, ...]; all 0 where ignored.
Tensor one_hot_rows(const Tensor& target, const Tensor& x, int64_t ignore_index) {
  Shape view = Shape::filled(x.rank(), 1);
  view[1] = x.size(1);
  const Tensor at = target.unsqueeze(1), classes = arange(0, x.size(1), 1, {Dtype::i64, x.device()}).reshape(view);
  return logical_and(eq(at, classes), ne(at, ignore_index)).to(x.dtype());
}
Tensor class_view(const Tensor& weight, const Tensor& x) {
  Shape view = Shape::filled(x.rank(), 1);
  view[1] = x.size(1);
  return weight.reshape(view);
}

/// The gradient by ops: g per pixel, 0 where ignored.
Tensor gradient_by_ops(const Tensor& g, const Tensor& x, const Tensor& target, const Tensor& weight,
                       const CrossEntropyParams& p) {
  const Tensor hot = one_hot_rows(target, x, p.ignore_index);
  const Tensor hits = weight.defined() ? hot * class_view(weight, x) : hot;
  const double each = p.label_smoothing / static_cast<double>(x.size(1));
  Tensor wanted = hits * (1 - p.label_smoothing);
  if (each != 0) {
    const Tensor counts = ne(target, p.ignore_index).to(x.dtype()).unsqueeze(1);
    wanted = wanted + counts * (weight.defined() ? class_view(weight, x) * each : full({}, each, x.options()));
  }
  // loss = -sum_c wanted_c log p_c, so dx = p sum(wanted) - wanted. The mean of nothing makes g infinite.
  const Tensor each_row = where(ne(target, p.ignore_index), g, 0).unsqueeze(1);
  return each_row * (softmax(x, 1) * sum(wanted, 1, true) - wanted);
}

Tensor hard_cross_entropy(const Tensor& input, const Tensor& t, const CrossEntropyOptions& o) {
  const Classes in(input, t, o.weight);
  const Tensor x = detail::plain_features(in.x);
  const Dtype ct = compute_dtype(x.dtype());
  const Tensor weight = o.weight.defined() ? o.weight.detach().to(ct).contiguous() : Tensor();
  const CrossEntropyParams params{o.ignore_index, o.label_smoothing};
  const TensorOptions options{ct, x.device()};
  const Device device = x.device();
  Tensor loss = empty(in.target.shape(), options), lse = empty(in.target.shape(), options);
  Tensor totals = zeros({3}, {Dtype::f64, x.device()});
  if (loss.numel() > 0) {
    WEFT_CHECK(x.size(1) > 0, ShapeError, "input ", input.shape(), " has no classes");
    kernels::cross_entropy(device, mut_ref(loss), mut_ref(lse), mut_ref(totals), ref(x), ref(in.target), ref(weight),
                           params);
  }
  // Everything but `none` is a rank-0 result whose gradient has one factor for all pixels.
  const bool whole = o.reduction != Reduction::none;
  const bool mean = o.reduction == Reduction::mean;
  Tensor y = whole ? (mean ? totals[0] / totals[1] : totals[0]).to(x.dtype()) : loss.to(x.dtype());
  y = record("cross_entropy", y, {x},
             [x = Saved::input(x), target = Saved::input(in.target, "target"), w = Saved::input(weight, "weight"), lse,
              totals, params, whole, mean, device, options](BackwardCtx& c) -> Grads {
               const Tensor xs = c.get(x), ts = c.get(target);
               Tensor g = c.grad().to(options.dtype());
               if (mean) g = g / totals[1].to(options.dtype());
               const Tensor weight = c.get(w);
               if (c.create_graph())
                 return {gradient_by_ops(whole ? g.expand(ts.shape()) : g, xs.to(options.dtype()), ts, weight, params)};
               Tensor dx = empty_like(xs);
               g = g.contiguous();
               if (xs.numel() > 0)
                 kernels::cross_entropy_backward(device, mut_ref(dx), ref(g), ref(lse), ref(xs), ref(ts), ref(weight),
                                                 params);
               return {dx};
             });
  return whole ? y : in.restore(y);
}

/// Targets are probabilities.
Tensor soft_cross_entropy(const Tensor& x, const Tensor& t, const CrossEntropyOptions& o) {
  const int axis = x.rank() == 1 ? 0 : 1;
  Shape labels = x.shape();
  if (x.rank() > 0) labels.erase(axis);
  WEFT_CHECK(t.shape() == x.shape() || t.shape() != labels, DtypeError, "target ", t.shape(), " is ", t.dtype(),
             ", but class indices are i64; convert with to(Dtype::i64), or give probabilities ", x.shape());
  WEFT_CHECK(t.shape() == x.shape(), ShapeError, "probabilities ", t.shape(), " do not have the input's shape ",
             x.shape());
  const int64_t C = x.size(axis);
  Tensor p = t;
  if (o.label_smoothing != 0) p = p * (1 - o.label_smoothing) + o.label_smoothing / static_cast<double>(C);
  Tensor each = log_softmax(x, axis) * p;
  if (o.weight.defined()) {
    WEFT_CHECK(o.weight.shape() == Shape{C}, ShapeError, "weight ", o.weight.shape(),
               " must have one entry for each of ", C, " classes");
    each = each * (axis == 0 ? o.weight : class_view(o.weight, x));
  }
  if (o.reduction == Reduction::none) return neg(sum(each, axis));
  const Tensor total = neg(sum(each));
  return o.reduction == Reduction::mean ? total / static_cast<double>(x.numel() / std::max<int64_t>(1, C)) : total;
}

}  // namespace

Tensor cross_entropy(const Tensor& input, const Tensor& target, const CrossEntropyOptions& o) {
  const OpName op("cross_entropy");
  WEFT_CHECK(o.label_smoothing >= 0 && o.label_smoothing <= 1, ValueError, "label_smoothing must be in [0, 1], got ",
             o.label_smoothing);
  WEFT_CHECK(o.reduction != Reduction::batchmean, ValueError, "batchmean is a reduction of kl_div only");
  const Tensor x = autocast(CastPolicy::fp32, input);
  return target.is_floating() ? soft_cross_entropy(x, autocast(CastPolicy::fp32, target), o)
                              : hard_cross_entropy(x, target, o);
}

Tensor nll_loss(const Tensor& input, const Tensor& t, const NllLossOptions& o) {
  const OpName op("nll_loss");
  WEFT_CHECK(o.reduction != Reduction::batchmean, ValueError, "batchmean is a reduction of kl_div only");
  const Classes in(autocast(CastPolicy::fp32, input), t, o.weight);
  const Tensor& x = in.x;
  const Tensor bad = logical_and(ne(in.target, o.ignore_index), logical_or(lt(in.target, 0), ge(in.target, x.size(1))));
  if (!detail::values_at_hand(bad)) detail::refuse_any(op, bad, "a target is no class and is not ignore_index");
  else if (any(bad).item<bool>())
    raise_target(op, in.target.to(Device()).data<int64_t>(), in.target.shape(), x.size(1), o.ignore_index);
  // where, not a product: 0 times an infinite log-probability would be NaN
  const Tensor hot = one_hot_rows(in.target, x, o.ignore_index);
  const Tensor weights = o.weight.defined() ? hot * class_view(o.weight.detach().to(x.dtype()), x) : hot;
  const Tensor loss = neg(sum(where(ne(hot, 0), x * weights, 0), 1));
  if (o.reduction == Reduction::none) return in.restore(loss);
  return o.reduction == Reduction::sum ? sum(loss) : sum(loss) / sum(weights);
}

Tensor linear_cross_entropy(const Tensor& x, const Tensor& linear_weight, const Tensor& target,
                            const Tensor& linear_bias, const CrossEntropyOptions& o) {
  const OpName op("linear_cross_entropy");
  WEFT_CHECK(linear_weight.rank() >= 2 && (x.rank() == 2 || (x.rank() == 1 && linear_weight.rank() == 2)) &&
                 linear_weight.size(-1) == x.size(-1),
             ShapeError, "input ", x.shape(), " and linear_weight ", linear_weight.shape(),
             " should be [N, in] and [C, ..., in], or [in] and [C, in]");
  const Shape classes = linear_weight.shape().slice(0, linear_weight.rank() - 1);
  WEFT_CHECK(!linear_bias.defined() || linear_bias.shape() == classes, ShapeError, "linear_bias ", linear_bias.shape(),
             " should be ", classes);
  const Tensor logits = linear(x, linear_weight.flatten(0, -2),
                               linear_bias.defined() ? linear_bias.flatten() : Tensor());
  return cross_entropy(logits.unflatten(-1, classes), target, o);
}

}  // namespace weft
