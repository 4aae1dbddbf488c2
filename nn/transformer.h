// Transformer layers and their stacks (Vaswani et al. 2017). Dropouts act in training mode.
#pragma once

#include "weft/core/choice.h"
#include "weft/nn/attention.h"
#include "weft/nn/containers.h"
#include "weft/nn/dropout.h"
#include "weft/nn/norm.h"
#include "weft/nn/option.h"

namespace weft::nn {

/// The nonlinearity between linear1 and linear2.
enum class TransformerActivation : uint8_t { relu, gelu };
constexpr auto mode_words(TransformerActivation) { return make_words("Transformer: activation", "relu", "gelu"); }

/// Options of TransformerEncoderLayer and TransformerDecoderLayer.
struct TransformerLayerOptions {
  int64_t dim_feedforward = 2048;  ///< features between linear1 and linear2
  double dropout = 0.1;            ///< behind attention, activation and linear2, and of the attention weights
  Choice<TransformerActivation> activation = TransformerActivation::relu;  ///< between linear1 and linear2
  double layer_norm_eps = 1e-5;                                            ///< eps of the norms
  bool batch_first = false;                                                ///< [N, L, E] instead of [L, N, E]
  bool norm_first = false;                                                 ///< x + f(norm(x)) instead of norm(x + f(x))
  bool bias = true;                                                        ///< of all linear layers and norms
};

/// Arguments of an encoder's call besides src.
struct TransformerEncoderCall {
  Tensor mask = {};                  ///< as MultiheadAttention's attn_mask
  Tensor src_key_padding_mask = {};  ///< as its key_padding_mask
  bool is_causal = false;            ///< mask is the causal one
};
/// Self-attention, then linear2(act(linear1(x))), each with a skip and a norm. src: [L, N, d_model] or [L, d_model] ->
/// the same. State: self_attn, linear1, linear2, norm1, norm2.
class WEFT_API TransformerEncoderLayer : public Module {
 public:
  TransformerEncoderLayer(int64_t d_model, int64_t nhead, const TransformerLayerOptions& o = {});
  /// PyTorch's short form: `TransformerEncoderLayer(512, 8, 1024, 0.2)`.
  template <std::integral I>
  TransformerEncoderLayer(int64_t d_model, int64_t nhead, I dim_feedforward, double dropout = 0.1)
      : TransformerEncoderLayer(d_model, nhead, {.dim_feedforward = dim_feedforward, .dropout = dropout}) {}
  Tensor operator()(const Tensor& src, const TransformerEncoderCall& call = {}) const;
  Tensor forward(const Tensor& src, const TransformerEncoderCall& call) const;
  Option<Choice<TransformerActivation>> activation;  ///< the other options are those of the parts: dropout1.p, norm1
  Option<bool> norm_first;
  /// Children of those names, but for the dropouts, which have no state.
  MultiheadAttention self_attn;
  Linear linear1;
  Dropout dropout;
  Linear linear2;
  LayerNorm norm1, norm2;
  Dropout dropout1, dropout2;
};

/// Arguments of a decoder's call besides tgt and memory: as the encoder's, for self-attention (tgt_) and attention to
/// memory (memory_).
struct TransformerDecoderCall {
  Tensor tgt_mask = {}, memory_mask = {};
  Tensor tgt_key_padding_mask = {}, memory_key_padding_mask = {};
  bool tgt_is_causal = false, memory_is_causal = false;
};
/// The same with attention to `memory` between the two. tgt: [L, N, d_model], memory: [S, N, d_model] -> [L, N,
/// d_model], or all without N. State: self_attn, multihead_attn, linear1, linear2, norm1, norm2, norm3.
class WEFT_API TransformerDecoderLayer : public Module {
 public:
  TransformerDecoderLayer(int64_t d_model, int64_t nhead, const TransformerLayerOptions& o = {});
  /// PyTorch's short form: `TransformerDecoderLayer(512, 8, 1024, 0.2)`.
  template <std::integral I>
  TransformerDecoderLayer(int64_t d_model, int64_t nhead, I dim_feedforward, double dropout = 0.1)
      : TransformerDecoderLayer(d_model, nhead, {.dim_feedforward = dim_feedforward, .dropout = dropout}) {}
  Tensor operator()(const Tensor& tgt, const Tensor& memory, const TransformerDecoderCall& call = {}) const;
  Tensor forward(const Tensor& tgt, const Tensor& memory, const TransformerDecoderCall& call) const;
  Option<Choice<TransformerActivation>> activation;
  Option<bool> norm_first;
  /// Children of those names, but for the dropouts, which have no state.
  MultiheadAttention self_attn, multihead_attn;
  Linear linear1;
  Dropout dropout;
  Linear linear2;
  LayerNorm norm1, norm2, norm3;
  Dropout dropout1, dropout2, dropout3;
};

/// `num_layers` copies of a layer, one after the other, then `norm` if given. State: layers.0, layers.1, ..., norm.
/// ValueError for a negative number.
class WEFT_API TransformerEncoder : public Module {
 public:
  TransformerEncoder(const TransformerEncoderLayer& layer, int64_t num_layers,
                     const std::optional<LayerNorm>& norm = {});
  Tensor operator()(const Tensor& src, const TransformerEncoderCall& call = {}) const;
  Tensor forward(const Tensor& src, const TransformerEncoderCall& call) const;
  /// The copies, and the norm behind them.
  ModuleList layers;
  std::optional<LayerNorm> norm;
};
/// The same for decoder layers: tgt [L, N, d_model], memory [S, N, d_model] -> [L, N, d_model]. State as above.
class WEFT_API TransformerDecoder : public Module {
 public:
  TransformerDecoder(const TransformerDecoderLayer& layer, int64_t num_layers,
                     const std::optional<LayerNorm>& norm = {});
  Tensor operator()(const Tensor& tgt, const Tensor& memory, const TransformerDecoderCall& call = {}) const;
  Tensor forward(const Tensor& tgt, const Tensor& memory, const TransformerDecoderCall& call) const;
  ModuleList layers;
  std::optional<LayerNorm> norm;
};

/// Options of Transformer.
struct TransformerOptions {
  int64_t d_model = 512, nhead = 8;                        ///< features and heads; nhead divides d_model
  int64_t num_encoder_layers = 6, num_decoder_layers = 6;  ///< of the two stacks
  int64_t dim_feedforward = 2048;                          ///< as for the layers, as are the next two
  double dropout = 0.1;
  Choice<TransformerActivation> activation = TransformerActivation::relu;
  std::optional<TransformerEncoder> custom_encoder = std::nullopt;  ///< instead of the layers that the numbers ask for
  std::optional<TransformerDecoder> custom_decoder = std::nullopt;  ///< likewise
  double layer_norm_eps = 1e-5;
  bool batch_first = false, norm_first = false, bias = true;  ///< as for the layers
};
/// Arguments of a call besides src and tgt: masks of the encoder (src_), of the decoder's self-attention (tgt_) and of
/// its attention to the encoder's output (memory_).
struct TransformerCall {
  Tensor src_mask = {}, tgt_mask = {}, memory_mask = {};
  Tensor src_key_padding_mask = {}, tgt_key_padding_mask = {}, memory_key_padding_mask = {};
  bool src_is_causal = false, tgt_is_causal = false, memory_is_causal = false;
};
/// decoder(tgt, encoder(src)), both with a norm at their end. src: [S, N, d_model], tgt: [T, N, d_model] -> [T, N,
/// d_model] (batch_first: N in front), or all without N. Weights begin as xavier_uniform_, those of a custom encoder or
/// decoder too. State: encoder, decoder. As torch.nn.Transformer. ShapeError for another number of samples or of
/// features.
class WEFT_API Transformer : public Module {
 public:
  explicit Transformer(const TransformerOptions& o = {});
  /// PyTorch's short form: `Transformer(256, 4, 3, 3)`.
  template <std::integral I>
  explicit Transformer(I d_model, int64_t nhead = 8, int64_t num_encoder_layers = 6, int64_t num_decoder_layers = 6)
      : Transformer({.d_model = d_model,
                     .nhead = nhead,
                     .num_encoder_layers = num_encoder_layers,
                     .num_decoder_layers = num_decoder_layers}) {}
  Tensor operator()(const Tensor& src, const Tensor& tgt, const TransformerCall& call = {}) const;
  Tensor forward(const Tensor& src, const Tensor& tgt, const TransformerCall& call) const;
  /// [size, size]: -inf above the diagonal, 0 elsewhere; a mask for what must not see its future.
  static Tensor generate_square_subsequent_mask(int64_t size, const TensorOptions& o = {});
  int64_t d_model, nhead;
  bool batch_first;
  TransformerEncoder encoder;
  TransformerDecoder decoder;
};

}  // namespace weft::nn
