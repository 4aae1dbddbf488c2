// u-muP's tags of parameters (Blake et al. 2024): what kind of parameter it is, and how deep the stack is that it is
// a layer of. They lie beside the gradient and not in nn::Parameter: optimisers, which read them, get the plain
// Tensors of parameters(). They survive nn::clone.
#pragma once

#include <string_view>

#include "weft/autograd/node.h"
#include "weft/core/choice.h"

namespace weft {
/// The words of mup types: none, weight, bias, norm, output.
constexpr auto mode_words(AutogradMeta::ParamInfo::MupType) {
  return make_words("unit_scaled: mup_type", "none", "weight", "bias", "norm", "output");
}
}  // namespace weft

namespace weft::unit_scaled {

/// The tags of a parameter: its type and, in a stack, the stack's depth.
using MupInfo = AutogradMeta::ParamInfo;
/// none, weight, bias, norm or output.
using MupType = MupInfo::MupType;

/// The tags of p; {none, no depth} if it has none.
WEFT_API MupInfo mup_info(const Tensor& p);
/// Gives p new tags; they survive nn::clone.
WEFT_API void set_mup_info(const Tensor& p, MupInfo info);
/// The type of that name. ValueError that names it otherwise.
inline MupType mup_type(std::string_view word) { return Choice<MupType>(word); }

}  // namespace weft::unit_scaled
