#include "weft/nn/rnn.h"

#include <algorithm>

#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/nn/call.h"
#include "weft/nn/init.h"
#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;

namespace {

RnnKind kind_of(RNNNonlinearity f) { return f == RNNNonlinearity::relu ? RnnKind::relu : RnnKind::tanh; }

template <class Options> LSTMOptions without_projection(const Options& o) {
  return {.num_layers = o.num_layers,
          .bias = o.bias,
          .batch_first = o.batch_first,
          .dropout = o.dropout,
          .bidirectional = o.bidirectional};
}

/// h (and lstm's c) are both given or both not; a state that is not given is zero.
Tensor state_or_zeros(const Module& m, const char* what, const Tensor& state, const Shape& shape, const Tensor& x) {
  if (!state.defined()) return zeros(shape, x.options());
  WEFT_CHECK(state.shape() == shape, ShapeError, m.name(), ": expected ", what, " of size ", shape, ", got ",
             state.shape());
  return state;
}

/// Steps of a packed batch in which the same sequences go on: `steps * batch` rows of data from `row` on.
struct Span {
  int64_t row, steps, batch;
};
std::vector<Span> spans_of(const std::vector<int64_t>& batch_sizes) {
  std::vector<Span> spans;
  int64_t row = 0;
  for (const int64_t n : batch_sizes) {
    if (spans.empty() || spans.back().batch != n) spans.push_back({row, 0, n});
    ++spans.back().steps;
    row += n;
  }
  return spans;
}

/// The data of each span, [steps, batch, features]. One node, so that their gradients meet in one tensor.
std::vector<Tensor> pieces(const Tensor& data, const std::vector<Span>& spans) {
  const Tensor at = data.detach();
  std::vector<Tensor> parts;
  for (const Span& s : spans) parts.push_back(at.narrow(0, s.row, s.steps * s.batch).unflatten(0, {s.steps, s.batch}));
  return record_n("split", std::move(parts), {data}, [n = spans.size()](BackwardCtx& c) -> Grads {
    std::vector<Tensor> g;
    for (size_t i = 0; i < n; ++i) g.push_back(c.grad(static_cast<int>(i)).flatten(0, 1));
    return {cat(g)};
  });
}

/// rnn_layer over packed data: a pass for each span. Forwards, sequences leave the batch where they end; backwards,
/// they join it there, each with its own first state.
RnnSequence packed_layer(RnnKind kind, const Tensor& data, const std::vector<Span>& spans, const RnnState& first,
                         const RnnWeights& w, bool reverse) {
  const auto rows = [](const RnnState& s, int64_t begin, int64_t end) -> RnnState {
    const auto part = [&](const Tensor& t) { return t.defined() ? t.narrow(0, begin, end - begin) : t; };
    return {part(s.h), part(s.c)};
  };
  const auto joined = [](const std::vector<RnnState>& parts) -> RnnState {
    std::vector<Tensor> h, c;
    for (const RnnState& s : parts) h.push_back(s.h), c.push_back(s.c);
    return {cat(h), c[0].defined() ? cat(c) : Tensor()};
  };
  const std::vector<Tensor> xs = pieces(data, spans);
  std::vector<Tensor> outputs(spans.size());
  std::vector<RnnState> ended;  // the shortest first
  RnnState s = reverse ? rows(first, 0, spans.back().batch) : first;
  for (size_t i = 0; i < spans.size(); ++i) {
    const size_t at = reverse ? spans.size() - 1 - i : i;
    const int64_t running = s.h.size(0), batch = spans[at].batch;
    if (batch < running) {
      ended.push_back(rows(s, batch, running));
      s = rows(s, 0, batch);
    } else if (batch > running) {
      s = joined({s, rows(first, running, batch)});
    }
    const RnnSequence r = rnn_layer(kind, xs[at], s, w, reverse);
    outputs[at] = r.output.flatten(0, 1);
    s = r.state;
  }
  ended.push_back(s);
  std::reverse(ended.begin(), ended.end());
  return {cat(outputs), joined(ended)};
}

}  // namespace

