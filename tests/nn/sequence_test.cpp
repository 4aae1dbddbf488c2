// Recurrent layers and attention beside what the golden vectors hold: derivatives over geometries, views of one weight,
// dtypes.
#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/attention.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/nn/attention.h"
#include "weft/nn/rnn.h"
#include "weft/nn/transformer.h"

using namespace weft;
using namespace weft::test;

namespace {

constexpr RnnKind kKinds[] = {RnnKind::tanh, RnnKind::relu, RnnKind::lstm, RnnKind::gru};

/// x, h, c, w_ih, w_hh, b_ih, b_hh of a layer, f64, all trainable.
std::vector<Tensor> rnn_inputs(RnnKind kind, int64_t T, int64_t N, int64_t I, int64_t H) {
  const int64_t rows = H * (kind == RnnKind::lstm ? 4 : kind == RnnKind::gru ? 3 : 1);
  std::vector<Tensor> x;
  for (const Shape& s :
       {Shape{T, N, I}, Shape{N, H}, Shape{N, H}, Shape{rows, I}, Shape{rows, H}, Shape{rows}, Shape{rows}})
    x.push_back((here::randn(s, Dtype::f64) * 0.7).set_requires_grad());
  return x;
}
RnnSequence rnn_of(RnnKind kind, const std::vector<Tensor>& x, bool reverse) {
  return rnn_layer(kind, x[0], {x[1], kind == RnnKind::lstm ? x[2] : Tensor()},
                   {.w_ih = x[3], .w_hh = x[4], .b_ih = x[5], .b_hh = x[6]}, reverse);
}

}  // namespace

TEST_SUITE_BEGIN("sequence layers");

DEVICE_TEST_CASE("recurrent layers: first and second derivatives, both directions") {
  manual_seed(11);
  for (const RnnKind kind : kKinds)
    for (const bool reverse : {false, true})
      for (const Shape& g : {Shape{3, 2, 2, 3}, Shape{1, 1, 3, 1}, Shape{2, 3, 1, 2}}) {
        CAPTURE(static_cast<int>(kind));
        CAPTURE(g);
        const auto f = [&](const std::vector<Tensor>& x) {
          const RnnSequence s = rnn_of(kind, x, reverse);
          std::vector<Tensor> y{s.output, s.state.h};
          if (kind == RnnKind::lstm) y.push_back(s.state.c);
          else y[0] = y[0] + 0 * sum(x[2]);  // gradcheck wants every input used
          return y;
        };
        CHECK(gradcheck(f, rnn_inputs(kind, g[0], g[1], g[2], g[3])));
        CHECK(gradgradcheck(f, rnn_inputs(kind, g[0], g[1], g[2], g[3])));
      }
}

DEVICE_TEST_CASE("a recurrent layer is its cell, step by step, with and without a graph") {
  manual_seed(12);
  for (const RnnKind kind : kKinds) {
    const std::vector<Tensor> x = rnn_inputs(kind, 4, 3, 2, 5);
    const RnnWeights w{.w_ih = x[3], .w_hh = x[4], .b_ih = x[5], .b_hh = x[6]};
    RnnState s{x[1], kind == RnnKind::lstm ? x[2] : Tensor()};
    std::vector<Tensor> outputs;
    for (const Tensor& step : unbind(x[0])) {
      s = rnn_cell(kind, step, s, w);
      outputs.push_back(s.h);
    }
    const RnnSequence whole = rnn_of(kind, x, false);
    CHECK(allclose(whole.output, stack(outputs), 1e-12, 1e-12));
    CHECK(allclose(whole.state.h, s.h, 1e-12, 1e-12));
    {
      const NoGrad off;
      CHECK(equal(rnn_of(kind, x, false).output, whole.output));
    }
    // the steps backwards are the steps of the reversed input
    CHECK(
        equal(rnn_of(kind, x, true).output,
              flip(rnn_layer(kind, flip(x[0], {0}), {x[1], kind == RnnKind::lstm ? x[2] : Tensor()}, w).output, {0})));
  }
}

