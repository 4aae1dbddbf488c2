#include "weft/nn/rnn.h"

#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/shape.h"
#include "weft/core/factory.h"
#include "weft/nn/init.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

namespace {

int64_t gates_of(RnnKind kind) { return kind == RnnKind::lstm ? 4 : kind == RnnKind::gru ? 3 : 1; }
RnnKind kind_of(RNNNonlinearity f) { return f == RNNNonlinearity::relu ? RnnKind::relu : RnnKind::tanh; }

/// h (and lstm's c) are both given or both not; a state that is not given is zero.
Tensor state_or_zeros(const Module& m, const char* what, const Tensor& state, const Shape& shape, const Tensor& x) {
  if (!state.defined()) return zeros(shape, x.options());
  WEFT_CHECK(state.shape() == shape, ShapeError, m.name(), ": expected ", what, " of size ", shape, ", got ",
             state.shape());
  return state;
}

}  // namespace

RNNBase::RNNBase(std::string name, RnnKind kind, int64_t input_size, int64_t hidden_size, const LSTMOptions& o)
    : Module(std::move(name)),
      input_size(input_size),
      hidden_size(hidden_size),
      num_layers(o.num_layers),
      proj_size(o.proj_size),
      bias(o.bias),
      batch_first(o.batch_first),
      bidirectional(o.bidirectional),
      dropout(o.dropout),
      kind_(kind) {
  WEFT_CHECK(o.dropout >= 0 && o.dropout <= 1, ValueError, this->name(),
             ": dropout should be a number in the range [0, 1], got ", o.dropout);
  WEFT_CHECK(input_size >= 0, ValueError, this->name(), ": input_size must not be negative, got ", input_size);
  WEFT_CHECK(hidden_size > 0, ValueError, this->name(), ": hidden_size must be greater than zero, got ", hidden_size);
  WEFT_CHECK(num_layers > 0, ValueError, this->name(), ": num_layers must be greater than zero, got ", num_layers);
  WEFT_CHECK(proj_size >= 0 && proj_size < hidden_size, ValueError, this->name(), ": proj_size ", proj_size,
             " should be zero, or positive and smaller than hidden_size ", hidden_size);
  std::string extra = weft::str(input_size, ", ", hidden_size);
  if (proj_size) extra += ", proj_size=" + py(proj_size);
  if (num_layers != 1) extra += ", num_layers=" + py(num_layers);
  if (!bias) extra += ", bias=False";
  if (batch_first) extra += ", batch_first=True";
  if (dropout != 0) extra += ", dropout=" + py(dropout);
  if (bidirectional) extra += ", bidirectional=True";
  set_extra(extra);

  const int64_t rows = gates_of(kind) * hidden_size, out = proj_size ? proj_size : hidden_size;
  for (int64_t layer = 0; layer < num_layers; ++layer)
    for (int direction = 0; direction < (bidirectional ? 2 : 1); ++direction) {
      const std::string end = "_l" + py(layer) + (direction ? "_reverse" : "");
      const int64_t in = layer == 0 ? input_size : out * (bidirectional ? 2 : 1);
      param("weight_ih" + end, empty({rows, in}));
      param("weight_hh" + end, empty({rows, out}));
      if (bias) param("bias_ih" + end, empty({rows}));
      if (bias) param("bias_hh" + end, empty({rows}));
      if (proj_size) param("weight_hr" + end, empty({proj_size, hidden_size}));
    }
  reset_parameters();
}

void RNNBase::reset_parameters() {
  const double bound = init::default_bound(hidden_size);
  for (const Tensor& p : parameters()) init::uniform_(p, -bound, bound);
}

RnnWeights RNNBase::weights(int64_t layer, int64_t direction) const {
  const int64_t each = 2 + (bias ? 2 : 0) + (proj_size ? 1 : 0);
  auto p = state().params.begin() + (layer * (bidirectional ? 2 : 1) + direction) * each;
  RnnWeights w{(p++)->second, (p++)->second};
  if (bias) w.b_ih = (p++)->second, w.b_hh = (p++)->second;
  if (proj_size) w.w_hr = p->second;
  return w;
}

RnnSequence RNNBase::run(const Tensor& input, const RnnState& first) const {
  WEFT_CHECK(input.rank() == 2 || input.rank() == 3, ShapeError, name(), ": expected input to be 2D or 3D, got ",
             input.shape());
  const bool batched = input.rank() == 3;
  WEFT_CHECK(input.size(-1) == input_size, ShapeError, name(),
             ": input.size(-1) must be equal to input_size, expected ", input_size, ", got ", input.size(-1));
  Tensor x = !batched ? input.unsqueeze(1) : batch_first ? input.transpose(0, 1) : input;
  const int64_t N = x.size(1), directions = bidirectional ? 2 : 1, states = num_layers * directions;
  const auto start = [&](const char* what, const Tensor& s, int64_t features) {
    const Shape shape = batched ? Shape{states, N, features} : Shape{states, features};
    const Tensor all = state_or_zeros(*this, what, s, shape, x);
    return unbind(batched ? all : all.unsqueeze(1));
  };
  const std::vector<Tensor> h0 = start("hidden state", first.h, proj_size ? proj_size : hidden_size);
  const std::vector<Tensor> c0 = kind_ == RnnKind::lstm ? start("cell state", first.c, hidden_size)
                                                        : std::vector<Tensor>(h0.size());

  std::vector<Tensor> h, c;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    std::vector<Tensor> outputs;
    for (int64_t direction = 0; direction < directions; ++direction) {
      const size_t at = h.size();
      RnnSequence s = rnn_layer(kind_, x, {h0[at], c0[at]}, weights(layer, direction), direction == 1);
      outputs.push_back(s.output);
      h.push_back(s.state.h);
      c.push_back(s.state.c);
    }
    x = outputs.size() == 1 ? outputs[0] : cat(outputs, 2);
    if (dropout > 0 && layer + 1 < num_layers) x = weft::dropout(x, dropout, is_training());
  }
  const auto all = [&](const std::vector<Tensor>& s) { return batched ? stack(s) : stack(s).squeeze(1); };
  if (!batched) x = x.squeeze(1);
  else if (batch_first) x = x.transpose(0, 1);
  return {x, {all(h), kind_ == RnnKind::lstm ? all(c) : Tensor()}};
}

