// Attention.
#pragma once

#include <optional>

#include "weft/core/tensor.h"

namespace weft {

/// Options of scaled_dot_product_attention.
struct AttentionOptions {
  Tensor attn_mask = {};   ///< bool (true: the key counts) or added to the scores; broadcasts to [..., L, S]
  double dropout_p = 0;    ///< probability of a zero weight; 0 in evaluation
  bool is_causal = false;  ///< query i sees keys 0..i; excludes attn_mask
  std::optional<double> scale = std::nullopt;  ///< 1 / sqrt(E) unless given
  bool enable_gqa = false;                     ///< fewer key and value heads than query heads: each is shared
};
/// softmax(q k^T scale + mask) v; 0 for a query that the mask lets see nothing. q: [..., L, E], k: [..., S, E], v:
/// [..., S, V] -> [..., L, V]. A card computes it without the scores in memory, in f32, bf16 and f16, for E, V <= 256
/// and masks that need no gradient (docs/gpu.md); elsewhere, and for derivatives of higher order, it is made of ops.
/// Both drop the same weights.
WEFT_API Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                             const AttentionOptions& o = {});

}  // namespace weft
