#include <limits>

#include "derivative.h"
#include "support/here.h"
#include "weft/autograd/ops/elementwise/select.h"

using namespace weft;
using namespace weft::test;

namespace {
using Line = std::vector<double>;
struct Case {
  const char* name;
  Tensor (*op)(const Tensor&, const DimList&, bool);
  double (*reference)(const Line&);
};
#define WEFT_CASE(expr) [](const Tensor& x, const DimList& d, bool k) -> Tensor { return expr; }

double total(const Line& v) {
  double s = 0;
  for (double x : v) s += x;
  return s;
}
double power_norm(const Line& v, double p) {
  double s = 0;
  for (double x : v) s += std::pow(std::fabs(x), p);
  return std::pow(s, 1 / p);
}
double variance(const Line& v, double correction) {
  const double m = total(v) / static_cast<double>(v.size());
  double s = 0;
  for (double x : v) s += (x - m) * (x - m);
  return s / (static_cast<double>(v.size()) - correction);
}
double largest(const Line& v) { return *std::max_element(v.begin(), v.end()); }
double smallest(const Line& v) { return *std::min_element(v.begin(), v.end()); }

const Case kCases[] = {
    {"sum", WEFT_CASE(sum(x, d, k)), total},
    {"mean", WEFT_CASE(mean(x, d, k)), [](const Line& v) { return total(v) / static_cast<double>(v.size()); }},
    {"prod", WEFT_CASE(prod(x, d, k)),
     [](const Line& v) {
       double p = 1;
       for (double x : v) p *= x;
       return p;
     }},
    {"amax", WEFT_CASE(amax(x, d, k)), largest},
    {"amin", WEFT_CASE(amin(x, d, k)), smallest},
    {"var", WEFT_CASE(var(x, d, {.keepdim = k})), [](const Line& v) { return variance(v, 1); }},
    {"var 0", WEFT_CASE(var(x, d, {.correction = 0, .keepdim = k})), [](const Line& v) { return variance(v, 0); }},
    {"std", WEFT_CASE(weft::std(x, d, {.keepdim = k})), [](const Line& v) { return std::sqrt(variance(v, 1)); }},
    {"logsumexp", WEFT_CASE(logsumexp(x, d, k)),
     [](const Line& v) {
       double s = 0;
       for (double x : v) s += std::exp(x);
       return std::log(s);
     }},
    {"norm 2", WEFT_CASE(norm(x, 2, d, k)), [](const Line& v) { return power_norm(v, 2); }},
    {"norm 1", WEFT_CASE(norm(x, 1, d, k)), [](const Line& v) { return power_norm(v, 1); }},
    {"norm 3", WEFT_CASE(norm(x, 3, d, k)), [](const Line& v) { return power_norm(v, 3); }},
    {"norm 1.5", WEFT_CASE(norm(x, 1.5, d, k)), [](const Line& v) { return power_norm(v, 1.5); }},
    {"norm .5", WEFT_CASE(norm(x, 0.5, d, k)), [](const Line& v) { return power_norm(v, 0.5); }},
    {"norm -2", WEFT_CASE(norm(x, -2, d, k)), [](const Line& v) { return power_norm(v, -2); }},
    {"norm inf", WEFT_CASE(norm(x, INFINITY, d, k)), [](const Line& v) { return std::fmax(largest(v), -smallest(v)); }},
    {"norm -inf", WEFT_CASE(norm(x, -INFINITY, d, k)),
     [](const Line& v) {
       double m = INFINITY;
       for (double x : v) m = std::fmin(m, std::fabs(x));
       return m;
     }},
};

/// Every case against its reference on the lines of x, gathered by a naive loop over the logical order.
void check_values(const Case& c, const Tensor& x, const Shape& dims) {
  const int rank = x.rank();
  const uint32_t mask = DimList(dims).mask("test", rank);
  Shape kept = x.shape();
  for (int i = 0; i < rank; ++i)
    if (mask >> i & 1) kept[i] = 1;
  std::vector<Line> lines(static_cast<size_t>(kept.numel()));
  const std::vector<double> v = x.to_vector<double>();
  for (int64_t at = 0; at < x.numel(); ++at) {
    int64_t rest = at, to = 0, step = 1;
    for (int i = rank - 1; i >= 0; --i) {
      const int64_t k = rest % x.size(i);
      rest /= x.size(i);
      if (!(mask >> i & 1)) to += k * step;
      step *= kept[i];
    }
    lines[static_cast<size_t>(to)].push_back(v[static_cast<size_t>(at)]);
  }
  const Tensor y = c.op(x, dims, true);
  CHECK(y.shape() == kept);
  CHECK(c.op(x, dims, false).numel() == kept.numel());
  CHECK(c.op(x, dims, false).rank() == rank - std::popcount(mask));
  const std::vector<double> out = y.to_vector<double>();
  for (size_t i = 0; i < out.size(); ++i)
    CHECK(out[i] == doctest::Approx(c.reference(lines[i])).epsilon(1e-11).scale(1e-6));
}
}  // namespace

