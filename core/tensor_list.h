// Tensors in braces, parameters of modules among them: `cat({x, layer.weight})`. A std::vector<Tensor> takes no
// parameter, because a plain handle of one outlives the call.
#pragma once

#include <concepts>
#include <initializer_list>
#include <vector>

#include "weft/core/tensor.h"

namespace weft {

/// A tensor or a module's parameter for the length of a call.
struct TensorArg {
  /// Any Tensor, Parameter or Buffer.
  template <std::derived_from<Tensor> T> TensorArg(const T& t) : tensor(t) {}
  const Tensor& tensor;  ///< not owned
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
