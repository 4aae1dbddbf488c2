// Rows of the op table: reductions, running sums, softmax.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Cell = std::vector<double>;
using Axes = std::vector<int64_t>;

struct Case {
  Shape shape;
  Axes axes;  // empty: all
  bool keepdim;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> c = {
      {{}, {}, false},           {{5}, {0}, false},          {{2, 3}, {}, true},      {{2, 3}, {1}, false},
      {{2, 3}, {-2}, true},      {{2, 3, 4}, {0, 2}, false}, {{2, 1, 3}, {1}, false}, {{1, 2, 2, 3}, {2, 3}, true},
      {{2, 2, 2, 2}, {1}, false}};
  return c;
}

using ReduceOp = std::function<Tensor(const Tensor&, const Axes&, bool)>;

Op reduction(const char* name, ReduceOp op, std::function<double(const Cell&)> reference, double low = -2,
             double high = 2, bool empty = true) {
  Op row{.name = name};
  std::vector<Case> all = cases();
  if (empty) {
    all.push_back({{0}, {}, false});
    all.push_back({{2, 0}, {1}, true});
  }
  all.push_back({{0, 3}, {1}, false});
  uint64_t seed = 1;
  for (const Case& c : all)
    row.samples.push_back(
        {weft::str(c.shape, " over ", Shape(c.axes), c.keepdim ? " kept" : ""),
         {uniform(c.shape, low, high, ++seed)},
         [op, c](const Tensors& x) { return Tensors{op(x[0], c.axes, c.keepdim)}; },
         [reference, c](const Arrays& x) { return Arrays{support::reduce(x[0], c.axes, c.keepdim, reference)}; }});
  row.faults = {{[op] {
                   (void)op(here::ones({2, 3}), {2}, false);
                 },
                 ": dim 2 is out of range"},
                {[op] {
                   (void)op(here::ones({2, 3}), {0, -2}, false);
                 },
                 ": "}};
  // Sums of half numbers are rounded once at the end, but their gradients are products of rounded factors.
  row.half_eps = 8;
  return row;
}

double sum(const Cell& v) { return std::accumulate(v.begin(), v.end(), 0.0); }
double mean(const Cell& v) { return sum(v) / static_cast<double>(v.size()); }
double variance(const Cell& v, double correction) {
  double s = 0;
  for (double x : v) s += (x - mean(v)) * (x - mean(v));
  return s / std::max(0.0, static_cast<double>(v.size()) - correction);
}
double cell_norm(const Cell& v, double p) {
  double s = 0;
  if (std::isinf(p)) {
    s = p > 0 ? 0 : std::numeric_limits<double>::infinity();
    for (double x : v) s = p > 0 ? std::max(s, std::abs(x)) : std::min(s, std::abs(x));
    return s;
  }
  if (p == 0) return static_cast<double>(std::count_if(v.begin(), v.end(), [](double x) { return x != 0; }));
  for (double x : v) s += std::pow(std::abs(x), p);
  return std::pow(s, 1 / p);
}

