// Tensors in braces, parameters of modules among them: `cat({x, layer.weight})`. A std::vector<Tensor> takes no
// parameter, because a plain handle of one outlives the call.
#pragma once

#include <concepts>
#include <initializer_list>
#include <vector>

#include "weft/core/tensor.h"

namespace weft {

/// A tensor or a module's parameter in a list. It holds a plain handle, so that a list in a variable is safe.
struct TensorArg {
  /// Any Tensor, Parameter or Buffer.
  template <std::derived_from<Tensor> T> TensorArg(const T& t) : tensor(static_cast<const Tensor&>(t)) {}
  Tensor tensor;  ///< not owned
};

/// What functions with a list of tensors take beside a vector.
using TensorBraces = std::initializer_list<TensorArg>;
/// Handles of the tensors, as a vector.
inline std::vector<Tensor> listed(TensorBraces tensors) {
  std::vector<Tensor> list;
  list.reserve(tensors.size());
  for (const TensorArg& t : tensors) list.push_back(t.tensor);
  return list;
}

}  // namespace weft
