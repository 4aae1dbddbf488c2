// Einstein summation over views, sums and batched matrix products.
#pragma once

#include "weft/core/tensor.h"
#include "weft/core/tensor_list.h"

namespace weft {

/// Sum of products named by letters: `einsum("bij,bjk->bik", {a, b})`. A letter that stands twice in one operand takes
/// its diagonal; `...` stands for axes that broadcast; sizes of 1 broadcast too. Without `->` the result has the axes
/// of `...`, then the letters that occur once, in ASCII order. Contracted from left to right, each pair as one batched
/// matrix product. Errors: ValueError for a bad equation, ShapeError for operands that do not fit it. Same as
/// torch.einsum.
[[nodiscard]] WEFT_API Tensor einsum(std::string_view equation, const std::vector<Tensor>& operands);
[[nodiscard]] inline Tensor einsum(std::string_view equation, TensorBraces operands) {
  return einsum(equation, listed(operands));
}

}  // namespace weft
