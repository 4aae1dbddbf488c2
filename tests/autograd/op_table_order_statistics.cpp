// Rows of the op table: order statistics, running extremes, searching and counting.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Line = std::vector<double>;

Array array(const Shape& shape, const Line& values) {
  Array a(shape);
  a.v = values;
  return a;
}

Line sorted(Line v) {
  std::sort(v.begin(), v.end());
  return v;
}
double place_of(const Line& v, double x) { return static_cast<double>(std::find(v.begin(), v.end(), x) - v.begin()); }

/// Values and places along axis 1, and of the whole through `all`.
Op picked(const char* name, std::function<weft::ValuesIndices(const Tensor&, int64_t, bool)> op,
          std::function<double(const Line&)> value) {
  Op row{.name = name};
  for (const bool keepdim : {false, true})
    for (const Shape& s : {Shape{2, 5}, Shape{3, 4}, Shape{2, 3, 2}, Shape{2, 1}})
      row.samples.push_back(
          {weft::str(s, keepdim ? " kept" : ""),
           {uniform(s)},
           [=](const Tensors& x) {
             const weft::ValuesIndices r = op(x[0], 1, keepdim);
             return Tensors{r.values, r.indices};
           },
           [=](const Arrays& x) {
             return Arrays{support::reduce(x[0], {1}, keepdim, value),
                           support::reduce(x[0], {1}, keepdim, [&](const Line& v) { return place_of(v, value(v)); })};
           }});
  row.samples.push_back({"rank 0",
                         {uniform({})},
                         [=](const Tensors& x) { return Tensors{op(x[0], -1, false).values}; },
                         [](const Arrays& x) { return x; }});
  row.faults = {{[op] {
                   (void)op(here::ones({2, 0}), 1, false);
                 },
                 weft::str(name, ": axis 1 of [2, 0] is empty")},
                {[op] { (void)op(here::ones({2}), 1, false); }, weft::str(name, ": ")}};
  return row;
}

std::vector<Op> picks() {
  const auto middle = [](const Line& v) { return sorted(v)[(v.size() - 1) / 2]; };
  std::vector<Op> t = {
      picked(
          "median", [](const Tensor& x, int64_t d, bool k) { return weft::median(x, d, k); }, middle),
      picked(
          "nanmedian", [](const Tensor& x, int64_t d, bool k) { return weft::nanmedian(x, d, k); }, middle),
      picked(
          "kthvalue",
          [](const Tensor& x, int64_t d, bool k) {
            const bool alone = !x.defined() || x.rank() < 2 || x.shape()[1] < 2;
            return weft::kthvalue(x, alone ? 1 : 2, d, k);
          },
          [](const Line& v) { return sorted(v)[v.size() > 1]; }),
      // no two elements are equal: the least one is the most frequent
      picked(
          "mode", [](const Tensor& x, int64_t d, bool k) { return weft::mode(x, d, k); },
          [](const Line& v) { return sorted(v)[0]; }),
  };
  for (const bool skip : {false, true})
    t[skip].samples.push_back(sample(
        "of all", {uniform({3, 4})},
        [=](const Tensors& x) { return skip ? weft::nanmedian(x[0]) : weft::median(x[0]); },
        [=](const Arrays& x) { return support::reduce(x[0], {}, false, middle); }));
  t[0].faults.push_back(
      {[] { (void)weft::median(here::full({2}, true, Dtype::boolean)); }, "median: not defined for bool"});
  t[2].faults.push_back(
      {[] { (void)weft::kthvalue(here::ones({2}), 3); }, "kthvalue: k = 3 is out of range for axis 0 of size 2"});
  return t;
}

