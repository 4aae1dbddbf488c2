// Number formats: the integer arithmetic against the definition in f64, and what a SimulateFormat changes.
#include <bit>

#include "nn/support.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/checkpoint.h"
#include "weft/autograd/engine.h"
#include "weft/nn/unit_scaled/unit_scaled.h"

using namespace weft;
using namespace weft::test;
namespace us = weft::unit_scaled;
using support::message_of;

namespace {

constexpr FPRounding kNearest = FPRounding::nearest, kEven = FPRounding::nearest_even,
                     kStochastic = FPRounding::stochastic;

/// The definition: |x| clipped, divided by 2^(127 - 2^(E-1)) as f32 does it, bits added and cut, and multiplied back.
/// f32's subnormals are made in f64, so that no mode of the processor matters.
double reference(float x, const FPFormat& f, uint32_t r = 0) {
  if (std::isnan(x)) return x;
  const int drop = 23 - static_cast<int>(f.mantissa_bits), down = 127 - (1 << (f.exponent_bits - 1));
  const double clipped = std::min<double>(std::fabs(x), f.max_absolute_value()), q = std::ldexp(clipped, -down);
  // the bits of f32(q)
  const uint32_t u = q < 0x1p-126 ? static_cast<uint32_t>(std::nearbyint(std::ldexp(q, 149)))
                                  : std::bit_cast<uint32_t>(static_cast<float>(q));
  uint32_t add = (1u << (drop - 1)) - 1;
  if (f.rounding == kEven) add += u >> drop & 1;
  if (f.rounding == kStochastic) {
    const int bits = f.srbits ? static_cast<int>(f.srbits) : drop;
    add = (r << (drop - bits)) + (drop > bits ? 1u << (drop - bits - 1) : 0);
  }
  const uint32_t cut = (u + add) & ~((1u << drop) - 1);
  const double back = cut < 0x800000u ? std::ldexp(static_cast<double>(cut), -149)
                                      : static_cast<double>(std::bit_cast<float>(cut));
  return std::copysign(std::ldexp(back, down), x);
}

bool same(double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b); }

/// Numbers where something happens: all magnitudes of f32, halves and quarters of the format's steps, bounds, special
/// ones.
std::vector<float> interesting(const FPFormat& f) {
  std::vector<float> x = {0.0f, -0.0f, 1e-45f, -1e-40f, 1.17549435e-38f, 3.4e38f, HUGE_VALF, -HUGE_VALF, NAN};
  Generator g(5);
  for (int e = -149; e < 128; ++e) x.push_back(static_cast<float>(std::ldexp(1 + g.uniform(), e)));
  const int low = 1 - (1 << (f.exponent_bits - 1)), high = (1 << (f.exponent_bits - 1)) - 1;
  for (int e = low - static_cast<int>(f.mantissa_bits) - 3; e <= high; ++e)
    for (int k = 0; k < 40; ++k) {
      // steps around e, in eighths
      const double step = std::ldexp(1.0, std::max(e, low) - static_cast<int>(f.mantissa_bits));
      const double v = std::ldexp(1.0, e) + step * k / 8;
      x.push_back(static_cast<float>(v));
      x.push_back(-std::nextafter(static_cast<float>(v), k % 2 ? 0.0f : 1e30f));
    }
  const auto most = static_cast<float>(f.max_absolute_value());
  for (float v : {most, std::nextafter(most, 0.0f), std::nextafter(most, HUGE_VALF)}) x.push_back(v), x.push_back(-v);
  return x;
}

Tensor quantised(const std::vector<float>& x, const FPFormat& f) { return quantise(here::tensor(x), f); }

}  // namespace

TEST_SUITE_BEGIN("number formats");

