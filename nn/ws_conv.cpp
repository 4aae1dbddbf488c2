#include "weft/nn/ws_conv.h"

#include <cmath>

#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/reduce.h"
#include "weft/autograd/ops/unary.h"
#include "weft/core/factory.h"
#include "weft/nn/init.h"

namespace weft::nn {

Tensor standardize_weight(const Tensor& w, const Tensor& gain, WSVariant variant, double eps) {
  const int64_t rows = w.size(0), n = rows ? w.numel() / rows : 0;
  const bool elektronn3 = variant == WSVariant::elektronn3;
  Tensor flat = w.to(compute_dtype(w.dtype())).reshape({rows, n});
  Tensor centred = flat - mean(flat, 1, true);
  Tensor variance = sum(square(centred), 1, true) / static_cast<double>(elektronn3 ? n - 1 : n);
  Tensor scale = rsqrt(clamp(variance * static_cast<double>(elektronn3 ? w.numel() : n), eps)) *
                 gain.to(flat.dtype()).reshape({rows, 1});
  return (centred * scale).reshape(w.shape()).to(w.dtype());
}

template <int D>
WSConv<D>::WSConv(int64_t in_channels, int64_t out_channels, const ConvOptions<D>& o, WSVariant variant)
    : ConvBase(config("WSConv", in_channels, out_channels, o)), variant(variant) {
  WEFT_CHECK(weight.numel() > weight.shape()[0], ValueError, name(), ": weight ", weight.shape(),
             " has one element per row, which cannot be standardised");
  gain = param("gain", ones({weight.shape()[0]}));
  reset_parameters();
}

template <int D> void WSConv<D>::reset_parameters() {
  ConvBase::reset_parameters();
  init::kaiming_normal_(weight, {.nonlinearity = init::Nonlinearity::relu});
  init::ones_(gain);
}

template class WSConv<1>;
template class WSConv<2>;
template class WSConv<3>;

}  // namespace weft::nn