RNNBase::RNNBase(std::string name, RnnKind kind, int64_t input_size, int64_t hidden_size, const LSTMOptions& o)
    : Module(std::move(name)),
      input_size(input_size),
      hidden_size(hidden_size),
      num_layers(o.num_layers),
      proj_size(o.proj_size),
      bias(o.bias),
      bidirectional(o.bidirectional),
      batch_first(o.batch_first),
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
  set_extra(extra, [first = batch_first.share(), dropout = dropout.share(),
                    both = bidirectional ? ", bidirectional=True" : ""] {
    return weft::str(*first ? ", batch_first=True" : "", *dropout != 0 ? ", dropout=" + py(*dropout) : "", both);
  });

  const int64_t rows = rnn_gates(kind) * hidden_size, out = proj_size ? proj_size : hidden_size;
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
  const auto next = [&]() -> const Tensor& { return (p++)->tensor; };
  RnnWeights w{next(), next()};
  if (bias) w.b_ih = next(), w.b_hh = next();
  if (proj_size) w.w_hr = next();
  return w;
}

void RNNBase::check_features(const Tensor& x) const {
  const int64_t each = 2 + (bias ? 2 : 0) + (proj_size ? 1 : 0);
  WEFT_CHECK(std::ssize(state().params) == num_layers * (bidirectional ? 2 : 1) * each, ValueError, name(),
             ": num_layers, bidirectional, bias and proj_size stay what its ", std::ssize(state().params),
             " parameters were made for; make another module");
  WEFT_CHECK(x.size(-1) == input_size, ShapeError, name(), ": input.size(-1) must be equal to input_size, expected ",
             input_size, ", got ", x.size(-1));
}

RnnState RNNBase::first_states(const RnnState& given, const Tensor& x, std::optional<int64_t> N) const {
  const auto start = [&](const char* what, const Tensor& s, int64_t features) {
    Shape shape{num_layers * (bidirectional ? 2 : 1), features};
    if (N) shape.insert(1, *N);
    return state_or_zeros(*this, what, s, shape, x);
  };
  return {start("hidden state", given.h, proj_size ? proj_size : hidden_size),
          kind_ == RnnKind::lstm ? start("cell state", given.c, hidden_size) : Tensor()};
}

RnnSequence RNNBase::stacked(Tensor x, const RnnState& first, const Pass& pass) const {
  const std::vector<Tensor> h0 = unbind(first.h);
  const std::vector<Tensor> c0 = first.c.defined() ? unbind(first.c) : std::vector<Tensor>(h0.size());
  std::vector<Tensor> h, c;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    std::vector<Tensor> outputs;
    for (int64_t direction = 0; direction < (bidirectional ? 2 : 1); ++direction) {
      const size_t at = h.size();
      RnnSequence s = pass(x, {h0[at], c0[at]}, weights(layer, direction), direction == 1);
      outputs.push_back(s.output);
      h.push_back(s.state.h);
      c.push_back(s.state.c);
    }
    x = outputs.size() == 1 ? outputs[0] : cat(outputs, -1);
    if (dropout > 0 && layer + 1 < num_layers) x = weft::dropout(x, dropout, is_training());
  }
  return {x, {stack(h), first.c.defined() ? stack(c) : Tensor()}};
}

RnnSequence RNNBase::run(const Tensor& input, const RnnState& first) const {
  WEFT_CHECK(input.rank() == 2 || input.rank() == 3, ShapeError, name(), ": expected input to be 2D or 3D, got ",
             input.shape());
  check_features(input);
  const auto pass = [&](const Tensor& x, const RnnState& s, const RnnWeights& w, bool reverse) {
    return rnn_layer(kind_, x, s, w, reverse);
  };
  if (input.rank() == 3) {
    const Tensor x = batch_first ? input.transpose(0, 1) : input;
    RnnSequence r = stacked(x, first_states(first, x, x.size(1)), pass);
    if (batch_first) r.output = r.output.transpose(0, 1);
    return r;
  }
  const auto as_batch = [](const Tensor& t) { return t.defined() ? t.unsqueeze(1) : t; };
  const auto as_one = [](const Tensor& t) { return t.defined() ? t.squeeze(1) : t; };
  const RnnState s = first_states(first, input, std::nullopt);
  const RnnSequence r = stacked(as_batch(input), {as_batch(s.h), as_batch(s.c)}, pass);
  return {as_one(r.output), {as_one(r.state.h), as_one(r.state.c)}};
}

