// Unit-scaled ops are the plain ones between factors: values, gradients and second derivatives are compared with those
// of the plain op, and the factors with the formulas.
#include <array>

#include "nn/support.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/nn/unit_scaled/unit_scaled.h"

using namespace weft;
using namespace weft::test;
namespace us = weft::unit_scaled;
using support::message_of;
using us::Constraint;

namespace {

using Inputs = std::vector<Tensor>;
using Fn = std::function<Tensor(const Inputs&)>;

Tensor unit_leaf(const Shape& shape, uint64_t seed, Dtype dtype = Dtype::f64) {
  Generator g(seed);
  return randn(shape, dtype, &g).to(support::device()).set_requires_grad();
}

/// scaled(x) = output plain(x), and its gradients are `factors` times those of plain.
void check_scales(const Fn& scaled, const Fn& plain, const Inputs& x, double output,
                  const std::vector<double>& factors) {
  const Tensor y = scaled(x), z = plain(x);
  // f64: a few roundings
  CHECK(allclose(y, z * output, 1e-12, 1e-13));
  Generator g(99);
  const Tensor gy = randn(y.shape(), y.dtype(), &g).to(support::device());
  const Inputs a = grad(y, x, {.grad_outputs = {gy}}), b = grad(z, x, {.grad_outputs = {gy}});
  for (size_t i = 0; i < x.size(); ++i) {
    CAPTURE(i);
    CHECK(allclose(a[i], b[i] * factors[i], 1e-11, 1e-12));
  }
}

double std_of(const Tensor& x) { return std::sqrt(mean(square(x.detach().to(Dtype::f64))).item<double>()); }

}  // namespace

TEST_SUITE_BEGIN("unit scaled");

DEVICE_TEST_CASE("scale_fwd and scale_bwd, to the second order") {
  const Tensor x = unit_leaf({3, 4}, 1), gy = unit_leaf({3, 4}, 2);
  struct Case {
    Tensor (*f)(const Tensor&, double);
    double scale, forward, backward;
  };
  for (const Case& c : {Case{us::scale_fwd, 2.5, 2.5, 1}, {us::scale_bwd, -0.75, 1, -0.75}, {us::scale_bwd, 1, 1, 1}}) {
    const Tensor y = c.f(x, c.scale);
    CHECK(allclose(y, x * c.forward, 0, 0));
    const Tensor gx = grad(y, {x}, {.create_graph = true, .grad_outputs = {gy}})[0];
    CHECK(allclose(gx, gy * c.backward, 0, 0));
    // d(sum gx^2)/d gy = 2 backward^2 gy
    const Tensor second = grad(sum(square(gx)), {gy})[0];
    CHECK(allclose(second, gy * (2 * c.backward * c.backward), 1e-14, 0));
  }
  // Second derivatives in x pass the node again, and take the factor again: d/dx (3 b x^2) = b 6 b x.
  const Tensor cube = us::scale_bwd(x, 0.5);
  const Tensor gx = grad(sum(cube * cube * cube), {x}, {.create_graph = true})[0];
  CHECK(allclose(gx, square(x) * 1.5, 1e-14, 0));
  CHECK(allclose(grad(sum(gx), {x})[0], x * 1.5, 1e-14, 0));
  CHECK(us::scale_bwd(x, 2).raw_data() == x.raw_data());
  CHECK(has(message_of<DtypeError>([] { us::scale_fwd(here::zeros({2}, Dtype::i64), 2); }), {"scale_fwd", "i64"}));
}

DEVICE_TEST_CASE("scales of halves stay in f32") {
  // 0.288675 is not a bf16; times 1.5 it rounds to another one than the rounded factor would give.
  const Tensor x = here::full({4}, 1.5).to(Dtype::bf16);
  CHECK(us::scale_fwd(x, 0.288675).to_vector<float>() ==
        here::full({4}, 1.5 * 0.288675).to(Dtype::bf16).to_vector<float>());
}

