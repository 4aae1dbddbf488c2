// Convolutions with standardised weights (Qiao et al. 2019; Brock et al. 2021), as in elektronn3.
// Arithmetic is the op's (autograd/ops/layer/weight.h).
#pragma once

#include <memory>

#include "weft/autograd/ops/layer/weight.h"
#include "weft/nn/conv.h"

namespace weft::nn {

using weft::standardize_weight;
using weft::WSVariant;

/// What they share. weight ~ N(0, 2 / fan in), bias as the plain layer's, gain 1. State: weight, bias, gain. ValueError
/// where a row of the weight has one element only. Where no gradient is asked for, the standardised weight is computed
/// once and kept until weight or gain change; a change through a pointer that was taken before is not seen.
class WEFT_API WSConvBase : public ConvBase {
 public:
  /// The formula: see weft::standardize_weight. May be changed, also through copies.
  Option<Choice<WSVariant>> variant;
  Parameter gain;  ///< [weight.size(0)]
  /// The standardised weight, differentiable, in a tensor of its own.
  Tensor standardize_weight(double eps = 1e-4) const { return weft::standardize_weight(weight, gain, *variant, eps); }
  /// First values, as above.
  void reset_parameters();

 protected:
  /// As ConvBase; gain is 1.
  WSConvBase(std::string name, int64_t in_channels, int64_t out_channels, const ConvGeometry& g,
             Choice<WSVariant> variant);
  /// As ConvBase, with the variant behind `text`.
  void show(std::function<std::string()> text);
  /// The same for use in a call: may be shared with other calls.
  Tensor weight_for_call(double eps) const;

 private:
  struct Kept;
  std::shared_ptr<Kept> kept_;
};

/// Conv whose weight is standardised in every call and scaled by `gain`, one per output channel.
template <int D> class WEFT_API WSConv : public ConvOf<WSConvBase, ConvOptions<D>> {
 public:
  WSConv(int64_t in_channels, int64_t out_channels, const ConvOptions<D>& o,
         Choice<WSVariant> variant = WSVariant::elektronn3)
      : WSConv::ConvOf(weft::str("WSConv", D, "d"), in_channels, out_channels, o, variant) {}
  WSConv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const ConvOptions<D, Given>& o = {},
         Choice<WSVariant> variant = WSVariant::elektronn3)
      : WSConv(in_channels, out_channels, detail::with_kernel(kernel_size, o), variant) {}
  WSConv(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride,
         const Padding<D>& padding = 0)
      : WSConv(in_channels, out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  Tensor operator()(const Tensor& x, double eps = 1e-4) const {
    return nn::call(*this, x, [&](const Tensor& x) { return this->convolve(x, this->weight_for_call(eps)); });
  }
};
using WSConv1d = WSConv<1>;
using WSConv2d = WSConv<2>;
using WSConv3d = WSConv<3>;

/// ConvTranspose in the same way. Rows, and so `gain`, are per *input* channel.
template <int D> class WEFT_API WSConvTranspose : public ConvOf<WSConvBase, ConvTransposeOptions<D>> {
 public:
  WSConvTranspose(int64_t in_channels, int64_t out_channels, const ConvTransposeOptions<D>& o,
                  Choice<WSVariant> variant = WSVariant::elektronn3)
      : WSConvTranspose::ConvOf(weft::str("WSConvTranspose", D, "d"), in_channels, out_channels, o, variant) {}
  WSConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size,
                  const ConvTransposeOptions<D, Given>& o = {}, Choice<WSVariant> variant = WSVariant::elektronn3)
      : WSConvTranspose(in_channels, out_channels, detail::with_kernel(kernel_size, o), variant) {}
  WSConvTranspose(int64_t in_channels, int64_t out_channels, const Dims<D>& kernel_size, const Dims<D>& stride,
                  const Padding<D>& padding = 0)
      : WSConvTranspose(in_channels, out_channels, kernel_size, {.stride = stride, .padding = padding}) {}
  /// output_size: as ConvTranspose.
  Tensor operator()(const Tensor& x, const std::optional<Shape>& output_size = {}, double eps = 1e-4) const {
    return nn::call(*this, x, [&](const Tensor& x) {
      return this->convolve_transposed(x, this->weight_for_call(eps), output_size);
    });
  }
};
using WSConvTranspose1d = WSConvTranspose<1>;
using WSConvTranspose2d = WSConvTranspose<2>;
using WSConvTranspose3d = WSConvTranspose<3>;

}  // namespace weft::nn