TEST_CASE("ranges, names and errors") {
  const FPFormat e4m3(4, 3), e5m2(5, 2, kNearest), e2m1(2, 1, kEven);
  CHECK(e4m3.max_absolute_value() == 240);
  CHECK(e4m3.min_absolute_normal() == 0x1p-7);
  CHECK(e4m3.min_absolute_subnormal() == 0x1p-10);
  CHECK(e5m2.max_absolute_value() == 57344);
  CHECK(e5m2.min_absolute_normal() == 0x1p-15);
  CHECK(e5m2.min_absolute_subnormal() == 0x1p-17);
  CHECK(e2m1.max_absolute_value() == 3);
  CHECK(e2m1.min_absolute_normal() == 0.5);
  CHECK(e2m1.min_absolute_subnormal() == 0.25);
  CHECK(e4m3.name() == "E4M3-SR");
  CHECK(e5m2.name() == "E5M2-RN");
  CHECK(e2m1.name() == "E2M1-RNE");
  for (int64_t e : {1, 8}) CHECK(has(message_of<ValueError>([&] { FPFormat(e, 3); }), {"exponent"}));
  for (int64_t m : {-1, 23}) CHECK(has(message_of<ValueError>([&] { FPFormat(4, m); }), {"mantissa"}));
  CHECK(has(message_of<ValueError>([] { FPFormat(4, 3, kNearest, 2); }), {"srbits", "2"}));
  for (int64_t s : {-1, 21}) CHECK(has(message_of<ValueError>([&] { FPFormat(4, 3, kStochastic, s); }), {"srbits"}));
  CHECK(has(message_of<ValueError>([] { fp_rounding("up"); }), {"rounding", "up"}));
  CHECK(fp_rounding("nearest_even") == kEven);
  const Tensor x = zeros({2});
  CHECK(has(message_of<DtypeError>([&] { quantise(x.to(Dtype::i64), e4m3); }), {"quantise", "i64"}));
  CHECK(has(message_of<DtypeError>([&] { quantise(x, e4m3, x); }), {"bits", "i32"}));
  CHECK(has(message_of<ShapeError>([&] { quantise(x, e4m3, zeros({3}, Dtype::i32)); }), {"bits", "[3]"}));
  CHECK(has(message_of<ValueError>([&] { quantise(x, e5m2, zeros({2}, Dtype::i32)); }), {"stochastic", "E5M2"}));
}

DEVICE_TEST_CASE("every rounding is the definition's, over all magnitudes and ties") {
  for (const int64_t e : {2, 3, 4, 5, 6, 7})
    for (const int64_t m : {0, 1, 2, 3, 7, 10, 21, 22})
      for (const FPRounding r : {kNearest, kEven, kStochastic})
        for (const int64_t srbits : {0, 1}) {
          if (srbits && r != kStochastic) continue;
          const FPFormat f(e, m, r, srbits);
          CAPTURE(f);
          const std::vector<float> x = interesting(f);
          Generator g(1);
          const Tensor bits = r == kStochastic ? randint(0, int64_t{1} << (srbits ? srbits : 23 - m),
                                                         {static_cast<int64_t>(x.size())}, Dtype::i32, &g)
                                               : Tensor();
          const std::vector<int64_t> given = bits.defined() ? bits.to_vector<int64_t>()
                                                            : std::vector<int64_t>(x.size());
          const std::vector<float> y = quantise(here::tensor(x), f, support::here(bits)).to_vector<float>();
          int wrong = 0;
          for (size_t i = 0; i < x.size(); ++i) {
            if (same(y[i], reference(x[i], f, static_cast<uint32_t>(given[i])))) continue;
            if (++wrong < 4)
              MESSAGE(f.name(), ": ", x[i], " gives ", y[i], ", expected ",
                      reference(x[i], f, static_cast<uint32_t>(given[i])));
          }
          CHECK(wrong == 0);
        }
}

DEVICE_TEST_CASE("ties, saturation, NaN and -0") {
  // Steps of E4M3 between 1 and 2 are 1/8; 1.0625 lies half-way between 1 and 1.125, 1.1875 between 1.125 and 1.25.
  const std::vector<float> x = {1.0625f, 1.1875f,    -1.0625f, -1.1875f, 1.07f,
                                300,     -HUGE_VALF, -0.0f,    0x1p-11f, 0x1.8p-10f};
  CHECK(quantised(x, FPFormat(4, 3, kNearest)).to_vector<float>() ==
        std::vector<float>{1, 1.125f, -1, -1.125f, 1.125f, 240, -240, 0, 0, 0x1p-10f});
  CHECK(quantised(x, FPFormat(4, 3, kEven)).to_vector<float>() ==
        std::vector<float>{1, 1.25f, -1, -1.25f, 1.125f, 240, -240, 0, 0, 0x1p-9f});
  for (const FPRounding r : {kNearest, kEven, kStochastic}) {
    const std::vector<float> special = quantised({-0.0f, NAN}, FPFormat(5, 2, r)).to_vector<float>();
    CHECK(std::signbit(special[0]));
    CHECK(std::isnan(special[1]));
  }
}

