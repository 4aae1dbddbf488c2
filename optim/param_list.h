// Parameters as optimisers and clipping take them. Knows tensors, no module.
#pragma once

#include <utility>
#include <vector>

#include "weft/core/tensor_list.h"

namespace weft::optim {

/// `net.parameters()`, or Tensors and nn::Parameters one by one: `{fc.weight, fc.bias}`.
class ParamList : public std::vector<Tensor> {
 public:
  ParamList() = default;
  /// Of `net.parameters()`, or of tensors in braces.
  ParamList(std::vector<Tensor> all) : vector(std::move(all)) {}
  ParamList(TensorBraces params) : vector(listed(params)) {}
};

}  // namespace weft::optim
