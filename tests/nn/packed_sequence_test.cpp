// Packed sequences: packing and padding, and recurrent layers on them against each sequence alone.
#include "weft/nn/packed_sequence.h"
#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/nn/rnn.h"

using namespace weft;
using namespace weft::test;

namespace {

using Integers = std::vector<int64_t>;

Tensor lengths_of(const Integers& v) { return tensor(v); }
/// Sequences of these lengths, [L, features] each.
std::vector<Tensor> sequences_of(const Integers& lengths, int64_t features) {
  std::vector<Tensor> s;
  for (const int64_t n : lengths) s.push_back(here::randn({n, features}, Dtype::f64));
  return s;
}

/// A recurrent layer on packed sequences gives what it gives on each of them alone, states included.
template <class Layer> void check_against_each(Layer layer, const Integers& lengths, bool enforce_sorted) {
  layer.to(Dtype::f64).to(support::device());
  const auto B = static_cast<int64_t>(lengths.size());
  const std::vector<Tensor> sequences = sequences_of(lengths, layer.input_size);
  const nn::PackedSequence packed = nn::pack_sequence(sequences, enforce_sorted);
  const int64_t rows = layer.num_layers * (layer.bidirectional ? 2 : 1);
  const Tensor h0 = here::randn({rows, B, layer.proj_size ? layer.proj_size : layer.hidden_size}, Dtype::f64);
  const Tensor c0 = here::randn({rows, B, layer.hidden_size}, Dtype::f64);
  constexpr bool cells = std::is_same_v<Layer, nn::LSTM>;
  const auto run = [&](const auto& x, const auto&... states) {
    if constexpr (cells) {
      const auto r = layer(x, states...);
      return std::pair(r.output, std::vector<Tensor>{r.h, r.c});
    } else {
      const auto r = layer(x, std::get<0>(std::tie(states...)));
      return std::pair(r.output, std::vector<Tensor>{r.h});
    }
  };
  const auto [output, last] = run(packed, h0, c0);
  const std::vector<Tensor> each = nn::unpack_sequence(output);
  REQUIRE(each.size() == sequences.size());
  for (int64_t b = 0; b < B; ++b) {
    const auto at = static_cast<size_t>(b);
    const auto [alone, state] = run(sequences[at], h0.select(1, b), c0.select(1, b));
    CHECK(allclose(each[at], alone, 1e-12, 1e-12));
    for (size_t k = 0; k < state.size(); ++k) CHECK(allclose(last[k].select(1, b), state[k], 1e-12, 1e-12));
  }
}

}  // namespace

TEST_SUITE_BEGIN("sequence layers");

DEVICE_TEST_CASE("packing a padded batch, and back: PyTorch's own example") {
  const Tensor x = here::tensor<int64_t>({1, 2, 0, 3, 0, 0, 4, 5, 6}, Shape{3, 3});
  const nn::PackedSequence s = nn::pack_padded_sequence(x, lengths_of({2, 1, 3}),
                                                        {.batch_first = true, .enforce_sorted = false});
  CHECK(s.data.to_vector<int64_t>() == Integers{4, 1, 3, 5, 2, 6});
  CHECK(s.batch_sizes.to_vector<int64_t>() == Integers{3, 2, 1});
  CHECK(s.batch_sizes.device() == Device());
  CHECK(s.sorted_indices.to_vector<int64_t>() == Integers{2, 0, 1});
  CHECK(s.unsorted_indices.to_vector<int64_t>() == Integers{1, 2, 0});
  CHECK(s.sorted_indices.device() == support::device());
  const nn::PaddedSequence back = nn::pad_packed_sequence(s, {.batch_first = true});
  CHECK(equal(back.output, x));
  CHECK(back.lengths.to_vector<int64_t>() == Integers{2, 1, 3});
  CHECK(nn::pad_packed_sequence(s, {.padding_value = 7, .total_length = 4}).output.to_vector<int64_t>() ==
        Integers{1, 3, 4, 2, 7, 5, 7, 7, 6, 7, 7, 7});
  CHECK(s.to(Dtype::f64).data.dtype() == Dtype::f64);
  CHECK(s.to(Dtype::f64).sorted_indices.is_same(s.sorted_indices));

  // sorted already: no indices
  const nn::PackedSequence sorted = nn::pack_padded_sequence(x.t(), lengths_of({3, 3, 1}));
  CHECK(sorted.data.to_vector<int64_t>() == Integers{1, 3, 4, 2, 0, 0, 0});
  CHECK(!sorted.sorted_indices.defined());
  CHECK(nn::pad_packed_sequence(sorted).lengths.to_vector<int64_t>() == Integers{3, 3, 1});
}

