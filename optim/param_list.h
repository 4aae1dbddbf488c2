// Parameters as optimisers and clipping take them. Knows tensors, no module.
#pragma once

#include <concepts>
#include <initializer_list>
#include <utility>
#include <vector>

#include "weft/core/tensor.h"

namespace weft::optim {

/// `net.parameters()`, or Tensors and nn::Parameters one by one: `{fc.weight, fc.bias}`.
class ParamList : public std::vector<Tensor> {
 public:
  /// A Tensor of any class.
  struct Each {
    template <std::derived_from<Tensor> T> Each(const T& t) : tensor(t) {}
    const Tensor& tensor;
  };
  ParamList() = default;
  ParamList(std::vector<Tensor> all) : vector(std::move(all)) {}
  ParamList(std::initializer_list<Each> list) {
    for (const Each& each : list) push_back(each.tensor);
  }
};

}  // namespace weft::optim
