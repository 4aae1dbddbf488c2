// Rows of the op table: functions of mathematics and operations on bits.
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;

// Rows whose undefined operands are refused by name, too.
Op of_one(const char* name, UnaryOp op, std::function<double(double)> reference, double low, double high) {
  Op row = elementwise(name, op, reference, low, high);
  row.faults = {{[op] { (void)op(Tensor()); }, weft::str(name, ": ")}};
  return row;
}
Op of_two(const char* name, BinaryOp op, std::function<double(double, double)> reference, double low, double high) {
  Op row = binary(name, op, reference, low, high);
  row.faults.push_back({[op] { (void)op(here::ones({2}), Tensor()); }, weft::str(name, ": ")});
  return row;
}

// The naive references: definitions that converge slowly or are differentiated by hand, unlike the kernels' series.
double log_gamma(double x) { return std::log(std::abs(std::tgamma(x))); }
/// Sums over 1/(x + k) and their powers, the rest by the integral and its first corrections.
double polygamma(int n, double x) {
  double s = 0;
  const int far = 2000;
  for (int k = far - 1; k >= 0; --k) s += n == 0 ? 1 / (k + 1.0) - 1 / (x + k) : std::pow(x + k, -(n + 1));
  const double a = x + far;
  if (n == 0)
    return s + std::log(a) - std::log(far + 0.0) - 0.5 / a - 1 / (12 * a * a) - 0.57721566490153286061 -
           (0.5 / far - 1 / (12.0 * far * far));
  s += std::pow(a, -n) / n + 0.5 * std::pow(a, -n - 1) + (n + 1) * std::pow(a, -n - 2) / 12;
  return (n % 2 ? 1 : -1) * std::tgamma(n + 1.0) * s;
}
/// erf is turned round by halving an interval.
double erf_inverse(double y) {
  double low = -6, high = 6;
  for (int i = 0; i < 200; ++i) (std::erf((low + high) / 2) < y ? low : high) = (low + high) / 2;
  return low;
}

std::vector<Op> gamma_functions() {
  std::vector<Op> t = {
      of_one("lgamma", weft::lgamma, log_gamma, 0.3, 6),
      of_one("lgamma", weft::lgamma, log_gamma, -1.8, -1.2),
      of_one(
          "digamma", weft::digamma, [](double x) { return polygamma(0, x); }, 0.5, 6),
      of_one(
          "digamma", weft::digamma, [](double x) { return polygamma(0, x); }, -2.8, -2.2),
      of_one(
          "polygamma", [](const Tensor& x) { return weft::polygamma(1, x); }, [](double x) { return polygamma(1, x); },
          0.7, 6),
      of_one(
          "polygamma", [](const Tensor& x) { return weft::polygamma(3, x); }, [](double x) { return polygamma(3, x); },
          -1.7, -1.3),
      of_one(
          "polygamma", [](const Tensor& x) { return weft::polygamma(0, x); }, [](double x) { return polygamma(0, x); },
          0.7, 3),
  };
  t[4].faults.push_back(
      {[] { (void)weft::polygamma(-1, here::ones({2})); }, "polygamma: n must be in [0, 10000], got -1"});
  for (Op& op : t) {
    // second differences of functions with poles nearby
    op.grad_tolerance = 1e-5;
    op.half_eps = 16;  // the slope times half an ulp of x
  }
  return t;
}

