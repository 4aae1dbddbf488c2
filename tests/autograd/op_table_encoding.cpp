// Rows of the op table: encodings by codewords, recurrent layers.
#include <cmath>

#include "autograd/op_table.h"
#include "weft/autograd/ops/layer/encoding.h"
#include "weft/autograd/ops/layer/rnn.h"
#include "weft/autograd/ops/shape/shape.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double scaled_square(const Arrays& x, const Index& i) {  // x, codewords, scale at [b, n, k]
  double s = 0;
  for (int64_t d = 0; d < x[1].shape[1]; ++d) s += std::pow(x[0].at({i[0], i[1], d}) - x[1].at({i[2], d}), 2);
  return s * x[2].at({i[2]});
}
/// sum over n of a[b, n, k] (x[b, n] - c[k])
Array aggregated(const Array& a, const Array& x, const Array& c) {
  return support::generate({x.shape[0], c.shape[0], c.shape[1]}, [&](const Index& i) {
    double s = 0;
    for (int64_t n = 0; n < x.shape[1]; ++n) s += a.at({i[0], n, i[1]}) * (x.at({i[0], n, i[2]}) - c.at({i[1], i[2]}));
    return s;
  });
}

std::vector<Op> encodings() {
  const Tensor x = uniform({2, 4, 2}, -1, 1), c = uniform({3, 2}, -1, 1, 5), s = uniform({3}, -1, 0, 7);
  std::vector<Op> t;
  t.push_back({"scaled_l2",
               {sample(
                   "codewords", {x, c, s}, [](const Tensors& x) { return weft::scaled_l2(x[0], x[1], x[2]); },
                   [](const Arrays& x) {
                     return support::generate({2, 4, 3}, [&](const Index& i) { return scaled_square(x, i); });
                   })},
               {{[] {
                   (void)weft::scaled_l2(here::ones({1, 2, 3}), here::ones({2, 2}), here::ones({2}));
                 },
                 "scaled_l2: "}}});
  t.push_back({"aggregate",
               {sample(
                   "codewords", {uniform({2, 4, 3}, -1, 1, 3), x, c},
                   [](const Tensors& x) { return weft::aggregate(x[0], x[1], x[2]); },
                   [](const Arrays& x) { return aggregated(x[0], x[1], x[2]); })},
               {{[] {
                   (void)weft::aggregate(here::ones({1, 2, 3}), here::ones({1, 2, 2}), here::ones({2, 2}));
                 },
                 "aggregate: "}}});
  t.push_back({"encode",
               {sample(
                   "codewords", {x, c, s}, [](const Tensors& x) { return weft::encode(x[0], x[1], x[2]); },
                   [](const Arrays& x) {
                     const Array a = support::generate({2, 4, 3}, [&](const Index& i) {
                       double total = 0;
                       for (int64_t k = 0; k < 3; ++k) total += std::exp(scaled_square(x, {i[0], i[1], k}));
                       return std::exp(scaled_square(x, i)) / total;
                     });
                     return aggregated(a, x[0], x[1]);
                   })},
               {{[] {
                   (void)weft::encode(here::ones({1, 2, 3}), here::ones({2, 2}), here::ones({2}));
                 },
                 ": "}}});
  t.push_back({"pairwise_cosine", {}});
  for (const bool unit : {false, true})
    t.back().samples.push_back(sample(
        unit ? "unit vectors" : "products", {x, c},
        [unit](const Tensors& x) { return weft::pairwise_cosine(x[0], x[1], unit); },
        [unit](const Arrays& x) {
          return support::generate({2, 4, 3}, [&](const Index& i) {
            double xc = 0, xx = 0, cc = 0;
            for (int64_t d = 0; d < 2; ++d) {
              const double p = x[0].at({i[0], i[1], d}), q = x[1].at({i[2], d});
              xc += p * q, xx += p * p, cc += q * q;
            }
            return unit ? xc / std::sqrt(xx * cc) : xc;
          });
        }));
  for (Op& op : t) op.half_eps = 32;
  return t;
}

