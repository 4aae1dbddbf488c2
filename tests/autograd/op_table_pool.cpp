// Rows of the op table: pooling, resizing, sampling.
#include <algorithm>
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

/// Windows of one axis: [begin, end) and step of window o (begin may lie before the axis, end behind it).
struct Axis {
  int64_t out;
  std::function<std::pair<int64_t, int64_t>(int64_t)> window;
  int64_t step = 1;
};
Axis strided(int64_t n, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation = 1) {
  return {
      (n + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1,
      [=](int64_t o) { return std::pair(o * stride - padding, o * stride - padding + dilation * (kernel - 1) + 1); },
      dilation};
}
Axis adaptive(int64_t n, int64_t out) {
  return {out, [=](int64_t o) { return std::pair(o * n / out, ((o + 1) * n + out - 1) / out); }};
}

/// Reduces each window of the spatial axes: f gets the elements and how many places the window has.
Array pool(const Array& x, const std::vector<Axis>& axes,
           const std::function<double(const std::vector<double>&, size_t)>& f) {
  Shape out = {x.shape[0], x.shape[1]};
  for (const Axis& a : axes) out.push_back(a.out);
  return support::generate(out, [&](const Index& o) {
    std::vector<Index> points = {{o[0], o[1]}};
    size_t places = 1;
    for (size_t d = 0; d < axes.size(); ++d) {
      const auto [begin, end] = axes[d].window(o[d + 2]);
      std::vector<Index> longer;
      size_t n = 0;
      for (int64_t i = begin; i < end; i += axes[d].step) {
        ++n;
        if (i < 0 || i >= x.shape[static_cast<int>(d) + 2]) continue;
        for (Index p : points) {
          p.push_back(i);
          longer.push_back(p);
        }
      }
      points = longer;
      places *= n;
    }
    std::vector<double> v;
    for (const Index& p : points) v.push_back(x.at(p));
    return f(v, places);
  });
}

double greatest(const std::vector<double>& v, size_t) { return *std::max_element(v.begin(), v.end()); }
double mean_of_places(const std::vector<double>& v, size_t places) {
  double s = 0;
  for (double x : v) s += x;
  return s / static_cast<double>(places);
}
double mean_of_real(const std::vector<double>& v, size_t) { return mean_of_places(v, v.size()); }

Sample pooled(const std::string& label, const Shape& shape, std::function<Tensor(const Tensor&)> op,
              std::vector<Axis> axes, double (*f)(const std::vector<double>&, size_t)) {
  return {label,
          {uniform(shape)},
          [op](const Tensors& x) { return Tensors{op(x[0])}; },
          [=](const Arrays& x) { return Arrays{pool(x[0], axes, f)}; }};
}

std::vector<Op> pools() {
  std::vector<Op> t = {
      {"max_pool1d",
       {pooled(
           "strided", {2, 2, 7},
           [](const Tensor& x) { return weft::max_pool1d(x, {.kernel_size = 3, .stride = 2, .padding = 1}); },
           {strided(7, 3, 2, 1)}, greatest)}},
      {"max_pool2d",
       {pooled(
            "2x2", {1, 2, 4, 6}, [](const Tensor& x) { return weft::max_pool2d(x, {.kernel_size = 2}); },
            {strided(4, 2, 2, 0), strided(6, 2, 2, 0)}, greatest),
        pooled(
            "overlapping", {1, 2, 5, 5},
            [](const Tensor& x) { return weft::max_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1}); },
            {strided(5, 3, 2, 1), strided(5, 3, 2, 1)}, greatest),
        pooled(
            "dilated", {1, 1, 5, 5},
            [](const Tensor& x) { return weft::max_pool2d(x, {.kernel_size = 2, .stride = 1, .dilation = 2}); },
            {strided(5, 2, 1, 0, 2), strided(5, 2, 1, 0, 2)}, greatest),
        pooled(
            "empty batch", {0, 2, 4, 4}, [](const Tensor& x) { return weft::max_pool2d(x, {.kernel_size = 2}); },
            {strided(4, 2, 2, 0), strided(4, 2, 2, 0)}, greatest)},
       {{[] {
           (void)weft::max_pool2d(here::ones({1, 1, 4, 4}), {.kernel_size = 2, .padding = 2});
         },
         "max_pool2d: "},
        {[] {
           (void)weft::max_pool2d(here::ones({4, 4}), {.kernel_size = 2});
         },
         "max_pool2d: "},
        {[] {
           (void)weft::max_pool2d(here::ones({1, 1, 1, 1}), {.kernel_size = 2});
         },
         "max_pool2d: "}}},
      {"max_pool3d",
       {pooled(
           "2x2x2", {1, 2, 2, 4, 2}, [](const Tensor& x) { return weft::max_pool3d(x, {.kernel_size = 2}); },
           {strided(2, 2, 2, 0), strided(4, 2, 2, 0), strided(2, 2, 2, 0)}, greatest)}},
      {"avg_pool1d",
       {pooled(
           "padded", {1, 2, 5},
           [](const Tensor& x) { return weft::avg_pool1d(x, {.kernel_size = 3, .stride = 1, .padding = 1}); },
           {strided(5, 3, 1, 1)}, mean_of_places)}},
      {"avg_pool2d",
       {pooled(
            "2x2", {1, 2, 4, 4}, [](const Tensor& x) { return weft::avg_pool2d(x, {.kernel_size = 2}); },
            {strided(4, 2, 2, 0), strided(4, 2, 2, 0)}, mean_of_real),
        pooled(
            "padding not counted", {1, 1, 4, 4},
            [](const Tensor& x) {
              return weft::avg_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1, .count_include_pad = false});
            },
            {strided(4, 3, 2, 1), strided(4, 3, 2, 1)}, mean_of_real)},
       {{[] {
           (void)weft::avg_pool2d(here::ones({1, 1, 4, 4}), {.kernel_size = 2, .padding = 2});
         },
         "avg_pool2d: "}}},
      {"avg_pool3d",
       {pooled(
           "2x2x1", {1, 2, 2, 2, 2},
           [](const Tensor& x) {
             return weft::avg_pool3d(x, {.kernel_size = {2, 2, 1}});
           },
           {strided(2, 2, 2, 0), strided(2, 2, 2, 0), strided(2, 1, 1, 0)}, mean_of_real)}},
      {"adaptive_avg_pool2d",
       {pooled(
            "5x4 to 3x2", {1, 2, 5, 4},
            [](const Tensor& x) {
              return weft::adaptive_avg_pool2d(x, {3, 2});
            },
            {adaptive(5, 3), adaptive(4, 2)}, mean_of_real),
        pooled(
            "global", {2, 2, 3, 3}, [](const Tensor& x) { return weft::adaptive_avg_pool2d(x, 1); },
            {adaptive(3, 1), adaptive(3, 1)}, mean_of_real)}},
      {"adaptive_avg_pool1d",
       {pooled(
           "5 to 3", {1, 2, 5}, [](const Tensor& x) { return weft::adaptive_avg_pool1d(x, 3); }, {adaptive(5, 3)},
           mean_of_real)}},
      {"adaptive_avg_pool3d",
       {pooled(
           "to 1x2x1", {1, 2, 2, 3, 2},
           [](const Tensor& x) {
             return weft::adaptive_avg_pool3d(x, {1, 2, 1});
           },
           {adaptive(2, 1), adaptive(3, 2), adaptive(2, 1)}, mean_of_real)}},
      {"adaptive_max_pool1d",
       {pooled(
           "5 to 3", {1, 2, 5}, [](const Tensor& x) { return weft::adaptive_max_pool1d(x, 3); }, {adaptive(5, 3)},
           greatest)}},
      {"adaptive_max_pool2d",
       {pooled(
           "5x4 to 3x2", {1, 2, 5, 4},
           [](const Tensor& x) {
             return weft::adaptive_max_pool2d(x, {3, 2});
           },
           {adaptive(5, 3), adaptive(4, 2)}, greatest)}},
      {"adaptive_max_pool3d",
       {pooled(
           "to 1x2x1", {1, 2, 2, 3, 2},
           [](const Tensor& x) {
             return weft::adaptive_max_pool3d(x, {1, 2, 1});
           },
           {adaptive(2, 1), adaptive(3, 2), adaptive(2, 1)}, greatest)}},
  };
  return t;
}

