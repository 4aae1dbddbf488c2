// Modules with other tensors for parameters.
// Knows Module, no layer.
#pragma once

#include "weft/nn/module.h"

namespace weft::nn {

/// m with the given tensors in the place of the parameters and buffers of those (dotted) names, and everything else
/// shared with m: `with_tensors(net, {{"fc.weight", w}})(x)` has a gradient with respect to w. m stays as it is.
/// Of tied parameters either name does. ValueError for an unknown name, and for two tensors in one's place. Same as
/// torch.func.functional_call, in two steps.
template <std::derived_from<Module> M>
[[nodiscard]] M with_tensors(const M& m, const std::vector<NamedTensor>& tensors) {
  const detail::CloneScope scope(m, tensors);
  return M(m);
}

}  // namespace weft::nn
