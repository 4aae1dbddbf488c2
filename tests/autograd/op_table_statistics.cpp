// Rows of the op table: covariance, pairs of reductions, differences and integrals.
#include <algorithm>
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"
#include "weft/autograd/ops/reduce/statistics.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

double mean_of(const std::vector<double>& v) {
  double s = 0;
  for (double x : v) s += x;
  return s / static_cast<double>(v.size());
}
double variance_of(const std::vector<double>& v, double correction) {
  double s = 0;
  for (double x : v) s += (x - mean_of(v)) * (x - mean_of(v));
  return s / (static_cast<double>(v.size()) - correction);
}

std::vector<Op> pairs_of_reductions() {
  return {
      {"std_mean",
       {{"rows",
         {uniform({3, 4})},
         [](const Tensors& x) {
           const weft::StdMean r = weft::std_mean(x[0], 1, {.keepdim = true});
           return Tensors{r.std, r.mean};
         },
         [](const Arrays& x) {
           return Arrays{support::reduce(x[0], {1}, true, [](const auto& v) { return std::sqrt(variance_of(v, 1)); }),
                         support::reduce(x[0], {1}, true, mean_of)};
         }}},
       {{[] { (void)weft::std_mean(here::ones({3}, Dtype::i64)); }, "std_mean: "},
        {[] { (void)weft::std_mean(here::ones({3}), 1); }, "std_mean: "}}},
      {"var_mean",
       {{"all",
         {uniform({3, 4})},
         [](const Tensors& x) {
           const weft::VarMean r = weft::var_mean(x[0], {}, {.correction = 0});
           return Tensors{r.var, r.mean};
         },
         [](const Arrays& x) {
           return Arrays{support::reduce(x[0], {}, false, [](const auto& v) { return variance_of(v, 0); }),
                         support::reduce(x[0], {}, false, mean_of)};
         }}},
       {{[] { (void)weft::var_mean(here::ones({3}, Dtype::i64)); }, "var_mean: "}}},
      {"aminmax",
       {{"columns",
         {uniform({3, 4})},
         [](const Tensors& x) {
           const weft::MinMax r = weft::aminmax(x[0], 0);
           return Tensors{r.min, r.max};
         },
         [](const Arrays& x) {
           return Arrays{
               support::reduce(x[0], {0}, false, [](const auto& v) { return *std::min_element(v.begin(), v.end()); }),
               support::reduce(x[0], {0}, false, [](const auto& v) { return *std::max_element(v.begin(), v.end()); })};
         }},
        {"all, kept",
         {uniform({2, 3})},
         [](const Tensors& x) {
           const weft::MinMax r = weft::aminmax(x[0], {}, true);
           return Tensors{r.min, r.max};
         },
         [](const Arrays& x) {
           return Arrays{
               support::reduce(x[0], {}, true, [](const auto& v) { return *std::min_element(v.begin(), v.end()); }),
               support::reduce(x[0], {}, true, [](const auto& v) { return *std::max_element(v.begin(), v.end()); })};
         }}},
       {{[] { (void)weft::aminmax(here::ones({0})); }, "aminmax: "}}},
  };
}

/// Covariances of rows with weights f a, straight from the definition.
Array covariance(const Array& x, const std::vector<double>& f, const std::vector<double>& a, double correction) {
  const int64_t rows = x.size(0), n = x.size(1);
  const auto w = [&](int64_t k) { return f[static_cast<size_t>(k)] * a[static_cast<size_t>(k)]; };
  double total = 0, squares = 0;
  for (int64_t k = 0; k < n; ++k) total += w(k), squares += w(k) * a[static_cast<size_t>(k)];
  const auto mean = [&](int64_t i) {
    double s = 0;
    for (int64_t k = 0; k < n; ++k) s += w(k) * x.at({i, k});
    return s / total;
  };
  return support::generate({rows, rows}, [&](const Index& i) {
    double s = 0;
    for (int64_t k = 0; k < n; ++k) s += w(k) * (x.at({i[0], k}) - mean(i[0])) * (x.at({i[1], k}) - mean(i[1]));
    return s / (total - correction * squares / total);
  });
}

