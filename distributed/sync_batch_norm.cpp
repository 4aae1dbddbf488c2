#include "weft/distributed/sync_batch_norm.h"

#include <cmath>
#include <limits>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/feature_layout.h"
#include "weft/autograd/ops/layer/norm.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/core/fn/welford.h"
#include "weft/core/kernels.h"
#include "weft/core/recording.h"

namespace weft {
namespace {

using detail::ChannelMoments;
using detail::layout_of;

constexpr const char* kSyncNorm = "sync_batch_norm";

/// The batch of all ranks, as backward knows it.
struct WholeBatch {
  double count = 0;  // values per channel
  ProcessGroup group;
  NormParams params;
};

/// Moments of all ranks' batches together (Chan's merge, in rank order). `folded` becomes whether it was so on all.
ChannelMoments merged(const ChannelMoments& own, const ProcessGroup& group, bool& folded) {
  const NoGrad off;
  const Tensor rest = tensor(std::vector<double>{own.count, folded ? 1.0 : 0.0}).to(own.mean.device());
  const Tensor all = group.all_gather(cat({own.mean, own.m2, rest})).to(Device());
  const int64_t C = own.mean.numel(), length = 2 * C + 2;
  const double* rank = all.data<double>();
  Tensor mean = empty({C}, Dtype::f64), m2 = empty({C}, Dtype::f64);
  double *to_mean = mean.mut_data<double>(), *to_m2 = m2.mut_data<double>(), total = 0;
  for (int r = 0; r < group.size(); ++r) {
    total += rank[r * length + 2 * C];
    folded = folded && rank[r * length + 2 * C + 1] != 0;
  }
  for (int64_t c = 0; c < C; ++c) {
    fn::Moments m;
    for (int r = 0; r < group.size(); ++r) {
      const double* at = rank + r * length;
      m.merge(at[2 * C], at[c], at[C + c]);
    }
    to_mean[c] = m.mean;
    to_m2[c] = m.m2;
  }
  return {mean.to(own.mean.device()), m2.to(own.m2.device()), total};
}

/// Nobody but the caller's handle of this result of an op knows its values.
bool may_overwrite(const Tensor& x) {
  if (!grad_enabled() || !x.requires_grad() || x.is_leaf() || !x.is_unique() || x.numel() == 0) return false;
  if (!x.is_contiguous() && !(x.rank() >= 3 && x.is_channels_last())) return false;  // the kernels would need a copy
  const AutogradMeta& m = *x.impl()->autograd;
  if (!m.grad_node->hooks) return true;
  for (const GradHook& h : *m.grad_node->hooks)
    if (h.index == m.output_index) return false;
  return true;
}

/// Can xhat be had from gamma xhat + beta?
bool is_invertible(const Tensor& weight) {
  const Tensor w = weight.detach().to(Dtype::f64).to(Device()).contiguous();
  const double* gamma = w.data<double>();
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (int64_t c = 0; c < w.numel(); ++c) {
    least = std::fmin(least, std::fabs(gamma[c]));
    most = std::fmax(most, std::fabs(gamma[c]));
    if (std::isnan(gamma[c])) return false;
  }
  return least >= 1e-3 * std::fmax(most, 1e-3);
}

/// Gradients of x, weight and bias by the kernels. `kept` is what they read: x, or the activated output ("folded");
/// xhat is (kept - mean) inv.
Grads by_kernels(BackwardCtx& c, const Tensor& kept, const Tensor& w, const Tensor& b, const Tensor& mean,
                 const Tensor& inv, const Tensor& one_by_std, const WholeBatch& batch) {
  const Device device = kept.device();
  Tensor g = layout_of(kept, c.take_grad());
  Tensor s1 = zeros(mean.shape(), mean.options()), s2 = zeros(mean.shape(), mean.options()), dx;
  if (kept.numel() > 0)
    kernels::norm_backward_reduce(device, mut_ref(s1), mut_ref(s2), ref(g), ref(kept), {}, ref(mean), ref(inv), ref(w),
                                  ref(b), batch.params);
  Tensor all1 = s1, all2 = s2;
  if (batch.group.size() > 1) {  // whoever needs no dx takes part all the same
    Tensor sums = stack({s1, s2});
    batch.group.all_reduce_(sums);
    all1 = sums[0], all2 = sums[1];
  }
  if (c.needs(0)) {
    dx = g.is_unique() ? g : empty_like(kept);
    const Tensor scale = one_by_std * w.to(Dtype::f64), k1 = scale * all1 / batch.count,
                 k2 = scale * all2 / batch.count;
    if (kept.numel() > 0)
      kernels::norm_backward_apply(device, mut_ref(dx), {}, ref(g), ref(kept), {}, ref(mean), ref(inv), ref(w), ref(b),
                                   ref(scale), ref(k1), ref(k2), batch.params);
  }
  return {dx, s2, s1};
}

/// [1, C, 1, ...] for x, and all axes but the channels'.
struct ChannelAxes {
  explicit ChannelAxes(const Tensor& x) : shape(Shape::filled(x.rank(), 1)) {
    shape[1] = x.size(1);
    for (int i = 2; i < x.rank(); ++i) others.push_back(i);
  }
  Shape shape, others{0};
};

/// Gradients as ops, which can be differentiated again: dy is the gradient before the activation. Every rank takes part
/// in each mean.
Grads by_ops(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& inv, const ChannelAxes& axes,
             const WholeBatch& batch, Tensor* dx_of_inv, const Shape& channels) {
  const auto mean = [&](const Tensor& t) { return batch.group.all_reduce(sum(t, axes.others, true)) / batch.count; };
  const Tensor gw = dy * w;
  Tensor dx = (gw - mean(gw) - xhat * mean(gw * xhat)) * inv;
  if (dx_of_inv) dx = dx - batch.group.all_reduce(*dx_of_inv) * square(inv) * xhat / batch.count;
  return {dx, sum_to(dy * xhat, axes.shape).reshape(channels), sum_to(dy, axes.shape).reshape(channels)};
}

/// The same from the activated output z: z and 1 / sqrt(var + eps) are the node's outputs, and so carry the second
/// derivative on to x.
Grads by_ops_of_output(BackwardCtx& c, const Tensor& z_in, const Tensor& weight, const Tensor& bias,
                       const Tensor& one_by_std, const WholeBatch& batch) {
  const Dtype t = compute_dtype(z_in.dtype());
  const ChannelAxes axes(z_in);
  const Tensor z = z_in.to(t), w = weight.to(t).reshape(axes.shape), b = bias.to(t).reshape(axes.shape),
               inv = one_by_std.to(t).reshape(axes.shape), g = c.grad().to(t), positive = ge(z, 0);
  const double slope = batch.params.slope;
  const Tensor dy = where(positive, g, g * slope), xhat = (where(positive, z, z / slope) - b) / w;
  Tensor dx_of_inv;
  if (c.has_grad(1)) dx_of_inv = c.grad(1).to(t).reshape(axes.shape);
  return by_ops(dy, xhat, w, inv, axes, batch, c.has_grad(1) ? &dx_of_inv : nullptr, weight.shape());
}

/// The same from x, whose statistics are made anew.
Grads by_ops_of_input(BackwardCtx& c, const Tensor& x_in, const Tensor& weight, const Tensor& bias,
                      const WholeBatch& batch) {
  const Dtype t = compute_dtype(x_in.dtype());
  const ChannelAxes axes(x_in);
  const auto mean = [&](const Tensor& v) { return batch.group.all_reduce(sum(v, axes.others, true)) / batch.count; };
  const Tensor x = x_in.to(t), w = weight.to(t).reshape(axes.shape), b = bias.to(t).reshape(axes.shape),
               centred = x - mean(x), inv = rsqrt(mean(square(centred)) + batch.params.eps), xhat = centred * inv;
  Tensor dy = c.grad().to(t);
  if (batch.params.activation != Activation::none) {
    const double slope = batch.params.activation == Activation::relu ? 0 : batch.params.slope;
    dy = where(gt(xhat * w + b, 0), dy, dy * slope);
  }
  return by_ops(dy, xhat, w, inv, axes, batch, nullptr, weight.shape());
}

}  // namespace

Tensor sync_batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                       const Tensor& bias, const SyncBatchNormOptions& o) {
  detail::check_batch_norm(kSyncNorm, input, running_mean, running_var, weight, bias);
  check_defined(kSyncNorm, weight, bias);
  const bool leaky = o.activation == Activation::leaky_relu;
  WEFT_CHECK(!o.inplace || !leaky || o.slope > 0, ValueError, kSyncNorm, ": slope=", o.slope,
             " must be positive with inplace, which inverts the activation");
  const NormParams params{.eps = o.eps, .activation = o.activation, .slope = o.slope};
  const bool alone = o.group.size() == 1;
  // a captured step would have to look at the weight in every run
  const bool inverts = o.training && o.inplace && leaky && !detail::recording() && is_invertible(weight),
             may = inverts && may_overwrite(input);
  if (!o.training || (alone && !may))
    return batch_norm(input, running_mean, running_var, weight, bias,
                      {.training = o.training,
                       .momentum = o.momentum,
                       .eps = o.eps,
                       .activation = o.activation,
                       .slope = o.slope,
                       .biased_running_var = o.biased_running_var});

  const Tensor w = is_half(weight.dtype()) ? weight.to(Dtype::f32) : weight,
               b = is_half(bias.dtype()) ? bias.to(Dtype::f32) : bias;
  const Tensor x = may ? input : detail::plain_features(input);
  const Device device = x.device();
  ChannelMoments moments = detail::channel_moments(x);
  bool folded = may || (inverts && x.numel() == 0);  // all ranks or none: their backwards exchange the same messages
  if (!alone) moments = merged(moments, o.group, folded);
  const bool overwrite = may && folded;
  WEFT_CHECK(moments.count != 1, ValueError, kSyncNorm,
             ": expected more than 1 value per channel when training, got input ", input.shape(),
             alone ? "" : " and nothing on the other ranks");
  Tensor inv;
  {
    const NoGrad off;
    inv = rsqrt(moments.m2 / std::fmax(moments.count, 1) + o.eps);
  }
  const Tensor mean = moments.mean;
  Tensor y = overwrite ? Tensor(x.impl()->detached()) : empty_like(x);
  if (x.numel() > 0) kernels::norm_apply(device, mut_ref(y), ref(x), ref(mean), ref(inv), ref(w), ref(b), {}, params);
  if (moments.count > 0) detail::update_running(running_mean, running_var, moments, o.momentum, o.biased_running_var);

  WholeBatch batch{std::fmax(moments.count, 1), o.group, params};
  if (!folded)
    return record(kSyncNorm, y, {x, w, b},
                  [x = Saved::input(x), w = Saved::input(w, "weight"), b = Saved::input(b, "bias"), mean, inv,
                   batch = std::move(batch)](BackwardCtx& c) -> Grads {
                    if (c.create_graph()) return by_ops_of_input(c, c.get(x), c.get(w), c.get(b), batch);
                    return by_kernels(c, c.get(x), c.get(w), c.get(b), mean, inv, inv, batch);
                  });

  batch.params.source = NormSource::folded;
  std::vector<Tensor> made = record_n(kSyncNorm, {y, inv}, {x, w, b},
                                      [z = Saved::output(y), inv = Saved::output(inv, 1), w = Saved::input(w, "weight"),
                                       b = Saved::input(b, "bias"), batch = std::move(batch)](BackwardCtx& c) -> Grads {
                                        const Tensor zs = c.get(z), invs = c.get(inv), ws = c.get(w), bs = c.get(b);
                                        if (c.create_graph() || c.has_grad(1))
                                          return by_ops_of_output(c, zs, ws, bs, invs, batch);
                                        return by_kernels(c, zs, ws, bs, bs.to(Dtype::f64),
                                                          reciprocal(ws.to(Dtype::f64)), invs, batch);
                                      });
  if (!overwrite) return made[0];
  AutogradMeta& meta = detail::meta(x);  // the caller's handle too: its values are z's
  meta.grad_node = detail::meta(made[0]).grad_node;
  meta.output_index = 0;
  return x;
}

}  // namespace weft
