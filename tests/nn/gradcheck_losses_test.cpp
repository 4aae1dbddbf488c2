// First and second derivatives of losses, recurrent layers, attention and computed weights at random sizes. (FWS, which
// is no function of its weight, has a file of its own.)
#include "nn/layer_table.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/nn/adaptive_softmax.h"
#include "weft/nn/attention.h"
#include "weft/nn/containers.h"
#include "weft/nn/conv.h"
#include "weft/nn/encoding.h"
#include "weft/nn/linear.h"
#include "weft/nn/loss.h"
#include "weft/nn/margin_loss.h"
#include "weft/nn/rnn.h"
#include "weft/nn/segmentation_loss.h"
#include "weft/nn/transformer.h"

using namespace weft;
using namespace weft::test;

namespace {

Reduction any_reduction(Draw& d) { return d.pick({Reduction::none, Reduction::mean, Reduction::sum}); }

/// A loss of one differentiable input and given others.
template <class M> LayerCase loss_case(M m, Draw& d, Tensor x, Tensors given) {
  return layer_case(std::move(m), d, {std::move(x)}, [given](M& loss, const Tensors& t) -> Tensor {
    if constexpr (requires { loss(t[0], given[0], given[0]); })
      if (given.size() == 2) return loss(t[0], given[0], given[1]);
    if constexpr (requires { loss(t[0], given[0]); }) return loss(t[0], given[0]);
    else return Tensor();
  });
}
/// A loss of two or three differentiable inputs.
template <class M> LayerCase pair_case(M m, Draw& d, Tensors x, const Tensor& target = {}) {
  return layer_case(std::move(m), d, std::move(x), [target](M& loss, const Tensors& t) -> Tensor {
    if constexpr (requires { loss(t[0], t[0], t[0]); }) return loss(t[0], t[1], target.defined() ? target : t[2]);
    else return loss(t[0], t[1]);
  });
}

Tensor signs(Draw& d, const Shape& s) { return d.classes(s, 2).to(Dtype::f64) * 2.0 - 1.0; }

/// Logits [N, C, ...] and classes [N, ...].
struct Labelled {
  Tensor x, target;
  int64_t classes;
};
Labelled labelled(Draw& d) {
  Shape s{d.from(1, 3), d.from(2, 4)};
  if (d.coin()) s.push_back(d.from(1, 3));
  Shape t = s;
  t.erase(1);
  return {d.leaf(s), d.classes(t, s[1]), s[1]};
}
Tensor class_weight(Draw& d, int64_t classes) { return d.coin() ? d.values({classes}, 0.3, 1.7) : Tensor(); }

std::vector<LayerRow> class_losses() {
  std::vector<LayerRow> t;
  t.push_back({"CrossEntropyLoss", [](Draw& d) {
                 const Labelled l = labelled(d);
                 const CrossEntropyOptions o{.weight = class_weight(d, l.classes),
                                             .ignore_index = d.coin() ? 0 : -100,
                                             .reduction = d.pick({Reduction::none, Reduction::sum}),
                                             .label_smoothing = d.pick({0.0, 0.2})};
                 return loss_case(nn::CrossEntropyLoss(o), d, l.x, {l.target});
               }});
  t.push_back(
      {"CrossEntropyLoss of probabilities", [](Draw& d) {
         const Shape s{d.from(1, 3), d.from(2, 4)};
         return pair_case(nn::CrossEntropyLoss({.reduction = any_reduction(d)}), d, {d.leaf(s), d.leaf(s, 0, 1)});
       }});
  t.push_back({"NLLLoss", [](Draw& d) {
                 const Labelled l = labelled(d);
                 return loss_case(nn::NLLLoss({.weight = class_weight(d, l.classes), .reduction = any_reduction(d)}), d,
                                  l.x, {l.target});
               }});
  t.push_back({"DiceLoss", [](Draw& d) {
                 const Labelled l = labelled(d);
                 return loss_case(nn::DiceLoss({.weight = class_weight(d, l.classes), .smooth = d.pick({0.0, 0.5})}), d,
                                  l.x, {l.target});
               }});
  t.push_back({"LabelSmoothing", [](Draw& d) {
                 const int64_t n = d.from(1, 3), c = d.from(2, 4);
                 return loss_case(nn::LabelSmoothing(0.2), d, d.leaf({n, c}), {d.classes({n}, c)});
               }});
  t.push_back({"LinearCrossEntropyLoss", [](Draw& d) {
                 const int64_t n = d.from(1, 3), in = d.from(1, 3), c = d.from(2, 4);
                 const nn::LinearCrossEntropyLossOptions o{.bias = d.coin(), .label_smoothing = d.pick({0.0, 0.2})};
                 return loss_case(nn::LinearCrossEntropyLoss(in, c, o), d, d.leaf({n, in}), {d.classes({n}, c)});
               }});
  t.push_back({"AdaptiveLogSoftmaxWithLoss", [](Draw& d) {
                 const int64_t n = d.from(2, 4);
                 return layer_case(nn::AdaptiveLogSoftmaxWithLoss(4, 6, {2, 4}, {.div_value = 2}), d, {d.leaf({n, 4})},
                                   [at = d.classes({n}, 6)](auto& m, const Tensors& x) -> Tensors {
                                     const auto r = m(x[0], at);
                                     return {r.output, r.loss, m.log_prob(x[0])};
                                   });
               }});
  t.push_back({"SegmentationLosses", [](Draw& d) {
                 const int64_t c = d.from(2, 3);
                 const Shape s{2, c, 2, 2};
                 const nn::SegmentationLosses loss({.se_loss = true, .nclass = c, .aux = true});
                 return layer_case(loss, d, {d.leaf(s), d.leaf({2, c}), d.leaf(s), d.classes({2, 2, 2}, c)},
                                   [](auto& m, const Tensors& x) { return m(x[0], x[1], x[2], x[3]); });
               }});
  t.push_back({"MultiMarginLoss", [](Draw& d) {
                 const int64_t n = d.from(1, 3), c = d.from(2, 4);
                 const MultiMarginOptions o{.p = static_cast<int>(d.from(1, 2)),
                                            .margin = 0.5,
                                            .weight = class_weight(d, c),
                                            .reduction = any_reduction(d)};
                 return loss_case(nn::MultiMarginLoss(o), d, d.leaf({n, c}), {d.classes({n}, c)});
               }});
  t.push_back({"MultiLabelMarginLoss", [](Draw& d) {
                 const int64_t n = d.from(1, 3), c = d.from(2, 4);
                 return loss_case(nn::MultiLabelMarginLoss(any_reduction(d)), d, d.leaf({n, c}),
                                  {d.classes({n, c}, c + 1) - 1});
               }});
  t.push_back({"MultiLabelSoftMarginLoss", [](Draw& d) {
                 const Shape s{d.from(1, 3), d.from(2, 4)};
                 return pair_case(
                     nn::MultiLabelSoftMarginLoss({.weight = class_weight(d, s[1]), .reduction = any_reduction(d)}), d,
                     {d.leaf(s), d.leaf(s, 0, 1)});
               }});
  t.push_back({"CTCLoss", [](Draw& d) {
                 const int64_t T = d.from(4, 5), N = d.from(1, 2), C = 3;
                 const Tensor targets = d.classes({N, 2}, C - 1) + 1;  // 0 is the blank
                 const Tensor steps = d.classes({N}, 2) + (T - 1), lengths = d.classes({N}, 2) + 1;
                 // the gradient is that of the logits
                 return layer_case(
                     nn::CTCLoss({.reduction = any_reduction(d)}), d, {d.leaf({T, N, C})},
                     [=](auto& m, const Tensors& x) { return m(log_softmax(x[0], 2), targets, steps, lengths); });
               }});
  return t;
}

template <class... M> void add_pairs(std::vector<LayerRow>& t, double low, double high, M (*... make)(Reduction)) {
  (t.push_back({make(Reduction::mean).name(),
                [=](Draw& d) {
                  const Shape s{d.from(1, 3), d.from(1, 4)};
                  return pair_case(make(any_reduction(d)), d, {d.leaf(s, low, high), d.leaf(s, low, high, 0.75)});
                }}),
   ...);
}

std::vector<LayerRow> element_losses() {
  std::vector<LayerRow> t;
  add_pairs(
      t, -2.0, 2.0, +[](Reduction r) { return nn::MSELoss(r); }, +[](Reduction r) { return nn::L1Loss(r); },
      +[](Reduction r) { return nn::SmoothL1Loss(0.71, r); }, +[](Reduction r) { return nn::HuberLoss(0.71, r); },
      +[](Reduction r) { return nn::BCEWithLogitsLoss({.reduction = r}); },
      +[](Reduction r) { return nn::KLDivLoss({.reduction = r, .log_target = true}); },
      +[](Reduction r) { return nn::PoissonNLLLoss({.reduction = r}); });
  add_pairs(
      t, 0.1, 0.9, +[](Reduction r) { return nn::BCELoss({.reduction = r}); },
      +[](Reduction r) { return nn::KLDivLoss({.reduction = r}); },
      +[](Reduction r) { return nn::PoissonNLLLoss({.log_input = false, .full = true, .reduction = r}); });
  t.push_back({"BCEWithLogitsLoss with weights", [](Draw& d) {
                 const Shape s{d.from(1, 3), d.from(1, 4)};
                 return pair_case(
                     nn::BCEWithLogitsLoss({.weight = d.values(s, 0.5, 2), .pos_weight = d.values({s[1]}, 0.5, 2)}), d,
                     {d.leaf(s), d.leaf(s, 0, 1)});
               }});
  t.push_back({"GaussianNLLLoss", [](Draw& d) {
                 const Shape s{d.from(1, 3), d.from(1, 4)};
                 return pair_case(nn::GaussianNLLLoss({.full = d.coin(), .reduction = any_reduction(d)}), d,
                                  {d.leaf(s), d.leaf(s, -2, 2, 0.75), d.leaf(d.coin() ? s : Shape{s[0], 1}, 0.2, 2)});
               }});
  t.push_back({"SoftMarginLoss", [](Draw& d) {
                 const Shape s{d.from(1, 3), d.from(1, 4)};
                 return loss_case(nn::SoftMarginLoss(any_reduction(d)), d, d.leaf(s), {signs(d, s)});
               }});
  t.push_back({"HingeEmbeddingLoss", [](Draw& d) {
                 const Shape s{d.from(1, 3), d.from(1, 4)};
                 return loss_case(nn::HingeEmbeddingLoss(0.5, any_reduction(d)), d, d.leaf(s), {signs(d, s)});
               }});
  t.push_back({"MarginRankingLoss", [](Draw& d) {
                 const Shape s{d.from(2, 5)};
                 return pair_case(nn::MarginRankingLoss(0, any_reduction(d)), d, {d.leaf(s), d.leaf(s, -2, 2, 0.75)},
                                  signs(d, s));
               }});
  t.push_back(
      {"CosineEmbeddingLoss", [](Draw& d) {
         const Shape s{d.from(1, 3), d.from(2, 4)};
         return pair_case(nn::CosineEmbeddingLoss(0.1, any_reduction(d)), d, {d.leaf(s), d.leaf(s)}, signs(d, {s[0]}));
       }});
  const auto three = [](Draw& d) -> Tensors {
    const Shape s{d.from(1, 3), d.from(2, 4)};
    return {d.leaf(s), d.leaf(s, -2, 2, 0.75), d.leaf(s, -2, 2, 0.5)};
  };
  t.push_back({"TripletMarginLoss", [=](Draw& d) {
                 return pair_case(nn::TripletMarginLoss({.margin = 2, .swap = d.coin(), .reduction = any_reduction(d)}),
                                  d, three(d));
               }});
  t.push_back({"TripletMarginWithDistanceLoss", [=](Draw& d) {
                 const auto distance = [](const Tensor& a, const Tensor& b) { return sum(square(a - b), 1); };
                 return pair_case(nn::TripletMarginWithDistanceLoss({.distance = distance, .margin = 2}), d, three(d));
               }});
  return t;
}

template <class M> LayerCase recurrent_case(M m, Draw& d, Tensors x) {
  return layer_case(std::move(m), d, std::move(x), [](M& layer, const Tensors& t) -> Tensors {
    if constexpr (requires { layer(t[0]).c; }) {
      const auto r = layer(t[0], t[1], t[2]);
      if constexpr (requires { r.output; }) return {r.output, r.h, r.c};
      else return {r.h, r.c};
    } else if constexpr (requires { layer(t[0]).h; }) {
      const auto r = layer(t[0], t[1]);
      return {r.output, r.h};
    } else {
      return {layer(t[0], t[1])};
    }
  });
}

template <class M, class O> LayerRow recurrent_row(const char* name) {
  return {name, [](Draw& d) {
            const int64_t in = d.from(1, 2), hidden = d.from(1, 2), N = d.from(1, 2), T = d.from(1, 2);
            O o;
            o.num_layers = d.from(1, 2), o.bias = d.coin(), o.batch_first = d.coin(), o.bidirectional = d.coin();
            o.dropout = d.pick({0.0, 0.4});
            const Shape state{o.num_layers * (o.bidirectional ? 2 : 1), N, hidden};
            Tensors x{d.leaf(o.batch_first ? Shape{N, T, in} : Shape{T, N, in}, -1, 1), d.leaf(state, -1, 1)};
            if (std::is_same_v<M, nn::LSTM>) x.push_back(d.leaf(state, -1, 1));
            return recurrent_case(M(in, hidden, o), d, x);
          }};
}
template <class M> LayerRow cell_row(const char* name) {
  return {name, [](Draw& d) {
            const int64_t in = d.from(1, 3), hidden = d.from(1, 3), N = d.from(1, 2);
            Tensors x{d.leaf({N, in}, -1, 1), d.leaf({N, hidden}, -1, 1)};
            if (std::is_same_v<M, nn::LSTMCell>) x.push_back(d.leaf({N, hidden}, -1, 1));
            return recurrent_case(M(in, hidden, {.bias = d.coin()}), d, x);
          }};
}

nn::TransformerLayerOptions transformer_options(Draw& d) {
  return {.dim_feedforward = d.from(1, 2),
          .dropout = d.pick({0.0, 0.2}),
          .activation = d.pick({nn::TransformerActivation::relu, nn::TransformerActivation::gelu}),
          .batch_first = d.coin(),
          .norm_first = d.coin(),
          .bias = d.coin()};
}

std::vector<LayerRow> sequences() {
  std::vector<LayerRow> t = {recurrent_row<nn::RNN, nn::RNNOptions>("RNN"),
                             recurrent_row<nn::GRU, nn::GRUOptions>("GRU"),
                             recurrent_row<nn::LSTM, nn::LSTMOptions>("LSTM"),
                             cell_row<nn::RNNCell>("RNNCell"),
                             cell_row<nn::GRUCell>("GRUCell"),
                             cell_row<nn::LSTMCell>("LSTMCell")};
  t.push_back({"LSTM with a projection", [](Draw& d) {
                 return recurrent_case(nn::LSTM(2, 3, {.proj_size = 2}), d,
                                       {d.leaf({2, 1, 2}), d.leaf({1, 1, 2}, -1, 1), d.leaf({1, 1, 3}, -1, 1)});
               }});
  t.push_back({"MultiheadAttention", [](Draw& d) {
                 const int64_t heads = d.from(1, 2), E = heads * d.from(1, 2), L = d.from(1, 2), S = d.from(1, 3);
                 nn::MultiheadAttentionOptions o;
                 o.bias = d.coin(), o.add_bias_kv = d.coin(), o.add_zero_attn = d.coin();
                 const bool weights = d.coin(), other = d.coin();
                 if (other) o.kdim = 1, o.vdim = 2;
                 return layer_case(nn::MultiheadAttention(E, heads, o), d,
                                   {d.leaf({L, 1, E}), d.leaf({S, 1, other ? 1 : E}), d.leaf({S, 1, other ? 2 : E})},
                                   [=](auto& m, const Tensors& x) -> Tensors {
                                     const auto r = m(x[0], x[1], x[2], {.need_weights = weights});
                                     if (weights) return {r.output, r.weights};
                                     return {r.output};
                                   });
               }});
  // The norms of two features have large third derivatives, which is what a difference of second ones leaves.
  t.push_back({.name = "TransformerEncoderLayer",
               .make =
                   [](Draw& d) {
                     return layer_case(nn::TransformerEncoderLayer(3, d.pick({1, 3}), transformer_options(d)), d,
                                       {d.leaf({2, d.from(1, 2), 3})},
                                       [](auto& m, const Tensors& x) { return m(x[0]); });
                   },
               .tolerance = 1e-5});
  t.push_back({.name = "TransformerDecoderLayer",
               .make =
                   [](Draw& d) {
                     return layer_case(nn::TransformerDecoderLayer(3, d.pick({1, 3}), transformer_options(d)), d,
                                       {d.leaf({1, 2, 3}), d.leaf({1, 2, 3})},
                                       [](auto& m, const Tensors& x) { return m(x[0], x[1]); });
                   },
               .tolerance = 1e-5});
  t.push_back({.name = "TransformerEncoder",
               .make =
                   [](Draw& d) {
                     const nn::TransformerEncoderLayer layer(2, 1, {.dim_feedforward = 2, .dropout = 0});
                     return layer_case(nn::TransformerEncoder(layer, 2, nn::LayerNorm(2)), d, {d.leaf({2, 1, 2})},
                                       [](auto& m, const Tensors& x) { return m(x[0]); });
                   },
               .second = false,  // of the layer's
               .tolerance = 1e-5});
  t.push_back({.name = "Transformer",
               .make =
                   [](Draw& d) {
                     const nn::Transformer m({.d_model = 2,
                                              .nhead = 1,
                                              .num_encoder_layers = 1,
                                              .num_decoder_layers = 1,
                                              .dim_feedforward = 2,
                                              .dropout = 0});
                     return layer_case(m, d, {d.leaf({2, 1, 2}), d.leaf({1, 1, 2})},
                                       [](auto& m, const Tensors& x) { return m(x[0], x[1]); });
                   },
               .second = false,
               .tolerance = 1e-5});
  t.push_back({.name = "TransformerDecoder",
               .make =
                   [](Draw& d) {
                     const nn::TransformerDecoderLayer layer(2, 1, {.dim_feedforward = 2, .dropout = 0});
                     return layer_case(nn::TransformerDecoder(layer, 2), d, {d.leaf({2, 1, 2}), d.leaf({1, 1, 2})},
                                       [](auto& m, const Tensors& x) { return m(x[0], x[1]); });
                   },
               .second = false,
               .tolerance = 1e-5});
  return t;
}

std::vector<LayerRow> compositions() {
  std::vector<LayerRow> t;
  t.push_back({"Sequential", [](Draw& d) {
                 return layer_case(nn::Sequential(nn::Linear(3, 2), nn::Sequential(nn::Linear(2, 2)), nn::Identity()),
                                   d, d.leaf({d.from(1, 3), 3}));
               }});
  t.push_back({"weight_norm", [](Draw& d) {
                 std::optional<int64_t> dim;
                 if (d.coin()) dim = d.from(0, 1);
                 return layer_case(nn::weight_norm(nn::Linear(3, 2), dim), d, d.leaf({d.from(1, 3), 3}));
               }});
  t.push_back({"spectral_norm", [](Draw& d) {
                 auto m = nn::spectral_norm(nn::Conv1d(2, 3, {.kernel_size = 2}));
                 m.eval();  // iterations of power change u and v
                 return layer_case(m, d, d.leaf({1, 2, d.from(2, 4)}));
               }});
  return t;
}

}  // namespace

TEST_SUITE("derivatives of layers") {
  DEVICE_TEST_CASE("losses of classes at random sizes") { check_layers(class_losses()); }
  DEVICE_TEST_CASE("losses of elements and vectors at random sizes") { check_layers(element_losses()); }
  DEVICE_TEST_CASE("recurrent layers, attention and transformers at random sizes") { check_layers(sequences()); }
  DEVICE_TEST_CASE("containers and computed weights at random sizes") { check_layers(compositions()); }
  DEVICE_TEST_CASE("losses and sequences refuse what does not fit, and stay as they are") {
    for (const auto& rows : {class_losses(), element_losses(), sequences(), compositions()}) check_layer_misfits(rows);
  }
}