/// Linear interpolation of one axis: both sources and the weight of the second.
struct Tap {
  int64_t lo, hi;
  double weight;
};
Tap tap(int64_t o, int64_t in, int64_t out, bool align) {
  const double src = align ? (out > 1 ? static_cast<double>(o * (in - 1)) / static_cast<double>(out - 1) : 0)
                           : std::max(0.0, (static_cast<double>(o) + 0.5) * static_cast<double>(in) /
                                                   static_cast<double>(out) -
                                               0.5);
  const auto lo = static_cast<int64_t>(src);
  return {lo, std::min(lo + 1, in - 1), src - static_cast<double>(lo)};
}
Array linear(const Array& x, const Shape& size, bool align) {
  Shape out = {x.shape[0], x.shape[1]};
  for (int64_t s : size) out.push_back(s);
  return support::generate(out, [&](const Index& o) {
    double y = 0;
    const int d = size.rank();
    for (int corner = 0; corner < 1 << d; ++corner) {
      Index p = {o[0], o[1]};
      double w = 1;
      for (int k = 0; k < d; ++k) {
        const Tap t = tap(o[static_cast<size_t>(k) + 2], x.shape[k + 2], size[k], align);
        const bool second = corner >> k & 1;
        p.push_back(second ? t.hi : t.lo);
        w *= second ? t.weight : 1 - t.weight;
      }
      y += w * x.at(p);
    }
    return y;
  });
}

