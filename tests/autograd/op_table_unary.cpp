// Rows of the op table: functions of one tensor, element by element.
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using weft::Scalar;

/// elementwise without a gradient, or with one that is zero.
Op predicate(const char* name, std::function<Tensor(const Tensor&)> op, std::function<double(double)> reference) {
  Op row = elementwise(name, op, reference);
  row.gradient = false;
  return row;
}

double relu(double x) { return x > 0 ? x : 0; }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::log1p(std::exp(x)); }
double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

std::vector<Op> functions() {
  std::vector<Op> t = {
      elementwise("abs", weft::abs, [](double x) { return std::abs(x); }),
      elementwise("neg", weft::neg, [](double x) { return -x; }),
      elementwise("square", weft::square, [](double x) { return x * x; }),
      elementwise(
          "sqrt", weft::sqrt, [](double x) { return std::sqrt(x); }, 0.3, 3),
      elementwise(
          "rsqrt", weft::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.3, 3),
      elementwise(
          "reciprocal", weft::reciprocal, [](double x) { return 1 / x; }, 0.4, 3),
      elementwise("exp", weft::exp, [](double x) { return std::exp(x); }),
      elementwise("exp2", weft::exp2, [](double x) { return std::exp2(x); }),
      elementwise("expm1", weft::expm1, [](double x) { return std::expm1(x); }),
      elementwise(
          "log", weft::log, [](double x) { return std::log(x); }, 0.3, 3),
      elementwise(
          "log2", weft::log2, [](double x) { return std::log2(x); }, 0.3, 3),
      elementwise(
          "log10", weft::log10, [](double x) { return std::log10(x); }, 0.3, 3),
      elementwise(
          "log1p", weft::log1p, [](double x) { return std::log1p(x); }, -0.5, 3),
      elementwise("sin", weft::sin, [](double x) { return std::sin(x); }),
      elementwise("cos", weft::cos, [](double x) { return std::cos(x); }),
      elementwise(
          "tan", weft::tan, [](double x) { return std::tan(x); }, -1, 1),
      elementwise(
          "asin", weft::asin, [](double x) { return std::asin(x); }, -0.8, 0.8),
      elementwise(
          "acos", weft::acos, [](double x) { return std::acos(x); }, -0.8, 0.8),
      elementwise("atan", weft::atan, [](double x) { return std::atan(x); }),
      elementwise("sinh", weft::sinh, [](double x) { return std::sinh(x); }),
      elementwise("cosh", weft::cosh, [](double x) { return std::cosh(x); }),
      elementwise("tanh", weft::tanh, [](double x) { return std::tanh(x); }),
      elementwise("asinh", weft::asinh, [](double x) { return std::asinh(x); }),
      elementwise(
          "acosh", weft::acosh, [](double x) { return std::acosh(x); }, 1.3, 4),
      elementwise(
          "atanh", weft::atanh, [](double x) { return std::atanh(x); }, -0.8, 0.8),
      elementwise("erf", weft::erf, [](double x) { return std::erf(x); }),
      elementwise("erfc", weft::erfc, [](double x) { return std::erfc(x); }),
      elementwise("frac", weft::frac, [](double x) { return x - std::trunc(x); }),
  };
  t.push_back(elementwise(
      "clamp", [](const Tensor& x) { return weft::clamp(x, -1, 0.5); },
      [](double x) { return std::min(std::max(x, -1.0), 0.5); }));
  t.push_back(elementwise(
      "clamp low", [](const Tensor& x) { return weft::clamp(x, -0.25); }, [](double x) { return std::max(x, -0.25); }));
  t.push_back(elementwise(
      "clamp high", [](const Tensor& x) { return weft::clamp(x, {}, 0.25); },
      [](double x) { return std::min(x, 0.25); }));
  t.back().faults = {{[] { (void)weft::clamp(here::ones({2}), std::nullopt, std::nullopt); }, "clamp: "}};
  return t;
}