std::vector<Op> covariances() {
  const std::vector<double> ones(5, 1);
  std::vector<Op> t = {
      {"cov",
       {sample(
            "rows", {uniform({3, 5})}, [](const Tensors& x) { return weft::cov(x[0]); },
            [=](const Arrays& x) { return covariance(x[0], ones, ones, 1); }),
        sample(
            "a vector", {uniform({5})}, [](const Tensors& x) { return weft::cov(x[0], {.correction = 0}); },
            [=](const Arrays& x) {
              Array one = x[0];
              one.shape = {1, 5};
              Array y = covariance(one, ones, ones, 0);
              y.shape = {};
              return y;
            }),
        sample(
            "weights", {uniform({3, 5}), integers({5}, 1, 4), uniform({5}, 0.5, 2, 3)},
            [](const Tensors& x) { return weft::cov(x[0], {.fweights = x[1], .aweights = x[2]}); },
            [](const Arrays& x) { return covariance(x[0], x[1].v, x[2].v, 1); }),
        sample(
            "counts", {uniform({2, 5}), integers({5}, 0, 4, 3)},
            [](const Tensors& x) { return weft::cov(x[0], {.correction = 2, .fweights = x[1]}); },
            [=](const Arrays& x) { return covariance(x[0], x[1].v, ones, 2); })},
       {{[] {
           (void)weft::cov(here::ones({2, 2, 2}));
         },
         "cov: "},
        {[] { (void)weft::cov(here::ones({2}, Dtype::boolean)); }, "cov: "},
        {[] { (void)weft::cov(here::ones({3}), {.fweights = here::ones({3})}); }, "cov: fweights is f32"},
        {[] { (void)weft::cov(here::ones({3}), {.aweights = here::ones({3}, Dtype::i64)}); }, "cov: aweights is i64"},
        {[] { (void)weft::cov(here::ones({3}), {.aweights = here::ones({2})}); }, "cov: "},
        {[] { (void)weft::cov(here::ones({3}), {.aweights = -here::ones({3})}); }, "cov: aweights has a negative"},
        {[] { (void)weft::cov(here::ones({3}), {.fweights = here::zeros({3}, Dtype::i64)}); },
         "cov: the weights sum to 0"}}},
      {"corrcoef",
       {sample(
           // of plain uniform ones some rows are another's sum with a number: correlations of 1, at the end of the clamp
           "rows", {weft::pow(uniform({3, 5}), 3)}, [](const Tensors& x) { return weft::corrcoef(x[0]); },
           [=](const Arrays& x) {
             const Array c = covariance(x[0], ones, ones, 1);
             return support::generate({3, 3}, [&](const Index& i) {
               return c.at(i) / std::sqrt(c.at({i[0], i[0]}) * c.at({i[1], i[1]}));
             });
           })},
       {{[] {
           (void)weft::corrcoef(here::ones({2, 2, 2}));
         },
         "corrcoef: "}}},
  };
  row(t, "cov").half_eps = 8;  // gradients of the weights are differences of larger numbers
  return t;
}

