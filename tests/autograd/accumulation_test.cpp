// How many digits sums and statistics keep: long lines, means far from zero, numbers at both ends of f32, halves.
#include <cmath>
#include <limits>

#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/norm.h"
#include "weft/autograd/ops/linalg/distance.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/reduce/statistics.h"

using namespace weft;

namespace {

Tensor f64(const Tensor& t) { return t.to(Dtype::f64); }
double greatest(const Tensor& t) { return max(abs(f64(t))).item<double>(); }
/// The largest |got - want| in ulp (of got's dtype) of `unit`; NaN counts as infinite.
double ulps(const Tensor& got, const Tensor& want, const Tensor& unit) {
  const double eps = got.dtype() == Dtype::f64 ? 0x1p-52 : 0x1p-23;
  const Tensor d = abs(f64(got) - want) / (unit * eps);
  return max(where(isnan(d), INFINITY, d)).item<double>();
}
/// max |got - want| / max |want|; NaN counts as infinite.
double off(const Tensor& got, const Tensor& want) {
  const Tensor d = abs(f64(got) - want);
  return max(where(isnan(d), INFINITY, d)).item<double>() / greatest(want);
}

/// Lines that drift: a constant whose sums round the same way every time, and noise.
std::vector<Tensor> long_lines(int64_t n) {
  Generator g(3);
  return {here::full({n}, 0.1), here::rand({n}, Dtype::f32, &g), here::randn({n}, Dtype::f32, &g)};
}

}  // namespace

