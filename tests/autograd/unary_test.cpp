// What the rows of op_table_unary.cpp do not ask: special values, layouts, integers, errors.
#include <cmath>
#include <functional>
#include <limits>

#include "derivative.h"
#include "support/here.h"
#include "weft/autograd/ops/elementwise/activation.h"

using namespace weft;
using namespace weft::test;

TEST_SUITE("unary") {
  DEVICE_TEST_CASE("layouts are kept and strides are walked") {
    const Tensor x = ramp({2, 3, 4, 5}, 0.1, 1.9), last = x.contiguous(MemoryFormat::channels_last);
    const Tensor want = exp(x);
    CHECK(exp(last).is_channels_last());
    CHECK(equal(exp(last), want));
    CHECK(equal(exp(x.transpose(1, 3)), want.transpose(1, 3)));
    CHECK(equal(exp(x.slice(3, 0, 5, 2)), want.slice(3, 0, 5, 2)));
    CHECK(equal(exp(x.select(1, 1).unsqueeze(0).expand({3, 2, 4, 5})),
                want.select(1, 1).unsqueeze(0).expand({3, 2, 4, 5})));
  }

  DEVICE_TEST_CASE("relu and its family let the gradient pass at NaN, clamp does not") {
    const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
    using Op = std::function<Tensor(const Tensor&)>;
    const std::vector<std::pair<Op, double>> ops = {{[](const Tensor& x) { return relu(x); }, 1},
                                                    {relu6, 1},
                                                    {[](const Tensor& x) { return hardtanh(x, -3, 0.5); }, 1},
                                                    {hardswish, 1},
                                                    {[](const Tensor& x) { return elu(x, 0.3); }, 1},
                                                    {[](const Tensor& x) { return celu(x, 2); }, 1},
                                                    {selu, 1.0507009873554805},
                                                    {[](const Tensor& x) { return leaky_relu(x, 0.25); }, 0.25},
                                                    {[](const Tensor& x) { return clamp(x, -1, 1); }, 0},
                                                    {[](const Tensor& x) { return clamp(x, {}, 1); }, 0}};
    // 19 elements: whole vectors and what is left behind them
    for (const Dtype d : {Dtype::f64, Dtype::f32, Dtype::bf16, Dtype::f16})
      for (const auto& [op, slope] : ops)
        for (const bool create_graph : {false, true}) {
          const Tensor x = full_like(ramp({19}).to(d), nan).set_requires_grad();
          const Tensor g = grad(sum(op(x)), {x}, {.create_graph = create_graph})[0];
          CHECK(allclose(g.to(Dtype::f64), full_like(ramp({19}), slope), 4e-3, 0));  // bf16's 8 bits
        }
    // celu does not overflow on the way, and a bound that is not there bounds no infinity
    CHECK(celu(here::tensor({1e308}), 0.5).item<double>() == 1e308);
    const Tensor x = here::tensor({inf, 0., -inf}).set_requires_grad();
    CHECK(grad(sum(clamp(x, -1)), {x})[0].to_vector<double>() == std::vector<double>{1, 1, 0});
    CHECK(grad(sum(clamp(x, {}, 1)), {x})[0].to_vector<double>() == std::vector<double>{0, 1, 1});
    const Tensor lost = clamp(x, nan, 1.0);
    CHECK(all(isnan(lost)).item<bool>());
    CHECK(grad(sum(lost), {x})[0].to_vector<double>() == std::vector<double>{0, 0, 0});
  }

  DEVICE_TEST_CASE("clamp between tensors: who has the gradient") {
    const double nan = std::nan("");
    //                               inside  on low  on high  on both  crossed  NaN  NaN bound
    const Tensor x = here::tensor({0.5, 0., 1., 2., 0.5, nan, 0.5}).set_requires_grad();
    const Tensor lo = here::tensor({0., 0., 0., 2., 1., 0., nan}).set_requires_grad();
    const Tensor hi = here::tensor({1., 1., 1., 2., 0., 1., 1.}).set_requires_grad();
    for (const bool create_graph : {false, true}) {
      const std::vector<Tensor> g = grad(sum(clamp(x, lo, hi)), {x, lo, hi}, {.create_graph = create_graph});
      CHECK(g[0].to_vector<double>() == std::vector<double>{1, 0.5, 0.5, 1, 0, 1, 1});
      CHECK(g[1].to_vector<double>() == std::vector<double>{0, 0.5, 0, 0, 0, 0, 0});
      CHECK(g[2].to_vector<double>() == std::vector<double>{0, 0, 0.5, 0, 1, 0, 0});
    }
  }

  DEVICE_TEST_CASE("prelu: a slope that is not finite stays below 0") {
    const Tensor x = here::tensor({3., -2.}, Shape{2, 1}).set_requires_grad();
    const Tensor w = here::tensor({-std::numeric_limits<double>::infinity()}).set_requires_grad();
    const std::vector<Tensor> g = grad(sum(prelu(x, w)), {x, w});
    CHECK(g[0].to_vector<double>() == std::vector<double>{1, -std::numeric_limits<double>::infinity()});
    CHECK(g[1].item<double>() == -2);
  }

  DEVICE_TEST_CASE("dtypes of integers and bool") {
    const Tensor i = here::tensor<int64_t>({-3, 0, 4}), b = here::tensor(std::vector<bool>{true, false});
    CHECK(exp(i).dtype() == Dtype::f32);
    CHECK(sigmoid(b).dtype() == Dtype::f32);
    CHECK(abs(i).to_vector<int64_t>() == std::vector<int64_t>{3, 0, 4});
    CHECK(neg(i).to_vector<int64_t>() == std::vector<int64_t>{3, 0, -4});
    CHECK(sign(i).to_vector<int64_t>() == std::vector<int64_t>{-1, 0, 1});
    CHECK(relu(i).dtype() == Dtype::i64);
    CHECK(floor(i).dtype() == Dtype::i64);
    CHECK(square(b).dtype() == Dtype::i64);
    CHECK(clamp(i, -1, 2).to_vector<int64_t>() == std::vector<int64_t>{-1, 0, 2});
    CHECK(clamp(i, 0.5).dtype() == Dtype::f32);
    CHECK(isnan(i).dtype() == Dtype::boolean);
    CHECK_THROWS_AS((void)neg(b), DtypeError);
    CHECK_THROWS_AS((void)relu(b), DtypeError);
    CHECK_THROWS_AS((void)clamp(i, std::nullopt), ValueError);
    CHECK_THROWS_AS((void)hardtanh(exp(i), 1, -1), ValueError);
  }

  DEVICE_TEST_CASE("NaN, infinities and zeros") {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
    for (Dtype d : {Dtype::f32, Dtype::f64}) {
      const Tensor x = here::tensor<double>({nan, inf, -inf, -0.0, 0.0}).to(d);
      CHECK(isnan(x).to_vector<bool>() == std::vector<bool>{true, false, false, false, false});
      CHECK(isinf(x).to_vector<bool>() == std::vector<bool>{false, true, true, false, false});
      CHECK(isfinite(x).to_vector<bool>() == std::vector<bool>{false, false, false, true, true});
      auto values = [&](const Tensor& y, std::vector<double> want) {
        CHECK(allclose(y, here::tensor(want), 1e-6, 0, true));
      };
      values(relu(x), {nan, inf, 0, 0, 0});
      values(exp(x), {nan, inf, 0, 1, 1});
      values(tanh(x), {nan, 1, -1, 0, 0});
      values(sigmoid(x), {nan, 1, 0, 0.5, 0.5});
      values(softshrink(x), {nan, inf, -inf, 0, 0});
      values(softplus(x), {nan, inf, 0, std::log(2.0), std::log(2.0)});
      values(log(x), {nan, inf, nan, -inf, -inf});
      values(clamp(x, -1, 1), {nan, 1, -1, 0, 0});
      values(erf(x), {nan, 1, -1, 0, 0});
      CHECK(std::signbit(neg(x).to_vector<double>()[4]));
    }
  }

  DEVICE_TEST_CASE("gradients at kinks are PyTorch's") {
    auto slope = [](Tensor (*f)(const Tensor&), double at) {
      Tensor x = here::full({}, at, Dtype::f64).set_requires_grad();
      const double fused = grad(f(x), {x})[0].item<double>(),
                   composite = grad(f(x), {x}, {.create_graph = true})[0].item<double>();
      CHECK(fused == composite);
      return fused;
    };
    CHECK(slope(abs, 0) == 0);
    CHECK(slope(relu, 0) == 0);
    CHECK(slope(relu6, 6) == 0);
    CHECK(slope([](const Tensor& x) { return clamp(x, -3, 3); }, 3) == 0);
    CHECK(slope([](const Tensor& x) { return leaky_relu(x, 0.1); }, 0) == 0.1);
    CHECK(slope([](const Tensor& x) { return elu(x, 1.5); }, 0) == 1.5);
    CHECK(slope(hardswish, -3) == 0);
    CHECK(slope(hardswish, 3) == 1);
    CHECK(slope(hardsigmoid, 3) == 0);
  }

  DEVICE_TEST_CASE("prelu: one weight, one per channel") {
    check_derivatives([](const std::vector<Tensor>& v) { return prelu(v[0], v[1]); },
                      {ramp({2, 3, 4}), ramp({3}, 0.1, 0.4)});
    check_derivatives([](const std::vector<Tensor>& v) { return prelu(v[0], v[1]); }, {ramp({5}), ramp({1}, 0.1, 0.4)});
    CHECK_THROWS_AS((void)prelu(ramp({2, 3}), ramp({4})), ShapeError);
  }

  DEVICE_TEST_CASE("second derivatives stay finite far from the kink") {
    Tensor x = here::tensor<double>({200, -200}).set_requires_grad();
    Tensor g = grad(sum(elu(x)), {x}, {.create_graph = true})[0];
    CHECK(all(isfinite(grad(sum(g), {x})[0])).item<bool>());
  }
}