DEVICE_TEST_CASE("lists of sequences: padded on both sides, packed, and back") {
  manual_seed(31);
  const std::vector<Tensor> s = sequences_of({2, 4, 1, 4}, 3);
  const Tensor right = nn::pad_sequence(s),
               left = nn::pad_sequence(
                   s, {.batch_first = true, .padding_value = 2, .padding_side = nn::PaddingSide::left});
  CHECK(right.shape() == Shape{4, 4, 3});
  CHECK(left.shape() == Shape{4, 4, 3});
  for (int64_t b = 0; b < 4; ++b) {
    const Tensor& one = s[static_cast<size_t>(b)];
    const int64_t n = one.size(0);
    CHECK(equal(right.select(1, b).narrow(0, 0, n), one));
    CHECK(equal(left.select(0, b).narrow(0, 4 - n, n), one));
    CHECK(sum(right.select(1, b).narrow(0, n, 4 - n)).item<double>() == 0);
    CHECK(sum(left.select(0, b).narrow(0, 0, 4 - n)).item<double>() == 6 * static_cast<double>(4 - n));
  }
  const std::vector<Tensor> unpadded = nn::unpad_sequence(right, lengths_of({2, 4, 1, 4})),
                            unpacked = nn::unpack_sequence(nn::pack_sequence(s, false));
  for (size_t b = 0; b < 4; ++b) {
    CHECK(equal(unpadded[b], s[b]));
    CHECK(equal(unpacked[b], s[b]));
  }
  // steps without features, of any dtype; an empty sequence can be padded
  CHECK(nn::pad_sequence({here::tensor<int64_t>({1, 2}), here::zeros({0}, Dtype::i64)}).to_vector<int64_t>() ==
        Integers{1, 0, 2, 0});
  CHECK(nn::unpad_sequence(right, lengths_of({9, 0, 1, 4}))[1].shape() == Shape{0, 3});

  const auto f = [](const std::vector<Tensor>& x) {
    const nn::PackedSequence p = nn::pack_sequence(x, false);
    return std::vector<Tensor>{p.data * p.data, nn::pad_packed_sequence(p, {.batch_first = true}).output};
  };
  std::vector<Tensor> leaves = sequences_of({1, 3, 2}, 2);
  for (Tensor& t : leaves) t.set_requires_grad();
  CHECK(gradcheck(f, leaves));
  CHECK(gradgradcheck(f, leaves));
}

DEVICE_TEST_CASE("recurrent layers on packed sequences are those on each sequence") {
  manual_seed(32);
  for (const Integers& lengths : {Integers{5, 3, 3, 1}, Integers{2, 2}, Integers{1}, Integers{4, 3, 2, 1}}) {
    check_against_each(nn::RNN(3, 4, {.nonlinearity = nn::RNNNonlinearity::relu}), lengths, true);
    check_against_each(nn::GRU(3, 4, {.num_layers = 2, .bidirectional = true}), lengths, true);
    check_against_each(nn::LSTM(3, 4, {.num_layers = 2, .batch_first = true, .bidirectional = true, .proj_size = 2}),
                       lengths, true);
  }
  for (const Integers& lengths : {Integers{1, 5, 3, 3}, Integers{2, 4, 1}}) {
    check_against_each(nn::RNN(2, 3, {.bias = false, .bidirectional = true}), lengths, false);
    check_against_each(nn::GRU(2, 3), lengths, false);
    check_against_each(nn::LSTM(2, 3, {.num_layers = 2, .bidirectional = true}), lengths, false);
  }
}

DEVICE_TEST_CASE("recurrent layers on packed sequences: first and second derivatives") {
  manual_seed(33);
  auto lstm = here::module(nn::LSTM(2, 2, {.bidirectional = true}));
  lstm.to(Dtype::f64);
  const Tensor sizes = lengths_of({3, 2, 2, 1});
  const auto f = [&](const std::vector<Tensor>& x) {
    const nn::PackedLSTMResult r = lstm(nn::PackedSequence{x[0], sizes}, x[1], x[2]);
    return std::vector<Tensor>{r.output.data, r.h, r.c};
  };
  std::vector<Tensor> x{here::randn({8, 2}, Dtype::f64), here::randn({2, 3, 2}, Dtype::f64),
                        here::randn({2, 3, 2}, Dtype::f64)};
  for (Tensor& t : x) t.set_requires_grad();
  lstm.requires_grad(false);
  CHECK(gradcheck(f, x));
  CHECK(gradgradcheck(f, x));

  // the weights' gradient is the sum over the sequences alone
  auto gru = here::module(nn::GRU(2, 3, {.num_layers = 2}));
  gru.to(Dtype::f64);
  const std::vector<Tensor> sequences = sequences_of({2, 4, 1}, 2);
  Tensor apart = here::zeros({}, Dtype::f64);
  for (const Tensor& s : sequences) apart = apart + sum(gru(s).output * gru(s).output);
  const Tensor data = gru(nn::pack_sequence(sequences, false)).output.data;
  const std::vector<Tensor> a = grad(apart, gru.parameters()), b = grad(sum(data * data), gru.parameters());
  for (size_t i = 0; i < a.size(); ++i) CHECK(allclose(b[i], a[i], 1e-11, 1e-11));
}