TEST_CASE("constraints") {
  const std::array<double, 2> pair = {0.5, 2};
  auto tied = [&](Constraint c) {
    std::array<double, 2> s = pair;
    us::apply_constraint("op", c, s);
    if (c != Constraint::none) CHECK(s[0] == s[1]);
    return s;
  };
  CHECK(tied(Constraint::none) == pair);
  CHECK(tied(Constraint::gmean)[0] == doctest::Approx(1));
  CHECK(tied(Constraint::hmean)[0] == doctest::Approx(0.8));
  CHECK(tied(Constraint::amean)[0] == doctest::Approx(1.25));
  CHECK(tied(Constraint::to_output_scale)[0] == 0.5);
  CHECK(tied(Constraint::to_grad_input_scale)[0] == 2);
  std::array<double, 3> three = {1, 2, 3};
  us::apply_constraint("op", Constraint::to_right_grad_scale, three);
  CHECK(three == std::array<double, 3>{3, 3, 3});
  three = {1, 2, 3};
  us::apply_constraint("op", Constraint::to_left_grad_scale, three);
  CHECK(three[0] == 2);

  CHECK(us::constraint("") == Constraint::none);
  CHECK(us::constraint("none") == Constraint::none);
  CHECK(us::constraint("to_right_grad_scale") == Constraint::to_right_grad_scale);
  for (const char* word : {"median", "pow", "Gmean"})
    CHECK(has(message_of<ValueError>([&] { us::constraint(word); }), {"constraint", word}));
  auto wrong = [](Constraint c) {
    return message_of<ValueError>([&] { us::gelu(here::zeros({2}), {.constraint = c}); });
  };
  CHECK(has(wrong(Constraint::to_left_grad_scale), {"gelu", "constraint", "to_left_grad_scale"}));
  const Tensor m = here::zeros({2, 2});
  CHECK(has(message_of<ValueError>([&] { us::matmul(m, m, Constraint::to_grad_input_scale); }),
            {"matmul", "to_grad_input_scale"}));
}

DEVICE_TEST_CASE("nonlinearities: factors of the specification") {
  const Inputs x = {unit_leaf({5, 7}, 3)};
  struct Row {
    double mult, gelu, gelu_grad, silu, silu_grad;
  };
  // printed to six digits there, so the factors are compared as such below
  for (const Row& r : {Row{1, 1.766783, 1.515717, 1.766783, 1.681793},
                       {2, 1.728546, 1.443341, 1.728546, 1.515717},
                       {0.5, 1.850869, 1.681793, 1.850869, 1.866066}}) {
    CAPTURE(r.mult);
    const double m = r.mult;
    const auto factor = [&](const Fn& scaled, const Fn& plain) {
      const Tensor y = scaled(x), z = plain(x);
      const double out = (sum(y) / sum(z)).item<double>();
      return std::pair(out, (sum(grad(sum(y), x)[0]) / sum(grad(sum(z), x)[0])).item<double>());
    };
    for (const Approximate a : {Approximate::none, Approximate::tanh}) {
      const Fn plain = [&](const Inputs& v) { return gelu(v[0] * m, a) / m; };
      const auto [out, back] = factor(
          [&](const Inputs& v) {
            return us::gelu(v[0], {.mult = m, .constraint = Constraint::none, .approximate = a});
          },
          plain);
      CHECK(out == doctest::Approx(r.gelu).epsilon(1e-6));
      CHECK(back == doctest::Approx(r.gelu_grad).epsilon(1e-6));
      check_scales([&](const Inputs& v) { return us::gelu(v[0], {.mult = m, .approximate = a}); }, plain, x, out,
                   {out});
    }
    const Fn plain = [&](const Inputs& v) { return v[0] * sigmoid(v[0] * m); };
    const auto [out, back] = factor(
        [&](const Inputs& v) { return us::silu(v[0], {.mult = m, .constraint = Constraint::none}); }, plain);
    CHECK(out == doctest::Approx(r.silu).epsilon(1e-6));
    CHECK(back == doctest::Approx(r.silu_grad).epsilon(1e-6));
    check_scales([&](const Inputs& v) { return us::silu(v[0], {.mult = m, .constraint = Constraint::gmean}); }, plain,
                 x, std::sqrt(out * back), {std::sqrt(out * back)});
    const Inputs two = {x[0], unit_leaf({5, 7}, 4)};
    check_scales([&](const Inputs& v) { return us::silu_glu(v[0], v[1], m); },
                 [&](const Inputs& v) { return v[0] * v[1] * sigmoid(v[1] * m); }, two, back, {back, back});

    const double a = 1 / (1 + 4 / (m * m)), n = 7;
    const double so = std::pow(n, 1 - a) * std::pow(n, a / 2), sg = std::pow(n / m, 1 - a / 2);
    check_scales([&](const Inputs& v) { return us::softmax(v[0], 1, {.mult = m, .constraint = Constraint::none}); },
                 [&](const Inputs& v) { return softmax(v[0] * m, 1); }, x, so, {sg});
  }
  for (const double mult : {0.0, -1.0})
    CHECK(has(message_of<ValueError>([&] { us::silu(x[0], {.mult = mult}); }), {"silu", "mult"}));
}

