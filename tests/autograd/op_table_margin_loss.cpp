// Rows of the op table: margin losses, losses of pairs and triplets, of distributions and of sequences.
#include <algorithm>
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"
#include "weft/autograd/ops/loss/ctc_loss.h"
#include "weft/autograd/ops/loss/margin_loss.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;
using weft::Reduction;

/// How one loss is computed: the tensors' op, and the losses of the elements (or rows) from the arrays.
struct Margin {
  const char* name;
  Tensors inputs;
  std::function<Tensor(const Tensors&, Reduction)> op;
  std::function<Array(const Arrays&)> each;
};

/// Samples of a loss in all reductions.
Op in_all_reductions(const std::vector<Margin>& losses) {
  Op row{.name = losses[0].name};
  for (const Margin& l : losses)
    for (const auto r : {Reduction::none, Reduction::mean, Reduction::sum})
      row.samples.push_back({weft::str("reduction ", static_cast<int>(r)), l.inputs,
                             [=](const Tensors& x) { return Tensors{l.op(x, r)}; },
                             [=](const Arrays& a) {
                               Array y = l.each(a);
                               if (r == Reduction::none) return Arrays{y};
                               double s = 0;
                               for (double v : y.v) s += v;
                               Array one{Shape{}};
                               one.v[0] = r == Reduction::mean ? s / static_cast<double>(y.v.size()) : s;
                               return Arrays{one};
                             }});
  row.half_eps = 16;
  return row;
}

/// 1 and -1, as integers: they are no differentiable input.
Tensor signs(const Shape& s) { return integers(s, 0, 2, 3) * 2 - 1; }
Tensor like(const Tensor& y, const Tensor& x) { return y.defined() ? y.to(x.dtype()) : y; }

/// A number for each row of several matrices.
Array rows(const Arrays& a, const std::function<double(int64_t n)>& f) {
  return support::generate({a[0].shape[0]}, [&](const Index& i) { return f(i[0]); });
}
double cosine(const Array& a, const Array& b, int64_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t k = 0; k < a.shape[1]; ++k) {
    const double p = a.at({n, k}), q = b.at({n, k});
    ab += p * q, aa += p * p, bb += q * q;
  }
  return ab / std::sqrt(aa * bb);
}
double distance(const Array& a, const Array& b, int64_t n, double p) {
  double s = 0;
  for (int64_t k = 0; k < a.shape[1]; ++k) s += std::pow(std::abs(a.at({n, k}) - b.at({n, k}) + 1e-6), p);
  return std::pow(s, 1 / p);
}

std::vector<Op> pairs() {
  const Shape s{2, 3};
  const Tensor x = uniform(s), x2 = uniform(s, -2, 2, 5), x3 = uniform(s, -2, 2, 8), sign = signs(s),
               row_sign = signs({2});
  std::vector<Op> t;
  t.push_back(in_all_reductions(
      {{"hinge_embedding_loss",
        {x, sign},
        [](const Tensors& t, Reduction r) { return weft::hinge_embedding_loss(t[0], like(t[1], t[0]), 0.5, r); },
        [](const Arrays& a) {
          return support::map(a[0], a[1], [](double v, double y) { return y > 0 ? v : std::max(0.0, 0.5 - v); });
        }}}));
  t.push_back(in_all_reductions(
      {{"soft_margin_loss",
        {x, sign},
        [](const Tensors& t, Reduction r) { return weft::soft_margin_loss(t[0], like(t[1], t[0]), r); },
        [](const Arrays& a) {
          return support::map(a[0], a[1], [](double v, double y) { return std::log1p(std::exp(-y * v)); });
        }}}));
  t.push_back(in_all_reductions(
      {{"margin_ranking_loss",
        {x, x2, sign},
        [](const Tensors& t, Reduction r) { return weft::margin_ranking_loss(t[0], t[1], like(t[2], t[0]), 0.3, r); },
        [](const Arrays& a) {
          return support::generate(
              a[0].shape, [&](const Index& i) { return std::max(0.0, -a[2].at(i) * (a[0].at(i) - a[1].at(i)) + 0.3); });
        }}}));
  t.push_back(in_all_reductions({{"cosine_embedding_loss",
                                  {x, x2, row_sign},
                                  [](const Tensors& t, Reduction r) {
                                    return weft::cosine_embedding_loss(t[0], t[1], like(t[2], t[0]), -0.9, r);
                                  },
                                  [](const Arrays& a) {
                                    return rows(a, [&](int64_t n) {
                                      const double c = cosine(a[0], a[1], n);
                                      return a[2].at({n}) > 0 ? 1 - c : std::max(0.0, c + 0.9);
                                    });
                                  }}}));
  const auto triplet = [&](double p, bool swap) {
    return Margin{"triplet_margin_loss",
                  {x, x2, x3},
                  [=](const Tensors& t, Reduction r) {
                    return weft::triplet_margin_loss(t[0], t[1], t[2],
                                                     {.margin = 4, .p = p, .swap = swap, .reduction = r});
                  },
                  [=](const Arrays& a) {
                    return rows(a, [&](int64_t n) {
                      double far = distance(a[0], a[2], n, p);
                      if (swap) far = std::min(far, distance(a[1], a[2], n, p));
                      return std::max(0.0, distance(a[0], a[1], n, p) - far + 4);
                    });
                  }};
  };
  t.push_back(in_all_reductions({triplet(2, false), triplet(3, true)}));
  t.push_back(in_all_reductions({{"triplet_margin_with_distance_loss",
                                  {x, x2, x3},
                                  [](const Tensors& t, Reduction r) {
                                    return weft::triplet_margin_with_distance_loss(t[0], t[1], t[2],
                                                                                   {.margin = 4, .reduction = r});
                                  },
                                  triplet(2, false).each}}));
  row(t, "hinge_embedding_loss").faults = {
      {[] { (void)weft::hinge_embedding_loss(here::ones({2}), here::ones({3})); }, "hinge_embedding_loss: "}};
  row(t, "soft_margin_loss").faults = {
      {[] { (void)weft::soft_margin_loss(here::ones({2}), here::ones({3})); }, "soft_margin_loss: "}};
  row(t, "triplet_margin_with_distance_loss").faults = {{[] {
                                                           (void)weft::triplet_margin_with_distance_loss(
                                                               here::ones({2, 2}), here::ones({2, 2}),
                                                               here::ones({2, 2}), {.margin = 0});
                                                         },
                                                         "margin must be greater than 0, got 0"}};
  return t;
}

