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
void ConvBase::check(const Config& c) {
  const std::string& n = name();
  const ConvParams& p = c.params;
  if (c.transposed)
    WEFT_CHECK(c.padding_mode == PaddingMode::zeros, ValueError, n, ": only \"zeros\" padding mode is supported for ",
               n, ", got padding_mode '", Choice(c.padding_mode).text(), "'");
  WEFT_CHECK(p.groups > 0, ValueError, n, ": groups must be a positive integer, got ", p.groups);
  WEFT_CHECK(c.in_channels % p.groups == 0, ValueError, n, ": in_channels must be divisible by groups, got ",
             c.in_channels, " and ", p.groups);
  WEFT_CHECK(c.out_channels % p.groups == 0, ValueError, n, ": out_channels must be divisible by groups, got ",
             c.out_channels, " and ", p.groups);
  if (c.transposed) refuse_padding_text(n, c.padding_text);
  resolve_padding(n, c.padding_text, kernel_size, params);
  WEFT_CHECK(c.in_channels > 0 || c.lazy, ValueError, n, ": in_channels must be positive, got ", c.in_channels);
  WEFT_CHECK(c.out_channels > 0, ValueError, n, ": out_channels must be positive, got ", c.out_channels);
  auto least = [&](const char* what, const Shape& s, int64_t low) {
    for (int64_t v : s) WEFT_CHECK(v >= low, ValueError, n, ": ", what, " must be at least ", low, ", got ", py(s));
  };
  least("kernel_size", c.kernel_size, 1);
  least("stride", p.stride, 1);
  least("dilation", p.dilation, 1);
  least("padding", p.padding_lo, 0);
  least("padding", p.padding_hi, 0);
  if (!c.transposed) return;
  WEFT_CHECK(p.padding_lo == p.padding_hi, ValueError, n,
             ": padding must be one number per axis, got different ones before and after");
  least("output_padding", c.output_padding, 0);
  for (int i = 0; i < p.stride.size(); ++i)
    WEFT_CHECK(c.output_padding[i] < p.stride[i] || c.output_padding[i] < p.dilation[i], ValueError, n,
               ": output padding must be smaller than either stride or dilation, got output_padding ",
               py(c.output_padding), ", stride ", py(p.stride), ", dilation ", py(p.dilation));
}

std::string ConvBase::extra_text(const Config& c) {
  const ConvParams& params = c.params;
  std::string s = weft::str(c.in_channels, ", ", c.out_channels, ", kernel_size=", py(c.kernel_size),
                            ", stride=", py(params.stride));
  if (!c.padding_text.empty()) {
    s += ", padding=" + c.padding_text;
  } else if (params.padding_lo != params.padding_hi) {
    s += ", padding=(";
    for (int i = 0; i < params.padding_lo.size(); ++i)
      s += weft::str(i ? ", " : "", py(Shape{params.padding_lo[i], params.padding_hi[i]}));
    s += params.padding_lo.size() == 1 ? ",)" : ")";
  } else if (!all(params.padding_lo, 0)) {
    s += ", padding=" + py(params.padding_lo);
  }
  if (!all(params.dilation, 1)) s += ", dilation=" + py(params.dilation);
  if (!all(c.output_padding, 0)) s += ", output_padding=" + py(c.output_padding);
  if (params.groups != 1) s += ", groups=" + py(params.groups);
  if (!c.bias) s += ", bias=False";
  if (c.padding_mode != PaddingMode::zeros) s += weft::str(", padding_mode=", Choice(c.padding_mode).text());
  return s;
}

ConvBase::ConvBase(const Config& c)
    : Module(c.name),
      in_channels(c.in_channels),
      out_channels(c.out_channels),
      kernel_size(c.kernel_size),
      params(c.params),
      output_padding(c.output_padding),
      transposed(c.transposed),
      padding_mode(c.padding_mode) {
  check(c);
  set_extra(extra_text(c));
  const int rank = kernel_size.size();
  if (padding_mode != PaddingMode::zeros && !(all(params.padding_lo, 0) && all(params.padding_hi, 0))) {
    mode_ = static_cast<PadMode>(padding_mode);  // one order of enumerators
    for (int i = rank; i-- > 0;) {
      pads_.push_back(params.padding_lo[i]);
      pads_.push_back(params.padding_hi[i]);
    }
    unpadded_ = params;
    unpadded_.padding_lo = unpadded_.padding_hi = Shape::filled(rank, 0);
  }
  weight = param("weight", empty(c.lazy ? Shape{0} : weight_shape(c)));
  if (c.bias) bias = param("bias", empty({c.lazy ? 0 : out_channels}));
  reset_parameters();
}

Shape ConvBase::weight_shape(const Config& c) {
  Shape shape{c.transposed ? c.in_channels : c.out_channels,
              (c.transposed ? c.out_channels : c.in_channels) / c.params.groups};
  for (int64_t k : c.kernel_size) shape.push_back(k);
  return shape;
}

void ConvBase::reset(const Tensor& weight, const Tensor& bias) {
  if (weight.numel() == 0) return;  // a lazy layer before its first call
  const double bound = init::default_bound(weight.numel() / weight.shape()[0]);
  init::uniform_(weight, -bound, bound);
  if (bias.defined()) init::uniform_(bias, -bound, bound);
}

void ConvBase::reset_parameters() { reset(weight, bias); }

Tensor ConvBase::convolve(const Tensor& x, const Tensor& w, const Tensor& b) const {
  const char* names[] = {"conv1d", "conv2d", "conv3d", "conv"};
  const char* op = names[std::min(kernel_size.size(), 4) - 1];
  // An input of another rank is the convolution's to refuse
  int spatial = kernel_size.size();
  if (mode_ == PadMode::constant || (x.rank() != spatial + 1 && x.rank() != spatial + 2))
    return conv_nd(op, x, w, b, params);
  return conv_nd(op, pad(x, pads_, mode_), w, b, unpadded_);
}

Tensor ConvBase::convolve_transposed(const Tensor& x, const Tensor& w, const Tensor& b,
                                     const std::optional<Shape>& output_size) const {
  const int spatial = kernel_size.size(), leading = x.rank() - spatial;
  const char* op = spatial == 1 ? "conv_transpose1d" : (spatial == 2 ? "conv_transpose2d" : "conv_transpose3d");
  Shape more = output_padding;
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
