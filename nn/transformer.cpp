#include "weft/nn/transformer.h"

#include <limits>

#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/init.h"

namespace weft::nn {

namespace {

MultiheadAttention attention_of(int64_t d_model, int64_t nhead, const TransformerLayerOptions& o) {
  return {d_model, nhead, {.dropout = o.dropout, .bias = o.bias, .batch_first = o.batch_first}};
}
LayerNorm norm_of(int64_t d_model, const TransformerLayerOptions& o) {
  return LayerNorm(d_model, {.eps = o.layer_norm_eps, .bias = o.bias});
}
Tensor activated(const Tensor& x, TransformerActivation how) {
  return how == TransformerActivation::gelu ? gelu(x) : relu(x);
}
/// One block with its skip.
template <class F> Tensor block(const Tensor& x, const LayerNorm& norm, bool norm_first, const F& f) {
  return norm_first ? x + f(norm(x)) : norm(x + f(x));
}

template <class Stack, class Layer> void fill(Stack& stack, const Layer& layer, int64_t num_layers) {
  WEFT_CHECK(num_layers >= 0, ValueError, stack.name(), ": num_layers must not be negative, got ", num_layers);
  for (int64_t i = 0; i < num_layers; ++i) stack.layers.push_back(clone(layer));
}

/// The options of one layer of a whole transformer.
TransformerLayerOptions layer_of(const TransformerOptions& o) {
  return {.dim_feedforward = o.dim_feedforward,
          .dropout = o.dropout,
          .activation = o.activation,
          .layer_norm_eps = o.layer_norm_eps,
          .batch_first = o.batch_first,
          .norm_first = o.norm_first,
          .bias = o.bias};
}

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(int64_t d_model, int64_t nhead, const TransformerLayerOptions& o)
    : Module("TransformerEncoderLayer"),
      activation(o.activation),
      norm_first(o.norm_first),
      self_attn(add("self_attn", attention_of(d_model, nhead, o))),
      linear1(add("linear1", Linear(d_model, o.dim_feedforward, {.bias = o.bias}))),
      dropout(add("dropout", Dropout(o.dropout))),
      linear2(add("linear2", Linear(o.dim_feedforward, d_model, {.bias = o.bias}))),
      norm1(add("norm1", norm_of(d_model, o))),
      norm2(add("norm2", norm_of(d_model, o))),
      dropout1(add("dropout1", Dropout(o.dropout))),
      dropout2(add("dropout2", Dropout(o.dropout))) {}

Tensor TransformerEncoderLayer::forward(const Tensor& src, const TransformerEncoderCall& call) const {
  const Tensor x = block(src, norm1, norm_first, [&](const Tensor& t) {
    return dropout1(self_attn(t, t, t,
                              {.key_padding_mask = call.src_key_padding_mask,
                               .attn_mask = call.mask,
                               .need_weights = false,
                               .is_causal = call.is_causal})
                        .output);
  });
  return block(x, norm2, norm_first,
               [&](const Tensor& t) { return dropout2(linear2(dropout(activated(linear1(t), *activation)))); });
}

TransformerDecoderLayer::TransformerDecoderLayer(int64_t d_model, int64_t nhead, const TransformerLayerOptions& o)
    : Module("TransformerDecoderLayer"),
      activation(o.activation),
      norm_first(o.norm_first),
      self_attn(add("self_attn", attention_of(d_model, nhead, o))),
      multihead_attn(add("multihead_attn", attention_of(d_model, nhead, o))),
      linear1(add("linear1", Linear(d_model, o.dim_feedforward, {.bias = o.bias}))),
      dropout(add("dropout", Dropout(o.dropout))),
      linear2(add("linear2", Linear(o.dim_feedforward, d_model, {.bias = o.bias}))),
      norm1(add("norm1", norm_of(d_model, o))),
      norm2(add("norm2", norm_of(d_model, o))),
      norm3(add("norm3", norm_of(d_model, o))),
      dropout1(add("dropout1", Dropout(o.dropout))),
      dropout2(add("dropout2", Dropout(o.dropout))),
      dropout3(add("dropout3", Dropout(o.dropout))) {}

Tensor TransformerDecoderLayer::forward(const Tensor& tgt, const Tensor& memory,
                                        const TransformerDecoderCall& call) const {
  Tensor x = block(tgt, norm1, norm_first, [&](const Tensor& t) {
    return dropout1(self_attn(t, t, t,
                              {.key_padding_mask = call.tgt_key_padding_mask,
                               .attn_mask = call.tgt_mask,
                               .need_weights = false,
                               .is_causal = call.tgt_is_causal})
                        .output);
  });
  x = block(x, norm2, norm_first, [&](const Tensor& t) {
    return dropout2(multihead_attn(t, memory, memory,
                                   {.key_padding_mask = call.memory_key_padding_mask,
                                    .attn_mask = call.memory_mask,
                                    .need_weights = false,
                                    .is_causal = call.memory_is_causal})
                        .output);
  });
  return block(x, norm3, norm_first,
               [&](const Tensor& t) { return dropout3(linear2(dropout(activated(linear1(t), *activation)))); });
}

TransformerEncoder::TransformerEncoder(const TransformerEncoderLayer& layer, int64_t num_layers,
                                       const std::optional<LayerNorm>& norm)
    : Module("TransformerEncoder"), layers(add("layers", ModuleList())) {
  fill(*this, layer, num_layers);
  if (norm) this->norm = add("norm", *norm);
}
Tensor TransformerEncoder::forward(const Tensor& src, const TransformerEncoderCall& call) const {
  Tensor x = src;
  for (int64_t i = 0; i < layers.size(); ++i) x = layers.at<TransformerEncoderLayer>(i)(x, call);
  return norm ? (*norm)(x) : x;
}

TransformerDecoder::TransformerDecoder(const TransformerDecoderLayer& layer, int64_t num_layers,
                                       const std::optional<LayerNorm>& norm)
    : Module("TransformerDecoder"), layers(add("layers", ModuleList())) {
  fill(*this, layer, num_layers);
  if (norm) this->norm = add("norm", *norm);
}
Tensor TransformerDecoder::forward(const Tensor& tgt, const Tensor& memory, const TransformerDecoderCall& call) const {
  Tensor x = tgt;
  for (int64_t i = 0; i < layers.size(); ++i) x = layers.at<TransformerDecoderLayer>(i)(x, memory, call);
  return norm ? (*norm)(x) : x;
}

Transformer::Transformer(const TransformerOptions& o)
    : Module("Transformer"),
      d_model(o.d_model),
      nhead(o.nhead),
      batch_first(o.batch_first),
      encoder(add("encoder", o.custom_encoder
                                 ? *o.custom_encoder
                                 : TransformerEncoder(TransformerEncoderLayer(d_model, nhead, layer_of(o)),
                                                      o.num_encoder_layers, norm_of(d_model, layer_of(o))))),
      decoder(add("decoder", o.custom_decoder
                                 ? *o.custom_decoder
                                 : TransformerDecoder(TransformerDecoderLayer(d_model, nhead, layer_of(o)),
                                                      o.num_decoder_layers, norm_of(d_model, layer_of(o))))) {
  for (const Tensor& p : parameters())
    if (p.rank() > 1) init::xavier_uniform_(p);
}

Tensor Transformer::forward(const Tensor& src, const Tensor& tgt, const TransformerCall& call) const {
  WEFT_CHECK((src.rank() == 2 || src.rank() == 3) && tgt.rank() == src.rank(), ShapeError, "Transformer: src ",
             src.shape(), " and tgt ", tgt.shape(), " should both be unbatched 2D or batched 3D tensors");
  const int batch = batch_first ? 0 : 1;
  WEFT_CHECK(src.rank() == 2 || src.size(batch) == tgt.size(batch), ShapeError, "Transformer: the batch number of src ",
             src.shape(), " and tgt ", tgt.shape(), " must be equal",
             batch_first ? "" : "; samples lie along axis 1 without batch_first");
  WEFT_CHECK(src.size(-1) == d_model && tgt.size(-1) == d_model, ShapeError, "Transformer: the feature number of src ",
             src.shape(), " and tgt ", tgt.shape(), " must be equal to d_model ", d_model);
  const Tensor memory = encoder(
      src, {.mask = call.src_mask, .src_key_padding_mask = call.src_key_padding_mask, .is_causal = call.src_is_causal});
  return decoder(tgt, memory,
                 {.tgt_mask = call.tgt_mask,
                  .memory_mask = call.memory_mask,
                  .tgt_key_padding_mask = call.tgt_key_padding_mask,
                  .memory_key_padding_mask = call.memory_key_padding_mask,
                  .tgt_is_causal = call.tgt_is_causal,
                  .memory_is_causal = call.memory_is_causal});
}

Tensor Transformer::generate_square_subsequent_mask(int64_t size, const TensorOptions& o) {
  return triu(full({size, size}, -std::numeric_limits<double>::infinity(), o), 1);
}

Tensor TransformerEncoderLayer::operator()(const Tensor& src, const TransformerEncoderCall& call) const {
  return nn::call(*this, src, call);
}
Tensor TransformerDecoderLayer::operator()(const Tensor& tgt, const Tensor& memory,
                                           const TransformerDecoderCall& call) const {
  return nn::call(*this, tgt, memory, call);
}
Tensor TransformerEncoder::operator()(const Tensor& src, const TransformerEncoderCall& call) const {
  return nn::call(*this, src, call);
}
Tensor TransformerDecoder::operator()(const Tensor& tgt, const Tensor& memory,
                                      const TransformerDecoderCall& call) const {
  return nn::call(*this, tgt, memory, call);
}
Tensor Transformer::operator()(const Tensor& src, const Tensor& tgt, const TransformerCall& call) const {
  return nn::call(*this, src, tgt, call);
}

}  // namespace weft::nn