std::vector<Op> resizes() {
  using Mode = weft::InterpolateMode;
  Op t{.name = "interpolate"};
  const auto add = [&](const Shape& shape, const Shape& size, Mode mode, std::optional<bool> align) {
    t.samples.push_back({weft::str(shape, " to ", size, align.value_or(false) ? " aligned" : ""),
                         {uniform(shape)},
                         [=](const Tensors& x) {
                           return Tensors{
                               weft::interpolate(x[0], {.size = size, .mode = mode, .align_corners = align})};
                         },
                         [=](const Arrays& x) {
                           if (mode != Mode::nearest) return Arrays{linear(x[0], size, align.value_or(false))};
                           Shape out = {shape[0], shape[1]};
                           for (int64_t s : size) out.push_back(s);
                           return Arrays{support::generate(out, [&](Index i) {
                             for (size_t d = 2; d < i.size(); ++d)
                               i[d] = i[d] * shape[static_cast<int>(d)] / out[static_cast<int>(d)];
                             return x[0].at(i);
                           })};
                         }});
  };
  add({1, 2, 3}, {6}, Mode::nearest, {});
  add({1, 2, 2, 3}, {4, 6}, Mode::nearest, {});
  add({1, 1, 2, 2, 2}, {4, 2, 4}, Mode::nearest, {});
  for (const bool align : {false, true}) {
    add({1, 2, 4}, {7}, Mode::linear, align);
    add({1, 2, 3, 4}, {5, 3}, Mode::bilinear, align);
    add({1, 2, 2, 3}, {4, 6}, Mode::bilinear, align);
    add({1, 1, 2, 3, 2}, {3, 4, 3}, Mode::trilinear, align);
  }
  t.faults = {{[] {
                 (void)weft::interpolate(here::ones({1, 1, 2, 2}), {});
               },
               "interpolate: "},
              {[] {
                 (void)weft::interpolate(here::ones({1, 1, 2, 2}), {.size = {2, 2}, .mode = Mode::trilinear});
               },
               "interpolate: "}};
  t.half_eps = 8;

  Op grid{.name = "grid_sample"};
  grid.samples.push_back(
      {"bilinear, zeros",
       {uniform({1, 2, 3, 4}), uniform({1, 2, 2, 2}, -1.2, 1.2, 5)},
       [](const Tensors& x) { return Tensors{weft::grid_sample(x[0], x[1], {.align_corners = true})}; },
       [](const Arrays& x) {
         return Arrays{support::generate({1, 2, 2, 2}, [&](const Index& i) {
           const double px = (x[1].at({0, i[2], i[3], 0}) + 1) * 1.5, py = (x[1].at({0, i[2], i[3], 1}) + 1) * 1;
           double y = 0;
           for (int64_t r = 0; r < 3; ++r)
             for (int64_t c = 0; c < 4; ++c)
               y += std::max(0.0, 1 - std::abs(px - static_cast<double>(c))) *
                    std::max(0.0, 1 - std::abs(py - static_cast<double>(r))) * x[0].at({0, i[1], r, c});
           return y;
         })};
       }});
  // Points would be rounded across pixel borders, where the gradient jumps.
  grid.half = false;
  grid.faults = {{[] {
                    (void)weft::grid_sample(here::ones({1, 1, 2, 2}), here::ones({1, 2, 2, 3}));
                  },
                  "grid_sample: "}};
  return {t, grid};
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("pooling") { check(pools()); }
  DEVICE_TEST_CASE("resizing and sampling") { check(resizes()); }
}
