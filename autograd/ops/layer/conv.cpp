#include "weft/autograd/ops/layer/conv.h"

#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/format.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/pad.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

const char* name_of(int rank) { return rank == 1 ? "conv1d" : rank == 2 ? "conv2d" : rank == 3 ? "conv3d" : "conv"; }

// The adjoints trust their arguments that the gradient is no larger than a convolution of x.
void check_reach(const char* op, const Shape& g, const Shape& w, const Shape& x, const ConvParams& p) {
  check_conv_params(op, p, x.size() - 2);
  for (int i = 2; i < x.size(); ++i)
    WEFT_CHECK(w[i] > 0 && g[i] <= p.output_size(i - 2, x[i], w[i]), ShapeError, op, ": gradient ", g, " and weight ",
               w, " do not fit input ", x);
}

// The part of a convolution's result that has `shape`: a transposed one may have been enlarged by more than its stride.
Tensor cut(Tensor y, const Shape& shape) {
  for (int i = 2; i < shape.size(); ++i)
    if (y.size(i) > shape[i]) y = y.narrow(i, 0, shape[i]);
  return y;
}

void check_dtypes(const char* op, const Tensor& x, const Tensor& w, const char* what) {
  check_defined(op, x, w);
  WEFT_CHECK(x.is_floating() && x.dtype() == w.dtype(), DtypeError, op, ": input is ", x.dtype(), " but ", what, " is ",
             w.dtype(), "; both must have one floating dtype, convert with to(dtype)");
  WEFT_CHECK(x.device() == w.device(), DeviceError, op, ": input is on ", x.device(), " but ", what, " on ",
             w.device());
}

void check_bias(const char* op, const Tensor& x, const Tensor& bias, int64_t channels) {
  if (!bias.defined()) return;
  WEFT_CHECK(bias.rank() == 1 && bias.size(0) == channels, ShapeError, op, ": bias must be [", channels,
             "], one per output channel, got ", bias.shape());
  check_dtypes(op, x, bias, "bias");
}

void check_ranks(const char* op, const Tensor& x, const Tensor& w, int axes) {
  check_defined(op, x, w);
  WEFT_CHECK(w.rank() == axes + 2, ShapeError, op, ": weight must have ", axes + 2, " dimensions, got ", w.shape());
  check_conv_input(op, x, axes);
}

// What conv and its transpose ask of input and weight alike.
void check_operands(const char* op, const Tensor& x, const Tensor& w, const ConvParams& p) {
  const int rank = p.stride.size();
  check_ranks(op, x, w, rank);
  check_dtypes(op, x, w, "weight");
  for (int i = 0; i < rank; ++i) {
    WEFT_CHECK(x.size(i - rank) > 0, ShapeError, op, ": input ", x.shape(), " is empty along spatial dimension ", i);
    WEFT_CHECK(w.size(i - rank) > 0, ShapeError, op, ": weight ", w.shape(), " is empty: its kernel size is 0");
  }
  WEFT_CHECK(w.size(0) % p.groups == 0, ShapeError, op, ": weight ", w.shape(), " has ", w.size(0),
             " entries along its first dimension, not divisible by groups=", p.groups);
}

Shape output_shape(const Tensor& x, const Tensor& w, const ConvParams& p) {
  Shape shape{x.size(0), w.size(0)};
  for (int i = 0; i < p.stride.size(); ++i) shape.push_back(p.output_size(i, x.size(i + 2), w.size(i + 2)));
  return shape;
}

Tensor empty_channels_last(const Shape& shape, const TensorOptions& o) {
  return empty(shape, o, MemoryFormat::channels_last);
}

// A result that no product adds to, for want of channels: the bias, or zeros.
void fill_without_products(Tensor& y, const Tensor& bias) {
  const NoGrad off;
  if (!bias.defined()) {
    y.zero_();
    return;
  }
  Shape column = Shape::filled(y.rank(), 1);
  column[1] = bias.numel();
  y.copy_(bias.detach().reshape(column));
}

