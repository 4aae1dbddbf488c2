// Dropout layers: active in training mode only.
#pragma once

#include "weft/nn/call.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"

namespace weft::nn {

namespace detail {
enum class WEFT_API DropoutKind : uint8_t { elements, channels1d, channels2d, channels3d, alpha, feature_alpha };
}

/// Options of the dropout layers.
struct DropoutOptions {
  double p = 0.5;  ///< probability of a zero, in [0, 1]
};
/// Zeroes elements (or whole channels) with probability p and scales the rest by 1 / (1 - p). ValueError for p outside
/// [0, 1].
template <detail::DropoutKind Kind> class WEFT_API DropoutOf : public Module {
 public:
  explicit DropoutOf(Only<double> p = 0.5);
  explicit DropoutOf(const DropoutOptions& o) : DropoutOf(o.p) {}
  Tensor operator()(const Tensor& x) const { return nn::call(*this, x); }
  Tensor forward(const Tensor& x) const;
  Option<double> p;
};
/// Element by element, x of any shape.
using Dropout = DropoutOf<detail::DropoutKind::elements>;
/// Whole channels: of [N, C, L] or [C, L]; of any rank from [N, C] on ([N, C, L], not [C, H, W], as PyTorch); of [N, C,
/// D, H, W] or [C, D, H, W].
using Dropout1d = DropoutOf<detail::DropoutKind::channels1d>;
using Dropout2d = DropoutOf<detail::DropoutKind::channels2d>;
using Dropout3d = DropoutOf<detail::DropoutKind::channels3d>;
/// For SELU networks: dropped elements take SELU's lower limit, then mean and variance are restored.
using AlphaDropout = DropoutOf<detail::DropoutKind::alpha>;
/// The same for whole channels of [N, C, ...].
using FeatureAlphaDropout = DropoutOf<detail::DropoutKind::feature_alpha>;

}  // namespace weft::nn
