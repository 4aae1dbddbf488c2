// Runs the tape backwards.
#pragma once

#include <vector>

#include "weft/autograd/record.h"
#include "weft/core/tensor_list.h"

namespace weft {

/// How `grad` runs.
struct GradOptions {
  bool create_graph = false;  ///< record the gradients' graph, for second derivatives
  bool retain_graph = false;  ///< keep the graph for another backward; create_graph implies it
  bool allow_unused = false;  ///< an input that the outputs do not depend on gives an undefined tensor, not an error
  std::vector<Tensor> grad_outputs = {};  ///< gradients of the outputs; may be left out for one-element outputs
};

/// d(sum over outputs)/d(inputs), without touching grad() of any leaf.
/// Errors: an output that does not require grad, an unused input (see allow_unused), a graph that was freed.
WEFT_API std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                                  const GradOptions& o = {});
inline std::vector<Tensor> grad(const Tensor& output, const std::vector<Tensor>& inputs, const GradOptions& o = {}) {
  return grad(std::vector<Tensor>{output}, inputs, o);
}
inline std::vector<Tensor> grad(TensorBraces outputs, TensorBraces inputs, const GradOptions& o = {}) {
  return grad(listed(outputs), listed(inputs), o);
}
inline std::vector<Tensor> grad(const Tensor& output, TensorBraces inputs, const GradOptions& o = {}) {
  return grad(output, listed(inputs), o);
}

/// Accumulates the gradients of the leaves; `gradients` may be empty when all outputs have one element.
WEFT_API void backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients = {},
                       BackwardOptions o = {});

/// Sums g over the axes that broadcasting added, so that it gets `shape`. Recorded.
WEFT_API Tensor sum_to(const Tensor& g, const Shape& shape);

namespace detail {
/// Forgets the gradient of t, or zeroes it where it is.
WEFT_API void clear_grad(Tensor& t, bool set_to_none);
}  // namespace detail

}  // namespace weft