DEVICE_TEST_CASE("where output and gradient scale agree, the gradient is the derivative") {
  const Tensor x = unit_leaf({3, 4}, 5), w = unit_leaf({4, 4}, 6).detach();
  CHECK(gradcheck([](const Inputs& v) { return us::gelu(v[0], {.mult = 1.5}); }, {x}));
  CHECK(gradcheck([](const Inputs& v) { return us::silu(v[0]); }, {x}));
  CHECK(gradcheck([](const Inputs& v) { return us::softmax(v[0], -1, {.mult = 0.5}); }, {x}));
  CHECK(gradcheck([](const Inputs& v) { return us::silu_glu(v[0], v[0] * 2, 1); }, {x}) == true);
  CHECK(gradcheck([&](const Inputs& v) { return us::linear(v[0], w); }, {x}));
  CHECK(gradcheck([&](const Inputs& v) { return us::matmul(v[0], v[1]); }, {x, unit_leaf({4, 5}, 7)}));
  CHECK(gradcheck([](const Inputs& v) { return us::add(v[0], v[1]); }, {x, unit_leaf({4}, 8)}));
  CHECK(gradcheck(
      [](const Inputs& v) { return us::residual_apply([](const Tensor& r) { return us::gelu(r); }, v[0], 0.5); }, {x}));
}

DEVICE_TEST_CASE("linear, matmul, add, dropout") {
  const Inputs x = {unit_leaf({2, 3, 6}, 1), unit_leaf({9, 6}, 2), unit_leaf({9}, 3)};
  const Fn plain = [](const Inputs& v) { return linear(v[0], v[1], v[2]); };
  const double w = 1 / std::sqrt(6.0);  // 6 rows of x
  check_scales([](const Inputs& v) { return us::linear(v[0], v[1], v[2], {.constraint = Constraint::none}); }, plain, x,
               1 / std::sqrt(6.0), {1 / 3.0, w, w});
  check_scales([](const Inputs& v) { return us::linear(v[0], v[1], v[2]); }, plain, x, 1 / std::sqrt(6.0),
               {1 / std::sqrt(6.0), w, w});
  check_scales([](const Inputs& v) { return us::linear_readout(v[0], v[1], v[2]); }, plain, x, 1 / 6.0,
               {1 / 3.0, w, w});
  CHECK(has(message_of<ShapeError>([&] { us::linear(x[0], x[2]); }), {"linear", "weight"}));

  const Inputs m = {unit_leaf({2, 3, 4}, 4), unit_leaf({2, 4, 5}, 5)};
  check_scales([](const Inputs& v) { return us::matmul(v[0], v[1], Constraint::none); },
               [](const Inputs& v) { return matmul(v[0], v[1]); }, m, 0.5, {1 / std::sqrt(5.0), 1 / std::sqrt(3.0)});
  const double g = std::cbrt(0.5 / std::sqrt(15.0));
  check_scales([](const Inputs& v) { return us::matmul(v[0], v[1], Constraint::gmean); },
               [](const Inputs& v) { return matmul(v[0], v[1]); }, m, g, {g, g});

  const Inputs a = {unit_leaf({3, 4}, 6), unit_leaf({4}, 7)};
  const double half = 1 / std::sqrt(2.0);
  check_scales([](const Inputs& v) { return us::add(v[0], v[1], Constraint::none); },
               [](const Inputs& v) { return v[0] + v[1]; }, a, half, {1, 1 / std::sqrt(3.0)});
  const Inputs one = {unit_leaf({3, 4}, 8), unit_leaf({1}, 9)};
  check_scales([](const Inputs& v) { return us::add(v[0], v[1], Constraint::none); },
               [](const Inputs& v) { return v[0] + v[1]; }, one, 1, {1, 1 / std::sqrt(12.0)});
  CHECK(allclose(us::add(a[0], 2), a[0] + 2, 0, 0));

  check_scales([](const Inputs& v) { return us::dropout(v[0], 0.36, false); }, [](const Inputs& v) { return v[0] * 1; },
               {a[0]}, 0.8, {0.8});
  manual_seed(5);
  const Tensor dropped = us::dropout(here::ones({64, 64}), 0.36);
  const std::vector<float> kept = dropped.to_vector<float>();
  CHECK(std::all_of(kept.begin(), kept.end(), [](float v) { return v == 0 || std::fabs(v - 1.25f) < 1e-6f; }));
  CHECK(std_of(dropped) == doctest::Approx(1).epsilon(0.05));
}

