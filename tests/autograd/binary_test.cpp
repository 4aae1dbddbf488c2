#include <limits>

#include "derivative.h"
#include "support/here.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/layer/resize.h"

using namespace weft;
using namespace weft::test;

namespace {
struct Case {
  const char* name;
  Tensor (*op)(const Tensor&, const Tensor&);
  double (*reference)(double, double);
  double lo = -2, hi = 2;  // of both arguments
};
#define WEFT_CASE(expr_op, expr_ref)                                  \
  [](const Tensor& x, const Tensor& y) -> Tensor { return expr_op; }, \
      [](double x, double y) -> double { return expr_ref; }

const Case kCases[] = {
    {"add", WEFT_CASE(x + y, x + y)},
    {"add alpha", WEFT_CASE(add(x, y, 2.5), x + 2.5 * y)},
    {"sub", WEFT_CASE(x - y, x - y)},
    {"sub alpha", WEFT_CASE(sub(x, y, 3), x - 3 * y)},
    {"mul", WEFT_CASE(x* y, x* y)},
    {"div", WEFT_CASE(x / y, x / y), 0.5, 2},
    {"div trunc", WEFT_CASE(div(x, y, RoundingMode::trunc), std::trunc(x / y)), 0.5, 2},
    {"div floor", WEFT_CASE(div(x, y, RoundingMode::floor), std::floor(x / y)), 0.5, 2},
    {"pow", WEFT_CASE(pow(x, y), std::pow(x, y)), 0.5, 2},
    {"maximum", WEFT_CASE(maximum(x, y), std::fmax(x, y))},
    {"minimum", WEFT_CASE(minimum(x, y), std::fmin(x, y))},
    {"atan2", WEFT_CASE(atan2(x, y), std::atan2(x, y))},
    {"fmod", WEFT_CASE(fmod(x, y), std::fmod(x, y)), 0.5, 2},
    {"remainder", WEFT_CASE(remainder(x, y), x - y * std::floor(x / y)), 0.5, 2},
    {"x + 1.5", WEFT_CASE((x + 1.5) * y, (x + 1.5) * y)},
    {"1.5 - x", WEFT_CASE((1.5 - x) * y, (1.5 - x) * y)},
    {"2 * x / 3", WEFT_CASE(2 * x / 3 - y, 2 * x / 3 - y)},
    {"2 / x", WEFT_CASE(2 / x + y, 2 / x + y), 0.5, 2},
    {"x^3", WEFT_CASE(pow(x, 3) * y, x* x* x* y)},
    {"x^2, x^-1, x^.5", WEFT_CASE(pow(x, 2) + pow(x, -1) * pow(y, 0.5), x* x + std::sqrt(y) / x), 0.5, 2},
    {"x^0 and x^1", WEFT_CASE(pow(x, 0) + pow(y, 1), 1 + y + 0 * x)},
    {"2^x", WEFT_CASE(pow(2, x) * y, std::exp2(x) * y)},
    {"lerp", WEFT_CASE(lerp(x, y, 0.3), x + 0.3 * (y - x))},
    {"where", WEFT_CASE(where(gt(x, y), x* y, y), x > y ? x * y : y)},
    {"clamp by tensors", WEFT_CASE(clamp(x, y, y + 0.75), std::fmin(std::fmax(x, y), y + 0.75))},
};
}  // namespace

