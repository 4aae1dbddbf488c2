// Rows of the op table: matrix products, einsum, distances, attention.
#include <cmath>
#include <limits>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;

/// numpy's matmul, one element at a time.
Array product(Array a, Array b) {
  const bool row = a.shape.rank() == 1, column = b.shape.rank() == 1;
  if (row) a.shape.insert(0, 1);
  if (column) b.shape.insert(1, 1);
  const int64_t m = a.shape[-2], k = a.shape[-1], n = b.shape[-1];
  Shape out = weft::broadcast_shapes("reference", a.shape.slice(0, a.shape.rank() - 2),
                                     b.shape.slice(0, b.shape.rank() - 2));
  out.push_back(m);
  out.push_back(n);
  const auto at = [](const Array& x, Index batch, int64_t i, int64_t j) {
    batch.erase(batch.begin(), batch.end() - (x.shape.rank() - 2));
    for (size_t d = 0; d < batch.size(); ++d)
      if (x.shape[static_cast<int>(d)] == 1) batch[d] = 0;
    batch.push_back(i);
    batch.push_back(j);
    return x.at(batch);
  };
  Array y = support::generate(out, [&](const Index& i) {
    const Index batch(i.begin(), i.end() - 2);
    double s = 0;
    for (int64_t l = 0; l < k; ++l) s += at(a, batch, i[i.size() - 2], l) * at(b, batch, l, i[i.size() - 1]);
    return s;
  });
  Shape shape = out.slice(0, out.rank() - 2);
  if (!row) shape.push_back(m);
  if (!column) shape.push_back(n);
  y.shape = shape;
  return y;
}

Sample products(const Shape& a, const Shape& b, Tensor (*op)(const Tensor&, const Tensor&)) {
  return sample(
      weft::str(a, " by ", b), {uniform(a), uniform(b, -2, 2, 9)}, [op](const Tensors& x) { return op(x[0], x[1]); },
      [](const Arrays& x) { return product(x[0], x[1]); });
}

