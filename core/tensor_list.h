// Tensors in braces, parameters of modules among them: `cat({x, layer.weight})`. A std::vector<Tensor> takes no
// parameter, because a plain handle of one outlives the call.
#pragma once

#include <initializer_list>
#include <vector>

#include "weft/core/tensor.h"

namespace weft {

/// A tensor or a module's parameter for the length of a call.
class TensorArg {
 public:
  TensorArg(const Tensor& t) : tensor_(t) {}
  template <class P>
  requires requires { typename P::OfModule; }
  TensorArg(const P& p) : tensor_(p.tensor()) {}
  const Tensor& tensor() const { return tensor_; }

 private:
  const Tensor& tensor_;
};

/// What ops with a list of tensors take beside a vector.
using TensorBraces = std::initializer_list<TensorArg>;
inline std::vector<Tensor> listed(TensorBraces tensors) {
  std::vector<Tensor> list;
  list.reserve(tensors.size());
  for (const TensorArg& t : tensors) list.push_back(t.tensor());
  return list;
}

}  // namespace weft
