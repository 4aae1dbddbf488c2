// Convolution on a card beside its definition: all directions, tiles, parts and kinds of arithmetic.
#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "against_cpu.h"
#include "support/reference_conv.h"
#include "support/same_bits.h"
#include "weft/backends/cuda/conv.cuh"

namespace {

using namespace weft;
using cuda::ConvPlan;

struct Case {
  Shape x, w;
  ConvParams p;
};

ConvParams geometry(Shape stride, Shape lo, Shape hi, Shape dilation, int64_t groups) {
  return {stride, lo, hi, dilation, groups};
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{2, 5, 7, 9}, {3, 5, 1, 1}, ConvParams::plain(2)},
      {{1, 1, 1}, {1, 1, 1}, ConvParams::plain(1)},
      {{3, 6, 4, 5}, {4, 3, 1, 1}, geometry({1, 1}, {0, 0}, {0, 0}, {1, 1}, 2)},
      {{2, 4, 9, 11}, {6, 4, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 1)},
      {{2, 8, 9, 6}, {16, 8, 3, 2}, geometry({2, 3}, {1, 0}, {2, 1}, {1, 2}, 1)},
      {{1, 6, 8, 9}, {9, 2, 2, 3}, geometry({2, 1}, {0, 2}, {1, 2}, {2, 1}, 3)},
      {{2, 3, 33}, {5, 3, 4}, geometry({3}, {2}, {1}, {2}, 1)},
      {{2, 16, 10}, {4, 8, 3}, geometry({1}, {1}, {1}, {1}, 2)},
      {{1, 2, 5, 4, 6}, {3, 2, 2, 3, 3}, geometry({1, 2, 1}, {1, 1, 0}, {0, 1, 2}, {1, 1, 2}, 1)},
      {{1, 4, 3, 5, 4}, {4, 2, 1, 3, 2}, geometry({2, 1, 2}, {0, 1, 1}, {0, 1, 0}, {1, 1, 1}, 2)},
      {{2, 4, 5, 5}, {3, 4, 1, 1}, geometry({2, 2}, {0, 0}, {0, 0}, {1, 1}, 1)},
      // a dilation larger than the map; one pixel; a window that sees padding alone
      {{2, 9, 5, 5}, {7, 9, 3, 3}, geometry({1, 1}, {6, 6}, {6, 6}, {6, 6}, 1)},
      {{3, 17, 1, 1}, {11, 17, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 1)},
      {{1, 8, 4, 4}, {8, 8, 3, 3}, geometry({1, 1}, {5, 0}, {5, 3}, {1, 1}, 1)},
      // strides that share a factor with the dilation: taps that never meet
      {{1, 5, 9, 8}, {6, 5, 3, 2}, geometry({4, 2}, {3, 1}, {2, 1}, {2, 2}, 1)},
      // edges of tiles: 65 and 129 columns, k of several stages
      {{1, 40, 12, 11}, {65, 40, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 1)},
      {{2, 33, 8, 9}, {129, 33, 2, 2}, geometry({2, 1}, {1, 0}, {0, 1}, {1, 1}, 1)},
      // depthwise, with one and with three outputs a channel, narrow and in whole loads
      {{2, 5, 7, 6}, {5, 1, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 5)},
      {{2, 4, 9, 8}, {12, 1, 3, 2}, geometry({2, 1}, {1, 0}, {0, 1}, {1, 2}, 4)},
      {{1, 33, 300}, {33, 1, 5}, geometry({1}, {2}, {2}, {1}, 33)},
      {{2, 16, 6, 5}, {16, 1, 3, 3}, geometry({2, 1}, {1, 1}, {1, 1}, {1, 1}, 16)},
      // few channels of the result: several lanes and turns of them, windows wider than a strip, taps from right to
      // left, groups of few on both sides, steps between the places that a tap reads
      {{2, 20, 5, 19}, {3, 20, 3, 9}, geometry({1, 1}, {1, 4}, {1, 4}, {1, 1}, 1)},
      {{1, 3, 6, 21}, {72, 3, 3, 5}, geometry({1, 1}, {1, 2}, {1, 2}, {1, 1}, 1)},
      {{1, 2, 7, 22}, {40, 2, 5, 5}, geometry({2, 2}, {2, 2}, {2, 2}, {1, 1}, 1)},
      {{2, 32, 6, 10}, {32, 4, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 8)},
      {{1, 36, 4, 20}, {2, 36, 3, 3}, geometry({1, 2}, {2, 3}, {2, 3}, {2, 3}, 1)},
      {{1, 264, 2, 9}, {1, 264, 2, 3}, geometry({1, 1}, {0, 1}, {1, 1}, {1, 1}, 1)},
      {{1, 12, 6, 21}, {3, 12, 3, 5}, geometry({1, 2}, {1, 2}, {1, 2}, {1, 1}, 1)},
      {{2, 8, 140}, {7, 8, 3}, geometry({1}, {1}, {1}, {1}, 1)},
      // few channels of the source: chunks of the result that are not full, groups, three axes, strides
      {{1, 6, 5, 12}, {30, 2, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 3)},
      {{1, 2, 4, 5, 9}, {12, 2, 2, 3, 3}, geometry({1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 1)},
      {{2, 3, 9, 19}, {33, 3, 5, 5}, geometry({2, 2}, {2, 2}, {2, 2}, {1, 1}, 1)},
      // a transposed convolution's: inputs that no window reaches
      {{1, 3, 8, 9}, {2, 3, 2, 2}, geometry({3, 3}, {0, 0}, {0, 0}, {1, 1}, 1)},
      // an empty batch
      {{0, 8, 5, 5}, {4, 8, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 1)},
  };
  return all;
}

