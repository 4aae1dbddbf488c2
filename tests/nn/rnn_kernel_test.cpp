// The recurrent layers' kernel against their cell, which is made of ops, at awkward sizes; what it packs and allocates.
#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/layer/rnn.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/backend.h"
#include "weft/nn/rnn.h"

using namespace weft;
using namespace weft::test;

namespace {

constexpr RnnKind kAllKinds[] = {RnnKind::tanh, RnnKind::relu, RnnKind::lstm, RnnKind::gru};

/// Input, states and weights of a layer, all trainable.
struct RnnCase {
  Tensor x, h, c;
  RnnWeights w;

  RnnCase(RnnKind kind, int64_t T, int64_t N, int64_t H, Dtype dtype, bool bias) {
    const int64_t rows = rnn_gates(kind) * H, I = 2;
    const double spread = 1 / std::sqrt(static_cast<double>(H));
    const auto leaf = [&](const Shape& s, double by) {
      return (here::randn(s, dtype) * by).detach().set_requires_grad();
    };
    x = leaf({T, N, I}, 1), h = leaf({N, H}, 1);
    if (kind == RnnKind::lstm) c = leaf({N, H}, 1);
    w.w_ih = leaf({rows, I}, 0.7), w.w_hh = leaf({rows, H}, spread);
    if (bias) w.b_ih = leaf({rows}, 0.7), w.b_hh = leaf({rows}, 0.7);
  }
  std::vector<Tensor> leaves() const {
    std::vector<Tensor> all;
    for (const Tensor& t : {x, h, c, w.w_ih, w.w_hh, w.b_ih, w.b_hh})
      if (t.defined()) all.push_back(t);
    return all;
  }
};

/// rnn_layer by its cell.
RnnSequence by_cell(RnnKind kind, const Tensor& x, const RnnState& first, const RnnWeights& w, bool reverse) {
  std::vector<Tensor> inputs = unbind(x), outputs(inputs.size());
  RnnState s = first;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t t = reverse ? inputs.size() - 1 - i : i;
    s = rnn_cell(kind, inputs[t], s, w);
    outputs[t] = s.h;
  }
  return {stack(outputs), s};
}

std::vector<Tensor> results(const RnnSequence& s, const RnnCase& r) {
  std::vector<Tensor> all{s.output, s.state.h};
  Tensor loss = sum(s.output * s.output) + sum(s.state.h);
  if (s.state.c.defined()) all.push_back(s.state.c), loss = loss + sum(s.state.c * s.state.c);
  for (const Tensor& g : grad(loss, r.leaves())) all.push_back(g);
  return all;
}

void check_against_cell(RnnKind kind, int64_t T, int64_t N, int64_t H, Dtype dtype, bool bias, bool reverse) {
  CAPTURE(static_cast<int>(kind));
  CAPTURE(N);
  CAPTURE(H);
  CAPTURE(dtype);
  const RnnCase r(kind, T, N, H, dtype, bias);
  // the input's axes in another order in memory
  const auto x = [&] { return r.x.transpose(0, 2).contiguous().transpose(0, 2); };
  const std::vector<Tensor> a = results(rnn_layer(kind, x(), {r.h, r.c}, r.w, reverse), r),
                            b = results(by_cell(kind, x(), {r.h, r.c}, r.w, reverse), r);
  REQUIRE(a.size() == b.size());
  // gradients are sums of up to 3 N numbers of size 1 or 2, in halves each rounded several times on its way
  const double eps = dtype == Dtype::f64 ? 1e-13 : dtype == Dtype::f32 ? 2e-6 : dtype == Dtype::f16 ? 8e-3 : 6e-2;
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(a[i].dtype() == dtype);
    CHECK(allclose(a[i].to(Dtype::f64), b[i].to(Dtype::f64), eps, eps * 3 * static_cast<double>(N + 1)));
  }
}

}  // namespace

TEST_SUITE_BEGIN("recurrent kernels");

DEVICE_TEST_CASE("a recurrent layer is its cell at awkward sizes") {
  manual_seed(21);
  for (const RnnKind kind : kAllKinds)
    for (const int64_t N : {0, 1, 5, 13})
      for (const int64_t H : {1, 3, 17, 64})
        for (const Dtype dtype : {Dtype::f32, Dtype::f64}) check_against_cell(kind, 3, N, H, dtype, N != 5, H == 17);
}

DEVICE_TEST_CASE("a recurrent layer in halves is its cell") {
  manual_seed(22);
  for (const RnnKind kind : kAllKinds)
    for (const Dtype dtype : {Dtype::bf16, Dtype::f16})
      for (const int64_t H : {3, 40}) check_against_cell(kind, 3, 5, H, dtype, true, H == 3);
}

DEVICE_TEST_CASE("a recurrent layer follows its weight as that changes") {
  manual_seed(23);
  for (const RnnKind kind : kAllKinds) {
    RnnCase r(kind, 2, 3, 5, Dtype::f64, true);
    const NoGrad off;
    for (int i = 0; i < 4; ++i) {
      for (int twice = 0; twice < 2; ++twice)
        CHECK(allclose(rnn_layer(kind, r.x, {r.h, r.c}, r.w).output, by_cell(kind, r.x, {r.h, r.c}, r.w, false).output,
                       1e-12, 1e-12));
      r.w.w_hh.mul_(0.5);
    }
    // every second number of a larger weight, and a window of it
    const Tensor large = here::randn({rnn_gates(kind) * 5 + 1, 10}, Dtype::f64);
    for (const Tensor& w : {large.narrow(0, 1, rnn_gates(kind) * 5).narrow(1, 3, 5),
                            large.narrow(0, 0, rnn_gates(kind) * 5).index({Slice{}, Slice{0, 10, 2}})}) {
      r.w.w_hh = w;
      CHECK(allclose(rnn_layer(kind, r.x, {r.h, r.c}, r.w).output, by_cell(kind, r.x, {r.h, r.c}, r.w, false).output,
                     1e-12, 1e-12));
    }
  }
}

DEVICE_TEST_CASE("recurrent layers: a training step in a steady state asks the system for no memory") {
  manual_seed(24);
  auto lstm = here::module(nn::LSTM(8, 16, {.num_layers = 2, .bidirectional = true}));
  auto gru = here::module(nn::GRU(32, 16));
  std::vector<Tensor> parameters = lstm.parameters();
  for (const Tensor& p : gru.parameters()) parameters.push_back(p);
  const Tensor x = here::randn({6, 5, 8});
  const auto step = [&] {
    sum(gru(lstm(x).output).output).backward();
    const NoGrad off;
    for (Tensor& p : parameters) {
      p.add_(p.grad(), -1e-3);
      p.zero_grad();
    }
  };
  for (int i = 0; i < 3; ++i) step();
  const MemoryStats warm = memory_stats(support::device());
  for (int i = 0; i < 5; ++i) step();
  const MemoryStats after = memory_stats(support::device());
  CHECK(after.system_allocations == warm.system_allocations);
  CHECK(after.active == warm.active);
}

DEVICE_TEST_CASE("recurrent layers refuse states and weights of another dtype") {
  const RnnCase r(RnnKind::gru, 2, 3, 4, Dtype::f32, true);
  CHECK_THROWS_AS(rnn_layer(RnnKind::gru, r.x, {r.h.to(Dtype::f64)}, r.w), DtypeError);
  RnnWeights w = r.w;
  w.w_hh = w.w_hh.to(Dtype::bf16);
  CHECK_THROWS_AS(rnn_layer(RnnKind::gru, r.x, {r.h}, w), DtypeError);
}

TEST_SUITE_END();
