// Convolution layers that learn their number of input channels from the first input.
// Knows the plain layers, which they become.
#pragma once

#include "weft/nn/conv.h"

namespace weft::nn {

/// What they share: parameters have no elements (shape [0]) until the first call, or until a state dict with their
/// shapes is loaded. From then on the module is, by name, printing, state and numbers, the plain layer; every handle
/// and copy of it sees that.
class WEFT_API LazyConvBase : public ConvBase {
 public:
  /// Are there parameters with elements?
  bool is_materialized() const { return !state().lazy; }

 protected:
  /// As ConvBase, without elements.
  LazyConvBase(std::string name, int64_t in_channels, int64_t out_channels, const ConvGeometry& g);
  /// Makes the parameters that x asks for, where there are none. ShapeError for another rank, ValueError for channels
  /// that groups does not divide; the module stays as it is then.
  void materialize_for(const Tensor& x);

 private:
  class Shapes;
  int64_t groups_;
};

/// Conv without in_channels: `LazyConv2d(8, {.kernel_size = 3})` takes it from the first input, x.size(1), or x.size(0)
/// unbatched. `in_channels` is 0 before this handle's first call.
template <int D> class WEFT_API LazyConv : public ConvOf<LazyConvBase, ConvOptions<D>> {
 public:
  LazyConv(int64_t out_channels, const ConvOptions<D>& o)
      : LazyConv::ConvOf(weft::str("LazyConv", D, "d"), 0, out_channels, o) {}
  LazyConv(int64_t out_channels, const Dims<D>& kernel_size, const ConvOptions<D, Given>& o = {})
      : LazyConv(out_channels, detail::with_kernel(kernel_size, o)) {}
  LazyConv(int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride, const Padding<D>& padding = 0)
      : LazyConv(out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x) {
    this->materialize_for(x);
    return nn::call(*this, x, [&](const Tensor& x) { return this->convolve(x, this->weight); });
  }
};
using LazyConv1d = LazyConv<1>;
using LazyConv2d = LazyConv<2>;
using LazyConv3d = LazyConv<3>;

/// ConvTranspose in the same way.
template <int D> class WEFT_API LazyConvTranspose : public ConvOf<LazyConvBase, ConvTransposeOptions<D>> {
 public:
  LazyConvTranspose(int64_t out_channels, const ConvTransposeOptions<D>& o)
      : LazyConvTranspose::ConvOf(weft::str("LazyConvTranspose", D, "d"), 0, out_channels, o) {}
  LazyConvTranspose(int64_t out_channels, const Dims<D>& kernel_size, const ConvTransposeOptions<D, Given>& o = {})
      : LazyConvTranspose(out_channels, detail::with_kernel(kernel_size, o)) {}
  LazyConvTranspose(int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride,
                    const Padding<D>& padding = 0)
      : LazyConvTranspose(out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x, const std::optional<Shape>& output_size = {}) {
    this->materialize_for(x);
    return nn::call(*this, x, [&](const Tensor& x) { return this->convolve_transposed(x, this->weight, output_size); });
  }
};
using LazyConvTranspose1d = LazyConvTranspose<1>;
using LazyConvTranspose2d = LazyConvTranspose<2>;
using LazyConvTranspose3d = LazyConvTranspose<3>;

}  // namespace weft::nn