std::vector<Op> sums() {
  std::vector<Op> t = {
      reduction(
          "sum", [](const Tensor& x, const Axes& d, bool k) { return weft::sum(x, d, k); }, sum),
      reduction(
          "nansum",
          [](const Tensor& x, const Axes& d, bool k) {
            return weft::nansum(weft::where(weft::gt(x, 1), NAN, x), d, k);
          },
          [](const Cell& v) {
            return std::accumulate(v.begin(), v.end(), 0.0, [](double s, double x) { return x > 1 ? s : s + x; });
          }),
      reduction(
          "mean", [](const Tensor& x, const Axes& d, bool k) { return weft::mean(x, d, k); }, mean, -2, 2, false),
      reduction(
          "prod", [](const Tensor& x, const Axes& d, bool k) { return weft::prod(x, d, k); },
          [](const Cell& v) { return std::accumulate(v.begin(), v.end(), 1.0, std::multiplies<>()); }),
      reduction(
          "amax", [](const Tensor& x, const Axes& d, bool k) { return weft::amax(x, d, k); },
          [](const Cell& v) { return *std::max_element(v.begin(), v.end()); }, -2, 2, false),
      reduction(
          "amin", [](const Tensor& x, const Axes& d, bool k) { return weft::amin(x, d, k); },
          [](const Cell& v) { return *std::min_element(v.begin(), v.end()); }, -2, 2, false),
      reduction(
          "logsumexp", [](const Tensor& x, const Axes& d, bool k) { return weft::logsumexp(x, d, k); },
          [](const Cell& v) {
            double s = 0;
            for (double x : v) s += std::exp(x);
            return std::log(s);
          },
          -2, 2, false),
  };
  for (const double p :
       {1.0, 2.0, 3.5, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
    t.push_back(reduction(
        "vector_norm", [p](const Tensor& x, const Axes& d, bool k) { return weft::vector_norm(x, p, d, k); },
        [p](const Cell& v) { return cell_norm(v, p); }, -2, 2, false));
  t.push_back(reduction(
      "vector_norm", [](const Tensor& x, const Axes& d, bool k) { return weft::vector_norm(x, 0, d, k); },
      [](const Cell& v) { return cell_norm(v, 0); }));
  t.back().gradient = false;
  row(t, "amax").faults.push_back({[] { (void)weft::amax(here::ones({2, 0}), 1); }, "amax: "});
  return t;
}

std::vector<Op> spreads() {
  std::vector<Op> t;
  for (const double correction : {0.0, 1.0}) {
    t.push_back(reduction(
        "var",
        [=](const Tensor& x, const Axes& d, bool k) {
          return weft::var(x, d, {.correction = correction, .keepdim = k});
        },
        [=](const Cell& v) { return variance(v, correction); }, -2, 2, false));
    t.push_back(reduction(
        "std",
        [=](const Tensor& x, const Axes& d, bool k) {
          return weft::std(x, d, {.correction = correction, .keepdim = k});
        },
        [=](const Cell& v) { return std::sqrt(variance(v, correction)); }, -2, 2, false));
  }
  for (Op& op : t) {
    // One element has no spread: NaN, or a derivative at the kink of the root. Those cells are left out here.
    std::erase_if(op.samples,
                  [](const Sample& s) { return s.label.find("[] over") == 0 || s.label.find("[2, 1, 3]") == 0; });
    op.half_eps = 16;
  }
  return t;
}

std::vector<Op> logic() {
  std::vector<Op> t;
  const auto some = [](const Tensor& x) { return weft::gt(x, 0.5); };
  t.push_back(reduction(
      "any", [some](const Tensor& x, const Axes& d, bool k) { return weft::any(some(x), d, k); },
      [](const Cell& v) { return std::any_of(v.begin(), v.end(), [](double x) { return x > 0.5; }); }));
  t.push_back(reduction(
      "all", [some](const Tensor& x, const Axes& d, bool k) { return weft::all(some(x), d, k); },
      [](const Cell& v) { return std::all_of(v.begin(), v.end(), [](double x) { return x > 0.5; }); }));
  for (Op& op : t) op.gradient = false;
  for (const bool greatest : {true, false}) {
    const auto position = [greatest](const Cell& v) {
      return static_cast<double>(
          (greatest ? std::max_element(v.begin(), v.end()) : std::min_element(v.begin(), v.end())) - v.begin());
    };
    Op arg{.name = greatest ? "argmax" : "argmin", .gradient = false};
    Op both{.name = greatest ? "max" : "min"};
    for (const Case& c : cases()) {
      if (c.axes.size() != 1) continue;
      const int64_t d = c.axes[0];
      const bool k = c.keepdim;
      const Tensor x = uniform(c.shape);
      arg.samples.push_back(
          {weft::str(c.shape, " along ", d),
           {x},
           [=](const Tensors& t) { return Tensors{greatest ? weft::argmax(t[0], d, k) : weft::argmin(t[0], d, k)}; },
           [=](const Arrays& a) { return Arrays{support::reduce(a[0], {d}, k, position)}; }});
      both.samples.push_back(
          {weft::str(c.shape, " along ", d),
           {x},
           [=](const Tensors& t) {
             const weft::ValuesIndices v = greatest ? weft::max(t[0], d, k) : weft::min(t[0], d, k);
             return Tensors{v.values, v.indices};
           },
           [=](const Arrays& a) {
             const auto value = [position](const Cell& v) { return v[static_cast<size_t>(position(v))]; };
             return Arrays{support::reduce(a[0], {d}, k, value), support::reduce(a[0], {d}, k, position)};
           }});
    }
    arg.samples.push_back(
        {"all",
         {uniform({2, 3})},
         [=](const Tensors& t) { return Tensors{greatest ? weft::argmax(t[0]) : weft::argmin(t[0])}; },
         [=](const Arrays& a) { return Arrays{support::reduce(a[0], {}, false, position)}; }});
    t.push_back(arg);
    t.push_back(both);
  }
  return t;
}

/// An op that maps each line along `dim` to one of the same length.
Op along(const char* name, std::function<Tensor(const Tensor&, int64_t)> op,
         std::function<Cell(const Cell&)> reference) {
  Op row{.name = name};
  const std::pair<Shape, int64_t> all[] = {{{}, 0},         {{4}, 0},          {{2, 3}, 1}, {{2, 3}, 0},
                                           {{2, 3, 2}, -2}, {{1, 2, 2, 2}, 1}, {{0, 3}, 1}, {{3, 0}, 1}};
  uint64_t seed = 1;
  for (const auto& [shape, dim] : all) {
    const int64_t d = dim;
    row.samples.push_back({weft::str(shape, " along ", dim),
                           {uniform(shape, -2, 2, ++seed)},
                           [op, d](const Tensors& x) { return Tensors{op(x[0], d)}; },
                           [reference, d](const Arrays& x) {
                             Array y = x[0];
                             if (x[0].shape.empty()) {
                               y.v = reference(y.v);
                               return Arrays{y};
                             }
                             const size_t axis = static_cast<size_t>(d < 0 ? d + x[0].shape.rank() : d);
                             support::for_each_index(x[0].shape, [&](std::vector<int64_t> i) {
                               if (i[axis] != 0) return;
                               Cell line;
                               for (i[axis] = 0; i[axis] < x[0].shape[static_cast<int>(axis)]; ++i[axis])
                                 line.push_back(x[0].at(i));
                               line = reference(line);
                               for (i[axis] = 0; i[axis] < x[0].shape[static_cast<int>(axis)]; ++i[axis])
                                 y.at(i) = line[static_cast<size_t>(i[axis])];
                             });
                             return Arrays{y};
                           }});
  }
  row.faults = {{[op] { (void)op(here::ones({2, 3}), 2); }, name + std::string(": dim 2 is out of range")}};
  row.half_eps = 8;
  return row;
}

std::vector<Op> lines() {
  const auto softmax = [](const Cell& v) {
    Cell y = v;
    double s = 0;
    for (double x : v) s += std::exp(x);
    for (double& x : y) x = std::exp(x) / s;
    return y;
  };
  return {
      along(
          "cumsum", [](const Tensor& x, int64_t d) { return weft::cumsum(x, d); },
          [](Cell v) {
            std::partial_sum(v.begin(), v.end(), v.begin());
            return v;
          }),
      along(
          "cumprod", [](const Tensor& x, int64_t d) { return weft::cumprod(x, d); },
          [](Cell v) {
            std::partial_sum(v.begin(), v.end(), v.begin(), std::multiplies<>());
            return v;
          }),
      along(
          "softmax", [](const Tensor& x, int64_t d) { return weft::softmax(x, d); }, softmax),
      along(
          "log_softmax", [](const Tensor& x, int64_t d) { return weft::log_softmax(x, d); },
          [softmax](const Cell& v) {
            Cell y = softmax(v);
            for (double& x : y) x = std::log(x);
            return y;
          }),
  };
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("reductions") { check(sums()); }
  DEVICE_TEST_CASE("variance") { check(spreads()); }
  DEVICE_TEST_CASE("extremes and logic") { check(logic()); }
  DEVICE_TEST_CASE("running sums and softmax") { check(lines()); }
}