std::vector<Op> distributions() {
  const Shape s{2, 3};
  std::vector<Op> t;
  t.push_back(in_all_reductions(
      {{"poisson_nll_loss",
        {uniform(s), uniform(s, 0.3, 3, 5)},
        [](const Tensors& t, Reduction r) { return weft::poisson_nll_loss(t[0], t[1], {.reduction = r}); },
        [](const Arrays& a) {
          return support::map(a[0], a[1], [](double v, double y) { return std::exp(v) - y * v; });
        }},
       {"poisson_nll_loss",
        {uniform(s, 0.3, 2), uniform(s, 1.1, 3, 5)},
        [](const Tensors& t, Reduction r) {
          return weft::poisson_nll_loss(t[0], t[1], {.log_input = false, .full = true, .reduction = r});
        },
        [](const Arrays& a) {
          return support::map(a[0], a[1], [](double v, double y) {
            return v - y * std::log(v + 1e-8) + y * std::log(y) - y + 0.5 * std::log(2 * M_PI * y);
          });
        }}}));
  t.push_back(in_all_reductions({{"gaussian_nll_loss",
                                  {uniform(s), uniform(s, -2, 2, 5), uniform(s, 0.3, 2, 9)},
                                  [](const Tensors& t, Reduction r) {
                                    return weft::gaussian_nll_loss(t[0], t[1], t[2], {.full = true, .reduction = r});
                                  },
                                  [](const Arrays& a) {
                                    return support::generate(a[0].shape, [&](const Index& i) {
                                      const double d = a[0].at(i) - a[1].at(i), v = a[2].at(i);
                                      return 0.5 * (std::log(v) + d * d / v) + 0.5 * std::log(2 * M_PI);
                                    });
                                  }}}));
  t.back().faults = {// values are looked at on the CPU only
                     {[] { (void)weft::gaussian_nll_loss(weft::ones({2}), weft::ones({2}), weft::full({2}, -1.0)); },
                      "gaussian_nll_loss: "}};
  return t;
}