Shape output_of(const Case& c) {
  Shape y{c.x[0], c.w[0]};
  for (int i = 2; i < c.x.size(); ++i) y.push_back(c.p.output_size(i - 2, c.x[i], c.w[i]));
  return y;
}

Tensor numbers(const Shape& s, Dtype d, uint64_t seed) {
  return support::sample_index(s, -4, 5, Dtype::i64, seed).to(d);
}
std::vector<double> values(const Tensor& t) { return t.to(Dtype::f64).contiguous().to_vector<double>(); }
Tensor last(const Shape& s, Dtype d) { return support::unwritten(s, d, MemoryFormat::channels_last); }

/// t holds `expected`, rounded once: sums of small integers are exact in every compute type.
bool equal(const Tensor& t, const std::vector<double>& expected) {
  Tensor rounded = empty({static_cast<int64_t>(expected.size())}, {Dtype::f64});
  std::copy(expected.begin(), expected.end(), static_cast<double*>(rounded.mut_raw_data()));
  return values(t) == values(rounded.to(t.dtype()));
}

void add_channel(std::vector<double>& y, const Shape& s, const std::vector<double>& bias) {
  int64_t inner = 1;
  for (int i = 2; i < s.size(); ++i) inner *= s[i];
  for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i / static_cast<size_t>(inner) % bias.size()];
}

/// The expected results of a case, which do not depend on the dtype.
struct Expected {
  Shape ys;
  std::vector<double> y, y_bias, dx, dx_bias, dw, db;
  explicit Expected(const Case& c) : ys(output_of(c)) {
    const auto v = [](const Shape& s, uint64_t seed) { return values(numbers(s, Dtype::f64, seed)); };
    y = y_bias = test::reference_conv(v(c.x, 1), v(c.w, 2), {}, c.x, c.w, ys, c.p);
    dx = dx_bias = test::reference_conv({}, v(c.w, 2), v(ys, 3), c.x, c.w, ys, c.p);
    dw = test::reference_conv(v(c.x, 1), {}, v(ys, 3), c.x, c.w, ys, c.p);
    if (c.x[0] == 0)
      y.clear(), y_bias.clear(), dx.clear(), dx_bias.clear(), dw.assign(static_cast<size_t>(c.w.numel()), 0);
    add_channel(y_bias, ys, v({c.w[0]}, 4));
    add_channel(dx_bias, c.x, v({c.x[1]}, 5));
    db.assign(static_cast<size_t>(ys[1]), 0);
    const std::vector<double> g = v(ys, 3);
    for (size_t i = 0; i < g.size(); ++i) db[i / (g.size() / static_cast<size_t>(ys[0] * ys[1])) % db.size()] += g[i];
  }
};