std::vector<Op> quantiles() {
  using I = weft::QuantileInterpolation;
  std::vector<Op> t;
  for (const bool skip : {false, true}) {
    Op row{.name = skip ? "nanquantile" : "quantile", .half = false};
    for (const I how : {I::linear, I::lower, I::higher, I::midpoint, I::nearest}) {
      const auto at = [how](const Line& v, double q) {
        const Line s = sorted(v);
        const double r = q * static_cast<double>(v.size() - 1);
        const double a = s[static_cast<size_t>(std::floor(r))], b = s[static_cast<size_t>(std::ceil(r))];
        return how == I::linear     ? a + (r - std::floor(r)) * (b - a)
               : how == I::lower    ? a
               : how == I::higher   ? b
               : how == I::midpoint ? (a + b) / 2
                                    : s[static_cast<size_t>(std::nearbyint(r))];
      };
      const bool keepdim = how == I::lower;
      const auto call = [=](const Tensor& x, const auto& q, std::optional<int64_t> dim) {
        return skip ? weft::nanquantile(x, q, dim, keepdim, how) : weft::quantile(x, q, dim, keepdim, how);
      };
      row.samples.push_back(sample(
          weft::str("along an axis ", static_cast<int>(how)), {uniform({3, 5})},
          [=](const Tensors& x) { return call(x[0], 0.3, 0); },
          [=](const Arrays& x) {
            return support::reduce(x[0], {0}, keepdim, [&](const Line& v) { return at(v, 0.3); });
          }));
      row.samples.push_back(sample(
          weft::str("three of all ", static_cast<int>(how)), {uniform({3, 4})},
          [=](const Tensors& x) {
            return call(x[0], here::tensor<double>({0.1, 0.75, 1}).to(x[0].defined() ? x[0].dtype() : Dtype::f64), {});
          },
          [=](const Arrays& x) {
            return support::generate(keepdim ? Shape{3, 1, 1} : Shape{3}, [&](const auto& i) {
              return at(x[0].v, (Line{0.1, 0.75, 1})[static_cast<size_t>(i[0])]);
            });
          }));
    }
    const std::string name = row.name;
    const auto q = [skip](const Tensor& x, const Tensor& q) {
      return skip ? weft::nanquantile(x, q) : weft::quantile(x, q);
    };
    row.faults = {
        {[=] { (void)q(here::ones({2}), here::scalar(1.5)); }, name + ": q must be in [0, 1]"},
        {[=] {
           (void)q(here::ones({2}), here::ones({2, 2}));
         },
         name + ": q must be of rank 0 or 1"},
        {[=] { (void)q(here::ones({0}), here::scalar(0.5)); }, name + ": x [0] has no elements"},
        {[=] { (void)q(here::ones({2}, Dtype::f16), here::ones({}, Dtype::f16)); }, name + ": x must be f32 or f64"}};
    t.push_back(row);
  }
  return t;
}

/// f of the line's beginning up to each place, along axis 1.
Array along(const Array& x, const std::function<double(const Line&)>& f) {
  return support::generate(x.shape, [&](std::vector<int64_t> i) {
    Line v;
    for (const int64_t last = i[1]; static_cast<int64_t>(v.size()) <= last;) {
      i[1] = static_cast<int64_t>(v.size());
      v.push_back(x.at(i));
    }
    return f(v);
  });
}

std::vector<Op> scans() {
  std::vector<Op> t;
  for (const bool largest : {true, false}) {
    Op row{.name = largest ? "cummax" : "cummin"};
    const auto value = [largest](const Line& v) {
      return largest ? *std::max_element(v.begin(), v.end()) : *std::min_element(v.begin(), v.end());
    };
    for (const Shape& s : {Shape{2, 7}, Shape{1, 8, 2}, Shape{2, 1}, Shape{2, 0}})
      row.samples.push_back(
          {weft::str(s),
           {uniform(s)},
           [=](const Tensors& x) {
             const weft::ValuesIndices r = largest ? weft::cummax(x[0], 1) : weft::cummin(x[0], 1);
             return Tensors{r.values, r.indices};
           },
           [=](const Arrays& x) {
             return Arrays{along(x[0], value), along(x[0], [&](const Line& v) { return place_of(v, value(v)); })};
           }});
    row.faults = {{[=] { (void)(largest ? weft::cummax : weft::cummin)(here::ones({2}), 1); }, row.name + ": "}};
    t.push_back(row);
  }
  Op sums{.name = "logcumsumexp"};
  for (const Shape& s : {Shape{2, 7}, Shape{1, 8, 2}, Shape{2, 1}, Shape{2, 0}})
    sums.samples.push_back(sample(
        weft::str(s), {uniform(s)}, [](const Tensors& x) { return weft::logcumsumexp(x[0], 1); },
        [](const Arrays& x) {
          return along(x[0], [](const Line& v) {
            double sum = 0;
            for (double e : v) sum += std::exp(e);
            return std::log(sum);
          });
        }));
  sums.faults = {
      {[] { (void)weft::logcumsumexp(here::full({2}, 1, Dtype::i64), 0); }, "logcumsumexp: expects a floating dtype"},
      {[] { (void)weft::logcumsumexp(here::ones({2}), 1); }, "logcumsumexp: "}};
  t.push_back(sums);
  return t;
}

