// Recurrent layers, their cells, attention and transformers.
#include "golden/modules.h"
#include "weft/nn/attention.h"
#include "weft/nn/rnn.h"
#include "weft/nn/transformer.h"

namespace golden {
namespace {

using namespace weft;

nn::RNNNonlinearity nonlinearity(const Args& a) {
  const std::string word = a.word("nonlinearity", "tanh");
  if (word != "tanh" && word != "relu") throw ValueError("unknown nonlinearity " + word);
  return word == "relu" ? nn::RNNNonlinearity::relu : nn::RNNNonlinearity::tanh;
}

template <class O> O common(const Args& a) {
  O o;
  o.num_layers = a.integer("num_layers", 1);
  o.bias = a.boolean("bias", true);
  o.batch_first = a.boolean("batch_first", false);
  o.dropout = a.number("dropout", 0);
  o.bidirectional = a.boolean("bidirectional", false);
  return o;
}

Tensor nth(const std::vector<Tensor>& x, size_t i) { return i < x.size() ? x[i] : Tensor(); }

/// The padded x as packed sequences of `lengths`, and back.
nn::PackedSequence packed(const Tensor& x, const Args& call, bool batch_first) {
  return nn::pack_padded_sequence(x, call.tensor("lengths").to(Dtype::i64),
                                  {.batch_first = batch_first, .enforce_sorted = call.boolean("enforce_sorted", true)});
}
Tensor padded(const nn::PackedSequence& s, bool batch_first) {
  return nn::pad_packed_sequence(s, {.batch_first = batch_first}).output;
}

/// A layer whose result has an output and the last h.
template <class M> Built recurrent(M m) {
  return {m, [m](const std::vector<Tensor>& x, const Args& call) {
            if (call.has("lengths")) {
              const nn::PackedRNNResult r = m(packed(x.at(0), call, m.batch_first), nth(x, 1));
              return std::vector<Tensor>{padded(r.output, m.batch_first), r.h};
            }
            const nn::RNNResult r = m(x.at(0), nth(x, 1));
            return std::vector<Tensor>{r.output, r.h};
          }};
}
template <class M> Built cell(M m) {
  return {m, [m](const std::vector<Tensor>& x, const Args&) { return std::vector<Tensor>{m(x.at(0), nth(x, 1))}; }};
}

nn::TransformerLayerOptions transformer(const Args& a) {
  const std::string activation = a.word("activation", "relu");
  if (activation != "relu" && activation != "gelu") throw ValueError("unknown activation " + activation);
  return {.dim_feedforward = a.integer("dim_feedforward", 2048),
          .dropout = a.number("dropout", 0.1),
          .activation = activation == "gelu" ? nn::TransformerActivation::gelu : nn::TransformerActivation::relu,
          .layer_norm_eps = a.number("layer_norm_eps", 1e-5),
          .batch_first = a.boolean("batch_first", false),
          .norm_first = a.boolean("norm_first", false),
          .bias = a.boolean("bias", true)};
}
template <class Layer> Layer transformer_layer(const Args& a) {
  return Layer(a.integer("d_model"), a.integer("nhead"), transformer(a));
}

/// The layer that a stack is made of, and the norm behind it.
template <class Layer> Layer inner_layer(const Args& a, const char* name) {
  const Args inner = a.inner(a.value(name)["args"]);
  Layer layer = transformer_layer<Layer>(inner);
  inner.check_all_read();
  return layer;
}
std::optional<nn::LayerNorm> inner_norm(const Args& a) {
  if (!a.has("norm")) return std::nullopt;
  const Args inner = a.inner(a.value("norm")["args"]);
  return nn::LayerNorm(Shape(inner.ints("normalized_shape")), {.eps = inner.number("eps", 1e-5)});
}

nn::TransformerEncoderCall encoder_call(const Args& call, const char* mask) {
  return {.mask = call.tensor(mask),
          .src_key_padding_mask = call.tensor("src_key_padding_mask"),
          .is_causal = call.boolean("is_causal", false)};
}
nn::TransformerDecoderCall decoder_call(const Args& call) {
  return {.tgt_mask = call.tensor("tgt_mask"),
          .memory_mask = call.tensor("memory_mask"),
          .tgt_key_padding_mask = call.tensor("tgt_key_padding_mask"),
          .memory_key_padding_mask = call.tensor("memory_key_padding_mask"),
          .tgt_is_causal = call.boolean("tgt_is_causal", false),
          .memory_is_causal = call.boolean("memory_is_causal", false)};
}
template <class M> Built encoder(M m, const char* mask) {
  return {m, [m, mask](const std::vector<Tensor>& x, const Args& call) {
            return std::vector<Tensor>{m(x.at(0), encoder_call(call, mask))};
          }};
}
template <class M> Built decoder(M m) {
  return {m, [m](const std::vector<Tensor>& x, const Args& call) {
            return std::vector<Tensor>{m(x.at(0), x.at(1), decoder_call(call))};
          }};
}

int64_t in(const Args& a) { return a.integer("input_size"); }
int64_t hidden(const Args& a) { return a.integer("hidden_size"); }

}  // namespace

void add_sequence_modules(Modules& m) {
  m.add("nn.RNN", [](const Args& a) {
    auto o = common<nn::RNNOptions>(a);
    o.nonlinearity = nonlinearity(a);
    return recurrent(nn::RNN(in(a), hidden(a), o));
  });
  m.add("nn.GRU", [](const Args& a) { return recurrent(nn::GRU(in(a), hidden(a), common<nn::GRUOptions>(a))); });
  m.add("nn.LSTM", [](const Args& a) -> Built {
    auto o = common<nn::LSTMOptions>(a);
    o.proj_size = a.integer("proj_size", 0);
    nn::LSTM lstm(in(a), hidden(a), o);
    return {lstm, [lstm](const std::vector<Tensor>& x, const Args& call) {
              if (call.has("lengths")) {
                const bool first = lstm.batch_first;
                const nn::PackedLSTMResult r = lstm(packed(x.at(0), call, first), nth(x, 1), nth(x, 2));
                return std::vector<Tensor>{padded(r.output, first), r.h, r.c};
              }
              const nn::LSTMResult r = lstm(x.at(0), nth(x, 1), nth(x, 2));
              return std::vector<Tensor>{r.output, r.h, r.c};
            }};
  });
  m.add("nn.RNNCell", [](const Args& a) {
    return cell(nn::RNNCell(in(a), hidden(a), {.bias = a.boolean("bias", true), .nonlinearity = nonlinearity(a)}));
  });
  m.add("nn.GRUCell",
        [](const Args& a) { return cell(nn::GRUCell(in(a), hidden(a), {.bias = a.boolean("bias", true)})); });
  m.add("nn.LSTMCell", [](const Args& a) -> Built {
    nn::LSTMCell lstm(in(a), hidden(a), {.bias = a.boolean("bias", true)});
    return {lstm, [lstm](const std::vector<Tensor>& x, const Args&) {
              const RnnState s = lstm(x.at(0), nth(x, 1), nth(x, 2));
              return std::vector<Tensor>{s.h, s.c};
            }};
  });
  m.add("nn.MultiheadAttention", [](const Args& a) -> Built {
    nn::MultiheadAttentionOptions o;
    o.dropout = a.number("dropout", 0);
    o.bias = a.boolean("bias", true);
    o.add_bias_kv = a.boolean("add_bias_kv", false);
    o.add_zero_attn = a.boolean("add_zero_attn", false);
    o.kdim = a.opt_integer("kdim");
    o.vdim = a.opt_integer("vdim");
    o.batch_first = a.boolean("batch_first", false);
    nn::MultiheadAttention attention(a.integer("embed_dim"), a.integer("num_heads"), o);
    return {attention, [attention](const std::vector<Tensor>& x, const Args& call) {
              nn::MultiheadAttentionCall c;
              c.key_padding_mask = x.size() > 3 ? x[3] : call.tensor("key_padding_mask");
              c.attn_mask = x.size() > 4 ? x[4] : call.tensor("attn_mask");
              c.need_weights = call.boolean("need_weights", true);
              c.average_attn_weights = call.boolean("average_attn_weights", true);
              c.is_causal = call.boolean("is_causal", false);
              const nn::AttentionResult r = attention(x.at(0), x.at(1), x.at(2), c);
              return c.need_weights ? std::vector<Tensor>{r.output, r.weights} : std::vector<Tensor>{r.output};
            }};
  });
  m.add("nn.Transformer", [](const Args& a) -> Built {
    const nn::TransformerLayerOptions layer = transformer(a);
    nn::Transformer net({.d_model = a.integer("d_model", 512),
                         .nhead = a.integer("nhead", 8),
                         .num_encoder_layers = a.integer("num_encoder_layers", 6),
                         .num_decoder_layers = a.integer("num_decoder_layers", 6),
                         .dim_feedforward = layer.dim_feedforward,
                         .dropout = layer.dropout,
                         .activation = layer.activation,
                         .layer_norm_eps = layer.layer_norm_eps,
                         .batch_first = layer.batch_first,
                         .norm_first = layer.norm_first,
                         .bias = layer.bias});
    return {net, [net](const std::vector<Tensor>& x, const Args& call) {
              const nn::TransformerCall c{.src_mask = call.tensor("src_mask"),
                                          .tgt_mask = call.tensor("tgt_mask"),
                                          .memory_mask = call.tensor("memory_mask"),
                                          .src_key_padding_mask = call.tensor("src_key_padding_mask"),
                                          .tgt_key_padding_mask = call.tensor("tgt_key_padding_mask"),
                                          .memory_key_padding_mask = call.tensor("memory_key_padding_mask"),
                                          .src_is_causal = call.boolean("src_is_causal", false),
                                          .tgt_is_causal = call.boolean("tgt_is_causal", false),
                                          .memory_is_causal = call.boolean("memory_is_causal", false)};
              return std::vector<Tensor>{net(x.at(0), x.at(1), c)};
            }};
  });
  m.add("nn.TransformerEncoderLayer",
        [](const Args& a) { return encoder(transformer_layer<nn::TransformerEncoderLayer>(a), "src_mask"); });
  m.add("nn.TransformerDecoderLayer",
        [](const Args& a) { return decoder(transformer_layer<nn::TransformerDecoderLayer>(a)); });
  m.add("nn.TransformerEncoder", [](const Args& a) {
    (void)a.boolean("enable_nested_tensor", true);  // changes no number
    return encoder(nn::TransformerEncoder(inner_layer<nn::TransformerEncoderLayer>(a, "encoder_layer"),
                                          a.integer("num_layers"), inner_norm(a)),
                   "mask");
  });
  m.add("nn.TransformerDecoder", [](const Args& a) {
    return decoder(nn::TransformerDecoder(inner_layer<nn::TransformerDecoderLayer>(a, "decoder_layer"),
                                          a.integer("num_layers"), inner_norm(a)));
  });
}

}  // namespace golden