std::vector<Op> matrices() {
  std::vector<Op> t = {
      {"matmul",
       {},
       {{[] {
           (void)weft::matmul(here::ones({3, 4}), here::ones({5, 2}));
         },
         "matmul: inner dimensions differ: [3, 4] x [5, 2]"},
        {[] {
           (void)weft::matmul(here::ones({}), here::ones({5, 2}));
         },
         "matmul: "},
        {[] {
           (void)weft::matmul(here::ones({2, 2}), here::ones({2, 2}, Dtype::f64));
         },
         "matmul: "}}},
      {"mm",
       {products({2, 3}, {3, 4}, weft::mm)},
       {{[] {
           (void)weft::mm(here::ones({2}), here::ones({2, 2}));
         },
         "mm: "}}},
      {"bmm",
       {products({2, 2, 3}, {2, 3, 2}, weft::bmm), products({0, 2, 3}, {0, 3, 2}, weft::bmm)},
       {{[] {
           (void)weft::bmm(here::ones({2, 2, 2}), here::ones({1, 2, 2}));
         },
         "bmm: "}}},
      {"mv", {products({2, 3}, {3}, weft::mv)}, {}},
      {"dot", {products({4}, {4}, weft::dot)}, {{[] { (void)weft::dot(here::ones({2}), here::ones({3})); }, ": "}}},
      {"outer",
       {sample(
           "vectors", {uniform({2}), uniform({3}, -2, 2, 5)}, [](const Tensors& x) { return weft::outer(x[0], x[1]); },
           [](const Arrays& x) {
             return support::generate({2, 3}, [&](Index i) { return x[0].at({i[0]}) * x[1].at({i[1]}); });
           })},
       {{[] {
           (void)weft::outer(here::ones({2, 2}), here::ones({3}));
         },
         "outer: "}}},
  };
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{2, 3}, {3, 4}},
                                                                 {{3}, {3}},
                                                                 {{3}, {3, 2}},
                                                                 {{2, 3}, {3}},
                                                                 {{2, 2, 3}, {3, 2}},
                                                                 {{2, 1, 2, 3}, {2, 3, 1}},
                                                                 {{0, 3}, {3, 2}},
                                                                 {{2, 0}, {0, 2}},
                                                                 {{1, 1}, {1, 1}}})
    t[0].samples.push_back(products(a, b, weft::matmul));
  t.push_back({"addmm",
               {sample(
                   "beta and alpha", {uniform({4}), uniform({2, 3}, -2, 2, 3), uniform({3, 4}, -2, 2, 5)},
                   [](const Tensors& x) { return weft::addmm(x[0], x[1], x[2], 0.5, 2); },
                   [](const Arrays& x) {
                     return support::map(x[0], product(x[1], x[2]), [](double c, double p) { return 0.5 * c + 2 * p; });
                   })},
               {{[] {
                   (void)weft::addmm(here::ones({3}), here::ones({2, 2}), here::ones({2, 2}));
                 },
                 "addmm: "}}});
  const auto linear = [](const Shape& x, bool bias) {
    Tensors in = {uniform(x), uniform({4, 3}, -2, 2, 3)};
    if (bias) in.push_back(uniform({4}, -2, 2, 5));
    return sample(
        weft::str(x, bias ? " with bias" : ""), in,
        [bias](const Tensors& t) { return weft::linear(t[0], t[1], bias ? t[2] : Tensor()); },
        [bias](const Arrays& a) {
          Shape out = a[0].shape;
          out[-1] = 4;
          return support::generate(out, [&](Index i) {
            const int64_t o = i.back();
            double s = bias ? a[2].at({o}) : 0;
            for (int64_t k = 0; k < 3; ++k) i.back() = k, s += a[0].at(i) * a[1].at({o, k});
            return s;
          });
        });
  };
  t.push_back({"linear",
               {linear({2, 3}, true), linear({3}, true), linear({2, 2, 3}, false), linear({0, 3}, true)},
               {{[] {
                   (void)weft::linear(here::ones({2, 5}), here::ones({4, 3}));
                 },
                 "linear: "}}});
  const auto einsum = [](const char* equation, Tensors in, std::function<Array(const Arrays&)> reference) {
    return sample(
        equation, std::move(in), [equation](const Tensors& x) { return weft::einsum(equation, x); },
        std::move(reference));
  };
  t.push_back({"einsum",
               {einsum("ij,jk->ik", {uniform({2, 3}), uniform({3, 2}, -2, 2, 3)},
                       [](const Arrays& x) { return product(x[0], x[1]); }),
                einsum("ij->ji", {uniform({2, 3})},
                       [](const Arrays& x) {
                         return support::generate({3, 2}, [&](Index i) { return x[0].at({i[1], i[0]}); });
                       }),
                einsum("...ii->...i", {uniform({2, 3, 3})},
                       [](const Arrays& x) {
                         return support::generate({2, 3}, [&](Index i) { return x[0].at({i[0], i[1], i[1]}); });
                       }),
                einsum("bi,bj->bij", {uniform({2, 2}), uniform({2, 3}, -2, 2, 3)},
                       [](const Arrays& x) {
                         return support::generate({2, 2, 3}, [&](Index i) {
                           return x[0].at({i[0], i[1]}) * x[1].at({i[0], i[2]});
                         });
                       }),
                einsum("ij->", {uniform({2, 3})},
                       [](const Arrays& x) {
                         return support::reduce(x[0], {}, false, [](const auto& v) {
                           double s = 0;
                           for (double e : v) s += e;
                           return s;
                         });
                       })},
               {{[] {
                   (void)weft::einsum("ij,jk", {here::ones({2, 2})});
                 },
                 "einsum: "},
                {[] {
                   (void)weft::einsum("ij,jk->ik", {here::ones({2, 2}), here::ones({3, 2})});
                 },
                 "einsum: "}}});
  for (Op& op : t) op.half_eps = 16;  // sums of up to four products of numbers up to 2
  return t;
}