DEVICE_TEST_CASE("the gradient of a recurrent layer by formula and by ops is the same") {
  manual_seed(13);
  for (const RnnKind kind : kKinds) {
    const std::vector<Tensor> x = rnn_inputs(kind, 5, 2, 3, 4);
    std::vector<Tensor> wanted = x;
    if (kind != RnnKind::lstm) wanted.erase(wanted.begin() + 2);
    const auto loss = [&] {
      const RnnSequence s = rnn_of(kind, x, false);
      return sum(s.output * s.output) + sum(s.state.h);
    };
    const std::vector<Tensor> plain = grad(loss(), wanted), ops = grad(loss(), wanted, {.create_graph = true});
    for (size_t i = 0; i < plain.size(); ++i) CHECK(allclose(plain[i], ops[i], 1e-11, 1e-11));
  }
  // a state that is computed from the input: its gradient arrives once
  const std::vector<Tensor> x = rnn_inputs(RnnKind::gru, 3, 2, 4, 4);
  const auto tied = [&](bool create_graph) {
    const RnnSequence s = rnn_layer(RnnKind::gru, x[0], {x[0].select(0, 1) * 2},
                                    {.w_ih = x[3], .w_hh = x[4], .b_ih = x[5], .b_hh = x[6]});
    return grad(sum(s.output), {x[0]}, {.create_graph = create_graph})[0];
  };
  CHECK(allclose(tied(false), tied(true), 1e-12, 1e-12));
}

DEVICE_TEST_CASE("recurrent layers in halves follow f32") {
  manual_seed(14);
  for (const Dtype half : {Dtype::bf16, Dtype::f16}) {
    auto lstm = here::module(nn::LSTM(8, 6, {.bidirectional = true}));
    const Tensor x = here::randn({5, 3, 8});
    const Tensor wide = lstm(x).output.detach();
    lstm.to(half);
    const nn::LSTMResult r = lstm(x.to(half));
    CHECK(r.output.dtype() == half);
    // |h| < 1; each of 5 steps rounds about 10 values of size 1 once
    const double eps = half == Dtype::bf16 ? 1.0 / 128 : 1.0 / 1024;
    CHECK(allclose(r.output.to(Dtype::f32), wide, 0, 5 * eps));
    sum(r.output).backward();
    CHECK(lstm.get("weight_hh_l0").grad().dtype() == half);
  }
}

DEVICE_TEST_CASE("recurrent layers: dropout between layers, copies, states") {
  manual_seed(15);
  auto gru = here::module(nn::GRU(3, 4, {.num_layers = 2, .dropout = 0.5}));
  const Tensor x = here::randn({4, 2, 3});
  CHECK(!equal(gru(x).output, gru(x).output));
  gru.eval();
  CHECK(equal(gru(x).output, gru(x).output));
  auto copy = nn::clone(gru);
  CHECK(equal(copy(x).output, gru(x).output));
  {
    const NoGrad off;
    copy.get("weight_ih_l1").add_(ones_like(copy.get("weight_ih_l1")));
  }
  CHECK(!equal(copy(x).output, gru(x).output));
  auto rnn = here::module(nn::RNN(3, 4, {.nonlinearity = nn::RNNNonlinearity::relu, .batch_first = true}));
  const Tensor batch = here::randn({2, 5, 3});
  const nn::RNNResult r = rnn(batch);
  CHECK(r.output.shape() == Shape{2, 5, 4});
  CHECK(equal(r.output.select(1, 4), r.h.select(0, 0)));
  CHECK(has(message([&] { here::module(nn::LSTM(3, 4))(x, here::zeros({1, 2, 4})); }), {"both"}));
}

