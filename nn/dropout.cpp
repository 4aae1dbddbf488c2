#include "weft/nn/dropout.h"

#include "weft/autograd/ops/random.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::DropoutKind;

namespace {
constexpr const char* kNames[] = {"Dropout",   "Dropout1d",    "Dropout2d",
                                  "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"};
}

template <DropoutKind Kind> DropoutOf<Kind>::DropoutOf(Only<double> p) : Module(kNames[static_cast<int>(Kind)]), p(p) {
  WEFT_CHECK(p >= 0 && p <= 1, ValueError, name(), ": the probability p must be in [0, 1], got ", p);
  set_extra("", detail::shown("p=", this->p, ", inplace=False"));
}

template <DropoutKind Kind> Tensor DropoutOf<Kind>::forward(const Tensor& x) const {
  if constexpr (Kind == DropoutKind::elements) return dropout(x, p, is_training());
  else if constexpr (Kind == DropoutKind::channels1d) return dropout1d(x, p, is_training());
  else if constexpr (Kind == DropoutKind::channels2d) return dropout2d(x, p, is_training());
  else if constexpr (Kind == DropoutKind::channels3d) return dropout3d(x, p, is_training());
  else if constexpr (Kind == DropoutKind::alpha) return alpha_dropout(x, p, is_training());
  else return feature_alpha_dropout(x, p, is_training());
}

template class DropoutOf<DropoutKind::elements>;
template class DropoutOf<DropoutKind::channels1d>;
template class DropoutOf<DropoutKind::channels2d>;
template class DropoutOf<DropoutKind::channels3d>;
template class DropoutOf<DropoutKind::alpha>;
template class DropoutOf<DropoutKind::feature_alpha>;

}  // namespace weft::nn