/// All directions of a case; `odd`: operands of no order.
void check_case(const Case& c, const Expected& e, Dtype d, bool odd, const ConvPlan& plan) {
  CAPTURE(c.x);
  CAPTURE(c.w);
  CAPTURE(c.p.groups);
  CAPTURE(d);
  CAPTURE(plan.m);
  CAPTURE(plan.n);
  CAPTURE(plan.parts);
  const auto given = [&](const Shape& s, uint64_t seed) {
    const Tensor t = numbers(s, d, seed);
    return odd ? support::scattered(t) : s.size() > 2 && t.numel() ? support::channels_last(t) : t;
  };
  const Tensor x = given(c.x, 1), w = odd ? given(c.w, 2) : numbers(c.w, d, 2), g = given(e.ys, 3),
               b = given({c.w[0]}, 4), q = given({c.x[1]}, 5);
  if (c.x[0] > 0) {
    Tensor y = last(e.ys, d);
    cuda::conv(mut_ref(y), ref(x), ref(w), ref(b), c.p, plan);
    CHECK(equal(y, e.y_bias));
    y = last(e.ys, d);
    cuda::conv(mut_ref(y), ref(x), ref(w), {}, c.p, plan);
    CHECK(equal(y, e.y));
    Tensor dx = last(c.x, d);
    cuda::conv_input_grad(mut_ref(dx), ref(g), ref(w), {}, c.p, plan);
    CHECK(equal(dx, e.dx));
    dx = last(c.x, d);
    cuda::conv_input_grad(mut_ref(dx), ref(g), ref(w), ref(q), c.p, plan);
    CHECK(equal(dx, e.dx_bias));
  }
  ConvPlan sums = plan;  // which have fewer tiles
  if (sums.n == 32 || sums.m == 256) sums.m = sums.n = 64;
  if (sums.m == 128 && sums.n == 64) std::swap(sums.m, sums.n);
  Tensor dw = support::unwritten(c.w, d), db = support::unwritten({c.w[0]}, d);
  cuda::conv_weight_grad(mut_ref(dw), mut_ref(db), ref(x), ref(g), c.p, sums);
  CHECK(equal(dw, e.dw));
  CHECK(equal(db, e.db));
  Tensor none;
  dw = support::unwritten(c.w, d);
  cuda::conv_weight_grad(mut_ref(dw), mut_ref(none), ref(x), ref(g), c.p, sums);
  CHECK(equal(dw, e.dw));
}

/// f32 products in TF32 until the end of the scope.
struct WithTf32 {
  WithTf32() { set_float32_matmul_precision("high"); }
  ~WithTf32() { set_float32_matmul_precision("highest"); }
};

}  // namespace

