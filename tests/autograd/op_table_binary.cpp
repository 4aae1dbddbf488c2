// Rows of the op table: functions of two and three tensors, element by element, with broadcasting.
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;

Op comparison(const char* name, BinaryOp op, std::function<bool(double, double)> reference) {
  Op row = binary(name, op, reference);
  row.gradient = false;
  row.samples.push_back({"equal elements",
                         {integers({12}, 0, 3, 1).to(Dtype::f64), integers({12}, 0, 3, 2).to(Dtype::f64)},
                         [op](const Tensors& x) { return Tensors{op(x[0], x[1])}; },
                         [reference](const Arrays& x) { return Arrays{support::map(x[0], x[1], reference)}; }});
  return row;
}

double floor_mod(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

std::vector<Op> arithmetic() {
  std::vector<Op> t = {
      binary(
          "add", [](const Tensor& x, const Tensor& y) { return x + y; }, [](double a, double b) { return a + b; }),
      binary(
          "add", [](const Tensor& x, const Tensor& y) { return weft::add(x, y, 2.5); },
          [](double a, double b) { return a + 2.5 * b; }),
      binary(
          "sub", [](const Tensor& x, const Tensor& y) { return x - y; }, [](double a, double b) { return a - b; }),
      binary(
          "sub", [](const Tensor& x, const Tensor& y) { return weft::sub(x, y, 3); },
          [](double a, double b) { return a - 3 * b; }),
      binary(
          "mul", [](const Tensor& x, const Tensor& y) { return x * y; }, [](double a, double b) { return a * b; }),
      binary(
          "div", [](const Tensor& x, const Tensor& y) { return x / y; }, [](double a, double b) { return a / b; }, 0.5,
          3),
      binary(
          "pow", [](const Tensor& x, const Tensor& y) { return weft::pow(x, y); },
          [](double a, double b) { return std::pow(a, b); }, 0.5, 2.5),
      binary("maximum", weft::maximum, [](double a, double b) { return std::max(a, b); }),
      binary("minimum", weft::minimum, [](double a, double b) { return std::min(a, b); }),
      binary(
          "atan2", weft::atan2, [](double a, double b) { return std::atan2(a, b); }, 0.3, 2),
      binary(
          "fmod", [](const Tensor& x, const Tensor& y) { return weft::fmod(x * 3, y); },
          [](double a, double b) { return std::fmod(3 * a, b); }, 0.6, 1.9),
      binary(
          "remainder", [](const Tensor& x, const Tensor& y) { return weft::remainder(x * -3, y); },
          [](double a, double b) { return floor_mod(-3 * a, b); }, 0.6, 1.9),
  };
  // The quotient before rounding may lie next to an integer in f16, where the rounded one then jumps.
  t[10].half = t[11].half = false;
  t[10].wraps = t[11].wraps = true;
  for (const auto mode : {weft::RoundingMode::trunc, weft::RoundingMode::floor}) {
    const bool trunc = mode == weft::RoundingMode::trunc;
    t.push_back(binary(
        "div", [mode](const Tensor& x, const Tensor& y) { return weft::div(x * 5, y - 2.5, mode); },
        [trunc](double a, double b) {
          const double q = 5 * a / (b - 2.5);
          return trunc ? std::trunc(q) : std::floor(q);
        },
        0.3, 2.2));
    t.back().half = false;
  }
  return t;
}

/// Ops of a tensor and a number.
Op with_number(const char* name, std::function<Tensor(const Tensor&)> op, std::function<double(double)> reference,
               double low = -2) {
  Op row{.name = name};
  for (const Shape& s : {Shape{}, Shape{0}, Shape{2, 3}, Shape{1, 2, 2, 2}})
    row.samples.push_back({weft::str(s, " with a number"),
                           {uniform(s, low)},
                           [op](const Tensors& x) { return Tensors{op(x[0])}; },
                           [reference](const Arrays& x) { return Arrays{support::map(x[0], reference)}; }});
  return row;
}

std::vector<Op> numbers() {
  return {
      with_number(
          "add", [](const Tensor& x) { return x + 2; }, [](double a) { return a + 2; }),
      with_number(
          "sub", [](const Tensor& x) { return 2 - x; }, [](double a) { return 2 - a; }),
      with_number(
          "mul", [](const Tensor& x) { return 0.5 * x; }, [](double a) { return 0.5 * a; }),
      with_number(
          "div", [](const Tensor& x) { return x / 3; }, [](double a) { return a / 3; }),
      with_number(
          "div", [](const Tensor& x) { return 3 / x; }, [](double a) { return 3 / a; }, 0.4),
      with_number(
          "pow", [](const Tensor& x) { return weft::pow(x, 3); }, [](double a) { return a * a * a; }),
      with_number(
          "pow", [](const Tensor& x) { return weft::pow(x, -1.5); }, [](double a) { return std::pow(a, -1.5); }, 0.5),
      with_number(
          "pow", [](const Tensor& x) { return weft::pow(2.5, x); }, [](double a) { return std::pow(2.5, a); }),
      with_number(
          "pow", [](const Tensor& x) { return weft::pow(x, 0); }, [](double) { return 1; }),
      with_number(
          "fmod", [](const Tensor& x) { return weft::fmod(x, 0.7); }, [](double a) { return std::fmod(a, 0.7); }),
      with_number(
          "remainder", [](const Tensor& x) { return weft::remainder(x, 0.7); },
          [](double a) { return floor_mod(a, 0.7); }),
  };
}

std::vector<Op> comparisons() {
  return {
      comparison(
          "eq", [](const Tensor& x, const Tensor& y) { return weft::eq(x, y); },
          [](double a, double b) { return a == b; }),
      comparison(
          "ne", [](const Tensor& x, const Tensor& y) { return weft::ne(x, y); },
          [](double a, double b) { return a != b; }),
      comparison(
          "lt", [](const Tensor& x, const Tensor& y) { return weft::lt(x, y); },
          [](double a, double b) { return a < b; }),
      comparison(
          "le", [](const Tensor& x, const Tensor& y) { return weft::le(x, y); },
          [](double a, double b) { return a <= b; }),
      comparison(
          "gt", [](const Tensor& x, const Tensor& y) { return weft::gt(x, y); },
          [](double a, double b) { return a > b; }),
      comparison(
          "ge", [](const Tensor& x, const Tensor& y) { return weft::ge(x, y); },
          [](double a, double b) { return a >= b; }),
      comparison("logical_and", weft::logical_and, [](double a, double b) { return a != 0 && b != 0; }),
      comparison("logical_or", weft::logical_or, [](double a, double b) { return a != 0 || b != 0; }),
      comparison("logical_xor", weft::logical_xor, [](double a, double b) { return (a != 0) != (b != 0); }),
  };
}

using TernaryOp = std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>;

Op ternary(const char* name, TernaryOp op, std::function<double(double, double, double)> reference, double low = -2) {
  Op row{.name = name};
  const Shape shapes[][3] = {
      {{}, {}, {}}, {{2, 3}, {2, 3}, {2, 3}}, {{3}, {2, 1}, {}}, {{2, 1}, {0}, {1}}, {{1, 2, 2, 2}, {1, 2, 1, 1}, {2}}};
  uint64_t seed = 1;
  for (const auto& s : shapes)
    row.samples.push_back(
        {weft::str(s[0], " with ", s[1], " and ", s[2]),
         {uniform(s[0], low, 2, ++seed), uniform(s[1], low, 2, seed + 50), uniform(s[2], low, 2, seed + 90)},
         [op](const Tensors& x) { return Tensors{op(x[0], x[1], x[2])}; },
         [reference](const Arrays& x) {
           const Shape full = weft::broadcast_shapes(
               "reference", weft::broadcast_shapes("reference", x[0].shape, x[1].shape), x[2].shape);
           return Arrays{support::generate(full, [&](const auto& i) {
             return reference(support::broadcast_at(x[0], i), support::broadcast_at(x[1], i),
                              support::broadcast_at(x[2], i));
           })};
         }});
  row.faults = {{[op] {
                   (void)op(here::ones({2, 3}), here::ones({4}), here::ones({1}));
                 },
                 weft::str(name, ": shapes [2, 3] and [4] cannot be broadcast together")}};
  return row;
}

std::vector<Op> ternaries() {
  std::vector<Op> t = {
      ternary(
          "lerp", [](const Tensor& x, const Tensor& y, const Tensor& z) { return weft::lerp(x, y, z); },
          [](double a, double b, double c) { return a + c * (b - a); }),
      ternary(
          "lerp", [](const Tensor& x, const Tensor& y, const Tensor& z) { return weft::lerp(x, y, 0.3) + z; },
          [](double a, double b, double c) { return a + 0.3 * (b - a) + c; }),
      ternary(
          "addcmul", [](const Tensor& x, const Tensor& y, const Tensor& z) { return weft::addcmul(x, y, z, 1.5); },
          [](double a, double b, double c) { return a + 1.5 * b * c; }),
      ternary(
          "addcdiv", [](const Tensor& x, const Tensor& y, const Tensor& z) { return weft::addcdiv(x, y, z, 1.5); },
          [](double a, double b, double c) { return a + 1.5 * b / c; }, 0.5),
      ternary(
          "where",
          [](const Tensor& x, const Tensor& y, const Tensor& z) { return weft::where(weft::gt(x.detach(), 0), y, z); },
          [](double a, double b, double c) { return a > 0 ? b : c; }),
      ternary(
          "clamp", [](const Tensor& x, const Tensor& y, const Tensor& z) { return weft::clamp(x, y - 1.5, z + 1.5); },
          [](double a, double b, double c) { return std::min(std::max(a, b - 1.5), c + 1.5); }),
  };
  row(t, "where")
      .faults.push_back({[] { (void)weft::where(here::ones({2}), here::ones({2}), here::ones({2})); }, "where: "});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("arithmetic of two tensors") { check(arithmetic()); }
  DEVICE_TEST_CASE("arithmetic with a number") { check(numbers()); }
  DEVICE_TEST_CASE("comparison and logic") { check(comparisons()); }
  DEVICE_TEST_CASE("functions of three tensors") { check(ternaries()); }
}