// Sums over all axes but the channels.
Tensor channel_sum(const Tensor& g) {
  std::vector<int64_t> dims{0};
  for (int i = 2; i < g.rank(); ++i) dims.push_back(i);
  return sum(g, Shape(dims));
}

// Gradients of weight, into `gw` if there is one, and, if asked for, bias; one pass over g.
std::pair<Tensor, Tensor> weight_and_bias_grad(const Tensor& x, const Tensor& g, const Shape& w_shape,
                                               const ConvParams& p, bool with_bias, Tensor gw = {}) {
  if (!gw.defined() || gw.dtype() != x.dtype()) gw = empty(w_shape, x.options());
  Tensor gb;
  if (with_bias) gb = empty({w_shape[0]}, x.options());
  if (x.numel() == 0 || g.numel() == 0) {
    gw.zero_();
    if (with_bias) gb.zero_();
  } else {
    kernels::conv_weight_grad(x.device(), mut_ref(gw), mut_ref(gb), ref(x), ref(g), p);
  }
  return {gw, gb};
}

// The parameters with which an op runs and its gradients after it.
ConvParams resolved(ConvParams p) {
  if (!p.algorithm) p.algorithm = float32_conv_algorithm();
  return p;
}

Saved saved_if(bool wanted, const Tensor& t, const char* what) { return wanted ? Saved::input(t, what) : Saved(); }

}  // namespace

// Shapes are checked by the public forms; these three are called with geometries that came from a convolution.

Tensor conv(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvParams& params) {
  const ConvParams p = resolved(params);
  const Tensor x = autocast(CastPolicy::lower, input), w = autocast(CastPolicy::lower, weight),
               b = autocast(CastPolicy::lower, bias);
  const char* op = name_of(p.stride.size());
  check_operands(op, x, w, p);
  check_bias(op, x, b, w.size(0));
  WEFT_CHECK(x.rank() == w.rank() && x.size(1) == w.size(1) * p.groups, ShapeError, op, ": input ", x.shape(),
             " does not fit weight ", w.shape(), " with groups=", p.groups);
  const Shape shape = output_shape(x, w, p);
  for (int i = 2; i < shape.size(); ++i)
    WEFT_CHECK(shape[i] > 0, ShapeError, op, ": no window fits: weight ", w.shape(), ", input ", x.shape(),
               "; the output size along axis ", i, " would be ", shape[i]);
  Tensor y = empty_channels_last(shape, x.options());
  if (y.numel() > 0 && x.numel() == 0) fill_without_products(y, b);
  else if (y.numel() > 0) kernels::conv(x.device(), mut_ref(y), ref(x), ref(w), ref(b), p);
  // A frozen weight keeps no activation alive, and the other way round.
  return record(op, std::move(y), {x, w, b},
                [xs = saved_if(w.requires_grad(), x, "input"), ws = saved_if(x.requires_grad(), w, "weight"),
                 x_shape = x.shape(), w_shape = w.shape(), p](BackwardCtx& c) -> Grads {
                  const Tensor& g = c.grad();
                  Grads grads(3);
                  if (c.needs(0)) grads[0] = conv_input_grad(g, c.get(ws), x_shape, p);
                  if (c.needs(1) && !c.create_graph()) {
                    auto [gw, gb] = weight_and_bias_grad(c.get(xs), g, w_shape, p, c.needs(2), c.destination(1));
                    grads[1] = gw;
                    grads[2] = gb;
                    return grads;
                  }
                  if (c.needs(1)) grads[1] = conv_weight_grad(c.get(xs), g, w_shape, p);
                  if (c.needs(2)) grads[2] = channel_sum(g);
                  return grads;
                });
}