DEVICE_TEST_CASE("MultiheadAttention: with and without weights, self and cross, batch first") {
  manual_seed(16);
  auto attention = here::module(nn::MultiheadAttention(8, 2));
  attention.to(Dtype::f64);
  const Tensor x = here::randn({5, 3, 8}, Dtype::f64), memory = here::randn({4, 3, 8}, Dtype::f64);
  for (const Tensor& k : {x, memory}) {
    const nn::AttentionResult r = attention(x, k, k), lean = attention(x, k, k, {.need_weights = false});
    CHECK(allclose(r.output, lean.output, 1e-12, 1e-12));
    CHECK(!lean.weights.defined());
    CHECK(allclose(sum(r.weights, -1), ones_like(r.weights.select(-1, 0))));
    // separate handles of the same values take the separate products
    CHECK(allclose(r.output, attention(x, k.clone(), k.clone()).output, 1e-12, 1e-12));
  }
  auto first = here::module(nn::MultiheadAttention(8, 2, {.batch_first = true}));
  first.to(Dtype::f64);
  first.load_state_dict(attention.state_dict());
  const Tensor xb = x.transpose(0, 1);
  CHECK(allclose(first(xb, xb, xb).output.transpose(0, 1), attention(x, x, x).output, 1e-12, 1e-12));

  const auto f = [&](const std::vector<Tensor>& t) {
    return attention(t[0], t[1], t[1], {.need_weights = false}).output;
  };
  const auto leaf = [](const Tensor& t) { return t.detach().clone().set_requires_grad(); };
  attention.requires_grad(false);
  CHECK(gradcheck(f, {leaf(x), leaf(memory)}));
  CHECK(gradgradcheck(f, {leaf(x), leaf(memory)}));
}

DEVICE_TEST_CASE("a query that may see nothing gets 0, and no gradient") {
  manual_seed(17);
  Tensor q = here::randn({2, 3, 4}).set_requires_grad(), k = here::randn({2, 5, 4}).set_requires_grad();
  const Tensor mask = here::tensor(std::vector<bool>{true, true, false, true, true, false, false, false, false, false,
                                                     false, true, true, true, true},
                                   Shape{3, 5});
  for (const bool choice : {true, false}) {
    const Tensor m = choice ? mask : log(mask.to(Dtype::f32));
    const Tensor y = scaled_dot_product_attention(q, k, k, {.attn_mask = m});
    CHECK(amax(abs(y.select(1, 1))).item<float>() == 0);
    CHECK(!any(isnan(y)).item<bool>());
    q.zero_grad();
    sum(y * y).backward();
    CHECK(amax(abs(q.grad().select(1, 1))).item<float>() == 0);
    CHECK(!any(isnan(q.grad())).item<bool>());
  }
}

DEVICE_TEST_CASE("a stack of layers: copies of the given one, nothing is drawn") {
  manual_seed(19);
  auto layer = here::module(nn::TransformerEncoderLayer(6, 2, {.dim_feedforward = 5}));
  layer.eval();
  layer.linear1.weight.set_requires_grad(false);
  const auto before = default_generator().state();
  const nn::TransformerEncoder stack(layer, 2);
  CHECK(default_generator().state().offset == before.offset);
  for (const char* name : {"layers.0.linear1.weight", "layers.1.linear1.weight"}) {
    const Tensor w = stack.get(name);
    CHECK(equal(w, layer.linear1.weight));
    CHECK(!w.is_same(layer.linear1.weight));
    CHECK(w.raw_data() != layer.linear1.weight.raw_data());
    CHECK(!w.requires_grad());
  }
  CHECK(stack.get("layers.1.linear2.weight").requires_grad());
  const Tensor x = here::randn({4, 3, 6});
  CHECK(equal(stack(x), layer(layer(x))));  // in evaluation mode, as the layer was
}

DEVICE_TEST_CASE("attention with many scores runs in pieces, and gives the same") {
  manual_seed(18);
  const Shape shape{4, 2, 800, 4};  // 5.1 million scores
  const auto leaf = [&] { return here::randn(shape).set_requires_grad(); };
  const Tensor q = leaf(), k = leaf(), v = leaf(), mask = gt(here::randn({4, 1, 1, 800}), 0);
  const auto gradients = [&](const Tensor& y) { return grad(sum(y * y), {q, k, v}); };
  // each sample alone has few enough to go at once
  std::vector<Tensor> each;
  for (int64_t n = 0; n < 4; ++n) {
    const auto at = [&](const Tensor& t) { return t.narrow(0, n, 1); };
    each.push_back(scaled_dot_product_attention(at(q), at(k), at(v), {.attn_mask = at(mask)}));
  }
  const Tensor apart = cat(each), whole = scaled_dot_product_attention(q, k, v, {.attn_mask = mask});
  CHECK(allclose(whole, apart, 1e-5, 1e-6));
  const std::vector<Tensor> a = gradients(apart), b = gradients(whole);
  for (size_t i = 0; i < 3; ++i) CHECK(allclose(b[i], a[i], 1e-4, 1e-5));
}

TEST_SUITE_END();
