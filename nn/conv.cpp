#include "weft/nn/conv.h"

#include <algorithm>

#include "weft/autograd/ops/layer/conv.h"
#include "weft/core/factory.h"
#include "weft/nn/init.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

namespace {

bool all(const Shape& s, int64_t value) {
  for (int64_t v : s)
    if (v != value) return false;
  return true;
}

}  // namespace

// In the order of the messages that PyTorch gives.
void ConvBase::check(ConvGeometry& g, bool lazy) const {
  const std::string& n = name();
  ConvParams& p = g.params;
  if (g.transposed)
    WEFT_CHECK(g.padding_mode == PaddingMode::zeros, ValueError, n, ": only \"zeros\" padding mode is supported for ",
               n, ", got padding_mode '", Choice(g.padding_mode).text(), "'");
  WEFT_CHECK(p.groups > 0, ValueError, n, ": groups must be a positive integer, got ", p.groups);
  WEFT_CHECK(in_channels % p.groups == 0, ValueError, n, ": in_channels must be divisible by groups, got ", in_channels,
             " and ", p.groups);
  WEFT_CHECK(out_channels % p.groups == 0, ValueError, n, ": out_channels must be divisible by groups, got ",
             out_channels, " and ", p.groups);
  if (g.transposed) refuse_padding_text(n, g.padding_text);
  resolve_padding(n, g.padding_text, g.kernel_size, p);
  WEFT_CHECK(in_channels > 0 || lazy, ValueError, n, ": in_channels must be positive, got ", in_channels);
  WEFT_CHECK(out_channels > 0, ValueError, n, ": out_channels must be positive, got ", out_channels);
  auto least = [&](const char* what, const Shape& s, int64_t low) {
    for (int64_t v : s) WEFT_CHECK(v >= low, ValueError, n, ": ", what, " must be at least ", low, ", got ", py(s));
  };
  least("kernel_size", g.kernel_size, 1);
  least("stride", p.stride, 1);
  least("dilation", p.dilation, 1);
  least("padding", p.padding_lo, 0);
  least("padding", p.padding_hi, 0);
  if (!g.transposed) return;
  WEFT_CHECK(p.padding_lo == p.padding_hi, ValueError, n,
             ": padding must be one number per axis, got different ones before and after");
  least("output_padding", g.output_padding, 0);
  for (int i = 0; i < p.stride.size(); ++i)
    WEFT_CHECK(g.output_padding[i] < p.stride[i] || g.output_padding[i] < p.dilation[i], ValueError, n,
               ": output padding must be smaller than either stride or dilation, got output_padding ",
               py(g.output_padding), ", stride ", py(p.stride), ", dilation ", py(p.dilation));
}

ConvGeometry ConvBase::resolved(ConvGeometry g) const {
  WEFT_CHECK(g.kernel_size == kernel_size, ValueError, name(), ": kernel_size cannot change, got ", py(g.kernel_size),
             " for a weight that was made for ", py(kernel_size));
  WEFT_CHECK(g.params.groups == groups_, ValueError, name(), ": groups cannot change, got ", g.params.groups,
             " for a weight that was made for ", groups_);
  WEFT_CHECK(g.bias == biased_, ValueError, name(), ": bias cannot change, got ", py(g.bias), " for a layer made ",
             biased_ ? "with" : "without", " one");
  check(g, true);
  return g;
}

std::string ConvBase::text(const ConvGeometry& g) {
  const ConvParams& params = g.params;
  std::string s = weft::str(", kernel_size=", py(g.kernel_size), ", stride=", py(params.stride));
  if (!g.padding_text.empty()) {
    s += ", padding=" + g.padding_text;
  } else if (params.padding_lo != params.padding_hi) {
    s += ", padding=(";
    for (int i = 0; i < params.padding_lo.size(); ++i)
      s += weft::str(i ? ", " : "", py(Shape{params.padding_lo[i], params.padding_hi[i]}));
    s += params.padding_lo.size() == 1 ? ",)" : ")";
  } else if (!all(params.padding_lo, 0)) {
    s += ", padding=" + py(params.padding_lo);
  }
  if (!all(params.dilation, 1)) s += ", dilation=" + py(params.dilation);
  if (!all(g.output_padding, 0)) s += ", output_padding=" + py(g.output_padding);
  if (params.groups != 1) s += ", groups=" + py(params.groups);
  if (!g.bias) s += ", bias=False";
  if (g.padding_mode != PaddingMode::zeros) s += weft::str(", padding_mode=", Choice(g.padding_mode).text());
  return s;
}