Tensor conv_input_grad(const Tensor& gradient, const Tensor& weight, const Shape& x_shape, const ConvParams& params,
                       const Tensor& bias) {
  const OpName op("conv_input_grad");
  const ConvParams p = resolved(params);
  const Tensor g = autocast(CastPolicy::lower, gradient), w = autocast(CastPolicy::lower, weight),
               b = autocast(CastPolicy::lower, bias);
  check_dtypes(op, g, w, "weight");
  check_bias(op, g, b, x_shape[1]);
  WEFT_CHECK(g.rank() == w.rank() && x_shape.size() == w.rank() && g.size(0) == x_shape[0] && g.size(1) == w.size(0) &&
                 x_shape[1] == w.size(1) * p.groups,
             ShapeError, "gradient ", g.shape(), " and weight ", w.shape(), " with groups=", p.groups,
             " do not fit input ", x_shape);
  check_reach(op, g.shape(), w.shape(), x_shape, p);
  Tensor y = empty_channels_last(x_shape, g.options());
  if (y.numel() > 0 && g.numel() == 0) fill_without_products(y, b);
  else if (y.numel() > 0) kernels::conv_input_grad(g.device(), mut_ref(y), ref(g), ref(w), ref(b), p);
  return record("conv_transpose", std::move(y), {g, w, b},
                [gs = saved_if(w.requires_grad(), g, "input"), ws = saved_if(g.requires_grad(), w, "weight"),
                 g_shape = g.shape(), w_shape = w.shape(), p](BackwardCtx& c) -> Grads {
                  const Tensor& q = c.grad();
                  Grads grads(3);
                  if (c.needs(0)) grads[0] = cut(conv(q, c.get(ws), {}, p), g_shape);
                  if (c.needs(1)) grads[1] = conv_weight_grad(q, c.get(gs), w_shape, p);
                  if (c.needs(2)) grads[2] = channel_sum(q);
                  return grads;
                });
}

Tensor conv_weight_grad(const Tensor& input, const Tensor& gradient, const Shape& w_shape, const ConvParams& params) {
  const OpName op("conv_weight_grad");
  const ConvParams p = resolved(params);
  const Tensor x = autocast(CastPolicy::lower, input), g = autocast(CastPolicy::lower, gradient);
  check_dtypes(op, x, g, "gradient");
  WEFT_CHECK(x.rank() == g.rank() && x.rank() == w_shape.size() && x.size(0) == g.size(0) && g.size(1) == w_shape[0] &&
                 x.size(1) == w_shape[1] * p.groups,
             ShapeError, "input ", x.shape(), " and gradient ", g.shape(), " with groups=", p.groups,
             " do not fit weight ", w_shape);
  check_reach(op, g.shape(), w_shape, x.shape(), p);
  Tensor gw = weight_and_bias_grad(x, g, w_shape, p, false).first;
  return record(op, std::move(gw), {x, g},
                [xs = saved_if(g.requires_grad(), x, "input"), gs = saved_if(x.requires_grad(), g, "gradient"),
                 x_shape = x.shape(), g_shape = g.shape(), p](BackwardCtx& c) -> Grads {
                  const Tensor& q = c.grad();
                  Tensor gx, gg;
                  if (c.needs(0)) gx = conv_input_grad(c.get(gs), q, x_shape, p);
                  if (c.needs(1)) gg = cut(conv(c.get(xs), q, {}, p), g_shape);
                  return {gx, gg};
                });
}

void check_conv_params(const char* op, const ConvParams& p, int rank) {
  auto entries = [&](const Shape& s, const char* what, int64_t least) {
    WEFT_CHECK(s.size() == rank, ValueError, op, ": ", what, " must have ", rank, " entries, got ", s);
    for (int64_t v : s) {
      WEFT_CHECK(v >= least, ValueError, op, ": ", what, " must be at least ", least, ", got ", s);
      WEFT_CHECK(v <= INT32_MAX, ValueError, op, ": ", what, " is too large, got ", s);
    }
  };
  WEFT_CHECK(p.groups > 0, ValueError, op, ": groups must be a positive integer, got ", p.groups);
  entries(p.stride, "stride", 1);
  entries(p.dilation, "dilation", 1);
  entries(p.padding_lo, "padding", 0);
  entries(p.padding_hi, "padding", 0);
}