DEVICE_TEST_CASE("packed sequences: bad input") {
  const Tensor x = here::zeros({3, 2, 4});
  const auto pack = [&](const Tensor& t, const Integers& n, nn::PackPaddedOptions o = {}) {
    return [=] { (void)nn::pack_padded_sequence(t, lengths_of(n), o); };
  };
  CHECK(has(message(pack(x, {2, 0})), {"pack_padded_sequence", "greater than 0", "found 0"}));
  CHECK(has(message(pack(x, {4, 1})), {"at most 3", "found 4"}));
  CHECK(has(message(pack(x, {1, 2})), {"decreasing order", "enforce_sorted = false"}));
  CHECK(has(message<ShapeError>(pack(x, {2, 1, 1})), {"3 lengths", "batch_size=2"}));
  CHECK(has(message<ShapeError>(pack(here::zeros({3}), {3})), {"[T, B, ...]", "[3]"}));
  CHECK(has(message<ShapeError>(pack(here::zeros({0, 2}), {0, 0})), {"empty"}));
  CHECK(has(message<DtypeError>([&] { (void)nn::pack_padded_sequence(x, here::ones({2})); }), {"lengths", "f32"}));
  CHECK(has(message([] { (void)nn::pad_sequence({}); }), {"pad_sequence", "empty list"}));
  CHECK(has(message<ShapeError>([] {
              (void)nn::pad_sequence({here::zeros({2, 3}), here::zeros({2, 4})});
            }),
            {"pad_sequence", "[2, 3]", "[2, 4]"}));
  CHECK(has(message<ShapeError>([] { (void)nn::pad_sequence({here::zeros({})}); }), {"pad_sequence", "[]"}));
  CHECK(has(message([] { (void)nn::pack_sequence({here::zeros({2}), here::zeros({0})}); }), {"found 0"}));
  CHECK(has(message<ShapeError>([&] { (void)nn::unpad_sequence(x, lengths_of({1})); }), {"1 lengths"}));

  const nn::PackedSequence s = nn::pack_padded_sequence(x, lengths_of({3, 2}));
  CHECK(has(message([&] { (void)nn::pad_packed_sequence(s, {.total_length = 2}); }), {"total_length", "3", "2"}));
  const auto gru = here::module(nn::GRU(4, 2));
  const auto run = [&](const nn::PackedSequence& p, const Tensor& h0 = {}) { return [=] { (void)gru(p, h0); }; };
  CHECK(has(message(run({s.data, lengths_of({1, 2, 2})})), {"GRU", "never rise"}));
  CHECK(has(message(run({s.data, lengths_of({})})), {"GRU", "batch_sizes"}));
  CHECK(has(message<ShapeError>(run({s.data, lengths_of({2, 2})})), {"GRU", "4 rows"}));
  CHECK(has(message(run({s.data, s.batch_sizes, here::tensor<int64_t>({0, 1})})), {"both"}));
  CHECK(has(message(run({s.data, Tensor()})), {"GRU", "undefined"}));
  CHECK(has(message<ShapeError>(run({here::zeros({5, 3}), s.batch_sizes})), {"input_size", "4", "3"}));
  CHECK(has(message<ShapeError>(run({here::zeros({5}), s.batch_sizes})), {"packed data"}));
  CHECK(has(message<ShapeError>(run(s, here::zeros({1, 3, 2}))), {"hidden state", "[1, 2, 2]"}));
  nn::PackedSequence odd = s;
  odd.sorted_indices = odd.unsorted_indices = here::tensor<int64_t>({0, 2});
  CHECK(has(message([&] { (void)nn::pad_packed_sequence(odd); }), {"unsorted_indices", "2"}));
}

TEST_SUITE_END();
