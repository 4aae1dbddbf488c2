// Rows of a table by index, with the gradient rules of embedding layers.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

struct EmbeddingOptions {
  std::optional<int64_t> padding_idx = std::nullopt;  ///< this row gets no gradient; negative counts from the end
  bool scale_grad_by_freq = false;                    ///< a row's gradient is divided by how often it occurs in `index`
};

/// index: [..] i64 or i32, weight: [V, D] -> [.., D]. ValueError on an index outside [0, V). The gradient is dense and summed in
/// the order of `index`. Same as torch.nn.functional.embedding.
[[nodiscard]] WEFT_API Tensor embedding(const Tensor& index, const Tensor& weight, const EmbeddingOptions& o = {});

}  // namespace weft
