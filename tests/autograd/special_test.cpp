// Functions of mathematics at their special values, and operations on bits at the ends of their ranges: as PyTorch's.
#include <cmath>
#include <limits>

#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/engine.h"

using namespace weft;

namespace {
constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();

using Values = std::vector<double>;
Tensor f64(const Values& v) { return here::tensor(v); }
/// Equal to `tolerance` times the value, NaN to NaN and infinity to infinity.
void check_values(const Tensor& got, const Values& want, double tolerance = 4e-15) {
  const Values v = got.to_vector<double>();
  REQUIRE(v.size() == want.size());
  for (size_t i = 0; i < v.size(); ++i) {
    CAPTURE(i);
    CAPTURE(v[i]);
    CAPTURE(want[i]);
    if (std::isnan(want[i])) CHECK(std::isnan(v[i]));
    else if (std::isinf(want[i])) CHECK(v[i] == want[i]);
    else CHECK(std::abs(v[i] - want[i]) <= tolerance * std::abs(want[i]));
  }
}
/// Gradients of sum(f(x...)).
std::vector<Tensor> slopes(const std::function<Tensor(const std::vector<Tensor>&)>& f, const std::vector<Values>& at) {
  std::vector<Tensor> x;
  for (const Values& v : at) x.push_back(f64(v).set_requires_grad());
  return grad(sum(f(x)), x, {.allow_unused = true});
}
}  // namespace

