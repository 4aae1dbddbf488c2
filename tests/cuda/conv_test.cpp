// Convolution on a card beside its definition: all three directions, with chunks far smaller than in use.
#include <doctest/doctest.h>

#include <cmath>

#include "support/reference_conv.h"
#include "support/same_bits.h"
#include "weft/backends/cuda/conv.cuh"

namespace {

using namespace weft;

struct Case {
  Shape x, w;
  ConvParams p;
  Shape extra;  // output sizes beyond what the stride gives (none if empty)
};

ConvParams geometry(Shape stride, Shape lo, Shape hi, Shape dilation, int64_t groups) {
  return {stride, lo, hi, dilation, groups};
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{2, 5, 7, 9}, {3, 5, 1, 1}, ConvParams::plain(2), {}},
      {{1, 1, 1}, {1, 1, 1}, ConvParams::plain(1), {}},
      {{3, 6, 4, 5}, {4, 3, 1, 1}, geometry({1, 1}, {0, 0}, {0, 0}, {1, 1}, 2), {}},
      {{2, 4, 9, 11}, {6, 4, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 1), {}},
      {{2, 8, 9, 6}, {16, 8, 3, 2}, geometry({2, 3}, {1, 0}, {2, 1}, {1, 2}, 1), {}},
      {{1, 6, 8, 9}, {9, 2, 2, 3}, geometry({2, 1}, {0, 2}, {1, 2}, {2, 1}, 3), {}},
      {{2, 3, 33}, {5, 3, 4}, geometry({3}, {2}, {1}, {2}, 1), {}},
      {{2, 16, 10}, {4, 8, 3}, geometry({1}, {1}, {1}, {1}, 2), {}},
      {{1, 2, 5, 4, 6}, {3, 2, 2, 3, 3}, geometry({1, 2, 1}, {1, 1, 0}, {0, 1, 2}, {1, 1, 2}, 1), {}},
      {{1, 4, 3, 5, 4}, {4, 2, 1, 3, 2}, geometry({2, 1, 2}, {0, 1, 1}, {0, 1, 0}, {1, 1, 1}, 2), {}},
      {{2, 4, 5, 5}, {3, 4, 1, 1}, geometry({2, 2}, {0, 0}, {0, 0}, {1, 1}, 1), {}},
      // depthwise, with one and with three outputs a channel
      {{2, 5, 7, 6}, {5, 1, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 5), {}},
      {{2, 4, 9, 8}, {12, 1, 3, 2}, geometry({2, 1}, {1, 0}, {0, 1}, {1, 2}, 4), {}},
      {{1, 33, 300}, {33, 1, 5}, geometry({1}, {2}, {2}, {1}, 33), {}},
      // a transposed convolution's: inputs that no window reaches
      {{1, 3, 8, 9}, {2, 3, 2, 2}, geometry({3, 3}, {0, 0}, {0, 0}, {1, 1}, 1), {}},
  };
  return all;
}

Shape output_of(const Case& c) {
  Shape y{c.x[0], c.w[0]};
  for (int i = 2; i < c.x.size(); ++i) y.push_back(c.p.output_size(i - 2, c.x[i], c.w[i]));
  return y;
}

/// Largest difference to the reference, relative to the size of the sums.
double difference(const Tensor& got, const std::vector<double>& expected) {
  const std::vector<double> v = got.to(Dtype::f64).contiguous().to_vector<double>();
  REQUIRE(v.size() == expected.size());
  double most = 1, worst = 0;
  for (size_t i = 0; i < v.size(); ++i) most = std::max(most, std::abs(expected[i]));
  for (size_t i = 0; i < v.size(); ++i)
    worst = std::max(worst, std::abs(v[i] - expected[i]) + (std::isnan(v[i]) ? 1e9 : 0));
  return worst / most;
}

// One rounding of the result, and sums of up to a few hundred terms in the compute type.
double tolerance(Dtype d) { return d == Dtype::f64 ? 1e-14 : d == Dtype::f32 ? 1e-6 : d == Dtype::f16 ? 1e-3 : 8e-3; }

Tensor numbers(const Shape& s, Dtype d, uint64_t seed) {
  return (support::sample_index(s, -4, 5, Dtype::i64, seed)).to(d);
}
std::vector<double> values(const Tensor& t) { return t.to(Dtype::f64).contiguous().to_vector<double>(); }
Tensor last(const Shape& s, Dtype d) { return empty(s, {d}, MemoryFormat::channels_last); }

void add_channel(std::vector<double>& y, const Shape& s, const std::vector<double>& bias) {
  int64_t inner = 1;
  for (int i = 2; i < s.size(); ++i) inner *= s[i];
  for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i / static_cast<size_t>(inner) % bias.size()];
}

}  // namespace