std::vector<Op> mathematics() {
  std::vector<Op> t = {
      of_one("erfinv", weft::erfinv, erf_inverse, -0.9, 0.9),
      of_one(
          "sinc", weft::sinc, [](double x) { return x == 0 ? 1 : std::sin(M_PI * x) / (M_PI * x); }, -2, 2),
      // both sides of where the gradient's series ends
      of_one(
          "sinc", weft::sinc, [](double x) { return x == 0 ? 1 : std::sin(M_PI * x) / (M_PI * x); }, -0.15, 0.15),
      of_one(
          "logit", [](const Tensor& x) { return weft::logit(x); }, [](double x) { return std::log(x / (1 - x)); }, 0.1,
          0.9),
      of_one(
          "logit", [](const Tensor& x) { return weft::logit(x, 0.2); },
          [](double x) {
            const double z = std::min(std::max(x, 0.2), 0.8);
            return std::log(z / (1 - z));
          },
          -0.5, 1.5),
      of_one(
          "nan_to_num", [](const Tensor& x) { return weft::nan_to_num(x); }, [](double x) { return x; }, -2, 2),
      of_two(
          "logaddexp", weft::logaddexp, [](double a, double b) { return std::log(std::exp(a) + std::exp(b)); }, -2, 2),
      of_two(
          "logaddexp2", weft::logaddexp2, [](double a, double b) { return std::log2(std::exp2(a) + std::exp2(b)); }, -2,
          2),
      of_two(
          "xlogy", [](const Tensor& x, const Tensor& y) { return weft::xlogy(x, y); },
          [](double a, double b) { return a * std::log(b); }, 0.4, 3),
      of_two(
          "hypot", weft::hypot, [](double a, double b) { return std::sqrt(a * a + b * b); }, 0.4, 2),
      of_two(
          "copysign", [](const Tensor& x, const Tensor& y) { return weft::copysign(x, y); },
          [](double a, double b) { return b < 0 ? -std::abs(a) : std::abs(a); }, -2, 2),
      of_two(
          "fmax", weft::fmax, [](double a, double b) { return std::fmax(a, b); }, -2, 2),
      of_two(
          "fmin", weft::fmin, [](double a, double b) { return std::fmin(a, b); }, -2, 2),
      of_two(
          "heaviside", weft::heaviside, [](double a, double) { return a > 0 ? 1 : 0; }, -2, 2),
  };
  row(t, "logaddexp")
      .faults.push_back({[] { (void)weft::logaddexp(here::full({2}, 1, Dtype::i64), here::full({2}, 1, Dtype::i64)); },
                         "logaddexp: expects a floating dtype, got i64"});
  row(t, "heaviside")
      .faults.push_back({[] { (void)weft::heaviside(here::ones({2}), here::ones({2}, Dtype::f64)); },
                         "heaviside: dtypes differ: f32 and f64"});
  // where it is 0 the values count
  row(t, "heaviside")
      .samples.push_back(sample(
          "values at 0", {uniform({2, 3})},
          [](const Tensors& x) {
            return weft::heaviside(here::zeros({3}, x[0].defined() ? x[0].dtype() : Dtype::f64), x[0]);
          },
          [](const Arrays& x) { return x[0]; }));
  row(t, "logit").half_eps = 16;  // 1 - x near 1
  return t;
}

std::vector<Op> bits() {
  const auto op = [](const char* name, BinaryOp f, std::function<int64_t(int64_t, int64_t)> reference, int64_t low,
                     int64_t high) {
    Op row{.name = name, .gradient = false, .half = false};
    for (const Dtype d : {Dtype::i64, Dtype::i32})
      row.samples.push_back({weft::str(d),
                             {integers({3, 4}, -40, 40, 3).to(d), integers({4}, low, high, 4).to(d)},
                             [f](const Tensors& x) { return Tensors{f(x[0], x[1])}; },
                             [reference](const Arrays& x) {
                               return Arrays{support::map(x[0], x[1], [&](double a, double b) {
                                 return static_cast<double>(
                                     reference(static_cast<int64_t>(a), static_cast<int64_t>(b)));
                               })};
                             }});
    row.faults = {{[f] { (void)f(here::ones({2}), here::ones({2})); }, weft::str(name, ": not defined for f32")},
                  {[f] { (void)f(here::full({2}, 1, Dtype::i64), here::full({3}, 1, Dtype::i64)); },
                   weft::str(name, ": shapes")}};
    return row;
  };
  using T = const Tensor&;
  std::vector<Op> t = {
      op(
          "bitwise_and", [](T x, T y) { return weft::bitwise_and(x, y); }, [](int64_t a, int64_t b) { return a & b; },
          -9, 9),
      op(
          "bitwise_or", [](T x, T y) { return weft::bitwise_or(x, y); }, [](int64_t a, int64_t b) { return a | b; }, -9,
          9),
      op(
          "bitwise_xor", [](T x, T y) { return weft::bitwise_xor(x, y); }, [](int64_t a, int64_t b) { return a ^ b; },
          -9, 9),
      op(
          "bitwise_left_shift", [](T x, T y) { return weft::bitwise_left_shift(x, y); },
          [](int64_t a, int64_t b) { return a * (int64_t{1} << b); }, 0, 9),
      op(
          "bitwise_right_shift", [](T x, T y) { return weft::bitwise_right_shift(x, y); },
          [](int64_t a, int64_t b) {
            return static_cast<int64_t>(std::floor(static_cast<double>(a) / static_cast<double>(int64_t{1} << b)));
          },
          0, 9),
  };
  t.push_back({.name = "bitwise_not",
               .samples = {sample(
                   "i64", {integers({3, 4}, -40, 40, 3)}, [](const Tensors& x) { return weft::bitwise_not(x[0]); },
                   [](const Arrays& x) { return support::map(x[0], [](double a) { return -a - 1; }); })},
               .faults = {{[] { (void)weft::bitwise_not(here::ones({2})); },
                           "bitwise_not: dtype f32 is not supported here; expected i64, i32, u8, bool, i8, i16 or u16"},
                          {[] { (void)weft::bitwise_not(here::ones({2}, Dtype::bf16)); },
                           "bitwise_not: dtype bf16 is not supported"}},
               .gradient = false,
               .half = false});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("gamma functions") { check(gamma_functions()); }
  DEVICE_TEST_CASE("functions of mathematics") { check(mathematics()); }
  DEVICE_TEST_CASE("operations on bits") { check(bits()); }
}