void ConvBase::show(std::function<std::string()> text) {
  set_extra(weft::str(in_channels, ", ", out_channels), std::move(text));
}

ConvBase::ConvBase(std::string name, int64_t in_channels, int64_t out_channels, ConvGeometry g, bool lazy)
    : Module(std::move(name)),
      in_channels(in_channels),
      out_channels(out_channels),
      kernel_size(g.kernel_size),
      transposed(g.transposed),
      groups_(g.params.groups),
      biased_(g.bias) {
  check(g, lazy);
  weight = param("weight", empty(lazy ? Shape{0} : weight_shape(in_channels, out_channels, g)));
  if (g.bias) bias = param("bias", empty({lazy ? 0 : out_channels}));
  reset_parameters();
}

Shape ConvBase::weight_shape(int64_t in_channels, int64_t out_channels, const ConvGeometry& g) {
  Shape shape{g.transposed ? in_channels : out_channels, (g.transposed ? out_channels : in_channels) / g.params.groups};
  for (int64_t k : g.kernel_size) shape.push_back(k);
  return shape;
}

void ConvBase::reset(const Tensor& weight, const Tensor& bias) {
  if (weight.numel() == 0) return;  // a lazy layer before its first call
  const double bound = init::default_bound(weight.numel() / weight.shape()[0]);
  init::uniform_(weight, -bound, bound);
  if (bias.defined()) init::uniform_(bias, -bound, bound);
}

void ConvBase::reset_parameters() { reset(weight, bias); }

Tensor ConvBase::convolve(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Tensor& b) const {
  const char* names[] = {"conv1d", "conv2d", "conv3d", "conv"};
  const int spatial = kernel_size.size();
  const char* op = names[std::min(spatial, 4) - 1];
  const Shape &lo = g.params.padding_lo, &hi = g.params.padding_hi;
  const bool plain = g.padding_mode == PaddingMode::zeros || (all(lo, 0) && all(hi, 0));
  // An input of another rank is the convolution's to refuse
  if (plain || (x.rank() != spatial + 1 && x.rank() != spatial + 2)) return conv_nd(op, x, w, b, g.params);
  Shape pads;
  for (int i = spatial; i-- > 0;) {
    pads.push_back(lo[i]);
    pads.push_back(hi[i]);
  }
  ConvParams unpadded = g.params;
  unpadded.padding_lo = unpadded.padding_hi = Shape::filled(spatial, 0);
  return conv_nd(op, pad(x, pads, static_cast<PadMode>(g.padding_mode)), w, b, unpadded);  // one order of enumerators
}

Tensor ConvBase::convolve_transposed(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Tensor& b,
                                     const std::optional<Shape>& output_size) const {
  const ConvParams& params = g.params;
  const int spatial = kernel_size.size(), leading = x.rank() - spatial;
  const char* op = spatial == 1 ? "conv_transpose1d" : (spatial == 2 ? "conv_transpose2d" : "conv_transpose3d");
  Shape more = g.output_padding;
  if (output_size && (leading == 1 || leading == 2)) {
    Shape size = *output_size;
    if (size.size() == leading + spatial) size = size.slice(leading);
    WEFT_CHECK(size.size() == spatial, ValueError, name(), ": output_size must have ", spatial, " or ",
               leading + spatial, " elements, got ", output_size->size(), ": ", *output_size);
    Shape least, most;
    for (int i = 0; i < spatial; ++i) {
      least.push_back(params.input_size(i, x.size(leading + i), kernel_size[i]));
      most.push_back(least[i] + params.stride[i] - 1);
    }
    for (int i = 0; i < spatial; ++i)
      WEFT_CHECK(size[i] >= least[i] && size[i] <= most[i], ValueError, name(), ": requested an output size of ", size,
                 ", but valid sizes range from ", least, " to ", most, " (for an input of ", x.shape().slice(leading),
                 ")");
    for (int i = 0; i < spatial; ++i) more[i] = size[i] - least[i];
  }
  return conv_transpose_nd(op, x, w, b, params, more);
}

}  // namespace weft::nn
