#include "weft/nn/fold.h"

#include "weft/nn/call.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py_short;

namespace {

std::string blocks_text(const Dims<2>& kernel_size, const FoldOptions& o) {
  return "kernel_size=" + py_short(kernel_size) + ", dilation=" + py_short(o.dilation) +
         ", padding=" + py_short(o.padding) + ", stride=" + py_short(o.stride);
}

}  // namespace

Unfold::Unfold(const Dims<2>& kernel_size, const FoldOptions& o)
    : Module("Unfold"), kernel_size(kernel_size), options(o) {
  set_extra("", [size = this->kernel_size.share(), options = options.share()] { return blocks_text(size, options); });
}

Fold::Fold(const Dims<2>& output_size, const Dims<2>& kernel_size, const FoldOptions& o)
    : Module("Fold"), output_size(output_size), kernel_size(kernel_size), options(o) {
  set_extra("", [out = this->output_size.share(), size = this->kernel_size.share(), options = options.share()] {
    return "output_size=" + py_short(*out) + ", " + blocks_text(size, options);
  });
}

Tensor Unfold::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return unfold(x, kernel_size, options); });
}
Tensor Fold::operator()(const Tensor& x) const {
  return nn::call(*this, x, [&](const Tensor& x) { return fold(x, output_size, kernel_size, options); });
}

}  // namespace weft::nn
