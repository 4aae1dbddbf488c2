// Rows of the op table: normalisations, and dropout.
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"
#include "weft/core/generator.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;
using weft::Activation;

/// (x - mean) / sqrt(var + eps) with statistics over the elements that `cell` maps to the same number.
Array normalise(const Array& x, const std::function<int64_t(const Index&)>& cell, double eps, bool centered = true) {
  std::vector<std::vector<double>> members;
  support::for_each_index(x.shape, [&](const Index& i) {
    const auto c = static_cast<size_t>(cell(i));
    if (members.size() <= c) members.resize(c + 1);
    members[c].push_back(x.at(i));
  });
  return support::generate(x.shape, [&](const Index& i) {
    const std::vector<double>& m = members[static_cast<size_t>(cell(i))];
    double mean = 0, var = 0;
    for (double v : m) mean += v / static_cast<double>(m.size());
    if (!centered) mean = 0;
    for (double v : m) var += (v - mean) * (v - mean) / static_cast<double>(m.size());
    return (x.at(i) - mean) / std::sqrt(var + eps);
  });
}

/// y = n * weight[i[axis]...] + bias, weight and bias as arrays of one axis.
Array affine(const Array& n, const Array& weight, const Array& bias) {
  return support::generate(n.shape, [&](const Index& i) { return n.at(i) * weight.at({i[1]}) + bias.at({i[1]}); });
}

const std::vector<Shape>& features() {
  static const std::vector<Shape> s = {{4, 2}, {2, 2, 3}, {2, 2, 2, 3}, {1, 2, 2, 2, 2}};
  return s;
}

std::vector<Op> norms() {
  Op training{.name = "batch_norm"}, evaluation{.name = "batch_norm"}, fused{.name = "batch_norm"},
      instance{.name = "instance_norm"}, group{.name = "group_norm"}, layer{.name = "layer_norm"},
      rms{.name = "rms_norm"};
  uint64_t seed = 1;
  const auto channel = [](const Index& i) { return i[1]; };
  for (const Shape& s : features()) {
    const Tensor x = uniform(s, -2, 2, ++seed), w = uniform({s[1]}, 0.5, 1.5, 7), b = uniform({s[1]}, -1, 1, 8);
    training.samples.push_back(
        {weft::str(s),
         {x, w, b},
         [](const Tensors& t) {
           return Tensors{weft::batch_norm(t[0], {}, {}, t[1], t[2], {.training = true, .eps = 0.1})};
         },
         [=](const Arrays& a) { return Arrays{affine(normalise(a[0], channel, 0.1), a[1], a[2])}; }});
    const Tensor mean = uniform({s[1]}, -1, 1, 9), var = uniform({s[1]}, 0.5, 2, 10);
    evaluation.samples.push_back({weft::str(s, " eval"),
                                  {x, w, b},
                                  [=](const Tensors& t) {
                                    return Tensors{weft::batch_norm(t[0], mean.to(t[0].dtype()), var.to(t[0].dtype()),
                                                                    t[1], t[2], {.eps = 0.1})};
                                  },
                                  [=](const Arrays& a) {
                                    const Array m(mean), v(var);
                                    const Array n = support::generate(a[0].shape, [&](const Index& i) {
                                      return (a[0].at(i) - m.at({i[1]})) / std::sqrt(v.at({i[1]}) + 0.1);
                                    });
                                    return Arrays{affine(n, a[1], a[2])};
                                  }});
    fused.samples.push_back(
        {weft::str(s, " with residual and relu"),
         {x, w, b, uniform(s, -2, 2, 77)},
         [](const Tensors& t) {
           return Tensors{
               weft::batch_norm(t[0], {}, {}, t[1], t[2],
                                {.training = true, .eps = 0.1, .activation = Activation::relu, .residual = t[3]})};
         },
         [=](const Arrays& a) {
           const Array y = affine(normalise(a[0], channel, 0.1), a[1], a[2]);
           return Arrays{support::map(y, a[3], [](double p, double q) { return std::max(p + q, 0.0); })};
         }});
    if (s.rank() > 2) {
      instance.samples.push_back(
          {weft::str(s),
           {x, w, b},
           [](const Tensors& t) { return Tensors{weft::instance_norm(t[0], {}, {}, t[1], t[2], {.eps = 0.1})}; },
           [=](const Arrays& a) {
             return Arrays{affine(normalise(
                                      a[0], [&](const Index& i) { return i[0] * s[1] + i[1]; }, 0.1),
                                  a[1], a[2])};
           }});
    }
    Shape wide = s;
    wide[1] = 4;
    group.samples.push_back(
        {weft::str(wide, " in 2 groups"),
         {uniform(wide, -2, 2, ++seed), uniform({4}, 0.5, 1.5, 7), uniform({4}, -1, 1, 8)},
         [](const Tensors& t) { return Tensors{weft::group_norm(t[0], 2, t[1], t[2], {.eps = 0.1})}; },
         [](const Arrays& a) {
           return Arrays{affine(normalise(
                                    a[0], [](const Index& i) { return i[0] * 2 + i[1] / 2; }, 0.1),
                                a[1], a[2])};
         }});
    const Shape last = s.slice(1);
    const auto line = [](const Index& i) { return i[0]; };
    const auto scaled = [last](const Array& n, const Array& weight) {
      return support::generate(n.shape,
                               [&](const Index& i) { return n.at(i) * weight.at(Index(i.begin() + 1, i.end())); });
    };
    layer.samples.push_back(
        {weft::str(s),
         {x, uniform(last, 0.5, 1.5, 7), uniform(last, -1, 1, 8)},
         [last](const Tensors& t) { return Tensors{weft::layer_norm(t[0], last, t[1], t[2], 0.1)}; },
         [=](const Arrays& a) {
           return Arrays{
               support::map(scaled(normalise(a[0], line, 0.1), a[1]), a[2], [](double p, double q) { return p + q; })};
         }});
    rms.samples.push_back({weft::str(s),
                           {x, uniform(last, 0.5, 1.5, 7)},
                           [last](const Tensors& t) { return Tensors{weft::rms_norm(t[0], last, t[1], 0.1)}; },
                           [=](const Arrays& a) { return Arrays{scaled(normalise(a[0], line, 0.1, false), a[1])}; }});
  }
  training.faults = {{[] {
                        (void)weft::batch_norm(here::ones({1, 3}), {}, {}, {}, {}, {.training = true});
                      },
                      "batch_norm: "},
                     {[] {
                        (void)weft::batch_norm(here::ones({2, 3}), {}, {}, here::ones({4}), {}, {.training = true});
                      },
                      "batch_norm: "},
                     {[] {
                        (void)weft::batch_norm(here::ones({2, 3}), {}, {});
                      },
                      "batch_norm: "}};
  instance.faults = {{[] { (void)weft::instance_norm(here::ones({2, 3, 1})); }, "instance_norm: "}};
  group.faults = {{[] { (void)weft::group_norm(here::ones({2, 3}), 2); }, "group_norm: "}};
  layer.faults = {{[] { (void)weft::layer_norm(here::ones({2, 3}), {4}); }, "layer_norm: "}};
  std::vector<Op> t = {training, evaluation, fused, instance, group, layer, rms};
  for (Op& op : t) {
    // Normalised values come from differences that a half rounds; the statistics' gradients cancel.
    op.half_eps = 32;
    op.tolerance = 1e-11;
  }
  return t;
}