TEST_SUITE("cuda conv") {
  TEST_CASE("all directions and dtypes, as the rules choose") {
    for (const Case& c : cases()) {
      const Expected e(c);
      for (const Dtype d : support::kFloats)
        for (const bool odd : {false, true}) check_case(c, e, d, odd, {});
      const WithTf32 fast;
      check_case(c, e, Dtype::f32, false, {});
    }
  }

  TEST_CASE("every tile, with k in one and in several parts") {
    int64_t parts = 1;
    for (const Case& c : cases()) {
      if (c.x[0] == 0 || c.p.groups == c.x[1]) continue;
      const Expected e(c);
      for (const auto& [m, n] : {std::pair{128, 128}, {256, 64}, {128, 64}, {128, 32}, {64, 64}})
        check_case(c, e, n == 32 ? Dtype::f16 : Dtype::bf16, false, {m, n, parts});
      for (const auto& [m, n] : {std::pair{128, 64}, {128, 32}, {64, 64}}) {
        check_case(c, e, Dtype::f32, false, {m, n, parts});
        const WithTf32 fast;
        check_case(c, e, Dtype::f32, false, {m, n, parts});
      }
      for (const auto& [m, n] : {std::pair{128, 32}, {64, 64}}) check_case(c, e, Dtype::f64, false, {m, n, parts});
      parts = 4 - parts;  // 1 and 3
    }
  }

  TEST_CASE("one image at a time, as where 2^31 are exceeded") {
    for (const Case& c : cases()) {
      if (c.x[0] < 2) continue;
      const Expected e(c);
      for (const int64_t parts : {1, 2})
        for (const Dtype d : {Dtype::bf16, Dtype::f32}) check_case(c, e, d, false, {64, 64, parts, 1});
    }
  }

  TEST_CASE("few channels of the result or the source, one image at a time and in any order of threads and blocks") {
    for (const Case& c : cases())
      if (c.x[0] == 2) {
        const Expected e(c);
        for (const Dtype d : {Dtype::bf16, Dtype::f32}) check_case(c, e, d, false, {0, 0, 0, 1});
      }
    const Case c{{1, 20, 4, 19}, {3, 20, 3, 3}, geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 1)};  // and back
    const Expected e(c);
    cuda_emulator::for_each_schedule([&] { check_case(c, e, Dtype::f32, false, {}); });
  }

  TEST_CASE("few channels of halves go to tensor cores where those take fewer instructions") {
    const auto gains = [](Dtype d, int64_t from, int64_t to, int64_t groups) {
      const Shape x{1, from * groups, 56, 56}, w{to * groups, from, 3, 3}, y{1, to * groups, 56, 56};
      const auto of = [&](const Shape& s) { return ref(nullptr, d, s.data(), nullptr, s.size()); };
      const cuda::ConvGeometry p(of(x), of(w), of(y), geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, groups));
      const int unit = cuda::unit_of(p, from, d);
      const int64_t units = cuda::ceil_div(from * static_cast<int64_t>(itemsize(d)), int64_t{unit});
      const cuda::Windows windows = cuda::innermost_last(cuda::Windows::of_input(p, groups * units));
      CHECK(cuda::sliding_phases(windows) == 1);
      return std::pair(cuda::few_windows_gain(d, to, windows, units, unit, 64 * groups),
                       cuda::few_weight_grad_gains(d, to, 9, units, unit));
    };
    CHECK(gains(Dtype::f32, 64, 8, 1) == std::pair(true, true));
    CHECK(gains(Dtype::f32, 64, 9, 1) == std::pair(false, false));
    CHECK(gains(Dtype::bf16, 64, 1, 1) == std::pair(true, true));
    CHECK(gains(Dtype::bf16, 64, 8, 1) == std::pair(false, false));
    CHECK(gains(Dtype::bf16, 4, 4, 32) == std::pair(true, true));
    const int64_t n = 4096;
    const Shape x{1, n, 7, 7}, y{1, 3, 1, 1};
    const cuda::ConvGeometry whole(ref(nullptr, Dtype::f32, x.data(), nullptr, 4),
                                   ref(nullptr, Dtype::f32, x.data(), nullptr, 4),
                                   ref(nullptr, Dtype::f32, y.data(), nullptr, 4), ConvParams::plain(2));
    CHECK_FALSE(cuda::few_windows_gain(Dtype::f32, 3, cuda::Windows::of_input(whole, n / 4), n / 4, 16, 1));
  }

  TEST_CASE("few channels of the source go to tensor cores in TF32 and halves") {
    const auto gains = [](Dtype d, int64_t from, int64_t to) {
      const Shape x{1, from, 56, 56}, w{to, from, 3, 3}, y{1, to, 56, 56};
      const auto of = [&](const Shape& s) { return ref(nullptr, d, s.data(), nullptr, s.size()); };
      const cuda::ConvGeometry p(of(x), of(w), of(y), geometry({1, 1}, {1, 1}, {1, 1}, {1, 1}, 1));
      return cuda::narrow_windows_gain(d, to, from, cuda::innermost_last(cuda::Windows::of_input(p, from)));
    };
    CHECK(gains(Dtype::f32, 3, 64));
    CHECK(gains(Dtype::f64, 3, 64));
    CHECK_FALSE(gains(Dtype::f32, 9, 64));
    CHECK_FALSE(gains(Dtype::f32, 3, 8));
    CHECK_FALSE(gains(Dtype::bf16, 3, 64));
    const WithTf32 fast;
    CHECK_FALSE(gains(Dtype::f32, 3, 64));
  }

  TEST_CASE("tiles and parts for a card of 132 multiprocessors") {
    const auto plan = [](int32_t m, int32_t n, int32_t stages) {
      cuda::ConvProduct p{};
      p.m = m, p.n = n, p.stages = stages;
      return cuda::choose_plan<bf16, 16, true>({}, p, 1, true, 132);
    };
    const ConvPlan wide = plan(50176, 128, 36), narrow = plan(200704, 64, 18), few = plan(200704, 12, 18),
                   small = plan(784, 512, 144);
    CHECK(std::array{wide.m, wide.n} == std::array{128, 128});
    CHECK(std::array{narrow.m, narrow.n} == std::array{256, 64});
    CHECK(std::array{few.m, few.n} == std::array{128, 32});
    CHECK(wide.parts == 1);
    CHECK(small.parts > 1);
  }

  TEST_CASE("numbers with rounding, beside the CPU") {
    const Case c{{2, 24, 15, 14}, {72, 24, 3, 3}, geometry({2, 1}, {1, 1}, {1, 1}, {1, 1}, 1)};
    const Shape ys = output_of(c);
    manual_seed(1);
    const Tensor x = randn(c.x, {Dtype::f64}), w = randn(c.w, {Dtype::f64}), g = randn(ys, {Dtype::f64});
    // Errors beside the largest result, which is some four times the usual one.
    const auto check = [&](Dtype d, double tolerance) {
      CAPTURE(d);
      const auto in = [&](const Tensor& t) { return support::channels_last(t.to(d)); };
      const auto exact = [&](const Tensor& t) { return support::channels_last(t.to(d).to(Dtype::f64)); };
      const auto close = [&](const Tensor& got, const Tensor& expected) {
        double scale = 0;
        for (const double v : values(expected)) scale = std::max(scale, std::fabs(v));
        CHECK(support::difference(got.to(Dtype::f64).contiguous(), expected.contiguous(), scale) <= tolerance);
      };
      Tensor y = last(ys, d), dx = last(c.x, d), dw = support::unwritten(c.w, d), none;
      Tensor y0 = last(ys, Dtype::f64), dx0 = last(c.x, Dtype::f64), dw0 = support::unwritten(c.w, Dtype::f64);
      const Tensor x1 = exact(x), w1 = exact(w), g1 = exact(g), x2 = in(x), w2 = in(w), g2 = in(g);
      kernels::conv(DeviceType::cpu, mut_ref(y0), ref(x1), ref(w1), {}, c.p);
      kernels::conv_input_grad(DeviceType::cpu, mut_ref(dx0), ref(g1), ref(w1), {}, c.p);
      kernels::conv_weight_grad(DeviceType::cpu, mut_ref(dw0), mut_ref(none), ref(x1), ref(g1), c.p);
      cuda::conv(mut_ref(y), ref(x2), ref(w2), {}, c.p);
      cuda::conv_input_grad(mut_ref(dx), ref(g2), ref(w2), {}, c.p);
      cuda::conv_weight_grad(mut_ref(dw), mut_ref(none), ref(x2), ref(g2), c.p);
      close(y, y0);
      close(dx, dx0);
      close(dw, dw0);
    };
    // A sum of up to 648 products is rounded as often, in f32 or f64; a half's result once more; TF32 rounds operands
    // to 11 bits.
    check(Dtype::f64, 16 * support::epsilon(Dtype::f64));
    check(Dtype::f32, 8 * support::epsilon(Dtype::f32));
    check(Dtype::bf16, 0.5 * support::epsilon(Dtype::bf16));
    check(Dtype::f16, 0.5 * support::epsilon(Dtype::f16));
    const WithTf32 fast;
    check(Dtype::f32, 0x1p-11);
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