DEVICE_TEST_CASE("what the format has stays, whatever the rounding, and other dtypes go through f32") {
  Generator g(3);
  const Tensor x = randn({37, 29}, {}, &g).to(support::device());
  for (const FPRounding r : {kNearest, kEven, kStochastic}) {
    const Tensor y = quantise(x, FPFormat(4, 3, r));
    for (const FPRounding again : {kNearest, kEven, kStochastic}) CHECK(equal(quantise(y, FPFormat(4, 3, again)), y));
    CHECK(equal(quantise(y, FPFormat(5, 10, r)), y));
  }
  const FPFormat f(4, 3, kEven);
  const Tensor wide = x.to(Dtype::f64) * (1 + 1e-12);
  CHECK(equal(quantise(wide, f), quantise(wide.to(Dtype::f32), f).to(Dtype::f64)));
  for (const Dtype d : {Dtype::bf16, Dtype::f16}) {
    const Tensor half = x.to(d);
    CHECK(equal(quantise(half, f), quantise(half.to(Dtype::f32), f).to(d)));
  }
  CHECK(equal(quantise(x.t(), f), quantise(x, f).t()));
  CHECK(equal(quantise(x.slice(1, 1, 20), f), quantise(x, f).slice(1, 1, 20)));
  CHECK(quantise(here::zeros({0, 3}), f).shape() == Shape{0, 3});
  CHECK(quantise(here::scalar(1.07), f).item<float>() == 1.125f);
}

DEVICE_TEST_CASE("stochastic rounding keeps the mean, with all bits and with few, and a seed repeats it") {
  // 2^16 draws of a step of 1/8: the mean has a standard deviation of at most 1/8 / 2 / 256 = 0.00025.
  constexpr int64_t n = 1 << 16;
  for (const float v : {1.0375f, 1.1f, -1.2f, 0x1.4p-10f}) {
    CAPTURE(v);
    const double step = std::fabs(v) < 0.1 ? 0x1p-10 : 0.125;
    const Tensor x = here::full({n}, v);
    for (const int64_t srbits : {0, 4, 8}) {
      CAPTURE(srbits);
      Generator g(17), h(17);
      const FPFormat f(4, 3, kStochastic, srbits);
      const Tensor y = quantise(x, f, {}, &g);
      // few bits compare with the middles of 2^srbits intervals
      const double bias = srbits ? step / static_cast<double>(1 << srbits) : 0;
      CHECK(std::fabs(mean(y.to(Dtype::f64)).item<double>() - v) < bias + 5 * step / 512);
      const std::vector<float> got = y.to_vector<float>();
      CHECK(std::all_of(got.begin(), got.end(), [&](float q) { return std::fabs(q - v) < step; }));
      CHECK(equal(quantise(x, f, {}, &h), y));
      CHECK(g.state() == h.state());
      CHECK(g.state().offset == n / 4);
    }
  }
  manual_seed(1);
  const Tensor x = here::full({100}, 1.05f), a = quantise(x, FPFormat(4, 3)), b = quantise(x, FPFormat(4, 3));
  CHECK_FALSE(equal(a, b));
}

DEVICE_TEST_CASE("quantise_fwd and quantise_bwd: one direction each") {
  const FPFormat f(4, 3, kNearest);
  const Tensor x = here::randn({5, 6}).set_requires_grad(), gy = here::randn({5, 6});
  const Tensor y = quantise_fwd(x, f);
  CHECK(equal(y, quantise(x, f)));
  CHECK(equal(grad(y, {x}, {.grad_outputs = {gy}})[0], gy));
  const Tensor z = quantise_bwd(x, f);
  CHECK(equal(z, x));
  CHECK(equal(grad(z, {x}, {.grad_outputs = {gy}})[0], quantise(gy, f)));
  CHECK_FALSE(quantise(x, f).requires_grad());
}