/// The steps of a recurrent layer: x [T, N, I], h, c (lstm), w_ih, w_hh, b_ih, b_hh.
Arrays steps(weft::RnnKind kind, const Arrays& in) {
  const bool lstm = kind == weft::RnnKind::lstm;
  const Array &x = in[0], &w_ih = in[lstm ? 3 : 2], &w_hh = in[lstm ? 4 : 3], &b_ih = in[lstm ? 5 : 4],
              &b_hh = in[lstm ? 6 : 5];
  Array h = in[1], c = lstm ? in[2] : Array();
  const int64_t T = x.shape[0], N = x.shape[1], H = h.shape[1];
  Array output({T, N, H});
  for (int64_t step = 0; step < T; ++step) {
    const Array before = h;
    for (int64_t n = 0; n < N; ++n)
      for (int64_t j = 0; j < H; ++j) {
        const auto from_x = [&](int64_t gate) {
          double s = b_ih.at({gate * H + j});
          for (int64_t i = 0; i < x.shape[2]; ++i) s += w_ih.at({gate * H + j, i}) * x.at({step, n, i});
          return s;
        };
        const auto from_h = [&](int64_t gate) {
          double s = b_hh.at({gate * H + j});
          for (int64_t i = 0; i < H; ++i) s += w_hh.at({gate * H + j, i}) * before.at({n, i});
          return s;
        };
        const auto both = [&](int64_t gate) { return from_x(gate) + from_h(gate); };
        double& v = h.at({n, j});
        if (kind == weft::RnnKind::tanh) v = std::tanh(both(0));
        if (kind == weft::RnnKind::relu) v = std::max(0.0, both(0));
        if (kind == weft::RnnKind::gru) {
          const double r = sigmoid(both(0)), z = sigmoid(both(1)), fresh = std::tanh(from_x(2) + r * from_h(2));
          v = (1 - z) * fresh + z * before.at({n, j});
        }
        if (lstm) {
          double& cell = c.at({n, j});
          cell = sigmoid(both(1)) * cell + sigmoid(both(0)) * std::tanh(both(2));
          v = sigmoid(both(3)) * std::tanh(cell);
        }
        output.at({step, n, j}) = v;
      }
  }
  return lstm ? Arrays{output, h, c} : Arrays{output, h};
}

std::vector<Op> recurrent() {
  std::vector<Op> t;
  const std::pair<weft::RnnKind, int64_t> kinds[] = {
      {weft::RnnKind::tanh, 1}, {weft::RnnKind::relu, 1}, {weft::RnnKind::lstm, 4}, {weft::RnnKind::gru, 3}};
  for (const auto& [kind_of, gates] : kinds) {
    const weft::RnnKind kind = kind_of;  // clang 14 cannot capture a structured binding
    const bool lstm = kind == weft::RnnKind::lstm;
    const int64_t H = 2, rows = gates * H;
    Tensors in{uniform({3, 2, 2}, -1, 1), uniform({2, H}, -1, 1, 2)};
    if (lstm) in.push_back(uniform({2, H}, -1, 1, 3));
    for (const Shape& s : {Shape{rows, 2}, Shape{rows, H}, Shape{rows}, Shape{rows}})
      in.push_back(uniform(s, -1, 1, 4 + in.size()));
    const auto state = [lstm](const Tensors& x) { return weft::RnnState{x[1], lstm ? x[2] : Tensor()}; };
    const auto weights = [lstm](const Tensors& x) {
      const size_t at = lstm ? 3 : 2;
      return weft::RnnWeights{.w_ih = x[at], .w_hh = x[at + 1], .b_ih = x[at + 2], .b_hh = x[at + 3]};
    };
    const auto list = [lstm](const Tensor& y, const weft::RnnState& s) {
      return lstm ? Tensors{y, s.h, s.c} : Tensors{y, s.h};
    };
    t.push_back({weft::str("rnn_layer ", static_cast<int>(kind)),
                 {{"three steps", in,
                   [=](const Tensors& x) {
                     const weft::RnnSequence s = weft::rnn_layer(kind, x[0], state(x), weights(x));
                     return list(s.output, s.state);
                   },
                   [=](const Arrays& x) { return steps(kind, x); }}}});
    Tensors one = in;
    one[0] = one[0].narrow(0, 0, 1).contiguous().detach();
    t.push_back({weft::str("rnn_cell ", static_cast<int>(kind)),
                 {{"one step", one,
                   [=](const Tensors& x) {
                     const weft::RnnState s = weft::rnn_cell(kind, x[0].squeeze(0), state(x), weights(x));
                     return list(s.h.unsqueeze(0), s);
                   },
                   [=](const Arrays& x) { return steps(kind, x); }}}});
  }
  for (Op& op : t) op.half_eps = 64;  // three steps, each with a dozen roundings
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("encodings") { check(encodings()); }
  DEVICE_TEST_CASE("recurrent layers") { check(recurrent()); }
}
