#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "weft/core/fn/math.h"

using namespace weft;

namespace {
struct Function {
  const char* name;
  float (*f)(float);
  double (*reference)(double);
  double ulp;  // measured over every float, rounded up
};
#define WEFT_CASE(name, expr) [](float x) -> float { return fn::name(x); }, [](double x) -> double { return expr; }

const Function kFunctions[] = {
    {"exp", WEFT_CASE(exp, std::exp(x)), 1},
    {"exp2", WEFT_CASE(exp2, std::exp2(x)), 1},
    {"expm1", WEFT_CASE(expm1, std::expm1(x)), 1.5},
    {"log", WEFT_CASE(log, std::log(x)), 1},
    {"log2", WEFT_CASE(log2, std::log2(x)), 1},
    {"log10", WEFT_CASE(log10, std::log10(x)), 1.5},
    {"log1p", WEFT_CASE(log1p, std::log1p(x)), 1.5},
    {"tanh", WEFT_CASE(tanh, std::tanh(x)), 2.5},
    {"sinh", WEFT_CASE(sinh, std::sinh(x)), 2},
    {"cosh", WEFT_CASE(cosh, std::cosh(x)), 1.5},
    {"sin", WEFT_CASE(sin, std::sin(x)), 2},
    {"cos", WEFT_CASE(cos, std::cos(x)), 2},
    {"tan", WEFT_CASE(tan, std::tan(x)), 4},
    {"asin", WEFT_CASE(asin, std::asin(x)), 2.5},
    {"acos", WEFT_CASE(acos, std::acos(x)), 1.5},
    {"atan", WEFT_CASE(atan, std::atan(x)), 2},
    {"erf", WEFT_CASE(erf, std::erf(x)), 1},
    {"erfc", WEFT_CASE(erfc, std::erfc(x)), 4},
    {"sigmoid", WEFT_CASE(sigmoid, x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x))), 2.5},
    {"softplus", WEFT_CASE(softplus, std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x)))), 2},
};

/// |got - want| in units in the last place of want as f32; 0 where both are the same infinity, or NaN.
double error_in_ulp(float got, double want) {
  const float rounded = static_cast<float>(want);
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want) ? 0 : INFINITY;
  if (std::isinf(rounded) || std::isinf(got)) {
    // near the largest float an error of one ulp may cross it
    if (got == rounded ||
        (std::isinf(got) != std::isinf(rounded) && std::fabs(want) > 3.40282e38 && std::fabs(want) < 3.40283e38))
      return 0;
    return INFINITY;
  }
  int e;
  std::frexp(rounded, &e);
  return std::fabs(got - want) / std::ldexp(1.0, std::max(e - 24, -149));
}

void walk(const Function& f, uint64_t step) {
  double worst = 0;
  float at = 0;
  for (uint64_t u = 0; u < (uint64_t{1} << 32); u += step) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(u));
    const double e = error_in_ulp(f.f(x), f.reference(x));
    if (!(e <= worst)) worst = e, at = x;
  }
  INFO(f.name, " at ", at);
  CHECK(worst <= f.ulp);
}

const float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
const float kEdges[] = {0.f,           -0.f,           1.f,        -1.f,  2.f,        -2.f,       3.f,
                        0.5f,          -0.5f,          1.5f,       -2.5f, 1e-40f,     -1e-40f,    1.17549435e-38f,
                        3.4028235e38f, -3.4028235e38f, 1e-20f,     1e20f, 16777215.f, 16777216.f, 8388609.f,
                        -8388607.f,    0.99999994f,    1.0000001f, kInf,  -kInf,      kNan,       88.7228394f,
                        100.f,         -103.97f};
}  // namespace

TEST_SUITE("math") {
  TEST_CASE("every 4099th float against f64: exponentials and logarithms") {
    for (int i = 0; i < 10; ++i) walk(kFunctions[i], 4099);
  }
  TEST_CASE("every 4099th float against f64: the others") {
    for (size_t i = 10; i < std::size(kFunctions); ++i) walk(kFunctions[i], 4099);
  }
  TEST_CASE("every float against f64" * doctest::skip()) {  // hours: --no-skip
    for (const Function& f : kFunctions) walk(f, 1);
  }

  TEST_CASE("edges: infinities, NaN, zeros with their sign, subnormals") {
    for (const Function& f : kFunctions)
      for (float x : kEdges) {
        INFO(f.name, " at ", x);
        const double want = f.reference(x);
        CHECK(error_in_ulp(f.f(x), want) <= f.ulp);
        if (static_cast<float>(want) == 0) CHECK(std::signbit(f.f(x)) == std::signbit(want));
      }
  }

  TEST_CASE("pow and atan2 over all pairs of edges and a grid") {
    std::vector<float> values(std::begin(kEdges), std::end(kEdges));
    for (uint64_t u = 0; u < (uint64_t{1} << 32); u += 20000003)
      values.push_back(std::bit_cast<float>(static_cast<uint32_t>(u)));
    for (float x = -4; x < 4; x += 0.37f) values.push_back(x);
    for (float x : values)
      for (float y : values) {
        CAPTURE(x);
        CAPTURE(y);
        const double p = std::pow(static_cast<double>(x), static_cast<double>(y)),
                     a = std::atan2(static_cast<double>(x), static_cast<double>(y));
        CHECK(error_in_ulp(fn::pow(x, y), p) <= 1);
        CHECK(error_in_ulp(fn::atan2(x, y), a) <= 2);
        if (p == 0) CHECK(std::signbit(fn::pow(x, y)) == std::signbit(p));
        if (a == 0) CHECK(std::signbit(fn::atan2(x, y)) == std::signbit(a));
      }
  }

  TEST_CASE("integers: powers, quotients, remainders") {
    for (int64_t x = -9; x <= 9; ++x)
      for (int64_t y = -4; y <= 4; ++y) {
        CAPTURE(x);
        CAPTURE(y);
        if (y >= 0) CHECK(fn::pow(x, y) == std::llround(std::pow(static_cast<double>(x), static_cast<double>(y))));
        const double q = static_cast<double>(x) / static_cast<double>(y);
        CHECK(fn::div_trunc(x, y) == (y ? static_cast<int64_t>(std::trunc(q)) : 0));
        CHECK(fn::div_floor(x, y) == (y ? static_cast<int64_t>(std::floor(q)) : 0));
        if (y) CHECK(fn::div_floor(x, y) * y + fn::remainder(x, y) == x);
        if (y) CHECK(fn::div_trunc(x, y) * y + fn::fmod(x, y) == x);
      }
  }
}