void check_conv_input(std::string_view op, const Tensor& x, int axes) {
  WEFT_CHECK(x.rank() == axes + 1 || x.rank() == axes + 2, ShapeError, op, ": expected ", axes + 1, "D (unbatched) or ",
             axes + 2, "D (batched) input, got ", x.shape());
}

void refuse_padding_text(std::string_view op, std::string_view text) {
  WEFT_CHECK(text.empty(), ValueError, op, ": padding must be numbers here, got '", text, "'");
}

void resolve_padding(std::string_view op, std::string_view text, const Shape& kernel, ConvParams& p) {
  if (text.empty() || text == "valid") return;
  WEFT_CHECK(text == "same", ValueError, op, ": padding '", text, "' is neither 'same' nor 'valid'");
  for (int i = 0; i < kernel.size(); ++i) {
    WEFT_CHECK(p.stride[i] == 1, ValueError, op,
               ": padding 'same' is not supported for strided convolutions, got stride ", p.stride);
    const int64_t total = p.dilation[i] * (kernel[i] - 1);
    p.padding_lo[i] = total / 2;
    p.padding_hi[i] = total - total / 2;
  }
}

namespace {

/// Beyond three spatial axes: the taps of the first one become channels, its positions samples.
Tensor conv_folded(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvParams& p) {
  const int axes = p.stride.size();
  if (axes <= 3) return conv(input, weight, bias, p);
  Shape pads = Shape::filled(2 * axes, 0), order{0, 2, 1};
  pads[-2] = p.padding_lo[0], pads[-1] = p.padding_hi[0];
  const int64_t taps = weight.size(2);
  Tensor x = p.padding_lo[0] + p.padding_hi[0] > 0 ? pad(input, pads) : input;
  x = x.unfold(2, p.dilation[0] * (taps - 1) + 1, p.stride[0]).slice(-1, {}, {}, p.dilation[0]);
  order.push_back(axes + 2);
  for (int i = 3; i < axes + 2; ++i) order.push_back(i);
  x = x.permute(order);  // [N, L', C, k, rest...]
  const int64_t samples = x.size(0), positions = x.size(1);
  Shape folded = x.shape().slice(3);
  folded[0] = x.size(2) * taps;
  folded.insert(0, samples * positions);
  Shape w_shape = weight.shape().slice(2);
  w_shape[0] *= weight.size(1);
  w_shape.insert(0, weight.size(0));
  const auto rest = [](const Shape& s) { return s.slice(1); };
  const ConvParams q{rest(p.stride), rest(p.padding_lo), rest(p.padding_hi), rest(p.dilation), p.groups, p.algorithm};
  const Tensor y = conv_folded(x.reshape(folded), weight.reshape(w_shape), bias, q);
  Shape shape = y.shape();
  shape[0] = positions;
  shape.insert(0, samples);
  return y.reshape(shape).movedim(1, 2);
}

}  // namespace

Tensor conv_nd(const char* op, const Tensor& input, const Tensor& w, const Tensor& bias, const ConvParams& p) {
  if (SimulateFormat::current()) [[unlikely]]
    return detail::simulated(input, w,
                             [&](const Tensor& xq, const Tensor& wq) { return conv_nd(op, xq, wq, bias, p); });
  const int rank = p.stride.size();
  check_conv_params(op, p, rank);
  if (detail::thread_mode().autocast) check_ranks(op, input, w, rank);  // dtypes are not final
  else check_operands(op, input, w, p);
  const bool batched = input.rank() == rank + 2;
  const int64_t channels = input.size(batched ? 1 : 0);
  WEFT_CHECK(channels == w.size(1) * p.groups, ShapeError, op, ": input has ", channels, " channels but weight ",
             w.shape(), " with groups=", p.groups, " expects ", w.size(1) * p.groups);
  for (int i = 0; i < rank; ++i) {
    const int64_t padded = input.size(i - rank) + p.padding_lo[i] + p.padding_hi[i],
                  extent = p.dilation[i] * (w.size(i + 2) - 1) + 1;
    WEFT_CHECK(extent <= padded, ShapeError, op,
               ": kernel size can't be greater than actual (padded) input size: kernel extent ", extent,
               ", padded input size ", padded, " along spatial dimension ", i, " (input ", input.shape(), ", weight ",
               w.shape(), "); the output size would be below 1");
  }
  if (batched) return conv_folded(input, w, bias, p);
  return conv_folded(input.unsqueeze(0), w, bias, p).squeeze(0);
}

