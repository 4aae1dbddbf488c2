// Multi-head attention (Vaswani et al. 2017).
#pragma once

#include "weft/nn/linear.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// Options of MultiheadAttention.
struct MultiheadAttentionOptions {
  double dropout = 0;          ///< of the attention weights, in training
  bool bias = true;            ///< of the projections
  bool add_bias_kv = false;    ///< one more key and value, which are learned
  bool add_zero_attn = false;  ///< one more key and value, of zeros
  std::optional<int64_t> kdim = std::nullopt,
                         vdim = std::nullopt;  ///< features of key and value; embed_dim unless given
  bool batch_first = false;                    ///< [N, L, E] instead of [L, N, E]
};
/// Arguments of a call besides query, key and value.
struct MultiheadAttentionCall {
  Tensor key_padding_mask = {};      ///< [N, S] (or [S]): bool (true: left out), or added to the scores
  Tensor attn_mask = {};             ///< [L, S] or [N heads, L, S]: likewise
  bool need_weights = true;          ///< off: through scaled_dot_product_attention
  bool average_attn_weights = true;  ///< weights are the mean over the heads
  bool is_causal = false;            ///< attn_mask, which must be given, is the causal one
};
/// Result of a call.
struct AttentionResult {
  Tensor output;   ///< the query's shape
  Tensor weights;  ///< [N, L, S], or [N, heads, L, S] not averaged; after dropout; undefined if not asked for
};

/// out_proj(softmax(Q K^T / sqrt(d) + mask) V) in `num_heads` heads of d = embed_dim / num_heads features each.
/// query: [L, N, E], key: [S, N, kdim], value: [S, N, vdim], or all without N.
/// State: in_proj_weight [3 E, E] (or q_, k_, v_proj_weight where kdim or vdim differ), in_proj_bias [3 E], bias_k,
/// bias_v [1, 1, E], out_proj. As torch.nn.MultiheadAttention: a query that may see nothing gives NaN with the weights,
/// 0 without. ValueError unless num_heads divides embed_dim.
class WEFT_API MultiheadAttention : public Module {
 public:
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, const MultiheadAttentionOptions& o = {});
  /// PyTorch's short form: `MultiheadAttention(512, 8, 0.1)`.
  template <std::floating_point F>
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, F dropout)
      : MultiheadAttention(embed_dim, num_heads, {.dropout = dropout}) {}
  AttentionResult operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                             const MultiheadAttentionCall& call = {}) const;
  AttentionResult forward(const Tensor& query, const Tensor& key, const Tensor& value,
                          const MultiheadAttentionCall& call) const;
  /// First values: xavier_uniform_ for the input projections, xavier_normal_ for bias_k and bias_v, 0 for the other
  /// biases. out_proj's weight stays as it is.
  void reset_parameters();
  /// Features of the query and number of heads; num_heads divides embed_dim.
  int64_t embed_dim, num_heads;
  Option<MultiheadAttentionOptions> options;
  /// in_proj_weight, or the three of a projection each: the others are undefined. So are biases that the options leave
  /// out.
  Parameter in_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight, in_proj_bias, bias_k, bias_v;
  Linear out_proj;

 private:
  std::vector<Tensor> project(const Tensor& query, const Tensor& key, const Tensor& value, bool same) const;
};

}  // namespace weft::nn