std::vector<Op> activations() {
  std::vector<Op> t = {
      elementwise("relu", weft::relu, relu),
      elementwise(
          "relu6", [](const Tensor& x) { return weft::relu6(x * 4); },
          [](double x) { return std::min(relu(4 * x), 6.0); }),
      elementwise(
          "leaky_relu", [](const Tensor& x) { return weft::leaky_relu(x, 0.2); },
          [](double x) { return x > 0 ? x : 0.2 * x; }),
      elementwise(
          "elu", [](const Tensor& x) { return weft::elu(x, 0.7); },
          [](double x) { return x > 0 ? x : 0.7 * std::expm1(x); }),
      elementwise("selu", weft::selu,
                  [](double x) {
                    return 1.0507009873554804934193349852946 *
                           (x > 0 ? x : 1.6732632423543772848170429916717 * std::expm1(x));
                  }),
      elementwise("sigmoid", weft::sigmoid, sigmoid),
      elementwise("logsigmoid", weft::logsigmoid, [](double x) { return -softplus(-x); }),
      elementwise(
          "hardsigmoid", [](const Tensor& x) { return weft::hardsigmoid(x * 2.1); },
          [](double x) { return std::min(std::max(2.1 * x / 6 + 0.5, 0.0), 1.0); }),
      elementwise(
          "hardswish", [](const Tensor& x) { return weft::hardswish(x * 2.1); },
          [](double x) { return 2.1 * x * std::min(std::max(2.1 * x / 6 + 0.5, 0.0), 1.0); }),
      elementwise(
          "hardtanh", [](const Tensor& x) { return weft::hardtanh(x, -0.5, 1); },
          [](double x) { return std::min(std::max(x, -0.5), 1.0); }),
      elementwise("silu", weft::silu, [](double x) { return x * sigmoid(x); }),
      elementwise(
          "gelu", [](const Tensor& x) { return weft::gelu(x); },
          [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }),
      elementwise(
          "gelu tanh", [](const Tensor& x) { return weft::gelu(x, weft::Approximate::tanh); },
          [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }),
      elementwise("mish", weft::mish, [](double x) { return x * std::tanh(softplus(x)); }),
      elementwise(
          "softplus", [](const Tensor& x) { return weft::softplus(x, 2, 3); },
          [](double x) { return 2 * x > 3 ? x : std::log1p(std::exp(2 * x)) / 2; }),
      elementwise(
          "softshrink", [](const Tensor& x) { return weft::softshrink(x, 0.75); },
          [](double x) { return x - std::min(std::max(x, -0.75), 0.75); }),
      elementwise("softsign", weft::softsign, [](double x) { return x / (1 + std::abs(x)); }),
      elementwise(
          "celu", [](const Tensor& x) { return weft::celu(x, 0.7); },
          [](double x) { return x > 0 ? x : 0.7 * std::expm1(x / 0.7); }),
      elementwise(
          "hardshrink", [](const Tensor& x) { return weft::hardshrink(x, 0.75); },
          [](double x) { return std::abs(x) > 0.75 ? x : 0; }),
      elementwise("tanhshrink", weft::tanhshrink, [](double x) { return x - std::tanh(x); }),
      elementwise(
          "threshold", [](const Tensor& x) { return weft::threshold(x, 0.25, -3); },
          [](double x) { return x > 0.25 ? x : -3; }),
  };
  Op prelu{.name = "prelu"};
  for (const Shape& s : {Shape{2, 3}, Shape{1, 3, 2, 2}})
    prelu.samples.push_back({weft::str(s),
                             {uniform(s), uniform({3}, 0.1, 0.9)},
                             [](const Tensors& x) { return Tensors{weft::prelu(x[0], x[1])}; },
                             [](const Arrays& x) {
                               return Arrays{support::generate(x[0].shape, [&](const auto& i) {
                                 const double v = x[0].at(i);
                                 return v > 0 ? v : v * x[1].v[static_cast<size_t>(i[1])];
                               })};
                             }});
  prelu.faults = {{[] { (void)weft::prelu(here::ones({2, 3}), here::ones({4})); }, "prelu: "}};
  t.push_back(prelu);
  row(t, "softshrink").faults = {{[] { (void)weft::softshrink(here::ones({2}), -1); }, "softshrink: "}};
  row(t, "hardtanh").faults = {{[] { (void)weft::hardtanh(here::ones({2}), 1, -1); }, "hardtanh: "}};
  return t;
}

std::vector<Op> steps() {
  std::vector<Op> t;
  // Their derivative is zero: the gradient is checked, too.
  t.push_back(elementwise("sign", weft::sign, sign));
  t.push_back(elementwise("floor", weft::floor, [](double x) { return std::floor(x); }));
  t.push_back(elementwise("ceil", weft::ceil, [](double x) { return std::ceil(x); }));
  t.push_back(elementwise("trunc", weft::trunc, [](double x) { return std::trunc(x); }));
  t.push_back(elementwise(
      "round", [](const Tensor& x) { return weft::round(x); }, [](double x) { return std::nearbyint(x); }));
  t.push_back(elementwise(
      "round to tenths", [](const Tensor& x) { return weft::round(x, 1); },
      [](double x) { return std::nearbyint(x * 10) / 10; }));
  t.push_back(predicate("isnan", weft::isnan, [](double x) { return std::isnan(x); }));
  t.push_back(predicate("isinf", weft::isinf, [](double x) { return std::isinf(x); }));
  t.push_back(predicate("isfinite", weft::isfinite, [](double x) { return std::isfinite(x); }));
  t.push_back(predicate("logical_not", weft::logical_not, [](double x) { return x == 0; }));
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("functions of one tensor") { check(functions()); }
  DEVICE_TEST_CASE("activations") { check(activations()); }
  DEVICE_TEST_CASE("rounding and tests of elements") { check(steps()); }
}