Tensor conv_transpose_nd(const char* op, const Tensor& input, const Tensor& w, const Tensor& bias, const ConvParams& p,
                         const Shape& output_padding) {
  if (SimulateFormat::current()) [[unlikely]]
    return detail::simulated(input, w, [&](const Tensor& xq, const Tensor& wq) {
      return conv_transpose_nd(op, xq, wq, bias, p, output_padding);
    });
  const int rank = p.stride.size();
  check_conv_params(op, p, rank);
  WEFT_CHECK(output_padding.size() == rank, ValueError, op, ": output_padding must have ", rank, " entries, got ",
             output_padding);
  for (int i = 0; i < rank; ++i) {
    WEFT_CHECK(output_padding[i] >= 0, ValueError, op, ": output_padding must not be negative, got ", output_padding);
    WEFT_CHECK(output_padding[i] < p.stride[i] || output_padding[i] < p.dilation[i], ValueError, op,
               ": output padding must be smaller than either stride or dilation, got output_padding ", output_padding,
               ", stride ", p.stride, ", dilation ", p.dilation);
  }
  if (detail::thread_mode().autocast) check_ranks(op, input, w, rank);  // dtypes are not final
  else check_operands(op, input, w, p);
  const bool batched = input.rank() == rank + 2;
  const int64_t channels = input.size(batched ? 1 : 0);
  WEFT_CHECK(channels == w.size(0), ShapeError, op, ": input has ", channels, " channels but weight ", w.shape(),
             " with groups=", p.groups, " expects ", w.size(0));
  Shape shape{batched ? input.size(0) : 1, w.size(1) * p.groups};
  for (int i = 0; i < rank; ++i) {
    const int64_t size = p.input_size(i, input.size(i - rank), w.size(i + 2)) + output_padding[i];
    WEFT_CHECK(size >= 1, ShapeError, op, ": output size ", size, " along spatial dimension ", i,
               " is too small (input ", input.shape(), ", weight ", w.shape(), ", stride ", p.stride, ", padding ",
               p.padding_lo, ")");
    shape.push_back(size);
  }
  if (batched) return conv_input_grad(input, w, shape, p, bias);
  return conv_input_grad(input.unsqueeze(0), w, shape, p, bias).squeeze(0);
}

namespace {

template <int D>
Tensor convolve(const char* op, const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<D>& o) {
  const OpName name(op);
  ConvParams p = conv_params(o);
  if (!o.padding.text.empty()) {
    check_ranks(op, x, w, D);
    resolve_padding(op, o.padding.text, w.shape().slice(2), p);
  }
  return conv_nd(op, x, w, b, p);
}

template <int D>
Tensor transpose(const char* op, const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<D>& o) {
  const OpName name(op);
  refuse_padding_text(op, o.padding.text);
  return conv_transpose_nd(op, x, w, b, conv_params(o), o.output_padding);
}

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<1>& o) {
  return convolve("conv1d", x, w, b, o);
}
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<2>& o) {
  return convolve("conv2d", x, w, b, o);
}
Tensor conv3d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvOptions<3>& o) {
  return convolve("conv3d", x, w, b, o);
}
Tensor conv_transpose1d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<1>& o) {
  return transpose("conv_transpose1d", x, w, b, o);
}
Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<2>& o) {
  return transpose("conv_transpose2d", x, w, b, o);
}
Tensor conv_transpose3d(const Tensor& x, const Tensor& w, const Tensor& b, const ConvTransposeOptions<3>& o) {
  return transpose("conv_transpose3d", x, w, b, o);
}

}  // namespace weft