TEST_SUITE("binary") {
  DEVICE_TEST_CASE("values and derivatives, with broadcasting on either side") {
    const std::pair<Shape, Shape> shapes[] = {{{3, 5}, {3, 5}}, {{3, 5}, {5}}, {{3, 1}, {2, 1, 4}},
                                              {{}, {4}},        {{2, 3}, {}},  {{0, 3}, {1}}};
    for (const Case& c : kCases) {
      INFO(c.name);
      for (const auto& pair : shapes) {
        const Shape &sx = pair.first, &sy = pair.second;
        CAPTURE(sx);
        CAPTURE(sy);
        const Tensor x = ramp(sx, c.lo, c.hi), y = ramp(sy, c.lo, c.hi, 1), z = c.op(x, y);
        const Shape s = broadcast_shapes("test", sx, sy);
        REQUIRE(z.shape() == s);
        const std::vector<double> a = x.expand(s).to_vector<double>(), b = y.expand(s).to_vector<double>(),
                                  out = z.to_vector<double>();
        for (size_t i = 0; i < out.size(); ++i)
          CHECK(out[i] == doctest::Approx(c.reference(a[i], b[i])).epsilon(1e-12).scale(1e-3));
        check_derivatives([&](const std::vector<Tensor>& v) { return c.op(v[0], v[1]); }, {x, y});
      }
    }
  }

  DEVICE_TEST_CASE("addcmul, addcdiv and lerp of three tensors") {
    const Tensor x = ramp({3, 4}), a = ramp({4}, 0.5, 2, 1), b = ramp({3, 1}, 0.5, 2, 2);
    CHECK(allclose(addcmul(x, a, b, 2.5), x + 2.5 * (a * b)));
    CHECK(allclose(addcdiv(x, a, b, 2.5), x + 2.5 * (a / b)));
    CHECK(allclose(lerp(x, a, b), x + b * (a - x)));
    check_derivatives([](const std::vector<Tensor>& v) { return addcmul(v[0], v[1], v[2], 2.5); }, {x, a, b});
    check_derivatives([](const std::vector<Tensor>& v) { return addcdiv(v[0], v[1], v[2], 2.5); }, {x, a, b});
    check_derivatives([](const std::vector<Tensor>& v) { return lerp(v[0], v[1], v[2]); }, {x, a, b});
    check_derivatives(
        [](const std::vector<Tensor>& v) {
          return where(here::tensor(std::vector<bool>{true, false, true, true}), v[0], v[1]);
        },
        {x, b});
    check_derivatives([](const std::vector<Tensor>& v) { return outer(v[0], v[1]); }, {ramp({3}), ramp({4})});
  }

  DEVICE_TEST_CASE("dtypes promote as in PyTorch") {
    auto of = [](Dtype d, const Shape& s = {2}) { return here::ones(s, d); };
    const Dtype all[] = {Dtype::f32, Dtype::f64,     Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32,
                         Dtype::u8,  Dtype::boolean, Dtype::i8,   Dtype::i16, Dtype::u16};
    for (Dtype a : all)
      for (Dtype b : all) {
        CHECK((of(a) + of(b)).dtype() == promote(a, b));
        CHECK((of(a) / of(b)).dtype() == (is_floating(promote(a, b)) ? promote(a, b) : Dtype::f32));
        CHECK(lt(of(a), of(b)).dtype() == Dtype::boolean);
      }
    // a tensor without axes raises the category only
    CHECK((of(Dtype::f32) + of(Dtype::f64, {})).dtype() == Dtype::f32);
    CHECK((of(Dtype::i64) + of(Dtype::f64, {})).dtype() == Dtype::f64);
    CHECK((of(Dtype::u8) + of(Dtype::i64, {})).dtype() == Dtype::u8);
    CHECK((of(Dtype::f32, {}) + of(Dtype::f64, {})).dtype() == Dtype::f64);
    // so does a number
    CHECK((of(Dtype::bf16) * 2.5).dtype() == Dtype::bf16);
    CHECK((of(Dtype::u8) * 2).dtype() == Dtype::u8);
    CHECK((of(Dtype::i32) * 2.5).dtype() == Dtype::f32);
    CHECK((of(Dtype::boolean) * 2).dtype() == Dtype::i64);
    CHECK((of(Dtype::boolean) * true).dtype() == Dtype::boolean);
    CHECK((1.5 - of(Dtype::i64)).dtype() == Dtype::f32);
    CHECK(pow(of(Dtype::i64), 2).dtype() == Dtype::i64);
    CHECK(pow(of(Dtype::i64), 2.0).dtype() == Dtype::f32);
    // the gradient has the dtype of its input
    Tensor x = here::ones({2}, Dtype::f32).set_requires_grad(), y = here::ones({2}, Dtype::f64).set_requires_grad();
    std::vector<Tensor> g = grad(sum(x * y), {x, y});
    CHECK(g[0].dtype() == Dtype::f32);
    CHECK(g[1].dtype() == Dtype::f64);
  }

  TEST_CASE("integers") {
    const Tensor x = here::tensor<int64_t>({7, -7, 7, -7}), y = here::tensor<int64_t>({2, 2, -2, -2});
    auto is = [](const Tensor& t, std::vector<int64_t> want) { CHECK(t.to_vector<int64_t>() == want); };
    is(div(x, y, RoundingMode::trunc), {3, -3, -3, 3});
    is(div(x, y, RoundingMode::floor), {3, -4, -4, 3});
    is(fmod(x, y), {1, -1, 1, -1});
    is(remainder(x, y), {1, 1, -1, -1});
    is(pow(y, 3), {8, 8, -8, -8});
    is(x + (int64_t{1} << 60),
       {7 + (int64_t{1} << 60), -7 + (int64_t{1} << 60), 7 + (int64_t{1} << 60), -7 + (int64_t{1} << 60)});
    is(maximum(x, y), {7, 2, 7, -2});
    CHECK((x / y).to_vector<float>() == std::vector<float>{3.5f, -3.5f, -3.5f, 3.5f});
    CHECK((here::tensor<int64_t>({2}).to(Dtype::u8) - 3).item<int64_t>() == 255);
    CHECK_THROWS_AS((void)div(x, 0, RoundingMode::floor), ValueError);
    CHECK_THROWS_AS((void)remainder(x, 0), ValueError);
    CHECK_THROWS_AS((void)pow(x, -1), ValueError);
    CHECK_THROWS_AS((void)add(x, y, 0.5), ValueError);
    CHECK_THROWS_AS((void)sub(gt(x, 0), gt(y, 0)), DtypeError);
  }

  DEVICE_TEST_CASE("comparison and logic") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Tensor x = here::tensor<double>({1, 2, 3, nan}), y = here::tensor<double>({2, 2, 2, nan});
    auto is = [](const Tensor& t, std::vector<bool> want) { CHECK(t.to_vector<bool>() == want); };
    is(eq(x, y), {false, true, false, false});
    is(ne(x, y), {true, false, true, true});
    is(lt(x, y), {true, false, false, false});
    is(le(x, y), {true, true, false, false});
    is(gt(x, y), {false, false, true, false});
    is(ge(x, y), {false, true, true, false});
    is(gt(x, 1.5), {false, true, true, false});
    is(eq(here::tensor<int64_t>({1, 2}), 1.5), {false, false});
    const Tensor a = here::tensor<double>({0, 0, 2, nan}), b = here::tensor<double>({0, 1, 1, 0});
    is(logical_and(a, b), {false, false, true, false});
    is(logical_or(a, b), {false, true, true, true});
    is(logical_xor(a, b), {false, true, false, true});
    is(logical_not(a), {true, true, false, false});
    CHECK_FALSE(equal(x, x));
    CHECK(equal(a.slice(0, 0, 3), a.slice(0, 0, 3)));
    CHECK(allclose(x, x, 0, 0, true));
  }

  DEVICE_TEST_CASE("equal elements of maximum and minimum share the gradient, NaN wins") {
    Tensor x = here::tensor<double>({1, 2, 3}).set_requires_grad(),
           y = here::tensor<double>({3, 2, 1}).set_requires_grad();
    std::vector<Tensor> g = grad(sum(maximum(x, y)), {x, y});
    CHECK(g[0].to_vector<double>() == std::vector<double>{0, 0.5, 1});
    CHECK(g[1].to_vector<double>() == std::vector<double>{1, 0.5, 0});
    const Tensor nan = here::full({1}, std::numeric_limits<double>::quiet_NaN(), Dtype::f64),
                 one = here::ones({1}, Dtype::f64);
    CHECK(isnan(maximum(nan, one)).item<bool>());
    CHECK(isnan(minimum(one, nan)).item<bool>());
  }

  DEVICE_TEST_CASE("gradients of pow at 0") {
    auto slope = [](double at, double e) {
      Tensor x = here::full({}, at, Dtype::f64).set_requires_grad();
      return grad(pow(x, e), {x})[0].item<double>();
    };
    CHECK(slope(0, 2) == 0);
    CHECK(slope(0, 0) == 0);
    CHECK(std::isinf(slope(0, 0.5)));
    Tensor x = here::zeros({}, Dtype::f64).set_requires_grad(), e = here::full({}, 2, Dtype::f64).set_requires_grad();
    std::vector<Tensor> g = grad(pow(x, e), {x, e});
    CHECK(g[0].item<double>() == 0);
    CHECK(g[1].item<double>() == 0);
  }

  DEVICE_TEST_CASE("layouts: channels-last stays, and every pair of strides agrees with contiguous copies") {
    const Tensor base = ramp({2, 3, 4, 5});
    const Tensor views[] = {base,
                            base.contiguous(MemoryFormat::channels_last),
                            ramp({5, 4, 3, 2}).permute({3, 2, 1, 0}),
                            ramp({2, 3, 4, 10}).slice(3, 0, 10, 2),
                            ramp({3, 1, 5}).expand({2, 3, 4, 5}),
                            ramp({1, 3, 1, 1}),
                            ramp({5}),
                            ramp({2, 1, 4, 1})};
    for (const Tensor& x : views)
      for (const Tensor& y : views) {
        CAPTURE(x.strides());
        CAPTURE(y.strides());
        const Shape s = broadcast_shapes("test", x.shape(), y.shape());
        const Tensor want = x.expand(s).contiguous() * y.expand(s).contiguous();
        CHECK(equal(x * y, want));
      }
    CHECK((views[1] + views[5]).is_channels_last());
    CHECK((views[5] + views[1]).is_channels_last());
    CHECK(gt(views[1], 0).is_channels_last());
    CHECK(where(gt(views[1], 0), views[1], 0).is_channels_last());
  }

  DEVICE_TEST_CASE("sizes around the vector width and the parallel threshold, every dtype") {
    for (int64_t n : {1, 2, 15, 16, 17, 63, 64, 65, 511, 512, 513, 16384, 16385, 40000})
      for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8,
                      Dtype::boolean, Dtype::i8, Dtype::i16, Dtype::u16}) {
        CAPTURE(n);
        CAPTURE(d);
        // small integers: exact in every dtype, and true for bool where not zero
        std::vector<int64_t> a(static_cast<size_t>(n)), b(a);
        for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<int64_t>(i % 7), b[i] = static_cast<int64_t>(i % 5);
        const Tensor x = here::tensor(a).to(d), y = here::tensor(b).to(d);
        const std::vector<int64_t> got = (x + y).to_vector<int64_t>(), less = lt(x, y).to_vector<int64_t>();
        bool ok = true;
        for (size_t i = 0; i < a.size(); ++i) {
          const bool logic = d == Dtype::boolean;
          ok &= got[i] == (logic ? int64_t{a[i] || b[i]} : a[i] + b[i]);
          ok &= less[i] == (logic ? int64_t{!a[i] && b[i]} : int64_t{a[i] < b[i]});
        }
        CHECK(ok);
      }
  }

  DEVICE_TEST_CASE("errors name op and shapes") {
    CHECK_THROWS_WITH_AS((void)(here::ones({2, 3}) + here::ones({2, 4})), doctest::Contains("[2, 3]"), ShapeError);
    CHECK_THROWS_AS((void)where(here::ones({2}), here::ones({2}), here::ones({2})), DtypeError);
    CHECK_THROWS_AS((void)outer(here::ones({2, 2}), here::ones({2})), ShapeError);
  }

  // The op table leaves halves out where a rounded input may jump; these numbers are exact in both.
  DEVICE_TEST_CASE("rounded quotients and sampling in halves") {
    for (const Dtype d : {Dtype::f16, Dtype::bf16}) {
      CAPTURE(name(d));
      const Tensor x = here::tensor({7.5, -7.5, 5., -1.}).to(d), y = here::tensor({2., 2., -3., 0.5}).to(d);
      CHECK(fmod(x, y).to_vector<float>() == std::vector<float>{1.5, -1.5, 2, 0});
      CHECK(remainder(x, y).to_vector<float>() == std::vector<float>{1.5, 0.5, -1, 0});
      CHECK(div(x, y, RoundingMode::trunc).to_vector<float>() == std::vector<float>{3, -3, -1, -2});
      CHECK(div(x, y, RoundingMode::floor).to_vector<float>() == std::vector<float>{3, -4, -2, -2});
      const Tensor image = here::tensor({1., 2., 3., 4.}, Shape{1, 1, 2, 2}).to(d),
                   grid = here::tensor({-1., -1., 1., -1., 0., 0., 0., 1.}, Shape{1, 2, 2, 2}).to(d);
      const Tensor sampled = grid_sample(image, grid, {.align_corners = true});
      CHECK(sampled.dtype() == d);
      CHECK(sampled.to_vector<float>() == std::vector<float>{1, 2, 2.5, 3.5});
    }
  }

  DEVICE_TEST_CASE("the gradient of atan2 is 0 at the origin") {
    const Tensor y = here::tensor({0., 0., 3.}, Shape{3}).set_requires_grad(),
                 x = here::tensor({0., 2., 4.}, Shape{3}).set_requires_grad();
    sum(atan2(y, x)).backward();
    CHECK(y.grad().to_vector<double>() == std::vector<double>{0, 0.5, 4. / 25});
    CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 0, -3. / 25});
  }
}