std::vector<Op> along_an_axis() {
  std::vector<Op> t = {
      {"diff",
       {sample(
            "rows", {uniform({2, 4})}, [](const Tensors& x) { return weft::diff(x[0]); },
            [](const Arrays& x) {
              return support::generate({2, 3}, [&](const Index& i) { return x[0].at({i[0], i[1] + 1}) - x[0].at(i); });
            }),
        sample(
            "twice, along 0, with ends", {uniform({2, 2}), uniform({1, 2}, -2, 2, 3), uniform({2, 2}, -2, 2, 4)},
            [](const Tensors& x) { return weft::diff(x[0], 2, 0, {.prepend = x[1], .append = x[2]}); },
            [](const Arrays& x) {
              const auto at = [&](int64_t i, int64_t j) {
                return i == 0 ? x[1].at({0, j}) : i < 3 ? x[0].at({i - 1, j}) : x[2].at({i - 3, j});
              };
              return support::generate(
                  {3, 2}, [&](const Index& i) { return at(i[0] + 2, i[1]) - 2 * at(i[0] + 1, i[1]) + at(i[0], i[1]); });
            }),
        sample(
            "nothing left", {uniform({3})}, [](const Tensors& x) { return weft::diff(x[0], 5); },
            [](const Arrays&) { return Array(Shape{0}); }),
        sample(
            "not at all", {uniform({3})}, [](const Tensors& x) { return weft::diff(x[0], 0); },
            [](const Arrays& x) { return x[0]; })},
       {{[] { (void)weft::diff(here::ones({})); }, "diff: "},
        {[] { (void)weft::diff(here::ones({3}), -1); }, "diff: n must not be negative"},
        {[] { (void)weft::diff(here::ones({3}), 1, -1, {.append = here::ones({})}); }, "diff: prepend and append"},
        {[] {
           (void)weft::diff(here::ones({1, 3}), 1, -1, {.prepend = here::ones({2, 3})});
         },
         "diff: "}}},
      {"trapezoid",
       {sample(
            "even steps", {uniform({2, 4})}, [](const Tensors& x) { return weft::trapezoid(x[0], 0.5); },
            [](const Arrays& x) {
              return support::reduce(x[0], {1}, false,
                                     [](const auto& v) { return 0.5 * (v[0] / 2 + v[1] + v[2] + v[3] / 2); });
            }),
        sample(
            "a vector of places", {uniform({3, 2}), uniform({3}, -2, 2, 3)},
            [](const Tensors& x) { return weft::trapezoid(x[0], x[1], 0); },
            [](const Arrays& x) {
              return support::reduce(x[0], {0}, false, [&](const auto& v) {
                const std::vector<double>& p = x[1].v;
                return (v[0] + v[1]) / 2 * (p[1] - p[0]) + (v[1] + v[2]) / 2 * (p[2] - p[1]);
              });
            }),
        sample(
            "places of each row", {uniform({2, 2}), uniform({2, 2}, -2, 2, 3)},
            [](const Tensors& x) { return weft::trapezoid(x[0], x[1]); },
            [](const Arrays& x) {
              return support::generate({2}, [&](const Index& i) {
                return (x[0].at({i[0], 0}) + x[0].at({i[0], 1})) / 2 * (x[1].at({i[0], 1}) - x[1].at({i[0], 0}));
              });
            }),
        sample(
            "empty", {uniform({2, 0})}, [](const Tensors& x) { return weft::trapezoid(x[0]); },
            [](const Arrays&) { return Array({2}); })},
       {{[] { (void)weft::trapezoid(here::ones({})); }, "trapezoid: "},
        {[] { (void)weft::trapezoid(here::ones({2}, Dtype::boolean)); }, "trapezoid: y is bool"},
        {[] { (void)weft::trapezoid(here::ones({3}), here::ones({2})); }, "trapezoid: 2 places for 3 values"}}},
  };
  const auto renormed = [](const Shape& shape, double p, int dim, double maxnorm) {
    return sample(
        weft::str(shape, " p=", p), {uniform(shape)},
        [=](const Tensors& x) { return weft::renorm(x[0], p, dim, maxnorm); },
        [=](const Arrays& x) {
          std::vector<int64_t> others;
          for (int i = 0; i < shape.rank(); ++i)
            if (i != dim) others.push_back(i);
          const Array norms = support::reduce(x[0], others, true, [&](const auto& v) {
            double s = 0;
            for (double e : v) s = std::isinf(p) ? std::max(s, std::abs(e)) : s + std::pow(std::abs(e), p);
            return std::isinf(p) ? s : std::pow(s, 1 / p);
          });
          return support::map(x[0], norms,
                              [&](double v, double n) { return n > maxnorm ? v * maxnorm / (n + 1e-7) : v; });
        });
  };
  t.push_back({"renorm",
               {renormed({3, 4}, 2, 0, 2), renormed({2, 3, 2}, 1, 1, 3.5), renormed({3, 2}, 3, 1, 1),
                renormed({3, 2}, INFINITY, 0, 1.2), renormed({2, 0}, 2, 0, 1)},
               {{[] { (void)weft::renorm(here::ones({3}), 2, 0, 1); }, "renorm: "},
                {[] {
                   (void)weft::renorm(here::ones({2, 2}), 0, 0, 1);
                 },
                 "renorm: p must be positive"},
                {[] {
                   (void)weft::renorm(here::ones({2, 2}), 2, 0, -1);
                 },
                 "renorm: maxnorm"},
                {[] {
                   (void)weft::renorm(here::ones({2, 2}, Dtype::i64), 2, 0, 1);
                 },
                 "renorm: "}}});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("pairs of reductions") { check(pairs_of_reductions()); }
  DEVICE_TEST_CASE("covariances") { check(covariances()); }
  DEVICE_TEST_CASE("along an axis") { check(along_an_axis()); }
}