TEST_SUITE("reduce") {
  DEVICE_TEST_CASE("values over every set of axes, in three layouts") {
    const Tensor x = ramp({2, 3, 4, 5}, -1.9, 2);
    const Tensor layouts[] = {x, x.contiguous(MemoryFormat::channels_last),
                              ramp({5, 2, 4, 3}, -1.9, 2).permute({1, 3, 2, 0})};
    for (const Case& c : kCases) {
      INFO(c.name);
      for (const Tensor& t : layouts)
        for (uint32_t mask = 1; mask < 16; ++mask) {
          Shape dims;
          for (int i = 0; i < 4; ++i)
            if (mask >> i & 1) dims.push_back(mask % 2 ? i : i - 4);
          check_values(c, t, dims);
        }
      check_values(c, x, {});
      check_values(c, ramp({70, 40}), {0});
      check_values(c, ramp({70, 40}), {1});
    }
  }

  DEVICE_TEST_CASE("long and wide: more than one chunk, more than one thread") {
    for (const Case& c : kCases) {
      if (c.name == std::string("prod")) continue;  // overflows
      INFO(c.name);
      check_values(c, ramp({3, 70000}, 0.5, 2), {1});
      check_values(c, ramp({70000, 3}, 0.5, 2), {0});
      check_values(c, ramp({20, 300, 30}, 0.5, 2), {0, 2});
      check_values(c, ramp({200000}, 0.5, 2), {});
    }
  }

  DEVICE_TEST_CASE("derivatives") {
    for (const Case& c : kCases) {
      INFO(c.name);
      const Tensor x = ramp({2, 3, 4}, 0.4, 2);
      for (const Shape& dims : {Shape{}, Shape{1}, Shape{0, 2}, Shape{-1}})
        for (bool keep : {false, true})
          check_derivatives([&](const std::vector<Tensor>& v) { return c.op(v[0], dims, keep); }, {x}, 2e-6);
    }
    check_derivatives([](const std::vector<Tensor>& v) { return max(v[0], 1).values; }, {ramp({3, 4})});
    check_derivatives([](const std::vector<Tensor>& v) { return min(v[0], -2, true).values; }, {ramp({3, 4})});
  }

  DEVICE_TEST_CASE("prod is exact at zeros, to second order") {
    const Tensor cases[] = {here::tensor<double>({2, 0, 3}), here::tensor<double>({0, 0, 3}),
                            here::tensor<double>({0, 0, 0}), here::tensor<double>({2, 0, 3, 1, 5, 0}, Shape{2, 3})};
    for (const Tensor& x : cases) {
      check_derivatives([](const std::vector<Tensor>& v) { return prod(v[0]); }, {x});
      if (x.rank() == 2) {
        check_derivatives([](const std::vector<Tensor>& v) { return prod(v[0], 0); }, {x});
        check_derivatives([](const std::vector<Tensor>& v) { return prod(v[0], 1, true); }, {x});
      }
    }
  }

  DEVICE_TEST_CASE("equal extremes share the gradient, or the first takes it") {
    Tensor x = here::tensor<double>({1, 3, 3, 2}).set_requires_grad();
    CHECK(grad(amax(x), {x})[0].to_vector<double>() == Line{0, 0.5, 0.5, 0});
    CHECK(grad(max(x), {x})[0].to_vector<double>() == Line{0, 0.5, 0.5, 0});
    CHECK(grad(max(x, 0).values, {x})[0].to_vector<double>() == Line{0, 1, 0, 0});
    CHECK(grad(norm(x, INFINITY), {x})[0].to_vector<double>() == Line{0, 0.5, 0.5, 0});
  }

  DEVICE_TEST_CASE("the gradient where NaN is the extreme, prod beside infinities") {
    const double nan = std::nan(""), inf = HUGE_VAL;
    const Tensor x = here::tensor({2., nan, 1., nan, 5., 7., 7., 0.}, Shape{2, 4}).set_requires_grad();
    for (const bool create_graph : {false, true}) {
      const auto of = [&](const Tensor& y) {
        return grad(sum(y), {x}, {.create_graph = create_graph})[0].to_vector<double>();
      };
      const std::vector<double> rows = of(amax(x, 1));
      for (int i = 0; i < 4; ++i) CHECK(std::isnan(rows[static_cast<size_t>(i)]));
      CHECK(std::vector<double>(rows.begin() + 4, rows.end()) == std::vector<double>{0, 0.5, 0.5, 0});
      CHECK(of(max(x)) == std::vector<double>{0, 0.5, 0, 0.5, 0, 0, 0, 0});
      CHECK(of(min(x)) == std::vector<double>{0, 0.5, 0, 0.5, 0, 0, 0, 0});
      CHECK(of(max(x, 1).values) == std::vector<double>{0, 1, 0, 0, 0, 1, 0, 0});
    }
    const Tensor p = here::tensor({inf, 2., 3., 0.}).set_requires_grad();
    const std::vector<double> g = grad(prod(p), {p})[0].to_vector<double>();
    CHECK(g[0] == 0);
    CHECK(std::isnan(g[1]));
    CHECK(g[3] == inf);
  }

  DEVICE_TEST_CASE("norms and std have gradient 0 at 0") {
    for (double p : {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, double(INFINITY)}) {
      CAPTURE(p);
      Tensor x = here::zeros({3}, Dtype::f64).set_requires_grad();
      CHECK(grad(norm(x, p), {x})[0].to_vector<double>() == Line{0, 0, 0});
    }
    Tensor x = here::ones({3}, Dtype::f64).set_requires_grad();
    CHECK(grad(weft::std(x), {x})[0].to_vector<double>() == Line{0, 0, 0});
    CHECK(norm(here::tensor<double>({1, 0, 2}), 0).item<double>() == 2);
  }

  DEVICE_TEST_CASE("positions: first of equals, NaN wins") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const Tensor x = here::tensor<double>({1, 5, 5, 0, nan, 7, nan, 1}, Shape{2, 4});
    CHECK(argmax(x, 1).to_vector<int64_t>() == std::vector<int64_t>{1, 0});
    CHECK(argmin(x, -1).to_vector<int64_t>() == std::vector<int64_t>{3, 0});
    CHECK(argmax(x).item<int64_t>() == 4);
    CHECK(argmax(x, std::nullopt, true).shape() == Shape{1, 1});
    CHECK(argmax(x, 0, true).shape() == Shape{1, 4});
    const ValuesIndices m = max(x, 1);
    CHECK(m.values.to_vector<double>()[0] == 5);
    CHECK(isnan(m.values).to_vector<bool>() == std::vector<bool>{false, true});
    CHECK(isnan(amax(x)).item<bool>());
    CHECK(isnan(amin(x)).item<bool>());
    CHECK(argmax(here::tensor<int64_t>({3, 9, 4})).item<int64_t>() == 1);
    CHECK(argmax(here::scalar(2.5)).item<int64_t>() == 0);
    // channels-last, along the axis that is fastest there
    const Tensor y = ramp({2, 7, 5, 6});
    CHECK(equal(argmax(y.contiguous(MemoryFormat::channels_last), 1), argmax(y, 1)));
  }

  DEVICE_TEST_CASE("dtypes") {
    CHECK(sum(here::ones({3}, Dtype::i32)).dtype() == Dtype::i64);
    CHECK(sum(here::ones({3}, Dtype::boolean)).item<int64_t>() == 3);
    CHECK(sum(here::ones({300}, Dtype::u8)).item<int64_t>() == 300);
    CHECK(sum(here::ones({3}, Dtype::f16), {}, false, Dtype::f64).dtype() == Dtype::f64);
    CHECK(prod(here::full({3}, 2, Dtype::i32)).item<int64_t>() == 8);
    CHECK(mean(here::ones({3}, Dtype::i64), {}, false, Dtype::f32).item<float>() == 1);
    CHECK(amax(here::tensor<int64_t>({1, 4, 2})).item<int64_t>() == 4);
    CHECK(count_nonzero(here::tensor<double>({0, 1, 2, 0}, Shape{2, 2}), 0).to_vector<int64_t>() ==
          std::vector<int64_t>{1, 1});
    // halves accumulate in f32: 4096 ones in bf16 would stop at 256
    for (Dtype d : {Dtype::bf16, Dtype::f16}) {
      CHECK(sum(here::ones({4096}, d)).item<float>() == 4096);
      CHECK(mean(here::full({100000}, 3, d)).item<float>() == 3);
      CHECK(sum(here::ones({4096, 2}, d), 0).to_vector<float>() == std::vector<float>{4096, 4096});
    }
    CHECK_THROWS_AS((void)mean(here::ones({3}, Dtype::i64)), DtypeError);
    CHECK_THROWS_AS((void)var(here::ones({3}, Dtype::i64)), DtypeError);
    CHECK_THROWS_AS((void)norm(here::ones({3}, Dtype::i64)), DtypeError);
    CHECK_THROWS_AS((void)argmax(here::ones({3}, Dtype::boolean)), DtypeError);
  }

  DEVICE_TEST_CASE("f32 sums of many values are accurate") {
    // 2^24 + k ones: a single running f32 sum would stick at 2^24; partial sums keep the error below n/2^24 of an ulp
    // chain
    const Tensor x = here::full({(1 << 24) + 4096}, 1);
    CHECK(sum(x).item<float>() == doctest::Approx((1 << 24) + 4096).epsilon(1e-7));
    CHECK(mean(x).item<float>() == doctest::Approx(1).epsilon(1e-7));
    const Tensor tall = here::full({1 << 20, 3}, 0.1f);
    for (float v : sum(tall, 0).to_vector<float>())
      CHECK(v == doctest::Approx((1 << 20) * static_cast<double>(0.1f)).epsilon(2e-6));
  }

  DEVICE_TEST_CASE("nothing to reduce, and rank 0") {
    CHECK(sum(here::zeros({0, 3})).item<float>() == 0);
    CHECK(sum(here::zeros({2, 0}), 1).to_vector<float>() == std::vector<float>{0, 0});
    CHECK(sum(here::zeros({0, 3}), 1).shape() == Shape{0});
    CHECK(prod(here::zeros({0})).item<float>() == 1);
    CHECK(std::isnan(mean(here::zeros({0})).item<float>()));
    CHECK(std::isnan(var(here::zeros({1})).item<float>()));
    CHECK(norm(here::zeros({0})).item<float>() == 0);
    CHECK(std::isinf(logsumexp(here::zeros({0}), 0).item<float>()));
    CHECK_FALSE(any(here::zeros({0})).item<bool>());
    CHECK(all(here::zeros({0})).item<bool>());
    CHECK(sum(here::scalar(3.5), 0).item<float>() == 3.5f);
    CHECK(sum(here::scalar(3.5), -1).shape() == Shape{});
    CHECK(amax(here::zeros({3, 0}), 0).shape() == Shape{0});
    CHECK_THROWS_AS((void)amax(here::zeros({0, 2}), 0), ShapeError);
    CHECK_THROWS_AS((void)max(here::zeros({0, 2})), ShapeError);
    CHECK_THROWS_AS((void)argmax(here::zeros({0})), ShapeError);
    CHECK_THROWS_AS((void)norm(here::zeros({0}), INFINITY), ShapeError);
    CHECK_THROWS_AS((void)sum(here::zeros({2}), {0, 0}), ValueError);
    CHECK_THROWS_AS((void)sum(here::zeros({2}), 1), Error);
  }

  DEVICE_TEST_CASE("any and all") {
    const Tensor x = here::tensor<double>({0, 1, 0, 0, 2, 3}, Shape{3, 2});
    CHECK(any(x, 1).to_vector<bool>() == std::vector<bool>{true, false, true});
    CHECK(all(x, 1).to_vector<bool>() == std::vector<bool>{false, false, true});
    CHECK(any(x, 0, true).shape() == Shape{1, 2});
    CHECK(all(here::ones({100000})).item<bool>());
    CHECK(any(isnan(here::full({5}, NAN))).item<bool>());
  }

  DEVICE_TEST_CASE("logsumexp neither overflows nor loses infinities") {
    CHECK(logsumexp(here::tensor<double>({1000, 1000}), 0).item<double>() == doctest::Approx(1000 + std::log(2.0)));
    CHECK(logsumexp(here::full({2}, -INFINITY), 0).item<float>() == -INFINITY);
    CHECK(logsumexp(here::tensor<double>({INFINITY, 1}), 0).item<double>() == INFINITY);
    CHECK(logsumexp(here::tensor<int64_t>({0, 0}), 0).item<float>() == doctest::Approx(std::log(2.0)));
    for (Dtype d : {Dtype::f16, Dtype::bf16}) {  // more elements than f16 counts; one rounding of the result
      const double y = logsumexp(here::zeros({70000, 2}, d), 0).to(Dtype::f64).to_vector<double>()[1];
      CHECK(y == doctest::Approx(std::log(70000.0)).epsilon(d == Dtype::f16 ? 0x1p-11 : 0x1p-8));
    }
  }

  DEVICE_TEST_CASE("sum_to undoes every broadcast") {
    const Tensor x = ramp({2, 3, 4});
    CHECK(sum_to(x, {2, 3, 4}).is_same(x));
    CHECK(allclose(sum_to(x, {3, 1}), sum(x, {0, 2}).reshape({3, 1})));
    CHECK(allclose(sum_to(x, {}), sum(x)));
    CHECK(allclose(sum_to(x, {1, 1, 4}), sum(x, {0, 1}, true)));
    CHECK(sum_to(here::ones({1, 3}), {3}).shape() == Shape{3});
  }
}