RNNBase::PackedRun RNNBase::run(const PackedSequence& x, const RnnState& first) const {
  const std::vector<Span> spans = spans_of(detail::checked_batch_sizes(name(), x));
  WEFT_CHECK(x.data.rank() == 2, ShapeError, name(), ": packed data must be [rows, ", input_size, "], got ",
             x.data.shape());
  check_features(x.data);
  const auto in_order = [](const Tensor& t, const Tensor& order) {
    return t.defined() && order.defined() ? index_select(t, 1, order) : t;
  };
  const RnnState s = first_states(first, x.data, spans[0].batch);
  const RnnSequence r = stacked(x.data, {in_order(s.h, x.sorted_indices), in_order(s.c, x.sorted_indices)},
                                [&](const Tensor& data, const RnnState& at, const RnnWeights& w, bool reverse) {
                                  return packed_layer(kind_, data, spans, at, w, reverse);
                                });
  return {{r.output, x.batch_sizes, x.sorted_indices, x.unsorted_indices},
          {in_order(r.state.h, x.unsorted_indices), in_order(r.state.c, x.unsorted_indices)}};
}

RNNResult HiddenStateRNN::forward(const Tensor& x, const Tensor& h0) const {
  const RnnSequence s = run(x, {h0});
  return {s.output, s.state.h};
}
PackedRNNResult HiddenStateRNN::forward(const PackedSequence& x, const Tensor& h0) const {
  const PackedRun s = run(x, {h0});
  return {s.output, s.state.h};
}

RNN::RNN(int64_t input_size, int64_t hidden_size, const RNNOptions& o)
    : HiddenStateRNN("RNN", kind_of(o.nonlinearity), input_size, hidden_size, without_projection(o)) {}
GRU::GRU(int64_t input_size, int64_t hidden_size, const GRUOptions& o)
    : HiddenStateRNN("GRU", RnnKind::gru, input_size, hidden_size, without_projection(o)) {}
LSTM::LSTM(int64_t input_size, int64_t hidden_size, const LSTMOptions& o)
    : RNNBase("LSTM", RnnKind::lstm, input_size, hidden_size, o) {}
LSTMResult LSTM::forward(const Tensor& x, const Tensor& h0, const Tensor& c0) const {
  WEFT_CHECK(h0.defined() == c0.defined(), ValueError, "LSTM: give both states or none");
  const RnnSequence s = run(x, {h0, c0});
  return {s.output, s.state.h, s.state.c};
}
PackedLSTMResult LSTM::forward(const PackedSequence& x, const Tensor& h0, const Tensor& c0) const {
  WEFT_CHECK(h0.defined() == c0.defined(), ValueError, "LSTM: give both states or none");
  const PackedRun s = run(x, {h0, c0});
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
  const int64_t rows = rnn_gates(kind) * hidden_size;
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
  const RnnState next = rnn_cell(kind_, batched ? x : x.unsqueeze(0), first,
                                 {weight_ih.tensor(), weight_hh.tensor(), bias_ih.tensor(), bias_hh.tensor()});
  if (batched) return next;
  return {next.h.squeeze(0), next.c.defined() ? next.c.squeeze(0) : Tensor()};
}

RNNCell::RNNCell(int64_t input_size, int64_t hidden_size, RNNCellOptions o)
    : RNNCellBase("RNNCell", kind_of(o.nonlinearity), input_size, hidden_size, o.bias) {}
GRUCell::GRUCell(int64_t input_size, int64_t hidden_size, CellOptions o)
    : RNNCellBase("GRUCell", RnnKind::gru, input_size, hidden_size, o.bias) {}
LSTMCell::LSTMCell(int64_t input_size, int64_t hidden_size, CellOptions o)
    : RNNCellBase("LSTMCell", RnnKind::lstm, input_size, hidden_size, o.bias) {}

RNNResult HiddenStateRNN::operator()(const Tensor& x, const Tensor& h0) const { return nn::call(*this, x, h0); }
PackedRNNResult HiddenStateRNN::operator()(const PackedSequence& x, const Tensor& h0) const {
  return nn::call(*this, x, h0);
}
LSTMResult LSTM::operator()(const Tensor& x, const Tensor& h0, const Tensor& c0) const {
  return nn::call(*this, x, h0, c0);
}
PackedLSTMResult LSTM::operator()(const PackedSequence& x, const Tensor& h0, const Tensor& c0) const {
  return nn::call(*this, x, h0, c0);
}
Tensor RNNCell::operator()(const Tensor& x, const Tensor& h) const {
  return nn::call(*this, x, [&](const Tensor& x) { return step(x, {h}).h; });
}
Tensor GRUCell::operator()(const Tensor& x, const Tensor& h) const {
  return nn::call(*this, x, [&](const Tensor& x) { return step(x, {h}).h; });
}
RnnState LSTMCell::operator()(const Tensor& x, const Tensor& h, const Tensor& c) const {
  return nn::call(*this, x, [&](const Tensor& x) { return step(x, {h, c}); });
}

}  // namespace weft::nn