std::vector<Op> searches() {
  std::vector<Op> t;
  Op places{.name = "searchsorted", .gradient = false, .half = false}, buckets = places;
  buckets.name = "bucketize";
  for (const bool right : {false, true}) {
    const auto count = [right](const Line& s, double v) {
      return static_cast<double>(std::count_if(s.begin(), s.end(), [&](double e) { return right ? e <= v : e < v; }));
    };
    // a line with equals, and values that stand in it
    for (const int64_t n : {1, 5, 8, 0}) {
      const Tensor line = weft::sort(integers({n}, -3, 4, 7).to(Dtype::f64), 0).values;
      const Tensor values = integers({3, 4}, -5, 6, 8).to(Dtype::f64);
      const auto reference = [=](const Array& s, const Array& v) {
        return support::map(v, [&](double e) { return count(s.v, e); });
      };
      places.samples.push_back(sample(
          weft::str("one line of ", n, right), {line, values},
          [=](const Tensors& x) { return weft::searchsorted(x[0], x[1], {.right = right}); },
          [=](const Arrays& x) { return reference(x[0], x[1]); }));
      buckets.samples.push_back(sample(
          weft::str(n, right), {values, line},
          [=](const Tensors& x) { return weft::bucketize(x[0], x[1], {.out_int32 = true, .right = right}); },
          [=](const Arrays& x) { return reference(x[1], x[0]); }));
    }
    places.samples.push_back(sample(
        weft::str("lines with an order", right), {uniform({2, 6}), uniform({2, 3}, -2, 2, 9)},
        [=](const Tensors& x) {
          return weft::searchsorted(x[0], x[1],
                                    {.right = right, .sorter = x[0].defined() ? weft::argsort(x[0]) : Tensor()});
        },
        [=](const Arrays& x) {
          return support::generate({2, 3}, [&](const auto& i) {
            const auto from = x[0].v.begin() + i[0] * 6;
            return count(Line(from, from + 6), x[1].at(i));
          });
        }));
  }
  places.faults = {
      {[] { (void)weft::searchsorted(here::scalar(1.0), here::ones({2})); },
       "searchsorted: the sorted sequence must have an axis"},
      {[] {
         (void)weft::searchsorted(here::ones({2, 3}), here::ones({2}));
       },
       "searchsorted: a sequence [2, 3] does not fit values [2]"},
      {[] { (void)weft::searchsorted(here::ones({3}), here::ones({2}), {.sorter = here::full({2}, 0, Dtype::i64)}); },
       "searchsorted: the sorter [2] is not of the sequence's shape [3]"},
      {[] { (void)weft::searchsorted(here::ones({2}), here::ones({2}), {.sorter = here::ones({2})}); },
       "searchsorted: the sorter must be i64"}};
  buckets.faults = {{[] {
                       (void)weft::bucketize(here::ones({2}), here::ones({2, 2}));
                     },
                     "bucketize: boundaries must be of rank 1"}};
  t.push_back(places), t.push_back(buckets);
  for (const bool invert : {false, true})
    t.push_back({.name = "isin",
                 .samples = {sample(
                     weft::str(invert), {integers({3, 4}, 0, 9, 3), integers({5}, 0, 9, 4)},
                     [=](const Tensors& x) { return weft::isin(x[0], x[1], {.invert = invert}); },
                     [=](const Arrays& x) {
                       return support::map(x[0], [&](double e) {
                         return std::count(x[1].v.begin(), x[1].v.end(), e) > 0 ? !invert : invert;
                       });
                     })},
                 .gradient = false});
  t.push_back(
      {.name = "isclose",
       .samples = {sample(
           "broadcast", {integers({3, 4}, 0, 4, 3).to(Dtype::f64), integers({4}, 0, 4, 4).to(Dtype::f64)},
           [](const Tensors& x) { return weft::isclose(x[0], x[1], 0.25, 0.5); },
           [](const Arrays& x) {
             return support::map(x[0], x[1], [](double a, double b) { return std::abs(a - b) <= 0.5 + 0.25 * b; });
           })},
       .faults = {{[] { (void)weft::isclose(here::ones({2}), here::ones({2}), -1); },
                   "isclose: tolerances must not be negative"},
                  {[] { (void)weft::isclose(here::ones({2}), here::ones({3})); }, "isclose: shapes [2] and [3]"},
                  {[] { (void)weft::isclose(here::ones({2}), here::ones({2}, Dtype::f64)); },
                   "isclose: dtypes differ"}},
       .gradient = false});
  return t;
}

