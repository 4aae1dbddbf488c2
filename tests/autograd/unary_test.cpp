// What the rows of op_table_unary.cpp do not ask: special values, layouts, integers, errors.
#include <cmath>
#include <limits>

#include "derivative.h"
#include "support/here.h"
#include "weft/autograd/ops/activation.h"

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