DEVICE_TEST_CASE("norms, embedding, residual branches") {
  const Inputs x = {unit_leaf({2, 5, 8}, 1), unit_leaf({8}, 2), unit_leaf({8}, 3)};
  const double w = 1 / std::sqrt(10.0);
  check_scales([](const Inputs& v) { return us::layer_norm(v[0], {8}, v[1], v[2]); },
               [](const Inputs& v) { return layer_norm(v[0], {8}, v[1], v[2]); }, x, 1, {1, w, w});
  check_scales([](const Inputs& v) { return us::rms_norm(v[0], {8}, v[1]); },
               [](const Inputs& v) { return rms_norm(v[0], {8}, v[1], 1e-5); }, {x[0], x[1]}, 1, {1, w});
  const Tensor index = here::tensor({1, 3, 3, 0, 6}, Shape{5}).to(Dtype::i64);
  check_scales([&](const Inputs& v) { return us::embedding(index, v[0]); },
               [&](const Inputs& v) { return embedding(index, v[0]); }, {unit_leaf({7, 4}, 4)}, 1,
               {std::sqrt(7 / 5.0)});

  const double size = std::sqrt(1.25), r = 0.5 / size, s = 1 / size;
  const auto [residual, skip] = us::residual_split(x[0], 0.5);
  CHECK(
      allclose(grad(sum(residual), {x[0]}, {.retain_graph = true})[0], here::full({2, 5, 8}, r, Dtype::f64), 1e-14, 0));
  CHECK(allclose(grad(sum(skip), {x[0]})[0], here::full({2, 5, 8}, s, Dtype::f64), 1e-14, 0));
  const Inputs two = {x[0], unit_leaf({2, 5, 8}, 5)};
  const Tensor y = us::residual_add(two[0], two[1], 0.5);
  CHECK(allclose(y, two[0] * r + two[1] * s, 1e-14, 1e-14));
  for (const Tensor& g : grad(sum(y), two)) CHECK(allclose(g, here::ones({2, 5, 8}, Dtype::f64), 0, 0));
}

