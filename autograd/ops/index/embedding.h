// Rows of a table by index, with the gradient rules of embedding layers.
#pragma once

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft {

/// Options of embedding.
struct EmbeddingOptions {
  std::optional<Int> padding_idx = std::nullopt;  ///< this row gets no gradient; negative counts from the end
  bool scale_grad_by_freq = false;                ///< a row's gradient is divided by how often it occurs in `index`
};

/// index: [..] i64 or i32, weight: [V, D] -> [.., D]. ValueError on an index outside [0, V). The gradient is dense and
/// summed in an order as index_add's. Same as torch.nn.functional.embedding.
[[nodiscard]] WEFT_API Tensor embedding(const Tensor& index, const Tensor& weight, const EmbeddingOptions& o = {});

/// Scales rows of `weight` that `index` names down to a norm of max_norm, in place, unrecorded. ValueError as
/// embedding. Waits for the device.
WEFT_API void embedding_renorm_(const Tensor& weight, const Tensor& index, double max_norm, double norm_type = 2);

/// How the rows of a bag become one.
enum class BagMode : uint8_t { sum, mean, max };
constexpr auto mode_words(BagMode) { return make_words("embedding_bag: mode", "sum", "mean", "max"); }
/// Options of embedding_bag.
struct EmbeddingBagOptions {
  Choice<BagMode> mode = BagMode::mean;  ///< sum, mean or max
  Tensor per_sample_weights = {};    ///< factors of the rows, of index's shape; mode sum only (NotSupported otherwise)
  bool include_last_offset = false;  ///< offsets has one more entry, the end of the last bag
  std::optional<Int> padding_idx = std::nullopt;  ///< this row counts for nothing
  bool scale_grad_by_freq = false;                ///< a row's gradient is divided by how often it occurs
};
/// The sum, mean or maximum of the rows of each bag; 0 for an empty one. weight: [V, D]; index: [B, n], a bag in each
/// row, or [n] with offsets [B], where each bag begins -> [B, D]. ValueError for offsets that do not rise from 0 within
/// index. Same as torch.nn.functional.embedding_bag.
[[nodiscard]] WEFT_API Tensor embedding_bag(const Tensor& index, const Tensor& weight, const Tensor& offsets = {},
                                            const EmbeddingBagOptions& o = {});

}  // namespace weft