RNN::RNN(int64_t input_size, int64_t hidden_size, const RNNOptions& o)
    : RNNBase("RNN", kind_of(o.nonlinearity), input_size, hidden_size,
              {.num_layers = o.num_layers,
               .bias = o.bias,
               .batch_first = o.batch_first,
               .dropout = o.dropout,
               .bidirectional = o.bidirectional}) {}
RNNResult RNN::operator()(const Tensor& x, const Tensor& h0) const {
  const RnnSequence s = run(x, {h0});
  return {s.output, s.state.h};
}

GRU::GRU(int64_t input_size, int64_t hidden_size, const GRUOptions& o)
    : RNNBase("GRU", RnnKind::gru, input_size, hidden_size,
              {.num_layers = o.num_layers,
               .bias = o.bias,
               .batch_first = o.batch_first,
               .dropout = o.dropout,
               .bidirectional = o.bidirectional}) {}
RNNResult GRU::operator()(const Tensor& x, const Tensor& h0) const {
  const RnnSequence s = run(x, {h0});
  return {s.output, s.state.h};
}

LSTM::LSTM(int64_t input_size, int64_t hidden_size, const LSTMOptions& o)
    : RNNBase("LSTM", RnnKind::lstm, input_size, hidden_size, o) {}
LSTMResult LSTM::operator()(const Tensor& x, const Tensor& h0, const Tensor& c0) const {
  WEFT_CHECK(h0.defined() == c0.defined(), ValueError, "LSTM: give both states or none");
  const RnnSequence s = run(x, {h0, c0});
  return {s.output, s.state.h, s.state.c};
}

RNNCellBase::RNNCellBase(std::string name, RnnKind kind, int64_t input_size, int64_t hidden_size, bool bias)
    : Module(std::move(name), weft::str(input_size, ", ", hidden_size, bias ? "" : ", bias=False",
                                        kind == RnnKind::relu ? ", nonlinearity=relu" : "")),
      input_size(input_size),
      hidden_size(hidden_size),
      bias(bias),
      kind_(kind) {
  WEFT_CHECK(input_size >= 0 && hidden_size > 0, ValueError, this->name(), ": input_size ", input_size,
             " must not be negative and hidden_size ", hidden_size, " must be positive");
  const int64_t rows = gates_of(kind) * hidden_size;
  weight_ih = param("weight_ih", empty({rows, input_size}));
  weight_hh = param("weight_hh", empty({rows, hidden_size}));
  if (bias) bias_ih = param("bias_ih", empty({rows}));
  if (bias) bias_hh = param("bias_hh", empty({rows}));
  const double bound = init::default_bound(hidden_size);
  for (const Tensor& p : parameters()) init::uniform_(p, -bound, bound);
}

RnnState RNNCellBase::step(const Tensor& x, const RnnState& s) const {
  WEFT_CHECK(x.rank() == 1 || x.rank() == 2, ShapeError, name(), ": expected input to be 1D or 2D, got ", x.shape());
  WEFT_CHECK(kind_ != RnnKind::lstm || s.h.defined() == s.c.defined(), ValueError, name(),
             ": give both states or none");
  const bool batched = x.rank() == 2;
  const auto start = [&](const char* what, const Tensor& t) {
    const Shape shape = batched ? Shape{x.size(0), hidden_size} : Shape{hidden_size};
    const Tensor all = state_or_zeros(*this, what, t, shape, x);
    return batched ? all : all.unsqueeze(0);
  };
  const RnnState first{start("hidden state", s.h), kind_ == RnnKind::lstm ? start("cell state", s.c) : Tensor()};
  const RnnState next = rnn_cell(kind_, batched ? x : x.unsqueeze(0), first, {weight_ih, weight_hh, bias_ih, bias_hh});
  if (batched) return next;
  return {next.h.squeeze(0), next.c.defined() ? next.c.squeeze(0) : Tensor()};
}

RNNCell::RNNCell(int64_t input_size, int64_t hidden_size, RNNCellOptions o)
    : RNNCellBase("RNNCell", kind_of(o.nonlinearity), input_size, hidden_size, o.bias) {}
GRUCell::GRUCell(int64_t input_size, int64_t hidden_size, CellOptions o)
    : RNNCellBase("GRUCell", RnnKind::gru, input_size, hidden_size, o.bias) {}
LSTMCell::LSTMCell(int64_t input_size, int64_t hidden_size, CellOptions o)
    : RNNCellBase("LSTMCell", RnnKind::lstm, input_size, hidden_size, o.bias) {}

}  // namespace weft::nn
