#include "weft/autograd/ops/layer/norm.h"

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/feature_layout.h"
#include "weft/autograd/ops/layer/pool.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/norm.h"

namespace weft {
namespace {

void check_input(const char* op, const Tensor& x, int min_rank) {
  check_defined(op, x);
  WEFT_CHECK(x.is_floating(), DtypeError, op, ": input is ", x.dtype(), "; expected a floating dtype");
  WEFT_CHECK(x.rank() >= min_rank, ShapeError, op, ": input ", x.shape(), " has rank ", x.rank(),
             "; expected [N, C, ...] of rank >= ", min_rank);
}
void check_channels(const char* op, const char* what, const Tensor& p, const Tensor& x) {
  if (!p.defined()) return;
  WEFT_CHECK(p.rank() == 1 && p.size(0) == x.size(1), ShapeError, op, ": ", what, " ", p.shape(),
             " does not fit input ", x.shape(), "; expected [", x.size(1), "]");
  WEFT_CHECK(p.device() == x.device(), DeviceError, op, ": ", what, " is on ", p.device(), " but input on ",
             x.device());
}
void check_norm(const char* op, const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                const Tensor& weight, const Tensor& bias) {
  check_channels(op, "running_mean", running_mean, x);
  check_channels(op, "running_var", running_var, x);
  check_channels(op, "weight", weight, x);
  check_channels(op, "bias", bias, x);
}

}  // namespace

namespace detail {

void check_batch_norm(const char* op, const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                      const Tensor& weight, const Tensor& bias) {
  check_input(op, x, 2);
  check_norm(op, x, running_mean, running_var, weight, bias);
}

ChannelMoments channel_moments(const Tensor& x, bool per_sample) {
  const Shape shape = per_sample ? Shape{x.size(0), x.size(1)} : Shape{x.size(1)};
  const TensorOptions f64{Dtype::f64, x.device()};
  ChannelMoments m{empty(shape, f64), empty(shape, f64), 0};
  if (shape.numel() > 0) m.count = static_cast<double>(x.numel() / shape.numel());
  if (x.numel() > 0) kernels::norm_stats(x.device(), mut_ref(m.mean), mut_ref(m.m2), ref(x));
  else m.mean.zero_(), m.m2.zero_();
  return m;
}

void update_running(const Tensor& running_mean, const Tensor& running_var, const ChannelMoments& m, double momentum,
                    bool biased) {
  NoGrad guard;
  Tensor to_mean = running_mean, to_var = running_var;
  if (to_mean.defined() || to_var.defined())
    kernels::update_running(m.mean.device(), mut_ref(to_mean), mut_ref(to_var), ref(m.mean), ref(m.m2), momentum,
                            1 / (biased ? m.count : m.count - 1));
}

NormGrads norm_composite(const Tensor& grad, const Tensor& input, const Tensor& w, const Tensor& b,
                         const Tensor& residual, const NormComposite& o) {
  const Dtype t = compute_dtype(input.dtype());
  const Tensor x = input.to(t);
  Tensor g = grad.to(t), centered = x, inv = o.inv;
  if (o.inv.defined() || o.centered) {
    // in two steps, as the kernels: what the compute type leaves of a mean far from zero may be more than the spread
    const Tensor m = o.inv.defined() ? o.mean : mean(x, o.dims, true, Dtype::f64), near = m.to(t);
    centered = (x - near) - (m - near).to(t);
  }
  if (!o.inv.defined()) inv = rsqrt(mean(square(centered), o.dims, true) + o.eps);
  const Tensor xhat = centered * inv;
  if (o.activation != Activation::none) {
    Tensor pre = w.defined() ? xhat * w : xhat;
    if (b.defined()) pre = pre + b;
    if (residual.defined()) pre = pre + residual.to(t);
    g = o.activation == Activation::relu ? where(le(pre, 0), 0, g) : where(lt(pre, 0), g * o.slope, g);
  }
  NormGrads r;
  const Tensor gw = w.defined() ? g * w : g;
  if (o.inv.defined()) {
    r.x = gw * inv;
  } else {
    Tensor d = gw - xhat * mean(gw * xhat, o.dims, true);
    if (o.centered) d = d - mean(gw, o.dims, true);
    r.x = d * inv;
  }
  if (w.defined()) r.weight = sum_to(g * xhat, w.shape());
  if (b.defined()) r.bias = sum_to(g, b.shape());
  if (residual.defined()) r.residual = g;
  return r;
}

}  // namespace detail

namespace {

using detail::ChannelMoments;
using detail::layout_of;
using detail::plain_features;

/// f32 or f64, as the kernels want them.
Tensor wide(const Tensor& p) { return p.defined() && is_half(p.dtype()) ? p.to(Dtype::f32) : p; }
Tensor reshape_if(const Tensor& p, const Shape& s) { return p.defined() ? p.reshape(s) : p; }
/// [1, C, 1, ...]: broadcasts over x.
Shape channel_shape(const Tensor& x) {
  Shape s = Shape::filled(x.rank(), 1);
  s[1] = x.size(1);
  return s;
}
Shape spatial_dims(const Tensor& x, bool with_batch) {
  Shape dims;
  if (with_batch) dims.push_back(0);
  for (int i = 2; i < x.rank(); ++i) dims.push_back(i);
  return dims;
}

enum class Statistics { batch, sample, fixed };

/// The common op: y = act((x - mean) inv weight + bias + residual). `mean`, `inv`: f64 [C] for fixed statistics;
/// otherwise made here.
Tensor channel_norm(const char* name, const Tensor& input, const Tensor& weight, const Tensor& bias,
                    const Tensor& residual_in, Statistics statistics, Tensor mean, Tensor inv, const NormParams& params,
                    ChannelMoments* moments) {
  const Tensor x = plain_features(input), w = wide(weight), b = wide(bias);
  const Tensor residual = layout_of(x, residual_in.defined() ? residual_in.to(x.dtype()) : residual_in);
  const Device device = x.device();
  Tensor y = empty_like(x);
  if (statistics == Statistics::fixed) {
    if (x.numel() > 0)
      kernels::norm_apply(device, mut_ref(y), ref(x), ref(mean), ref(inv), ref(w), ref(b), ref(residual), params);
  } else {
    const Shape shape = statistics == Statistics::sample ? Shape{x.size(0), x.size(1)} : Shape{x.size(1)};
    const TensorOptions f64{Dtype::f64, x.device()};
    const auto statistic = [&] { return x.numel() > 0 ? empty(shape, f64) : zeros(shape, f64); };
    mean = statistic(), inv = statistic();
    Tensor m2 = statistic();
    if (x.numel() > 0)
      kernels::norm_forward(device, mut_ref(y), mut_ref(mean), mut_ref(m2), mut_ref(inv), ref(x), ref(w), ref(b),
                            ref(residual), params);
    if (moments) *moments = {mean, m2, x.numel() > 0 ? static_cast<double>(x.numel() / shape.numel()) : 0};
  }
  const bool needs_output = residual.defined() && params.activation != Activation::none;
  NormParams back = params;
  back.source = needs_output ? NormSource::output : NormSource::input;
  return record(
      name, y, {x, w, b, residual},
      [x = Saved::input(x), w = Saved::input(w, "weight"), b = Saved::input(b, "bias"),
       residual = Saved::input(residual, "residual"), y = needs_output ? Saved::output(y) : Saved(), mean, inv,
       statistics, back, device](BackwardCtx& c) -> Grads {
        const Tensor xs = c.get(x), ws = w.defined() ? c.get(w) : Tensor(), bs = b.defined() ? c.get(b) : Tensor();
        const Shape& shape = mean.shape();
        if (c.create_graph()) {
          detail::NormComposite o{.eps = back.eps, .activation = back.activation, .slope = back.slope};
          o.dims = spatial_dims(xs, statistics == Statistics::batch);
          const Shape view = channel_shape(xs);
          if (statistics == Statistics::fixed) {
            const Dtype t = compute_dtype(xs.dtype());
            o.mean = mean.reshape(view), o.inv = inv.to(t).reshape(view);
          }
          const detail::NormGrads r = detail::norm_composite(c.grad(), xs, reshape_if(ws, view), reshape_if(bs, view),
                                                             residual.defined() ? c.get(residual) : Tensor(), o);
          return {r.x, ws.defined() ? r.weight.reshape(ws.shape()) : Tensor(),
                  bs.defined() ? r.bias.reshape(bs.shape()) : Tensor(), r.residual};
        }
        const Tensor g = layout_of(xs, c.grad());
        const Tensor ys = y.defined() ? c.get(y) : Tensor();
        Tensor s1, s2, dx, dres;
        const bool separate_residual = residual.defined() && back.activation != Activation::none && c.needs(3);
        if (c.needs(0) || separate_residual) dx = empty_like(xs);
        if (separate_residual) dres = empty_like(xs);
        else if (residual.defined()) dres = g;
        Tensor out_res = separate_residual ? dres : Tensor();
        const bool both = statistics != Statistics::fixed && dx.defined(),
                   sums = both || (ws.defined() && c.needs(1)) || (bs.defined() && c.needs(2));
        for (Tensor* s : {&s1, &s2})
          *s = xs.numel() > 0 && sums ? empty(shape, mean.options()) : zeros(shape, mean.options());
        if (xs.numel() > 0) {
          if (both) {
            kernels::norm_backward(device, mut_ref(dx), mut_ref(out_res), mut_ref(s1), mut_ref(s2), ref(g), ref(xs),
                                   ref(ys), ref(mean), ref(inv), ref(ws), ref(bs), back);
          } else {
            if (sums)
              kernels::norm_backward_reduce(device, mut_ref(s1), mut_ref(s2), ref(g), ref(xs), ref(ys), ref(mean),
                                            ref(inv), ref(ws), ref(bs), back);
            if (dx.defined()) {
              const Tensor scale = ws.defined() ? inv * ws.to(Dtype::f64) : inv, none = zeros(shape, mean.options());
              kernels::norm_backward_apply(device, mut_ref(dx), mut_ref(out_res), ref(g), ref(xs), ref(ys), ref(mean),
                                           ref(inv), ref(ws), ref(bs), ref(scale), ref(none), ref(none), back);
            }
          }
        }
        if (shape.size() == 2) s1 = sum(s1, 0), s2 = sum(s2, 0);
        return {dx, ws.defined() ? s2 : Tensor(), bs.defined() ? s1 : Tensor(), dres};
      });
}

/// y from running statistics.
Tensor fixed_norm(const char* name, const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, const Tensor& residual, const NormParams& params) {
  WEFT_CHECK(running_mean.defined() && running_var.defined(), ValueError, name,
             ": running_mean and running_var are needed where the input's own statistics are not used");
  Tensor mean, inv;
  {
    NoGrad guard;
    mean = running_mean.detach().to(Dtype::f64).clone();  // a copy: the running statistics may move before backward
    inv = rsqrt(running_var.detach().to(Dtype::f64) + params.eps);
  }
  return channel_norm(name, x, weight, bias, residual, Statistics::fixed, mean, inv, params, nullptr);
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, const BatchNormOptions& o) {
  const OpName op("batch_norm");
  if (x.rank() == 1 && x.numel() == 0) return mul(x, 1);  // no elements, no channels: PyTorch lets it pass
  detail::check_batch_norm(op, x, running_mean, running_var, weight, bias);
  WEFT_CHECK(!o.residual.defined() || o.residual.shape() == x.shape(), ShapeError, "residual ", o.residual.shape(),
             " does not have the input's shape ", x.shape());
  // With a residual the gradient reads the sign of the activation's input off its output.
  WEFT_CHECK(!o.residual.defined() || o.activation != Activation::leaky_relu || o.slope > 0, ValueError,
             "slope=", o.slope,
             " must be positive for leaky_relu after a residual; apply leaky_relu to the result instead");
  const NormParams params{.eps = o.eps, .activation = o.activation, .slope = o.slope};
  if (!o.training) return fixed_norm(op, x, running_mean, running_var, weight, bias, o.residual, params);
  const int64_t n = x.size(1) > 0 ? x.numel() / x.size(1) : 0;
  WEFT_CHECK(n != 1, ValueError, "expected more than 1 value per channel when training, got input ", x.shape());
  ChannelMoments m;
  Tensor y = channel_norm(op, x, weight, bias, o.residual, Statistics::batch, {}, {}, params, &m);
  if (n > 0) detail::update_running(running_mean, running_var, m, o.momentum, o.biased_running_var);
  return y;
}

Tensor instance_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                     const Tensor& bias, const InstanceNormOptions& o) {
  const OpName op("instance_norm");
  check_input(op, x, 3);
  check_norm(op, x, running_mean, running_var, weight, bias);
  const NormParams params{.eps = o.eps, .activation = o.activation, .slope = o.slope};
  if (!o.use_input_stats) return fixed_norm(op, x, running_mean, running_var, weight, bias, {}, params);
  const int64_t planes = x.size(0) * x.size(1), n = planes > 0 ? x.numel() / planes : 0;
  WEFT_CHECK(n != 1, ValueError, "expected more than 1 spatial element when training, got input ", x.shape());
  ChannelMoments m;
  Tensor y = channel_norm(op, x, weight, bias, {}, Statistics::sample, {}, {}, params, &m);
  if (n > 0) detail::update_running(running_mean, running_var, m, o.momentum);
  return y;
}

Tensor group_norm(const Tensor& input, Int num_groups, const Tensor& weight, const Tensor& bias,
                  const GroupNormOptions& o) {
  const OpName op("group_norm");
  check_input(op, input, 2);
  const int64_t N = input.size(0), C = input.size(1), G = num_groups;
  WEFT_CHECK(C > 0, ShapeError, "input ", input.shape(), " has no channels");
  for (int i = 2; i < input.rank(); ++i)
    WEFT_CHECK(input.shape()[i] > 0, ShapeError, "input ", input.shape(), " is empty along axis ", i,
               "; only the batch may be empty");
  WEFT_CHECK(G > 0 && C % G == 0, ValueError, "the number of channels ", C, " must be divisible by num_groups ", G);
  check_norm(op, input, {}, {}, weight, bias);
  const Tensor x = plain_features(input), w = wide(weight), b = wide(bias);
  const NormParams params{.eps = o.eps, .activation = o.activation, .slope = o.slope};
  const Device device = x.device();
  Tensor y = empty_like(x), mean_c, inv_c;
  double per_channel = 0;
  if (x.numel() > 0) {
    NoGrad guard;
    const ChannelMoments m = detail::channel_moments(x, true);
    per_channel = m.count;
    const Tensor means = m.mean.reshape({N, G, C / G}), center = mean(means, 2, true);
    const Tensor m2 = sum(m.m2.reshape({N, G, C / G}), 2, true) + sum(square(means - center), 2, true) * m.count;
    const Shape each{N, G, C / G};
    mean_c = center.expand(each).contiguous().reshape({N, C});
    inv_c = rsqrt(m2 / (m.count * static_cast<double>(C / G)) + o.eps).expand(each).contiguous().reshape({N, C});
    kernels::norm_apply(device, mut_ref(y), ref(x), ref(mean_c), ref(inv_c), ref(w), ref(b), ref(Tensor()), params);
  }
  return record(
      op, y, {x, w, b},
      [x = Saved::input(x), w = Saved::input(w, "weight"), b = Saved::input(b, "bias"), mean_c, inv_c, per_channel,
       params, device, N, C, G](BackwardCtx& c) -> Grads {
        const Tensor xs = c.get(x), ws = w.defined() ? c.get(w) : Tensor(), bs = b.defined() ? c.get(b) : Tensor();
        if (c.create_graph()) {
          const Shape grouped{N, G, C / G, xs.numel() > 0 ? xs.numel() / (N * C) : 0}, view{1, G, C / G, 1};
          const detail::NormComposite p{
              .dims = {2, 3}, .eps = params.eps, .activation = params.activation, .slope = params.slope};
          const detail::NormGrads r = detail::norm_composite(c.grad().reshape(grouped), xs.reshape(grouped),
                                                             reshape_if(ws, view), reshape_if(bs, view), {}, p);
          return {r.x.reshape(xs.shape()), ws.defined() ? r.weight.reshape({C}) : Tensor(),
                  bs.defined() ? r.bias.reshape({C}) : Tensor()};
        }
        const TensorOptions f64{Dtype::f64, xs.device()};
        Tensor dx = empty_like(xs), s1 = zeros({N, C}, f64), s2 = zeros({N, C}, f64);
        if (xs.numel() > 0) {
          const Tensor g = layout_of(xs, c.grad());
          kernels::norm_backward_reduce(device, mut_ref(s1), mut_ref(s2), ref(g), ref(xs), {}, ref(mean_c), ref(inv_c),
                                        ref(ws), ref(bs), params);
          if (c.needs(0)) {
            const Tensor gamma = ws.defined() ? ws.to(Dtype::f64) : ones({C}, f64);
            const double count = per_channel * static_cast<double>(C / G);
            const auto group_mean = [&](const Tensor& s) {
              const Tensor total = sum((s * gamma).reshape({N, G, C / G}), 2, true) / count;
              return (total.expand({N, G, C / G}).contiguous().reshape({N, C}) * inv_c);
            };
            const Tensor scale = inv_c * gamma, k1 = group_mean(s1), k2 = group_mean(s2);
            kernels::norm_backward_apply(device, mut_ref(dx), {}, ref(g), ref(xs), {}, ref(mean_c), ref(inv_c), ref(ws),
                                         ref(bs), ref(scale), ref(k1), ref(k2), params);
          }
        }
        return {dx, ws.defined() ? sum(s2, 0) : Tensor(), bs.defined() ? sum(s1, 0) : Tensor()};
      });
}

Tensor local_response_norm(const Tensor& x, Int size, const LocalResponseNormOptions& o) {
  const OpName op("local_response_norm");
  WEFT_CHECK(x.rank() >= 3, ShapeError, "expects [N, C, spatial...] of rank 3 or more, got ", x.shape());
  WEFT_CHECK(size > 0, ValueError, "size must be positive, got ", size);
  if (x.numel() == 0) return x;
  // one image per sample, whose rows are the channels
  const Tensor image = square(x).reshape({x.size(0), 1, x.size(1), x.shape().slice(2).numel()});
  const Tensor near = avg_pool2d(
      image, {.kernel_size = {size, 1}, .stride = 1, .padding = {size / 2, 0}, .padding_hi = {(size - 1) / 2, 0}});
  return x / pow(near.reshape(x.shape()) * o.alpha + o.k, o.beta);
}

Tensor normalize(const Tensor& x, double p, Int dim, double eps) {
  const OpName op("normalize");
  // eps is less than f16 holds
  return (x / clamp(vector_norm(x, p, dim, true, compute_dtype(x.dtype())), eps)).to(x.dtype());
}

}  // namespace weft
