#include "weft/nn/fws.h"

#include "weft/core/factory.h"
#include "weft/core/recording.h"

namespace weft::nn {

FWSBase::FWSBase(const Tensor& weight, const FWSOptions& o)
    : Module("FWS"), const_eval(o.const_eval), variant(o.variant) {
  WEFT_CHECK(weight.rank() >= 2 && weight.numel() > weight.size(0), ValueError, "FWS: weight ", weight.shape(),
             " must have rows of two elements or more to be standardised");
  Tensor one = ones({weight.size(0)}, weight.options());
  if (o.learnable_gain) gain = param("gain", one);
  else gain = buffer("gain", one);
  const int64_t all = weight.numel(), rows = weight.size(0);
  fan_in = buffer("fan_in", full({}, o.variant == WSVariant::nfnet ? all / rows : all, {Dtype::i64, weight.device()}));
  eps = buffer("eps", full({}, o.eps, {Dtype::f32, weight.device()}));
}

double FWSBase::Number::of(const Tensor& t) {
  if (const Stamp now(t); now != read_at || weft::detail::recording()) {  // which watches what is asked for
    value = t.item<double>();
    read_at = now;
  }
  return value;
}

Tensor FWSBase::rewritten(const Tensor& weight) {
  return standardize_weight_(weight, gain, *variant, eps_.of(eps), fan_in_.of(fan_in));
}

}  // namespace weft::nn
