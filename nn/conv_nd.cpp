#include "weft/nn/conv_nd.h"

#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

ConvGeometry conv_geometry(const ConvNdOptions& o) {
  const int axes = o.kernel_size.size();
  WEFT_CHECK(axes >= 1, ValueError, "ConvNd: kernel_size (kernel_dims) must have at least one entry");
  const auto check = [&](const char* what, size_t entries) {
    WEFT_CHECK(entries == 0 || entries == static_cast<size_t>(axes), ValueError, "ConvNd: ", what, " has ", entries,
               " entries but kernel_size (kernel_dims) has ", axes, ": ", detail::py(o.kernel_size));
  };
  check("padding", o.padding.size());
  check("stride", static_cast<size_t>(o.stride.size()));
  check("dilation", static_cast<size_t>(o.dilation.size()));
  ConvParams p = ConvParams::plain(axes);
  if (!o.stride.empty()) p.stride = o.stride;
  if (!o.dilation.empty()) p.dilation = o.dilation;
  for (int i = 0; !o.padding.empty() && i < axes; ++i)
    std::tie(p.padding_lo[i], p.padding_hi[i]) = o.padding[static_cast<size_t>(i)];
  p.groups = o.groups;
  return {.kernel_size = o.kernel_size, .params = p, .bias = o.bias};
}

Tensor ConvNd::forward(const Tensor& x) const {
  const int axes = kernel_size.size();
  WEFT_CHECK(x.rank() == axes + 2, ShapeError, "ConvNd: input ", x.shape(), " must be a batch with ", axes,
             " spatial dimensions, as kernel_size ", detail::py(kernel_size), " has");
  return convolve(x, weight);
}

Tensor ConvNd::operator()(const Tensor& x) const { return nn::call(*this, x); }

}  // namespace weft::nn
