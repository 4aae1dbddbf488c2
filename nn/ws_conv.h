// Convolutions with standardised weights (Qiao et al. 2019; Brock et al. 2021), as in elektronn3.
#pragma once

#include "weft/nn/conv.h"

namespace weft::nn {

/// Which variance and which fan-in `standardize_weight` takes; see there.
enum class WSVariant : uint8_t { elektronn3, nfnet };

/// (w - mean) gain / sqrt(max(var N, eps)) for each row of axis 0. `elektronn3`: variance by n - 1, N = all elements of w (so that
/// signals shrink with the number of rows; kept for its checkpoints). `nfnet`: variance by n, N = n, the elements of a row: right for
/// new networks. w: [R, ...], gain: [R]. Halves compute in f32.
WEFT_API Tensor standardize_weight(const Tensor& w, const Tensor& gain, WSVariant variant = WSVariant::elektronn3,
                                   double eps = 1e-4);

/// Conv whose weight is standardised in every call and scaled by `gain` [out_channels], ones at first. weight ~ N(0, 2 / fan in).
/// State: weight, bias, gain. ValueError where a row has one element only.
template <int D> class WEFT_API WSConv : public ConvBase {
 public:
  WSConv(int64_t in_channels, int64_t out_channels, const ConvOptions<D>& o, WSVariant variant = WSVariant::elektronn3);
  Tensor operator()(const Tensor& x, double eps = 1e-4) const { return convolve(x, standardize_weight(eps)); }
  Tensor standardize_weight(double eps = 1e-4) const { return nn::standardize_weight(weight, gain, variant, eps); }
  void reset_parameters();
  WSVariant variant;
  Tensor gain;
};
using WSConv1d = WSConv<1>;
using WSConv2d = WSConv<2>;
using WSConv3d = WSConv<3>;

}  // namespace weft::nn