std::vector<Op> dropouts() {
  std::vector<Op> t;
  const auto dropped = [](const Shape& s, std::function<Tensor(const Tensor&)> op) {
    // The same numbers in every call: kept elements are doubled, and some are dropped.
    return Sample{weft::str(s),
                  {uniform(s, 0.5, 2)},
                  [op](const Tensors& x) {
                    weft::default_generator().set_state({5, 0});
                    return Tensors{op(x[0])};
                  },
                  nullptr};
  };
  t.push_back({"dropout",
               {dropped({3, 4}, [](const Tensor& x) { return weft::dropout(x, 0.5); }),
                dropped({0}, [](const Tensor& x) { return weft::dropout(x, 0.5); })},
               {{[] { (void)weft::dropout(here::ones({2}), 1.5); }, "dropout: "}}});
  t.push_back({"dropout2d", {dropped({2, 3, 2, 2}, [](const Tensor& x) { return weft::dropout2d(x, 0.5); })}, {}});
  t.push_back({"alpha_dropout", {dropped({3, 4}, [](const Tensor& x) { return weft::alpha_dropout(x, 0.5); })}, {}});
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("normalisations") { check(norms()); }
  DEVICE_TEST_CASE("dropout") { check(dropouts()); }
  DEVICE_TEST_CASE("dropout drops about p of the elements, and keeps the mean") {
    weft::manual_seed(3);
    const std::vector<double> y = weft::dropout(here::ones({10000}), 0.3).to_vector<double>();
    double zeros = 0;
    for (double v : y) {
      CHECK((v == 0 || std::abs(v - 1 / 0.7) < 1e-6));
      zeros += v == 0;
    }
    CHECK(std::abs(zeros / 10000 - 0.3) < 0.03);  // six standard deviations
    CHECK(weft::dropout(here::ones({4}), 0.3, false).to_vector<double>() == std::vector<double>(4, 1));
    CHECK(weft::dropout(here::ones({4}), 1).to_vector<double>() == std::vector<double>(4, 0));
  }
}