std::vector<Op> counts() {
  std::vector<Op> t;
  t.push_back(
      {.name = "bincount",
       .samples = {sample(
                       "plain", {integers({9}, 0, 6, 3)}, [](const Tensors& x) { return weft::bincount(x[0], {}, 8); },
                       [](const Arrays& x) {
                         Array y(Shape{8});
                         for (double v : x[0].v) y.v[static_cast<size_t>(v)] += 1;
                         return y;
                       }),
                   sample(
                       "weights", {integers({9}, 0, 6, 3), uniform({9})},
                       [](const Tensors& x) { return weft::bincount(x[0], x[1]); },
                       [](const Arrays& x) {
                         Array y(Shape{static_cast<int64_t>(*std::max_element(x[0].v.begin(), x[0].v.end())) + 1});
                         for (size_t i = 0; i < 9; ++i) y.v[static_cast<size_t>(x[0].v[i])] += x[1].v[i];
                         return y;
                       })},
       .faults = {{[] { (void)weft::bincount(here::ones({2})); }, "bincount: expects integers, got f32"},
                  {[] { (void)weft::bincount(here::full({2}, -3, Dtype::i64)); }, "bincount: -3 is negative"},
                  {[] {
                     (void)weft::bincount(here::full({2, 2}, 1, Dtype::i64));
                   },
                   "bincount: expects rank 1"},
                  {[] { (void)weft::bincount(here::full({2}, 1, Dtype::i64), here::ones({3})); },
                   "bincount: weights are [3]"},
                  {[] { (void)weft::bincount(here::full({2}, 1, Dtype::i64), {}, -1); }, "bincount: minlength"}},
       .gradient = false,
       .half = false});
  t.push_back(
      {.name = "histc",
       .samples = {sample(
           "some outside", {uniform({3, 7})},
           [](const Tensors& x) { return weft::histc(x[0], {.bins = 5, .min = -1, .max = 1.5}); },
           [](const Arrays& x) {
             Array y(Shape{5});
             for (double v : x[0].v)
               if (v >= -1 && v <= 1.5) y.v[std::min<size_t>(4, static_cast<size_t>((v + 1) * 2))] += 1;
             return y;
           })},
       .faults = {{[] { (void)weft::histc(here::ones({2}), {.bins = 0}); },
                   "histc: bins must be positive and below 2^59, got 0"},
                  {[] { (void)weft::histc(here::ones({2}), {.min = 2, .max = 1}); }, "histc: max 1 is less than min 2"},
                  {[] { (void)weft::histc(here::full({2}, 1, Dtype::i64)); }, "histc: expects a floating dtype"},
                  {[] { (void)weft::histc(here::ones({2}) / 0); }, "histc: the range [inf, inf] is not finite"}},
       .gradient = false,
       .half = false});
  t.push_back(
      {.name = "unique_consecutive",
       .samples = {{"all",
                    {here::tensor<double>({1, 1, 2, 2, 2, 1, 3, 3}).reshape({2, 4})},
                    [](const Tensors& x) {
                      const auto u = weft::unique_consecutive(x[0], {.return_inverse = true, .return_counts = true});
                      return Tensors{u.output, u.inverse_indices, u.counts};
                    },
                    [](const Arrays&) {
                      return Arrays{array({4}, {1, 2, 1, 3}), array({2, 4}, {0, 0, 1, 1, 1, 2, 3, 3}),
                                    array({4}, {2, 3, 1, 2})};
                    }},
                   {"columns",
                    {here::tensor<double>({1, 1, 2, 2, 5, 5, 5, 5}).reshape({2, 4})},
                    [](const Tensors& x) {
                      const auto u = weft::unique_consecutive(
                          x[0], {.return_inverse = true, .return_counts = true, .dim = 1});
                      return Tensors{u.output, u.inverse_indices, u.counts};
                    },
                    [](const Arrays&) {
                      return Arrays{array({2, 2}, {1, 2, 5, 5}), array({4}, {0, 0, 1, 1}), array({2}, {2, 2})};
                    }}},
       .faults = {{[] {
                     (void)weft::unique_consecutive(here::ones({0, 3}), {.dim = 1});
                   },
                   "unique_consecutive: the slices"},
                  {[] { (void)weft::unique_consecutive(here::ones({3}), {.dim = 1}); }, "unique_consecutive: "}},
       .gradient = false});
  const auto distinct = [](std::optional<int64_t> dim) {
    return [=](const Tensors& x) {
      const auto u = weft::unique(x[0], {.return_inverse = true, .return_counts = true, .dim = dim});
      return Tensors{u.output, u.inverse_indices, u.counts};
    };
  };
  /// Lines of x, or its elements, by a map in lexicographic order.
  const auto reference = [](bool rows) {
    return [=](const Arrays& x) {
      const size_t n = rows ? static_cast<size_t>(x[0].shape[0]) : x[0].v.size(), length = x[0].v.size() / n;
      std::map<Line, std::vector<size_t>> found;
      const auto at = [&](size_t i) { return x[0].v.begin() + static_cast<int64_t>(i * length); };
      for (size_t i = 0; i < n; ++i) found[Line(at(i), at(i + 1))].push_back(i);
      const auto m = static_cast<int64_t>(found.size());
      Array output(rows ? Shape{m, x[0].shape[1]} : Shape{m}), inverse(rows ? Shape{x[0].shape[0]} : x[0].shape),
          counts(Shape{m});
      size_t k = 0;
      for (const auto& [line, places] : found) {
        std::copy(line.begin(), line.end(), output.v.begin() + static_cast<int64_t>(k * length));
        for (const size_t i : places) inverse.v[i] = static_cast<double>(k);
        counts.v[k++] = static_cast<double>(places.size());
      }
      return Arrays{output, inverse, counts};
    };
  };
  t.push_back({.name = "unique",
               .samples = {{"all", {integers({4, 5}, 0, 6, 3).to(Dtype::f64)}, distinct({}), reference(false)},
                           {"rows", {integers({9, 3}, 0, 2, 4).to(Dtype::f64)}, distinct(0), reference(true)}},
               .faults = {{[] {
                             (void)weft::unique(here::ones({0, 3}), {.dim = 1});
                           },
                           "unique: the slices"},
                          {[] { (void)weft::unique(Tensor()); }, "unique: "}},
               .gradient = false});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("order statistics") { check(picks()); }
  DEVICE_TEST_CASE("quantiles") { check(quantiles()); }
  DEVICE_TEST_CASE("running extremes and sums of exponentials") { check(scans()); }
  DEVICE_TEST_CASE("searching") { check(searches()); }
  DEVICE_TEST_CASE("counting") { check(counts()); }
}