DEVICE_TEST_CASE("losses") {
  const Inputs x = {unit_leaf({4, 5}, 1)};
  const Tensor target = here::tensor({1, 4, -100, 0}).to(Dtype::i64);
  const Fn plain = [&](const Inputs& v) { return cross_entropy(v[0], target, {.reduction = Reduction::sum}); };
  check_scales([&](const Inputs& v) { return us::cross_entropy(v[0], target); },
               [&](const Inputs& v) { return plain(v); }, x, 0.25, {2.5});  // 5 / sqrt 4, and no 1 / 4
  check_scales([&](const Inputs& v) { return us::cross_entropy(v[0], target, {.reduction = Reduction::sum}); }, plain,
               x, 1, {2.5});
  // the gradient has no factor mult
  check_scales([&](const Inputs& v) { return us::cross_entropy(v[0], target, {.mult = 2}); },
               [&](const Inputs& v) { return plain({v[0] * 2}); }, x, 0.25, {1.25});
  check_scales([&](const Inputs& v) { return us::cross_entropy(v[0], here::scalar(int64_t{2})); },
               [&](const Inputs& v) { return cross_entropy(v[0], here::scalar(int64_t{2})); }, {unit_leaf({5}, 2)}, 1,
               {2.5});
  const Inputs two = {unit_leaf({3, 2}, 3), unit_leaf({3, 2}, 4)};
  const double s = 1 / std::sqrt(8.0);
  const Fn squares = [](const Inputs& v) { return sum(square(v[0] - v[1])); };
  check_scales([](const Inputs& v) { return us::mse_loss(v[0], v[1]); }, squares, two, 1 / 6.0, {s, s});
  check_scales([](const Inputs& v) { return us::mse_loss(v[0], v[1], Reduction::sum); }, squares, two, 1, {s, s});
  // A sum that no f16 holds, of which the mean is wanted
  const Tensor half = here::full({300, 300}, 2).to(Dtype::f16);
  CHECK(us::mse_loss(half, half * 0).item<float>() == 4);

  auto error = [&](const us::CrossEntropyOptions& o) {
    return message_of<ValueError>([&] { us::cross_entropy(x[0], target, o); });
  };
  CHECK(has(error({.weight = here::ones({5})}), {"weight"}));
  CHECK(has(error({.label_smoothing = 0.1}), {"label_smoothing"}));
  CHECK(has(error({.reduction = Reduction::none}), {"reduction"}));
  CHECK(has(error({.mult = 0}), {"mult"}));
  CHECK(has(message_of<ShapeError>([&] { us::cross_entropy(here::zeros({2, 3, 4}), target); }), {"[2, 3, 4]"}));
  CHECK(has(message_of<ShapeError>([&] { us::mse_loss(two[0], here::zeros({3}, Dtype::f64)); }), {"shape"}));
}

DEVICE_TEST_CASE("convolutions: scales by the formulas") {
  // The specification's example
  const auto scales = [](Constraint c) {
    return us::detail::conv_scales("conv", {3, 4, 9}, {8, 4, 3}, {{1}, {1}, {1}, {1}, 1}, c);
  };
  CHECK(scales(Constraint::none).output == doctest::Approx(0.288675).epsilon(1e-5));
  CHECK(scales(Constraint::none).input == doctest::Approx(0.204124).epsilon(1e-5));
  CHECK(scales(Constraint::none).weight == doctest::Approx(0.192450).epsilon(1e-5));
  CHECK(scales(Constraint::gmean).output == doctest::Approx(0.242746).epsilon(1e-5));
  CHECK(scales(Constraint::hmean).input == doctest::Approx(0.239146).epsilon(1e-5));
  CHECK(scales(Constraint::amean).output == doctest::Approx(0.246400).epsilon(1e-5));

  const Inputs x = {unit_leaf({2, 4, 7, 6}, 1), unit_leaf({6, 2, 3, 2}, 2), unit_leaf({6}, 3)};
  const double w = std::pow(2 * 4 * 5, -0.25);
  check_scales(
      [](const Inputs& v) {
        return us::conv2d(v[0], v[1], v[2],
                          {.stride = {2, 1},
                           .padding = {1, 0},
                           .groups = 2,
                           .constraint = Constraint::none,
                           .scale_power = {1.0, 0.5, 0.25}});
      },
      [](const Inputs& v) {
        return conv2d(v[0], v[1], v[2], {.stride = {2, 1}, .padding = {1, 0}, .groups = 2});
      },
      x, 1 / 12.0, {std::sqrt(2 * 2 / 36.0), w, w});

  // Transposed: [2, 4, 5, 6] -> [2, 6, 10, 6], taps of an output 2 * 6 / 2 on average, of an input's gradient 3 * 6.
  const Inputs t = {unit_leaf({2, 4, 5, 6}, 4), unit_leaf({4, 3, 3, 2}, 5), unit_leaf({6}, 6)};
  check_scales(
      [](const Inputs& v) {
        return us::conv_transpose2d(v[0], v[1], v[2],
                                    {.stride = {2, 1},
                                     .padding = {1, 0},
                                     .output_padding = {1, 0},
                                     .groups = 2,
                                     .constraint = Constraint::none});
      },
      [](const Inputs& v) {
        return conv_transpose2d(v[0], v[1], v[2],
                                {.stride = {2, 1}, .padding = {1, 0}, .output_padding = {1, 0}, .groups = 2});
      },
      t, 1 / std::sqrt(6.0), {1 / std::sqrt(18.0), 1 / std::sqrt(60.0), 1 / std::sqrt(140.0)});

  CHECK(gradcheck([](const Inputs& v) { return us::conv1d(v[0], v[1].detach()); },
                  {unit_leaf({2, 2, 5}, 7), unit_leaf({3, 2, 3}, 8).detach()}));
  // An empty batch has gradients of zero
  const Inputs none = {here::zeros({0, 4, 5}, Dtype::f64), unit_leaf({3, 4, 3}, 9)};
  const Tensor y = us::conv1d(none[0], none[1]);
  CHECK(y.shape() == Shape{0, 3, 3});
  CHECK(allclose(grad(y, {none[1]}, {.grad_outputs = {zeros_like(y)}})[0], here::zeros({3, 4, 3}, Dtype::f64), 0, 0));

  CHECK(has(message_of<ValueError>([&] { us::conv2d(x[0], x[1], {}, {.padding = "same"}); }), {"padding", "same"}));
  CHECK(has(message_of<ValueError>([&] { us::conv2d(x[0], x[1], {}, {.stride = 0}); }), {"stride"}));
  CHECK(has(message_of<ShapeError>([&] { us::conv2d(here::zeros({3, 3}), x[1]); }), {"conv2d"}));
  CHECK(has(message_of<ValueError>([&] { us::conv1d(x[0], x[1], {}, {.constraint = Constraint::to_left_grad_scale}); }),
            {"constraint", "to_left_grad_scale"}));
}