TEST_SUITE("special functions") {
  DEVICE_TEST_CASE("gamma functions: poles, far out, and digits near their zeros") {
    check_values(lgamma(f64({0, -0.0, -1, -7, kInf, -kInf, kNan, 1, 2})),
                 {kInf, kInf, kInf, kInf, kInf, kInf, kNan, 0, 0});
    // Of 50-digit arithmetic. The relative error stays some ulp near the zeros at 1 and 2, too.
    check_values(
        lgamma(f64({1e-9, 1 + 1e-9, 2 - 1e-9, 3.5, 12.25, 1e6, 1e300, -2.5, -50.3})),
        {20.723265836369195, -5.7721571183810395e-10, -4.2278436975733279e-10, 1.2009736023470742, 18.115669505710893,
         12815504.569147612, 6.8977552789821374e302, -0.056243716497674051, -148.29858791330845});
    check_values(digamma(f64({0, -0.0, -1, kInf, -kInf, kNan})), {-kInf, kInf, kNan, kInf, kNan, kNan});
    check_values(digamma(f64({1, 0.5, 100.25, -2.5})),
                 {-0.57721566490153286, -1.9635100260214235, 4.6026712432747126, 1.1031566406452432});
    check_values(polygamma(1, f64({1, 0.5, 0, -1, -2.5, kInf, kNan})),
                 {1.6449340668482264, 4.9348022005446793, kInf, kInf, 9.5392466449891238, 0, kNan});
    check_values(polygamma(2, f64({1, -2.5, kInf})), {-2.4041138063191886, -0.1082040516417274, 0}, 4e-14);
    // halfway between integers the odd powers on both sides cancel: what is left lies beyond x
    check_values(polygamma(10, f64({-0.5, -1.5, -2.25})),
                 {-42108.858768975492, -156.22959659323299, 15220204740659.353});
    check_values(polygamma(40, f64({-0.5, -1.5, -10.25, 2})),
                 {-4.9193015712427579e40, -3.9455282361094920e31, 3.9455242101462683e72, -3.7103533597532282e35});
    check_values(lgamma(f64({-1e-300, -5e-324, -1e-20, -0.25, -0.5})),
                 {690.77552789821370, 744.44007192138122, 46.051701859880914, 1.5895753125511862, 1.2655121234846454});
    CHECK(lgamma(here::full({2}, 3, Dtype::i64)).dtype() == Dtype::f32);
  }

  DEVICE_TEST_CASE("erfinv turns erf round to the last digits, at both ends") {
    check_values(erfinv(f64({1, -1, 1.5, kNan, 0})), {kInf, -kInf, kNan, kNan, 0});
    const Tensor x = here::linspace(-5, 5, 1001, Dtype::f64);
    // erf is flat out there: one ulp of it is eps / erf' of x
    const Tensor error = abs(erfinv(erf(x)) - x) / (1 + exp(x * x));
    CHECK(max(error).item<double>() < 2e-16);
    check_values(erfinv(f64({1e-300, 1e-9, 0.5})),
                 {8.8622692545275801e-301, 8.8622692545275801e-10, 0.47693627620446987});
  }

  DEVICE_TEST_CASE("two arguments: infinities, NaNs and zeros") {
    check_values(logaddexp(f64({-kInf, kInf, 0, 1, 1000, kNan}), f64({-kInf, kInf, 0, -kInf, 1000, 1})),
                 {-kInf, kInf, std::log(2), 1, 1000 + std::log(2), kNan});
    check_values(logaddexp2(f64({-kInf, 5, 2000}), f64({-kInf, 5, 2000})), {-kInf, 6, 2001});
    check_values(xlogy(f64({0, 0, 0, 2}), f64({0, -1, kNan, 3})), {0, 0, kNan, 2 * std::log(3)});
    check_values(hypot(f64({kInf, 3e200, kNan}), f64({kNan, 4e200, 1})), {kInf, 5e200, kNan});
    CHECK(hypot(here::tensor({3e30f}), here::tensor({4e30f})).item<float>() == doctest::Approx(5e30));
    check_values(copysign(f64({1, 0, -2}), f64({-0.0, -1, 3})), {-1, -0.0, 2});
    CHECK(std::signbit(copysign(f64({0}), -1).item<double>()));
    check_values(heaviside(f64({kNan, 0, -1, 2}), f64({7, 7, 7, 7})), {0, 7, 0, 1});
    CHECK(heaviside(here::tensor<int64_t>({0, 1, -3}), here::full({1}, 7, Dtype::i64)).to_vector<int64_t>() ==
          std::vector<int64_t>{7, 1, 0});
  }

  DEVICE_TEST_CASE("fmax and fmin: a number wins against NaN, equals share the gradient") {
    const Values a = {kNan, 1, kNan, 2, -3}, b = {1, kNan, kNan, 2, -kInf};
    check_values(fmax(f64(a), f64(b)), {1, 1, kNan, 2, -3});
    check_values(fmin(f64(a), f64(b)), {1, 1, kNan, 2, -kInf});
    const auto g = slopes([](const auto& x) { return fmax(x[0], x[1]); }, {a, b});
    check_values(g[0], {0, 1, 1, 0.5, 1});
    check_values(g[1], {1, 0, 0, 0.5, 0});
    const auto least = slopes([](const auto& x) { return fmin(x[0], x[1]); }, {a, b});
    check_values(least[0], {0, 1, 1, 0.5, 0});
    check_values(least[1], {1, 0, 0, 0.5, 1});
    CHECK(fmax(here::full({1}, 3, Dtype::i32), here::full({1}, 4, Dtype::i64)).dtype() == Dtype::i64);
  }
  DEVICE_TEST_CASE("remainders of a number, floor_divide") {
    check_values(remainder(7, f64({3, -3, 2.5})), {1, -2, 2});
    check_values(slopes([](const auto& x) { return remainder(7, x[0]); }, {{3, -3}})[0], {-2, 3});
    CHECK(remainder(-7, here::tensor<int64_t>({3, -3})).to_vector<int64_t>() == std::vector<int64_t>{2, -1});
    CHECK_THROWS_AS((void)remainder(1, here::tensor<int64_t>({0})), ValueError);
    check_values(floor_divide(f64({7, -7}), 2), {3, -4});
    CHECK(floor_divide(here::tensor<int64_t>({7, -7}), here::tensor<int64_t>({2, 2})).to_vector<int64_t>() ==
          std::vector<int64_t>{3, -4});
  }

  DEVICE_TEST_CASE("gradients at the special values") {
    auto g = slopes([](const auto& x) { return xlogy(x[0], x[1]); }, {{0, 0, 2}, {0, 3, 0}});
    check_values(g[0], {0, std::log(3), -kInf});
    check_values(g[1], {kNan, 0, kInf});
    check_values(slopes([](const auto& x) { return copysign(x[0], x[1]); }, {{0, -0.0, 2, -3}, {-1, 1, -0.0, 5}})[0],
                 {0, 0, -1, -1});
    check_values(slopes([](const auto& x) { return nan_to_num(x[0]); }, {{kNan, kInf, 1}})[0], {0, 0, 1});
    check_values(slopes([](const auto& x) { return logit(x[0], 0.25); }, {{0, 0.25, 0.5, 1, kNan}})[0],
                 {0, 16 / 3.0, 4, 0, kNan});
    check_values(slopes([](const auto& x) { return logit(x[0]); }, {{-0.1, 0, 0.5, 1, 1.5}})[0],
                 {kNan, kInf, 4, kInf, kNan});
    // the two terms of the formula are equal to all digits here
    check_values(slopes([](const auto& x) { return sinc(x[0]); }, {{0, 1e-9}})[0], {0, -M_PI * M_PI / 3 * 1e-9});
  }

  DEVICE_TEST_CASE("one argument: ends of the domain, numbers for NaN") {
    check_values(logit(f64({-0.5, 0, 1, 2, kNan})), {kNan, -kInf, kInf, kNan, kNan});
    check_values(sinc(f64({0, 0.5})), {1, 2 / M_PI});
    const Values odd = {kNan, kInf, -kInf, 3};
    check_values(nan_to_num(f64(odd)), {0, 1.7976931348623157e308, -1.7976931348623157e308, 3});
    check_values(nan_to_num(f64(odd), {.nan = 1, .posinf = 2, .neginf = -2}), {1, 2, -2, 3});
    check_values(nan_to_num(f64(odd).to(Dtype::f32)), {0, 3.4028234663852886e38, -3.4028234663852886e38, 3});
    check_values(nan_to_num(f64(odd).to(Dtype::f16)), {0, 65504, -65504, 3});
    check_values(nan_to_num(f64(odd).to(Dtype::bf16)), {0, 3.3895313892515355e38, -3.3895313892515355e38, 3});
    CHECK(nan_to_num(here::full({2}, 3, Dtype::i64)).dtype() == Dtype::i64);
  }

  DEVICE_TEST_CASE("bits: promotion, bool, shifts beyond the width") {
    using Ints = std::vector<int64_t>;
    const auto ints = [](const Ints& v) { return here::tensor(v); };
    CHECK(bitwise_left_shift(ints({1, 2, 3}), ints({64, -1, 2})).to_vector<int64_t>() == Ints{0, 0, 12});
    CHECK(bitwise_right_shift(ints({-5, 5, -5}), ints({64, -1, 1})).to_vector<int64_t>() == Ints{-1, 0, -3});
    const Tensor byte = here::full({1}, 200, Dtype::u8);
    CHECK(bitwise_right_shift(byte, 7).item<int64_t>() == 1);
    CHECK(bitwise_right_shift(byte, 9).item<int64_t>() == 0);
    CHECK(bitwise_left_shift(byte, 1).item<int64_t>() == 144);
    CHECK(bitwise_not(byte).item<int64_t>() == 55);
    const Tensor yes = here::full({1}, true, Dtype::boolean);
    CHECK(bitwise_and(yes, ints({3})).dtype() == Dtype::i64);
    CHECK(bitwise_and(yes, ints({3})).item<int64_t>() == 1);
    CHECK(bitwise_xor(yes, yes).item<bool>() == false);
    CHECK(bitwise_not(yes).item<bool>() == false);
    CHECK(bitwise_or(bitwise_not(yes), yes).dtype() == Dtype::boolean);
    CHECK(bitwise_xor(here::full({1}, 3, Dtype::i32), 5).dtype() == Dtype::i32);
    CHECK(bitwise_left_shift(1, ints({0, 4})).to_vector<int64_t>() == Ints{1, 16});
    CHECK(bitwise_and(6, byte).dtype() == Dtype::u8);
    CHECK_THROWS_AS((void)bitwise_left_shift(yes, yes), DtypeError);
    CHECK_THROWS_AS((void)bitwise_and(yes, 1.5), DtypeError);
  }
}