TEST_SUITE("cuda conv") {
  TEST_CASE("all directions, dtypes and chunks") {
    for (const Case& c : cases())
      for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16})
        for (const int64_t chunk : {int64_t{1}, int64_t{300}, cuda::kColumnElements}) {
          if (chunk != cuda::kColumnElements && d != Dtype::f32 && d != Dtype::bf16) continue;
          CAPTURE(c.x);
          CAPTURE(c.w);
          CAPTURE(c.p.groups);
          CAPTURE(d);
          CAPTURE(chunk);
          const Shape ys = output_of(c);
          const bool odd = chunk == 300;  // with operands of no order too
          const Tensor x0 = numbers(c.x, d, 1), w0 = numbers(c.w, d, 2), g0 = numbers(ys, d, 3),
                       b0 = numbers({c.w[0]}, d, 4), q0 = numbers({c.x[1]}, d, 5);
          const auto given = [&](const Tensor& t) { return odd ? support::scattered(t) : support::channels_last(t); };
          const Tensor x = given(x0), w = odd ? support::scattered(w0) : w0, g = given(g0),
                       b = odd ? support::scattered(b0) : b0, q = odd ? support::scattered(q0) : q0;

          Tensor y = last(ys, d);
          cuda::conv(mut_ref(y), ref(x), ref(w), ref(b), c.p, chunk);
          std::vector<double> expected = test::reference_conv(values(x0), values(w0), {}, c.x, c.w, ys, c.p);
          add_channel(expected, ys, values(b0));
          CHECK(difference(y, expected) <= tolerance(d));
          cuda::conv(mut_ref(y), ref(x), ref(w), {}, c.p, chunk);
          CHECK(difference(y, test::reference_conv(values(x0), values(w0), {}, c.x, c.w, ys, c.p)) <= tolerance(d));

          Tensor dx = last(c.x, d);
          expected = test::reference_conv({}, values(w0), values(g0), c.x, c.w, ys, c.p);
          cuda::conv_input_grad(mut_ref(dx), ref(g), ref(w), {}, c.p, chunk);
          CHECK(difference(dx, expected) <= tolerance(d));
          cuda::conv_input_grad(mut_ref(dx), ref(g), ref(w), ref(q), c.p, chunk);
          add_channel(expected, c.x, values(q0));
          CHECK(difference(dx, expected) <= 2 * tolerance(d));  // rounded before the bias is added, and after

          Tensor dw = empty(c.w, {d}), db = empty({c.w[0]}, {d});
          cuda::conv_weight_grad(mut_ref(dw), mut_ref(db), ref(x), ref(g), c.p, chunk);
          CHECK(difference(dw, test::reference_conv(values(x0), {}, values(g0), c.x, c.w, ys, c.p)) <= tolerance(d));
          std::vector<double> sums(static_cast<size_t>(ys[1]), 0), gv = values(g0);
          const size_t inner = gv.size() / static_cast<size_t>(ys[0] * ys[1]);
          for (size_t i = 0; i < gv.size(); ++i) sums[i / inner % sums.size()] += gv[i];
          CHECK(difference(db, sums) <= tolerance(d));
          Tensor none;
          cuda::conv_weight_grad(mut_ref(dw), mut_ref(none), ref(x), ref(g), c.p, chunk);
          CHECK(difference(dw, test::reference_conv(values(x0), {}, values(g0), c.x, c.w, ys, c.p)) <= tolerance(d));
        }
  }

  TEST_CASE("long sums over rows: bias and depthwise weight gradients in chunks") {
    const Shape xs{3, 2, 30011}, ws{2, 1, 3};
    const ConvParams p = geometry({1}, {1}, {1}, {1}, 2);
    const Tensor x = support::channels_last(numbers(xs, Dtype::f32, 1)),
                 g = support::channels_last(numbers(xs, Dtype::f32, 2));
    Tensor dw = empty(ws, {Dtype::f32}), db = empty({2}, {Dtype::f32});
    cuda::conv_weight_grad(mut_ref(dw), mut_ref(db), ref(x), ref(g), p);
    // sums of small integers are exact
    CHECK(values(dw) == test::reference_conv(values(x), {}, values(g), xs, ws, xs, p));
    std::vector<double> sums(2, 0), gv = values(g);
    for (size_t i = 0; i < gv.size(); ++i) sums[i / 30011 % 2] += gv[i];
    CHECK(values(db) == sums);
  }

  TEST_CASE("more than three spatial dimensions are refused") {
    const Tensor x = ones({1, 1, 1, 1, 1, 1}), w = ones({1, 1, 1, 1, 1, 1});
    Tensor y = ones({1, 1, 1, 1, 1, 1});
    CHECK_THROWS_AS(cuda::conv(mut_ref(y), ref(x), ref(w), {}, ConvParams::plain(4)), NotSupported);
  }
}