TEST_SUITE("accumulation") {
  DEVICE_TEST_CASE("running sums of f32 and halves do not drift, f64 neither") {
    for (const int64_t n : {5, 1000, 1000003}) {
      CAPTURE(n);
      for (const Tensor& x : long_lines(n)) {
        const Tensor w = f64(x), sums = cumsum(abs(w), 0);
        CHECK(ulps(cumsum(x, 0), cumsum(w, 0), sums) <= 1);
        const Tensor columns = x.reshape({n, 1}).expand({n, 3}).contiguous();
        CHECK(ulps(cumsum(columns, 0).select(1, 2), cumsum(w, 0), sums) <= 1);
        const Tensor near = 1 + x * 1e-7, product = cumprod(f64(near), 0);
        CHECK(ulps(cumprod(near, 0), product, product) <= 1);
      }
    }
    // each sum is rounded once to 8 bits
    const Tensor h = cumsum(here::full({100000}, 0.1, Dtype::bf16), 0);
    CHECK(off(h, cumsum(here::full({100000}, 0.10009765625, Dtype::f64), 0)) <= 0x1p-8);
    // i times a number of 53 bits is exact to half an ulp in long double
    const int64_t n = 1000003;
    const std::vector<double> s = cumsum(here::full({n}, 0.1, Dtype::f64), 0).to_vector<double>();
    double worst = 0;
    for (int64_t i = 0; i < n; ++i)
      worst = std::max(worst, std::abs(static_cast<double>(s[i] - 0.1L * (i + 1)) / s[i]) / 0x1p-52);
    CHECK(worst <= 16);
  }

  DEVICE_TEST_CASE("running sums meet infinities and overflow as plain sums do") {
    const Tensor x = here::tensor<double>({1, INFINITY, 2, -INFINITY, 3});
    const std::vector<double> s = cumsum(x.expand({40, 5}).reshape({-1}), 0).to_vector<double>();
    CHECK(s[0] == 1);
    CHECK(s[2] == INFINITY);
    CHECK(std::isnan(s[3]));
    CHECK(std::isnan(s.back()));
    const std::vector<double> one = cumsum(here::tensor<double>({1, INFINITY}).expand({40, 2}).reshape({-1}), 0)
                                        .to_vector<double>();
    for (size_t i = 1; i < one.size(); ++i) CHECK(one[i] == INFINITY);
    // a product that leaves f32's range on the way
    CHECK(cumprod(here::tensor<float>({1e30f, 1e30f, 1e-30f, 1e-30f}), 0).to_vector<float>().back() ==
          doctest::Approx(1));
    CHECK(prod(here::tensor<float>({1e30f, 1e30f, 1e-30f, 1e-30f})).item<float>() == doctest::Approx(1));
  }

  DEVICE_TEST_CASE("sums, means and norms are within 4 ulp along any axis") {
    for (const int64_t n : {7, 100, 127, 4001, 1000003}) {
      CAPTURE(n);
      for (const Tensor& flat : long_lines(n)) {
        const int64_t quarter = n / 4;
        std::vector<std::pair<Tensor, Shape>> all{
            {flat.reshape({1, n}), {1}},
            {flat.reshape({n, 1}).expand({n, 3}).contiguous(), {0}},
            {flat.reshape({n, 1}).expand({n, 700}).narrow(0, 0, std::min<int64_t>(n, 100)), {0}}};
        if (quarter)
          all.push_back(
              {flat.narrow(0, 0, quarter * 4).reshape({1, 2, quarter, 2}).contiguous(MemoryFormat::channels_last),
               {0, 2, 3}});
        for (const auto& [x, dims] : all) {
          const Tensor w = f64(x), unit = sum(abs(w), dims);
          CHECK(ulps(sum(x, dims), sum(w, dims), unit) <= 4);
          CHECK(ulps(mean(x, dims), mean(w, dims), mean(abs(w), dims)) <= 4);
          CHECK(ulps(norm(x, 1, dims), unit, unit) <= 4);
          CHECK(ulps(norm(x, 2, dims), norm(w, 2, dims), norm(w, 2, dims)) <= 4);
          CHECK(ulps(logsumexp(x, dims), logsumexp(w, dims), abs(logsumexp(w, dims))) <= 4);
        }
      }
    }
    const Tensor x = here::full({10000000}, 0.1), w = f64(x);  // the longest lines that are promised
    CHECK(ulps(sum(x), sum(w), sum(w)) <= 4);
    CHECK(ulps(cumsum(x, 0), cumsum(w, 0), cumsum(w, 0)) <= 1);
  }

  TEST_CASE("dot products and softmax of long lines") {
    for (const int64_t n : {33, 257, 5000, 1000003}) {
      CAPTURE(n);
      for (const Tensor& x : long_lines(n)) {
        const Tensor w = f64(x), unit = sum(w * w);
        CHECK(ulps(matmul(x, x), unit, unit) <= 4);
        const Tensor rows = x.reshape({1, n}).expand({3, n}).contiguous();
        CHECK(ulps(matmul(rows, x), unit.expand({3}), unit) <= 4);
        // the other way round in memory: f32 within 384 products, each of which may cost half an ulp, f64 from there on
        const Tensor columns = x.reshape({n, 1}).expand({n, 5}).contiguous();
        CHECK(ulps(matmul(rows, columns), unit.expand({3, 5}), unit) <= 192);
        const Tensor side = x.reshape({n, 1}).expand({n, 16}).contiguous();
        CHECK(off(softmax(side, 0).select(1, 3), softmax(w, 0)) <= 1e-6);
        CHECK(off(log_softmax(side, 0).select(1, 3), log_softmax(w, 0)) <= 1e-6);
      }
    }
  }

  DEVICE_TEST_CASE("what f32 cannot hold on the way does not overflow or vanish") {
    Shape shapes[] = {{1000, 2}, {2, 1000}};
    for (const Shape& s : shapes) {
      const int dim = s[0] == 2 ? 1 : 0;
      // equal signs lie a vector's width apart: partial sums would be infinities of both signs
      Tensor x = here::full({2000}, 3e38).reshape({-1, 2}) * here::tensor<float>({1, -1});
      x = dim ? x.reshape(s) : x.reshape({2, 1000}).t().contiguous();
      CHECK(greatest(sum(x, dim)) == 0);
      CHECK(greatest(mean(x, dim)) == 0);
      CHECK(mean(here::full(s, 2e38), dim).to_vector<float>()[1] == doctest::Approx(2e38));
      for (const double v : {1e36, 1e-30, 1e-40}) {
        const Tensor y = here::full(s, v), w = f64(y);
        CHECK(off(norm(y, 2, dim), norm(w, 2, dim)) <= 1e-5);  // 1e-40 has 17 bits
        CHECK(off(norm(y, 3, dim), norm(w, 3, dim)) <= 1e-5);
      }
    }
  }

  DEVICE_TEST_CASE("var and std at a mean of 1e6, and their gradients") {
    Generator g(4);
    const Tensor z = here::randn({2, 32, 7, 5}, Dtype::f32, &g) + 1e6;
    const Tensor inputs[] = {z, z.contiguous(MemoryFormat::channels_last), z.permute({1, 3, 0, 2})};
    const Shape axes[] = {{0, 2, 3}, {1}, {}, {0}, {3, 1}};
    for (const Tensor& x : inputs)
      for (const Shape& dims : axes) {
        const Tensor w = f64(x);
        CHECK(off(var(x, dims), var(w, dims)) <= 3e-7);
        CHECK(off(weft::std(x, dims), weft::std(w, dims)) <= 3e-7);
        for (const bool root : {false, true}) {
          const auto gradient = [&](const Tensor& in) {
            const Tensor a = in.detach().clone().set_requires_grad();
            return grad({sum(root ? weft::std(a, dims) : var(a, dims))}, {a})[0];
          };
          CHECK(off(gradient(x), gradient(w)) <= 1e-6);
        }
      }
    for (const double v : {0.1, 737.1, 7.371e6, 1e38, 1e-40})
      for (const Dtype d : {Dtype::f32, Dtype::bf16}) {
        const Tensor x = here::full({3, 5, 10, 10}, v, d);
        CHECK(greatest(var(x, {0, 2, 3})) == 0);
        CHECK(greatest(weft::std(x.contiguous(MemoryFormat::channels_last), 1)) == 0);
      }
    // the variance of these is beyond f32, the deviation is not
    CHECK(weft::std(here::tensor<float>({-2e38f, 2e38f, 0, 1e38f})).item<float>() == doctest::Approx(1.707825e38));
  }

  DEVICE_TEST_CASE("covariances at a mean of 1e6, and of constants") {
    Generator g(5);
    const Tensor x = here::randn({3, 4000}, Dtype::f32, &g) + 1e6;
    CHECK(off(cov(x), cov(f64(x))) < 2e-6);
    CHECK(off(corrcoef(x), corrcoef(f64(x))) < 2e-6);
    const Tensor weights = here::rand({4000}, Dtype::f32, &g);
    CHECK(off(cov(x, {.aweights = weights}), cov(f64(x), {.aweights = f64(weights)})) < 2e-6);
    CHECK(greatest(cov(here::full({2, 1000}, 737.1))) == 0);
  }
  DEVICE_TEST_CASE("the gradient of a norm, however small the norm") {
    const auto check = [](Dtype d, double value, double p, double tolerance) {
      CAPTURE(d);
      CAPTURE(value);
      CAPTURE(p);
      const Tensor x = here::full({4}, value, d).set_requires_grad();
      const double want = std::pow(0.25, 1 - 1 / p);  // of equal elements, whatever their size
      CHECK(std::abs(grad({norm(x, p)}, {x})[0].to(Dtype::f64).to_vector<double>()[2] - want) <= tolerance);
    };
    for (const double p : {1.5, 2., 3.}) {
      for (const double v : {1e-38, 1e-30, 1e-7, 1., 1e20}) check(Dtype::f32, v, p, 1e-5);
      for (const double v : {1e-30, 1e-7, 1., 1e20}) check(Dtype::bf16, v, p, 0.02);  // the norm itself has 8 bits
      for (const double v : {1e-5, 1e-3, 1., 1e3}) check(Dtype::f16, v, p, 0.02);     // 1e-5 has 8 bits
    }
    check(Dtype::f16, 1.2e-7, 2, 1e-3);  // 2 and 4 steps of the dtype
    const Tensor zero = here::zeros({4}, Dtype::f16).set_requires_grad();
    CHECK(greatest(grad({norm(zero)}, {zero})[0]) == 0);
  }

  DEVICE_TEST_CASE("constants that a half does not hold are those of f32") {
    for (const Dtype d : {Dtype::f16, Dtype::bf16}) {
      const Tensor zero = here::zeros({2, 4}, d), one = here::ones({2, 4}, d);
      CHECK(normalize(zero).dtype() == d);
      CHECK(greatest(normalize(zero)) == 0);
      CHECK(cosine_similarity(zero, one, 1).dtype() == d);
      CHECK(greatest(cosine_similarity(zero, one, 1)) == 0);
      CHECK(std::isfinite(poisson_nll_loss(zero, one, {.log_input = false}).to(Dtype::f64).item<double>()));
      CHECK(off(rms_norm(one * 0.1, {4}), f64(one)) <= 0x1p-8);
      CHECK(off(rms_norm(one * 1e-3, {4}), f64(one) * (1e-3 / std::sqrt(1e-6 + 0x1p-23))) <= 0x1p-7);
    }
  }
}