DEVICE_TEST_CASE("normal inputs, weights and upstream gradients give values and gradients of variance 1") {
  // 40000 numbers or more each, and as many sums behind them: deviations of some percent; edges of the padding cost up
  // to 6 %.
  Generator g(11);
  auto unit = [&](const Shape& shape) { return randn(shape, {}, &g).to(support::device()).set_requires_grad(); };
  auto check = [&](const char* what, const Fn& f, const Inputs& x, size_t count) {
    CAPTURE(what);
    const Tensor y = f(x);
    CHECK(std_of(y) == doctest::Approx(1).epsilon(0.08));
    const Inputs grads = grad(y, x, {.grad_outputs = {unit(y.shape()).detach()}});
    for (size_t i = 0; i < count; ++i) {
      CAPTURE(i);
      CHECK(std_of(grads[i]) == doctest::Approx(1).epsilon(0.08));
    }
  };
  constexpr Constraint none = Constraint::none;
  check(
      "conv2d", [&](const Inputs& v) { return us::conv2d(v[0], v[1], {}, {.padding = 1, .constraint = none}); },
      {unit({4, 16, 32, 32}), unit({24, 16, 3, 3})}, 2);
  check(
      "conv2d, stride",
      [&](const Inputs& v) {
        return us::conv2d(v[0], v[1], {}, {.stride = 2, .padding = 1, .groups = 2, .constraint = none});
      },
      {unit({4, 16, 32, 32}), unit({24, 8, 4, 4})}, 2);
  check(
      "conv_transpose2d, stride",
      [&](const Inputs& v) {
        return us::conv_transpose2d(v[0], v[1], {}, {.stride = 2, .padding = 1, .constraint = none});
      },
      {unit({4, 24, 32, 32}), unit({24, 16, 4, 4})}, 2);
  check(
      "linear", [&](const Inputs& v) { return us::linear(v[0], v[1], {}, {.constraint = none}); },
      {unit({512, 96}), unit({160, 96})}, 2);
  check(
      "matmul", [&](const Inputs& v) { return us::matmul(v[0], v[1], none); }, {unit({256, 96}), unit({96, 200})}, 2);
  check(
      "silu_glu", [&](const Inputs& v) { return us::silu_glu(v[0], v[1]); }, {unit({300, 300}), unit({300, 300})}, 0);
}

TEST_SUITE_END();
