// Rows of the op table: ops beside the families' own: pooling's relatives, bags, places, distances, noise.
#include <algorithm>
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"
#include "weft/core/generator.h"
#include "weft/nn/gram.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

int64_t whole(double v) { return static_cast<int64_t>(v); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Windows of two along every spatial axis, one after the other: f gets each one's elements.
Array in_twos(const Array& x, const std::function<double(const std::vector<double>&)>& f) {
  Shape out = x.shape;
  for (int a = 2; a < out.rank(); ++a) out[a] /= 2;
  return support::generate(out, [&](const Index& o) {
    std::vector<double> v;
    for (int corner = 0; corner < 1 << (out.rank() - 2); ++corner) {
      Index p = o;
      for (size_t a = 2; a < p.size(); ++a) p[a] = 2 * o[a] + (corner >> (p.size() - 1 - a) & 1);
      v.push_back(x.at(p));
    }
    return f(v);
  });
}

template <int D>
void add_pools(std::vector<Op>& t, const std::string& rank,
               weft::Pooled (*max)(const Tensor&, const weft::MaxPoolOptions<D>&),
               weft::Pooled (*adaptive)(const Tensor&, const weft::OutputSize<D>&),
               Tensor (*lp)(const Tensor&, const weft::LpPoolOptions<D>&),
               Tensor (*unpool)(const Tensor&, const Tensor&, const weft::MaxUnpoolOptions<D>&,
                                const std::optional<Shape>&)) {
  Shape s{2, 2};
  for (int i = 0; i < D; ++i) s.push_back(i == 0 ? 4 : 2);
  // The place of each maximum in its plane, row-major.
  const auto greatest = [](const Arrays& x) {
    Array at = x[0];
    const int64_t plane = x[0].shape.slice(2).numel();
    for (int64_t i = 0; i < at.numel(); ++i) at.v[static_cast<size_t>(i)] = static_cast<double>(i % plane);
    Array values = in_twos(x[0], [](const auto& v) { return *std::max_element(v.begin(), v.end()); });
    Array places(values.shape);
    support::for_each_index(values.shape, [&](const Index& o) {
      for (int64_t i = 0; i < plane; ++i) {
        const size_t e = static_cast<size_t>((o[0] * x[0].shape[1] + o[1]) * plane + i);
        if (x[0].v[e] == values.at(o)) places.at(o) = at.v[e];
      }
    });
    return Arrays{values, places};
  };
  t.push_back({"max_pool" + rank + "_with_indices",
               {{"in twos",
                 {uniform(s)},
                 [=](const Tensors& x) {
                   const weft::Pooled p = max(x[0], {.kernel_size = 2});
                   return Tensors{p.output, p.indices};
                 },
                 greatest}}});
  t.push_back({"adaptive_max_pool" + rank + "_with_indices",
               {{"in twos",
                 {uniform(s)},
                 [=](const Tensors& x) {
                   std::array<std::optional<int64_t>, D> size;
                   for (size_t i = 0; i < D; ++i) size[i] = s[static_cast<int>(i) + 2] / 2;
                   const weft::Pooled p = adaptive(x[0], weft::OutputSize<D>(size));
                   return Tensors{p.output, p.indices};
                 },
                 greatest}}});
  t.push_back({"lp_pool" + rank,
               {sample(
                   "cubes", {uniform(s, 0.3, 2)},
                   [=](const Tensors& x) { return lp(x[0], {.norm_type = 3, .kernel_size = 2}); },
                   [](const Arrays& x) {
                     return in_twos(x[0], [](const auto& v) {
                       double sum = 0;
                       for (double e : v) sum += e * e * e;
                       return std::cbrt(sum);
                     });
                   })},
               {{[=] { (void)lp(here::ones({2}), {.norm_type = 2, .kernel_size = 2}); }, "lp_pool" + rank + ": "}}});
  t.back().half_eps = 16;
  const Arrays places = greatest({Array(uniform(s))});
  std::vector<int64_t> at;
  for (double v : places[1].v) at.push_back(whole(v));
  t.push_back({"max_unpool" + rank,
               {sample(
                   "in twos", {uniform(places[1].shape), support::here(weft::tensor(at, places[1].shape))},
                   [=](const Tensors& x) { return unpool(x[0], x[1], {.kernel_size = 2}, {}); },
                   [s](const Arrays& x) {
                     Array y(s);
                     const int64_t plane = s.slice(2).numel(), each = x[0].shape.slice(2).numel();
                     for (int64_t i = 0; i < x[0].numel(); ++i)
                       y.v[static_cast<size_t>(i / each * plane + whole(x[1].v[static_cast<size_t>(i)]))] =
                           x[0].v[static_cast<size_t>(i)];
                     return y;
                   })},
               {{[=] {
                   (void)unpool(here::ones({2, 2}), here::ones({2, 2}), {.kernel_size = 2}, {});
                 },
                 "max_unpool" + rank + ": "}}});
}

std::vector<Op> pools() {
  std::vector<Op> t;
  add_pools<1>(t, "1d", weft::max_pool1d_with_indices, weft::adaptive_max_pool1d_with_indices, weft::lp_pool1d,
               weft::max_unpool1d);
  add_pools<2>(t, "2d", weft::max_pool2d_with_indices, weft::adaptive_max_pool2d_with_indices, weft::lp_pool2d,
               weft::max_unpool2d);
  add_pools<3>(t, "3d", weft::max_pool3d_with_indices, weft::adaptive_max_pool3d_with_indices, weft::lp_pool3d,
               weft::max_unpool3d);
  return t;
}

std::vector<Op> places() {
  std::vector<Op> t;
  const Tensor index = integers({2, 3}, 0, 4, 5);
  for (const auto mode : {weft::BagMode::sum, weft::BagMode::mean, weft::BagMode::max})
    t.push_back({"embedding_bag",
                 {sample(
                     weft::str("mode ", static_cast<int>(mode)), {index, uniform({4, 2})},
                     [=](const Tensors& x) { return weft::embedding_bag(x[0], x[1], {}, {.mode = mode}); },
                     [=](const Arrays& x) {
                       return support::generate({2, 2}, [&](const Index& i) {
                         double s = mode == weft::BagMode::max ? -HUGE_VAL : 0;
                         for (int64_t k = 0; k < 3; ++k) {
                           const double v = x[1].at({whole(x[0].at({i[0], k})), i[1]});
                           s = mode == weft::BagMode::max ? std::max(s, v) : s + v;
                         }
                         return mode == weft::BagMode::mean ? s / 3 : s;
                       });
                     })},
                 {{[] {
                     (void)weft::embedding_bag(here::full({3}, 0, Dtype::i64), here::ones({4, 2}));
                   },
                   "embedding_bag: "}}});
  const Tensor rows = support::here(weft::tensor(std::vector<int64_t>{2, 0, 2}));
  for (const bool accumulate : {false, true})
    t.push_back({"index_put",
                 {sample(
                     accumulate ? "added" : "written",
                     {uniform({3, 2}), accumulate ? rows : support::here(weft::tensor(std::vector<int64_t>{2, 0, 1})),
                      uniform({3, 2}, -2, 2, 5)},
                     [=](const Tensors& x) { return weft::index_put(x[0], {x[1]}, x[2], accumulate); },
                     [=](const Arrays& x) {
                       Array y = x[0];
                       for (int64_t k = 0; k < 3; ++k)
                         for (int64_t c = 0; c < 2; ++c) {
                           double& e = y.at({whole(x[1].at({k})), c});
                           e = (accumulate ? e : 0) + x[2].at({k, c});
                         }
                       return y;
                     })},
                 {{[] { (void)weft::index_put(here::ones({2}), {int64_t{5}}, here::ones({})); }, ": "}}});
  t.push_back(
      {"scatter",
       {sample(
            "tensor",
            {uniform({3, 2}), support::here(weft::tensor(std::vector<int64_t>{2, 0, 0, 1}, Shape{2, 2})),
             uniform({2, 2}, -2, 2, 5)},
            [](const Tensors& x) { return weft::scatter(x[0], 0, x[1], x[2]); },
            [](const Arrays& x) {
              Array y = x[0];
              support::for_each_index({2, 2}, [&](const Index& i) { y.at({whole(x[1].at(i)), i[1]}) = x[2].at(i); });
              return y;
            }),
        sample(
            "number", {uniform({3, 2}), integers({1, 2}, 0, 3)},
            [](const Tensors& x) { return weft::scatter(x[0], 0, x[1], 7); },
            [](const Arrays& x) {
              Array y = x[0];
              for (int64_t c = 0; c < 2; ++c) y.at({whole(x[1].at({0, c})), c}) = 7;
              return y;
            })},
       {{[] {
           (void)weft::scatter(here::ones({2, 2}), 0, here::full({1, 2}, 2, Dtype::i64), 1);
         },
         "scatter: "}}});
  t.push_back({"unbind",
               {{"along 1",
                 {uniform({2, 3})},
                 [](const Tensors& x) { return weft::unbind(x[0], 1); },
                 [](const Arrays& x) {
                   Arrays y;
                   for (int64_t k = 0; k < 3; ++k)
                     y.push_back(support::generate({2}, [&](const Index& i) { return x[0].at({i[0], k}); }));
                   return y;
                 }}}});
  t.push_back({"meshgrid",
               {{"ij",
                 {uniform({2}), uniform({3}, -2, 2, 5)},
                 [](const Tensors& x) { return weft::meshgrid(x); },
                 [](const Arrays& x) {
                   return Arrays{support::generate({2, 3}, [&](const Index& i) { return x[0].at({i[0]}); }),
                                 support::generate({2, 3}, [&](const Index& i) { return x[1].at({i[1]}); })};
                 }}}});
  t.push_back({"repeat_interleave",
               {sample(
                    "twice", {uniform({2, 3})}, [](const Tensors& x) { return weft::repeat_interleave(x[0], 2, 1); },
                    [](const Arrays& x) {
                      return support::generate({2, 6}, [&](const Index& i) { return x[0].at({i[0], i[1] / 2}); });
                    }),
                sample(
                    "each its own", {uniform({2, 3})},
                    [](const Tensors& x) {
                      return weft::repeat_interleave(x[0], support::here(weft::tensor(std::vector<int64_t>{0, 3})), 0);
                    },
                    [](const Arrays& x) {
                      return support::generate({3, 3}, [&](const Index& i) { return x[0].at({1, i[1]}); });
                    })},
               {{[] { (void)weft::repeat_interleave(here::ones({2}), -1); }, "repeat_interleave: "}}});
  t.push_back({"channel_shuffle",
               {sample(
                   "2 groups", {uniform({1, 4, 2, 1})}, [](const Tensors& x) { return weft::channel_shuffle(x[0], 2); },
                   [](const Arrays& x) {
                     return support::generate({1, 4, 2, 1}, [&](const Index& i) {
                       return x[0].at({0, i[1] % 2 * 2 + i[1] / 2, i[2], 0});
                     });
                   })},
               {{[] {
                   (void)weft::channel_shuffle(here::ones({1, 3, 2, 2}), 2);
                 },
                 "channel_shuffle: "}}});
  t.push_back({"glu",
               {sample(
                   "features", {uniform({2, 4})}, [](const Tensors& x) { return weft::glu(x[0], 1); },
                   [](const Arrays& x) {
                     return support::generate({2, 2}, [&](const Index& i) {
                       return x[0].at(i) * sigmoid(x[0].at({i[0], i[1] + 2}));
                     });
                   })},
               {{[] { (void)weft::glu(here::ones({3})); }, "glu: "}}});
  t.push_back({"softmin",
               {sample(
                   "rows", {uniform({2, 3})}, [](const Tensors& x) { return weft::softmin(x[0], 1); },
                   [](const Arrays& x) {
                     return support::generate({2, 3}, [&](const Index& i) {
                       double total = 0;
                       for (int64_t k = 0; k < 3; ++k) total += std::exp(-x[0].at({i[0], k}));
                       return std::exp(-x[0].at(i)) / total;
                     });
                   })}});
  t.push_back({"affine_grid",
               {},
               {{[] {
                   (void)weft::affine_grid(here::ones({1, 2, 2}), {1, 1, 2, 2});
                 },
                 "affine_grid: "}}});
  for (const bool align : {false, true})
    t.back().samples.push_back(sample(
        align ? "corners" : "pixels", {uniform({2, 2, 3})},
        [align](const Tensors& x) {
          return weft::affine_grid(x[0], {2, 1, 3, 2}, align);
        },
        [align](const Arrays& x) {
          return support::generate({2, 3, 2, 2}, [&](const Index& i) {
            const auto point = [&](int64_t k, double n) {
              const auto p = static_cast<double>(k);
              return align ? 2 * p / (n - 1) - 1 : (2 * p + 1) / n - 1;
            };
            return x[0].at({i[0], i[3], 0}) * point(i[2], 2) + x[0].at({i[0], i[3], 1}) * point(i[1], 3) +
                   x[0].at({i[0], i[3], 2});
          });
        }));
  t.back().half_eps = 16;
  return t;
}

std::vector<Op> products() {
  std::vector<Op> t;
  t.push_back(
      {"local_response_norm",
       {sample(
           "three of four", {uniform({1, 4, 2})},
           [](const Tensors& x) { return weft::local_response_norm(x[0], 3, {.alpha = 0.6, .beta = 0.7, .k = 2}); },
           [](const Arrays& x) {
             return support::generate({1, 4, 2}, [&](const Index& i) {
               double s = 0;
               for (int64_t c = std::max<int64_t>(0, i[1] - 1); c <= std::min<int64_t>(3, i[1] + 1); ++c)
                 s += x[0].at({0, c, i[2]}) * x[0].at({0, c, i[2]}) / 3;
               return x[0].at(i) / std::pow(2 + 0.6 * s, 0.7);
             });
           })},
       {{[] {
           (void)weft::local_response_norm(here::ones({2, 2}), 2);
         },
         "local_response_norm: "}}});
  t.push_back({"normalize",
               {sample(
                   "columns", {uniform({2, 3})}, [](const Tensors& x) { return weft::normalize(x[0], 3, 0); },
                   [](const Arrays& x) {
                     return support::generate({2, 3}, [&](const Index& i) {
                       return x[0].at(i) / std::cbrt(std::pow(std::abs(x[0].at({0, i[1]})), 3) +
                                                     std::pow(std::abs(x[0].at({1, i[1]})), 3));
                     });
                   })}});
  t.push_back({"pdist", {}, {{[] { (void)weft::pdist(here::ones({3})); }, "pdist: "}}});
  for (const double p : {1.0, 2.0, 3.0})
    t.back().samples.push_back(sample(
        weft::str("p = ", p), {uniform({3, 2})}, [p](const Tensors& x) { return weft::pdist(x[0], p); },
        [p](const Arrays& x) {
          return support::generate({3}, [&](const Index& i) {
            const int64_t a = i[0] == 2 ? 1 : 0, b = i[0] == 0 ? 1 : 2;
            double s = 0;
            for (int64_t k = 0; k < 2; ++k) s += std::pow(std::abs(x[0].at({a, k}) - x[0].at({b, k})), p);
            return std::pow(s, 1 / p);
          });
        }));
  t.push_back({"bilinear",
               {sample(
                   "with bias",
                   {uniform({2, 3}), uniform({2, 2}, -2, 2, 3), uniform({4, 3, 2}, -1, 1, 5), uniform({4}, -1, 1, 7)},
                   [](const Tensors& x) { return weft::bilinear(x[0], x[1], x[2], x[3]); },
                   [](const Arrays& x) {
                     return support::generate({2, 4}, [&](const Index& i) {
                       double s = x[3].at({i[1]});
                       for (int64_t a = 0; a < 3; ++a)
                         for (int64_t b = 0; b < 2; ++b)
                           s += x[0].at({i[0], a}) * x[2].at({i[1], a, b}) * x[1].at({i[0], b});
                       return s;
                     });
                   })},
               {{[] {
                   (void)weft::bilinear(here::ones({2, 3}), here::ones({3, 2}), here::ones({4, 3, 2}));
                 },
                 "bilinear: "}}});
  t.push_back({"gram_matrix",
               {sample(
                   "features", {uniform({2, 3, 2, 2})}, [](const Tensors& x) { return weft::gram_matrix(x[0]); },
                   [](const Arrays& x) {
                     return support::generate({2, 3, 3}, [&](const Index& i) {
                       double s = 0;
                       for (int64_t p = 0; p < 4; ++p)
                         s += x[0].at({i[0], i[1], p / 2, p % 2}) * x[0].at({i[0], i[2], p / 2, p % 2}) / 12;
                       return s;
                     });
                   })},
               {{[] {
                   (void)weft::gram_matrix(here::ones({2, 2, 2}));
                 },
                 "gram_matrix: "}}});
  for (Op& op : t) op.half_eps = 32;
  return t;
}

std::vector<Op> noise() {
  const auto drawn = [](const Shape& s, std::function<Tensor(const Tensor&)> op) {
    // the same numbers in every call
    return Sample{weft::str(s),
                  {uniform(s)},
                  [op](const Tensors& x) {
                    weft::default_generator().set_state({5, 0});
                    return Tensors{op(x[0])};
                  },
                  nullptr};
  };
  std::vector<Op> t;
  t.push_back({"dropout1d", {drawn({2, 3, 4}, [](const Tensor& x) { return weft::dropout1d(x, 0.5); })}});
  t.push_back({"dropout3d", {drawn({2, 3, 2, 2, 2}, [](const Tensor& x) { return weft::dropout3d(x, 0.5); })}});
  t.push_back({"feature_alpha_dropout",
               {drawn({2, 3, 4}, [](const Tensor& x) { return weft::feature_alpha_dropout(x, 0.5); })}});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("pooling with places, and back") { check(pools()); }
  DEVICE_TEST_CASE("bags, places and small rearrangements") { check(places()); }
  DEVICE_TEST_CASE("distances, products and local norms") { check(products()); }
  DEVICE_TEST_CASE("noise") { check(noise()); }
}