DEVICE_TEST_CASE("SimulateFormat: linear and convolutions of every kind, and nothing else") {
  manual_seed(6);
  const FPFormat forward(4, 3, kNearest), backward(5, 2, kNearest);
  const Tensor x = here::randn({4, 6, 8}).set_requires_grad();
  auto check = [&](auto layer, auto op) {
    layer.to(support::device());
    Tensor y;
    {
      const SimulateFormat on(forward, backward);
      y = layer(x);
      CHECK(equal(relu(x), relu(x.detach())));
    }
    const Tensor gy = here::randn(y.shape());
    const std::vector<Tensor> params = layer.parameters();
    std::vector<Tensor> all = {x};
    all.insert(all.end(), params.begin(), params.end());
    const std::vector<Tensor> got = grad(y, all, {.grad_outputs = {gy}});
    const Tensor z = quantise_bwd(op(layer, quantise_fwd(x, forward), quantise_fwd(layer.weight, forward)), backward);
    const std::vector<Tensor> want = grad(z, all, {.grad_outputs = {gy}});
    CHECK(equal(y, z));
    for (size_t i = 0; i < all.size(); ++i) CHECK(equal(got[i], want[i]));
    CHECK_FALSE(equal(layer(x), y));  // off again
  };
  check(nn::Linear(8, 5), [](auto& l, const Tensor& a, const Tensor& w) { return linear(a, w, l.bias); });
  check(us::Linear(8, 5, {.bias = true}),
        [](auto& l, const Tensor& a, const Tensor& w) { return us::linear(a, w, l.bias); });
  check(nn::Conv1d(6, 4, {.kernel_size = 3}),
        [](auto& l, const Tensor& a, const Tensor& w) { return conv1d(a, w, l.bias); });
  check(us::Conv1d(6, 4, {.kernel_size = 3, .constraint = us::Constraint::none}),
        [](auto&, const Tensor& a, const Tensor& w) {
          return us::conv1d(a, w, {}, {.constraint = us::Constraint::none});
        });
  check(nn::ConvTranspose1d(6, 4, {.kernel_size = 3, .stride = 2}),
        [](auto& l, const Tensor& a, const Tensor& w) { return conv_transpose1d(a, w, l.bias, {.stride = 2}); });

  const Tensor w = here::randn({5, 8});
  const Tensor plain = linear(x, w);
  {
    const SimulateFormat outer(forward, backward);
    const Tensor rounded = linear(x, w);
    {
      const SimulateFormat inner(FPFormat(3, 1, kNearest), backward);
      CHECK_FALSE(equal(linear(x, w), rounded));
    }
    CHECK(equal(linear(x, w), rounded));
    CHECK_THROWS_AS((void)linear(x, here::zeros({5, 7})), ShapeError);
    CHECK(equal(linear(x, w), rounded));  // an error leaves it on
  }
  CHECK(equal(linear(x, w), plain));
}

DEVICE_TEST_CASE("a checkpointed segment is computed again in the formats of its first run") {
  manual_seed(8);
  const Tensor x = here::randn({4, 8}).set_requires_grad(), w = here::randn({8, 8}).set_requires_grad();
  auto block = [&](const Tensor& h) { return square(linear(square(linear(h, w)), w)); };
  auto run = [&](bool again) {
    manual_seed(3);
    Tensor y;
    {
      const SimulateFormat on = simulate_fp8(kNearest);
      y = sum(again ? checkpoint(block, x) : block(x));
    }
    return grad(y, {x, w});
  };
  const std::vector<Tensor> a = run(false), b = run(true);
  CHECK(equal(a[0], b[0]));
  CHECK(equal(a[1], b[1]));
}

DEVICE_TEST_CASE("training in simulated fp8 follows training in f32") {
  auto train = [](bool fp8) {
    manual_seed(4);
    nn::Sequential net(us::Linear(16, 32), us::GELU(), us::Linear(32, 32), us::GELU(), us::LinearReadout(32, 4));
    net.to(support::device());
    const Tensor x = here::randn({64, 16}), target = here::randint(0, 4, {64});
    double loss = 0;
    for (int step = 0; step < 60; ++step) {
      std::optional<SimulateFormat> on;
      if (fp8) on.emplace(FPFormat(4, 3), FPFormat(5, 2));
      net.zero_grad();
      const Tensor l = us::cross_entropy(net(x), target);
      l.backward();
      loss = l.item<double>();
      const NoGrad off;
      // signs alone: a step for all scales
      for (Tensor p : net.parameters()) p.add_(sign(p.grad()), -0.02);
    }
    return loss;
  };
  const double exact = train(false), rounded = train(true);
  CHECK(exact < 0.3);
  CHECK(rounded < 2 * exact + 0.1);
}

TEST_SUITE_END();
