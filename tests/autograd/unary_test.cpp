#include <limits>

#include "derivative.h"
#include "weft/autograd/ops/activation.h"

using namespace weft;
using namespace weft::test;

namespace {
struct Case {
  const char* name;
  Tensor (*op)(const Tensor&);
  double (*reference)(double);
  double lo = -2, hi = 2;  // where it is smooth, or its kinks are not hit
};
#define WEFT_CASE(expr_op, expr_ref) \
  [](const Tensor& x) -> Tensor { return expr_op; }, [](double x) -> double { return expr_ref; }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }

const Case kCases[] = {
    {"abs", WEFT_CASE(abs(x), std::fabs(x))},
    {"neg", WEFT_CASE(-x, -x)},
    {"square", WEFT_CASE(square(x), x* x)},
    {"sqrt", WEFT_CASE(sqrt(x), std::sqrt(x)), 0.5, 3},
    {"rsqrt", WEFT_CASE(rsqrt(x), 1 / std::sqrt(x)), 0.5, 3},
    {"reciprocal", WEFT_CASE(reciprocal(x), 1 / x), 0.5, 3},
    {"exp", WEFT_CASE(exp(x), std::exp(x))},
    {"exp2", WEFT_CASE(exp2(x), std::exp2(x))},
    {"expm1", WEFT_CASE(expm1(x), std::expm1(x))},
    {"log", WEFT_CASE(log(x), std::log(x)), 0.5, 3},
    {"log2", WEFT_CASE(log2(x), std::log2(x)), 0.5, 3},
    {"log10", WEFT_CASE(log10(x), std::log10(x)), 0.5, 3},
    {"log1p", WEFT_CASE(log1p(x), std::log1p(x)), -0.5, 3},
    {"sin", WEFT_CASE(sin(x), std::sin(x))},
    {"cos", WEFT_CASE(cos(x), std::cos(x))},
    {"tan", WEFT_CASE(tan(x), std::tan(x)), -1, 1},
    {"asin", WEFT_CASE(asin(x), std::asin(x)), -0.8, 0.8},
    {"acos", WEFT_CASE(acos(x), std::acos(x)), -0.8, 0.8},
    {"atan", WEFT_CASE(atan(x), std::atan(x))},
    {"sinh", WEFT_CASE(sinh(x), std::sinh(x))},
    {"cosh", WEFT_CASE(cosh(x), std::cosh(x))},
    {"tanh", WEFT_CASE(tanh(x), std::tanh(x))},
    {"erf", WEFT_CASE(erf(x), std::erf(x))},
    {"erfc", WEFT_CASE(erfc(x), std::erfc(x))},
    {"sign", WEFT_CASE(sign(x), (x > 0) - (x < 0))},
    {"floor", WEFT_CASE(floor(x), std::floor(x))},
    {"ceil", WEFT_CASE(ceil(x), std::ceil(x))},
    {"trunc", WEFT_CASE(trunc(x), std::trunc(x))},
    {"round", WEFT_CASE(round(x), std::nearbyint(x))},
    {"round 2", WEFT_CASE(round(x, 2), std::nearbyint(x * 100) / 100)},
    {"round -1", WEFT_CASE(round(x * 10, -1), std::nearbyint(x) * 10)},
    {"frac", WEFT_CASE(frac(x), x - std::trunc(x))},
    {"clamp", WEFT_CASE(clamp(x, -0.5, 1), std::fmin(std::fmax(x, -0.5), 1))},
    {"clamp min", WEFT_CASE(clamp(x, -0.5), std::fmax(x, -0.5))},
    {"clamp max", WEFT_CASE(clamp(x, {}, 1), std::fmin(x, 1))},
    {"relu", WEFT_CASE(relu(x), std::fmax(x, 0))},
    {"relu6", WEFT_CASE(relu6(x), std::fmin(std::fmax(x, 0), 6)), -8, 8},
    {"leaky_relu", WEFT_CASE(leaky_relu(x, 0.1), x > 0 ? x : 0.1 * x)},
    {"elu", WEFT_CASE(elu(x, 1.5), x > 0 ? x : 1.5 * std::expm1(x))},
    {"selu", WEFT_CASE(selu(x), 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x)))},
    {"sigmoid", WEFT_CASE(sigmoid(x), logistic(x))},
    {"logsigmoid", WEFT_CASE(logsigmoid(x), -std::log1p(std::exp(-x)))},
    {"hardsigmoid", WEFT_CASE(hardsigmoid(x), std::fmin(std::fmax(x / 6 + 0.5, 0), 1)), -5, 5},
    {"hardswish", WEFT_CASE(hardswish(x), x* std::fmin(std::fmax(x / 6 + 0.5, 0), 1)), -5, 5},
    {"hardtanh", WEFT_CASE(hardtanh(x), std::fmin(std::fmax(x, -1), 1))},
    {"silu", WEFT_CASE(silu(x), x* logistic(x))},
    {"gelu", WEFT_CASE(gelu(x), 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))))},
    {"gelu tanh",
     WEFT_CASE(gelu(x, Approximate::tanh), 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))))},
    {"mish", WEFT_CASE(mish(x), x* std::tanh(std::log1p(std::exp(x))))},
    {"softplus", WEFT_CASE(softplus(x, 2, 1.5), 2 * x > 1.5 ? x : std::log1p(std::exp(2 * x)) / 2)},
    {"softsign", WEFT_CASE(softsign(x), x / (1 + std::fabs(x)))},
};
}  // namespace