std::vector<Op> classes() {
  const Tensor x = uniform({3, 4}), target = integers({3}, 0, 4, 3);
  std::vector<Op> t;
  const auto multi = [&](int p, bool weighted) {
    return Margin{"multi_margin_loss",
                  {x, target},
                  [=](const Tensors& t, Reduction r) {
                    return weft::multi_margin_loss(
                        t[0], t[1],
                        {.p = p,
                         .margin = 0.7,
                         .weight = weighted ? uniform({4}, 0.5, 1.5, 7).to(t[0].dtype()) : Tensor(),
                         .reduction = r});
                  },
                  [=](const Arrays& a) {
                    const Array w(weighted ? uniform({4}, 0.5, 1.5, 7) : weft::ones({4}, Dtype::f64));
                    return rows(a, [&](int64_t n) {
                      const auto at = static_cast<int64_t>(a[1].at({n}));
                      double loss = 0;
                      for (int64_t k = 0; k < 4; ++k)
                        if (k != at)
                          loss += w.at({at}) * std::pow(std::max(0.0, 0.7 - a[0].at({n, at}) + a[0].at({n, k})), p) / 4;
                      return loss;
                    });
                  }};
  };
  t.push_back(in_all_reductions({multi(1, false), multi(2, true)}));
  t.back().faults = {{[] {
                        (void)weft::multi_margin_loss(here::ones({2, 3}), here::full({2}, 0, Dtype::i64), {.p = 3});
                      },
                      "multi_margin_loss: p must be 1 or 2, got 3"},
                     {[] {
                        (void)weft::multi_margin_loss(here::ones({2, 3}), here::full({3}, 0, Dtype::i64));
                      },
                      "multi_margin_loss: target"}};
  t.push_back(in_all_reductions(
      {{"multilabel_margin_loss",
        {uniform({2, 4}), support::here(weft::tensor(std::vector<int64_t>{3, 0, -1, 1, 2, -1, 0, 0}, Shape{2, 4}))},
        [](const Tensors& t, Reduction r) { return weft::multilabel_margin_loss(t[0], t[1], r); },
        [](const Arrays& a) {
          return rows(a, [&](int64_t n) {
            std::vector<int64_t> listed;
            for (int64_t k = 0; k < 4 && a[1].at({n, k}) >= 0; ++k)
              listed.push_back(static_cast<int64_t>(a[1].at({n, k})));
            double loss = 0;
            for (const int64_t j : listed)
              for (int64_t k = 0; k < 4; ++k)
                if (std::find(listed.begin(), listed.end(), k) == listed.end())
                  loss += std::max(0.0, 1 - a[0].at({n, j}) + a[0].at({n, k})) / 4;
            return loss;
          });
        }}}));
  t.back().faults = {
      {[] {
         (void)weft::multilabel_margin_loss(here::ones({2, 3}), here::full({2, 2}, 0, Dtype::i64));
       },
       "multilabel_margin_loss: target"},
      {[] {
         (void)weft::multilabel_margin_loss(here::ones({2, 3}), here::full({2, 3}, true, Dtype::boolean));
       },
       "multilabel_margin_loss: target is bool; expected i64"}};
  t.push_back(in_all_reductions(
      {{"multilabel_soft_margin_loss",
        {uniform({2, 3}), uniform({2, 3}, 0.1, 0.9, 5)},
        [](const Tensors& t, Reduction r) { return weft::multilabel_soft_margin_loss(t[0], t[1], {.reduction = r}); },
        [](const Arrays& a) {
          return rows(a, [&](int64_t n) {
            double loss = 0;
            for (int64_t k = 0; k < 3; ++k) {
              const double v = a[0].at({n, k});
              loss += (std::log1p(std::exp(-v)) + (1 - a[1].at({n, k})) * v) / 3;
            }
            return loss;
          });
        }}}));
  // Two classes and the blank, four steps: every path is counted.
  const Tensor words = support::here(weft::tensor(std::vector<int64_t>{1, 2, 1, 1}, Shape{2, 2}));
  t.push_back({"ctc_loss",
               {sample(
                   "all paths", {uniform({4, 2, 3}), words},
                   [](const Tensors& x) {
                     return weft::ctc_loss(weft::log_softmax(x[0], 2), x[1], here::full({2}, 4, Dtype::i64),
                                           here::full({2}, 2, Dtype::i64), {.reduction = Reduction::none});
                   },
                   [](const Arrays& a) {
                     return support::generate({2}, [&](const Index& i) {
                       double p = 0;
                       for (int path = 0; path < 81; ++path) {
                         std::vector<int64_t> read;
                         double q = 1;
                         for (int64_t step = 0, rest = path, last = 0; step < 4; ++step, rest /= 3) {
                           const int64_t c = rest % 3;
                           double total = 0;
                           for (int64_t k = 0; k < 3; ++k) total += std::exp(a[0].at({step, i[0], k}));
                           q *= std::exp(a[0].at({step, i[0], c})) / total;
                           if (c != 0 && c != last) read.push_back(c);
                           last = c;
                         }
                         const std::vector<int64_t> want{static_cast<int64_t>(a[1].at({i[0], 0})),
                                                         static_cast<int64_t>(a[1].at({i[0], 1}))};
                         if (read == want) p += q;
                       }
                       return -std::log(p);
                     });
                   })},
               {{[] {
                   (void)weft::ctc_loss(here::ones({2, 1, 3}), here::full({1, 1}, 1, Dtype::i64),
                                        here::full({1}, 3, Dtype::i64), here::full({1}, 1, Dtype::i64));
                 },
                 "ctc_loss: "}}});
  t.back().half_eps = 16;
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("losses of pairs and triplets") { check(pairs()); }
  DEVICE_TEST_CASE("losses of distributions") { check(distributions()); }
  DEVICE_TEST_CASE("margins between classes, and sequences") { check(classes()); }
}