double norm(const std::vector<double>& v, double p) {
  double s = 0;
  for (double x : v) s = std::isinf(p) ? std::max(s, std::abs(x)) : s + std::pow(std::abs(x), p);
  return std::isinf(p) ? s : std::pow(s, 1 / p);
}

std::vector<Op> distances() {
  std::vector<Op> t = {
      {"cosine_similarity",
       {sample(
           "rows", {uniform({2, 3}), uniform({2, 3}, -2, 2, 5)},
           [](const Tensors& x) { return weft::cosine_similarity(x[0], x[1]); },
           [](const Arrays& x) {
             return support::generate({2}, [&](Index i) {
               double ab = 0, aa = 0, bb = 0;
               for (int64_t k = 0; k < 3; ++k) {
                 const double a = x[0].at({i[0], k}), b = x[1].at({i[0], k});
                 ab += a * b, aa += a * a, bb += b * b;
               }
               return ab / std::sqrt(aa * bb);
             });
           })}},
      {"pairwise_distance", {}},
      {"cdist",
       {},
       {{[] {
           (void)weft::cdist(here::ones({2, 3}), here::ones({2, 4}));
         },
         "cdist: "}}},
  };
  for (const double p : {1.0, 2.0, 3.0}) {
    t[1].samples.push_back(sample(
        weft::str("p = ", p), {uniform({2, 3}), uniform({2, 3}, -2, 2, 5)},
        [p](const Tensors& x) { return weft::pairwise_distance(x[0], x[1], {.p = p, .keepdim = true}); },
        [p](const Arrays& x) {
          return support::generate({2, 1}, [&](Index i) {
            std::vector<double> d;
            for (int64_t k = 0; k < 3; ++k) d.push_back(x[0].at({i[0], k}) - x[1].at({i[0], k}) + 1e-6);
            return norm(d, p);
          });
        }));
    t[2].samples.push_back(sample(
        weft::str("p = ", p), {uniform({1, 2, 3}), uniform({2, 2, 3}, -2, 2, 5)},
        [p](const Tensors& x) { return weft::cdist(x[0], x[1], p); },
        [p](const Arrays& x) {
          return support::generate({2, 2, 2}, [&](Index i) {
            std::vector<double> d;
            for (int64_t k = 0; k < 3; ++k) d.push_back(x[0].at({0, i[1], k}) - x[1].at({i[0], i[2], k}));
            return norm(d, p);
          });
        }));
  }
  const auto attention = [](bool causal, const Tensor& mask, const char* label) {
    return sample(
        label, {uniform({1, 2, 3, 2}), uniform({1, 2, 3, 2}, -2, 2, 5), uniform({1, 2, 3, 2}, -2, 2, 9)},
        [=](const Tensors& x) {
          return weft::scaled_dot_product_attention(x[0], x[1], x[2], {.attn_mask = mask, .is_causal = causal});
        },
        [=](const Arrays& x) {
          return support::generate({1, 2, 3, 2}, [&](Index i) {
            double total = 0, y = 0;
            for (int64_t s = 0; s < 3; ++s) {
              if (causal && s > i[2]) continue;
              if (mask.defined() && mask.to_vector<double>()[static_cast<size_t>(s)] == 0) continue;
              double score = 0;
              for (int64_t e = 0; e < 2; ++e) score += x[0].at({0, i[1], i[2], e}) * x[1].at({0, i[1], s, e});
              const double w = std::exp(score / std::sqrt(2.0));
              total += w;
              y += w * x[2].at({0, i[1], s, i[3]});
            }
            return y / total;
          });
        });
  };
  t.push_back({"scaled_dot_product_attention",
               {attention(false, {}, "plain"), attention(true, {}, "causal"),
                attention(false, support::here(weft::tensor(std::vector<bool>{true, false, true})), "masked")},
               {{[] {
                   (void)weft::scaled_dot_product_attention(here::ones({2, 3}), here::ones({2, 4}), here::ones({2, 4}));
                 },
                 ": "}}});
  for (Op& op : t) op.half_eps = 16;
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("matrix products") { check(matrices()); }
  DEVICE_TEST_CASE("distances and attention") { check(distances()); }
}