TEST_SUITE("unary") {
  TEST_CASE("values in every floating dtype, first and second derivatives") {
    for (const Case& c : kCases) {
      INFO(c.name);
      const Tensor x = ramp({5, 7}, c.lo, c.hi);
      const std::vector<double> in = x.to_vector<double>(), out = c.op(x).to_vector<double>();
      for (size_t i = 0; i < in.size(); ++i)
        CHECK(out[i] == doctest::Approx(c.reference(in[i])).epsilon(1e-12).scale(1e-3));
      check_derivatives([&](const std::vector<Tensor>& v) { return c.op(v[0]); }, {x});
      for (Dtype d : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
        const Tensor low = x.to(d), y = c.op(low);
        CHECK(y.dtype() == d);
        CHECK(y.shape() == x.shape());
        // one rounding of the result and the functions' few ulp: 4 eps, relative to results down to 1e-3
        const double eps = d == Dtype::f32 ? 1.2e-7 : d == Dtype::bf16 ? 7.9e-3 : 9.8e-4;
        const std::vector<double> a = low.to_vector<double>(), b = y.to_vector<double>();
        for (size_t i = 0; i < a.size(); ++i)
          CHECK(b[i] == doctest::Approx(c.reference(a[i])).epsilon(4 * eps).scale(0.05));
      }
      CHECK(c.op(zeros({0, 3}, Dtype::f64)).shape() == Shape{0, 3});
      CHECK(c.op(full({}, 0.75, Dtype::f64)).item<double>() == doctest::Approx(c.reference(0.75)));
    }
  }

  TEST_CASE("layouts are kept and strides are walked") {
    const Tensor x = ramp({2, 3, 4, 5}, 0.1, 1.9), last = x.contiguous(MemoryFormat::channels_last);
    const Tensor want = exp(x);
    CHECK(exp(last).is_channels_last());
    CHECK(equal(exp(last), want));
    CHECK(equal(exp(x.transpose(1, 3)), want.transpose(1, 3)));
    CHECK(equal(exp(x.slice(3, 0, 5, 2)), want.slice(3, 0, 5, 2)));
    CHECK(equal(exp(x.select(1, 1).unsqueeze(0).expand({3, 2, 4, 5})),
                want.select(1, 1).unsqueeze(0).expand({3, 2, 4, 5})));
  }

  TEST_CASE("dtypes of integers and bool") {
    const Tensor i = tensor<int64_t>({-3, 0, 4}), b = tensor(std::vector<bool>{true, false});
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

  TEST_CASE("NaN, infinities and zeros") {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
    for (Dtype d : {Dtype::f32, Dtype::f64}) {
      const Tensor x = tensor<double>({nan, inf, -inf, -0.0, 0.0}).to(d);
      CHECK(isnan(x).to_vector<bool>() == std::vector<bool>{true, false, false, false, false});
      CHECK(isinf(x).to_vector<bool>() == std::vector<bool>{false, true, true, false, false});
      CHECK(isfinite(x).to_vector<bool>() == std::vector<bool>{false, false, false, true, true});
      auto values = [&](const Tensor& y, std::vector<double> want) { CHECK(allclose(y, tensor(want), 1e-6, 0, true)); };
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

  TEST_CASE("gradients at kinks are PyTorch's") {
    auto slope = [](Tensor (*f)(const Tensor&), double at) {
      Tensor x = full({}, at, Dtype::f64).set_requires_grad();
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

  TEST_CASE("prelu: one weight, one per channel") {
    check_derivatives([](const std::vector<Tensor>& v) { return prelu(v[0], v[1]); },
                      {ramp({2, 3, 4}), ramp({3}, 0.1, 0.4)});
    check_derivatives([](const std::vector<Tensor>& v) { return prelu(v[0], v[1]); }, {ramp({5}), ramp({1}, 0.1, 0.4)});
    CHECK_THROWS_AS((void)prelu(ramp({2, 3}), ramp({4})), ShapeError);
  }

  TEST_CASE("second derivatives stay finite far from the kink") {
    Tensor x = tensor<double>({200, -200}).set_requires_grad();
    Tensor g = grad(sum(elu(x)), {x}, {.create_graph = true})[0];
    CHECK(all(isfinite(grad(sum(g), {x})[0])).item<bool>());
  }
}
