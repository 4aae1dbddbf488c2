// Rows of the op table: losses.
#include <cmath>

#include "autograd/op_table.h"
#include "support/ops.h"

namespace {

using namespace op_table;
using Index = std::vector<int64_t>;
using weft::Reduction;

Array reduced(const Array& losses, Reduction r) {
  if (r == Reduction::none) return losses;
  Array y{Shape{}};
  for (double v : losses.v) y.v[0] += v;
  if (r == Reduction::mean) y.v[0] /= static_cast<double>(losses.v.size());
  if (r == Reduction::batchmean) y.v[0] /= static_cast<double>(losses.shape[0]);
  return y;
}

using Loss = std::function<Tensor(const Tensor&, const Tensor&, Reduction)>;

/// A loss of each element of input and target, in all reductions.
Op elementwise(const char* name, Loss op, std::function<double(double, double)> reference, double low = -2,
               double high = 2) {
  Op row{.name = name};
  for (const auto r : {Reduction::none, Reduction::mean, Reduction::sum})
    for (const Shape& s : {Shape{2, 3}, Shape{}, Shape{1, 2, 2, 2}})
      row.samples.push_back({weft::str(s, " reduction ", static_cast<int>(r)),
                             {uniform(s, low, high), uniform(s, low, high, 5)},
                             [=](const Tensors& x) { return Tensors{op(x[0], x[1], r)}; },
                             [=](const Arrays& x) { return Arrays{reduced(support::map(x[0], x[1], reference), r)}; }});
  row.faults = {{[op] { (void)op(here::ones({2, 3}), here::ones({4, 5}), Reduction::mean); }, ": "}};
  row.half_eps = 8;
  return row;
}

std::vector<Op> regression() {
  std::vector<Op> t = {
      elementwise(
          "mse_loss",
          [](const Tensor& x, const Tensor& y, Reduction r) { return weft::mse_loss(x, y, {.reduction = r}); },
          [](double a, double b) { return (a - b) * (a - b); }),
      elementwise(
          "l1_loss",
          [](const Tensor& x, const Tensor& y, Reduction r) { return weft::l1_loss(x, y, {.reduction = r}); },
          [](double a, double b) { return std::abs(a - b); }),
      elementwise(
          "smooth_l1_loss",
          [](const Tensor& x, const Tensor& y, Reduction r) { return weft::smooth_l1_loss(x, y, 0.7, r); },
          [](double a, double b) {
            const double d = std::abs(a - b);
            return d < 0.7 ? 0.5 * d * d / 0.7 : d - 0.35;
          }),
      elementwise(
          "huber_loss",
          [](const Tensor& x, const Tensor& y, Reduction r) { return weft::huber_loss(x, y, 0.7, {.reduction = r}); },
          [](double a, double b) {
            const double d = std::abs(a - b);
            return d <= 0.7 ? 0.5 * d * d : 0.7 * (d - 0.35);
          }),
      elementwise(
          "binary_cross_entropy",
          [](const Tensor& x, const Tensor& y, Reduction r) {
            return weft::binary_cross_entropy(x, y, {.reduction = r});
          },
          [](double a, double b) { return -(b * std::log(a) + (1 - b) * std::log(1 - a)); }, 0.1, 0.9),
      elementwise(
          "binary_cross_entropy_with_logits",
          [](const Tensor& x, const Tensor& y, Reduction r) {
            return weft::binary_cross_entropy_with_logits(x, y, {.reduction = r});
          },
          [](double a, double b) { return std::log1p(std::exp(-a)) + (1 - b) * a; }, 0.1, 0.9),
      elementwise(
          "kl_div", [](const Tensor& x, const Tensor& y, Reduction r) { return weft::kl_div(x, y, {.reduction = r}); },
          [](double a, double b) { return b * (std::log(b) - a); }, 0.1, 0.9),
      elementwise(
          "kl_div",
          [](const Tensor& x, const Tensor& y, Reduction r) {
            return weft::kl_div(x, y, {.reduction = r, .log_target = true});
          },
          [](double a, double b) { return std::exp(b) * (b - a); }),
  };
  return t;
}

struct Classes {
  const char* label;
  Shape x, target;
  bool weighted = false;
  int64_t ignore = -100;
  double smoothing = 0;
};

/// -log softmax(x)[target] (or -x[target]) with weights, ignored targets and smoothing.
Arrays classify(const Arrays& a, const Classes& c, Reduction r, bool log_probabilities) {
  const int axis = c.x.rank() == 1 ? 0 : 1;
  const int64_t classes = c.x[axis];
  Array losses(c.target);
  double weights = 0;
  const Array weights_of(uniform({4}, 0.5, 1.5, 7));
  const auto weight = [&](int64_t k) { return c.weighted ? weights_of.at({k}) : 1.0; };
  support::for_each_index(c.target, [&](const Index& i) {
    const auto target = static_cast<int64_t>(a[1].at(i));
    if (target == c.ignore) return;
    const auto x = [&](int64_t k) {
      Index p = i;
      p.insert(p.begin() + axis, k);
      return a[0].at(p);
    };
    double total = 0;
    for (int64_t k = 0; k < classes; ++k) total += std::exp(x(k));
    const auto log_p = [&](int64_t k) { return log_probabilities ? x(k) : x(k) - std::log(total); };
    double loss = -(1 - c.smoothing) * weight(target) * log_p(target);
    for (int64_t k = 0; k < classes; ++k) loss -= c.smoothing / static_cast<double>(classes) * weight(k) * log_p(k);
    losses.at(i) = loss;
    weights += weight(target);
  });
  if (r == Reduction::none) return {losses};
  Array y = reduced(losses, Reduction::sum);
  if (r == Reduction::mean) y.v[0] /= weights;
  return {y};
}

std::vector<Op> classification() {
  Op cross{.name = "cross_entropy"}, nll{.name = "nll_loss"};
  for (const Classes& c : {Classes{"rows", {3, 4}, {3}}, Classes{"one", {4}, {}}, Classes{"weights", {3, 4}, {3}, true},
                           Classes{"ignored", {1, 4, 2, 2}, {1, 2, 2}, true, 1},
                           Classes{"smoothed", {3, 4}, {3}, true, 1, 0.2}, Classes{"features", {2, 4, 2}, {2, 2}}}) {
    for (const auto r : {Reduction::none, Reduction::mean, Reduction::sum}) {
      const Tensors in = {uniform(c.x), integers(c.target, 0, 4, 3)};
      // Weights are no differentiable input.
      const auto weight = [c](const Tensors& x) {
        return c.weighted ? uniform({4}, 0.5, 1.5, 7).to(x[0].dtype()) : Tensor();
      };
      cross.samples.push_back(
          {weft::str(c.label, " reduction ", static_cast<int>(r)), in,
           [=](const Tensors& x) {
             return Tensors{weft::cross_entropy(
                 x[0], x[1],
                 {.weight = weight(x), .ignore_index = c.ignore, .reduction = r, .label_smoothing = c.smoothing})};
           },
           [=](const Arrays& a) { return classify(a, c, r, false); }});
      if (c.smoothing != 0) continue;
      nll.samples.push_back({weft::str(c.label, " reduction ", static_cast<int>(r)), in,
                             [=](const Tensors& x) {
                               return Tensors{weft::nll_loss(
                                   x[0], x[1], {.weight = weight(x), .ignore_index = c.ignore, .reduction = r})};
                             },
                             [=](const Arrays& a) { return classify(a, c, r, true); }});
    }
  }
  cross.samples.push_back({"probabilities",
                           {uniform({2, 3}), uniform({2, 3}, 0.1, 0.9, 5)},
                           [](const Tensors& x) { return Tensors{weft::cross_entropy(x[0], x[1])}; },
                           [](const Arrays& a) {
                             double loss = 0;
                             for (int64_t n = 0; n < 2; ++n) {
                               double total = 0;
                               for (int64_t k = 0; k < 3; ++k) total += std::exp(a[0].at({n, k}));
                               for (int64_t k = 0; k < 3; ++k)
                                 loss -= a[1].at({n, k}) * (a[0].at({n, k}) - std::log(total)) / 2;
                             }
                             Array y{Shape{}};
                             y.v[0] = loss;
                             return Arrays{y};
                           }});
  cross.faults = {{[] {
                     (void)weft::cross_entropy(here::ones({2, 3}), here::full({2}, 3, Dtype::i64));
                   },
                   "cross_entropy: ", true},
                  {[] {
                     (void)weft::cross_entropy(here::ones({2, 3}), here::full({3}, 0, Dtype::i64));
                   },
                   "cross_entropy: "}};
  nll.faults = {{[] { (void)weft::nll_loss(here::ones({2, 3}), here::full({2}, -1, Dtype::i64)); }, "nll_loss: "}};
  Op dice{.name = "dice_loss"};
  dice.samples.push_back(
      {"classes",
       {uniform({2, 3, 2}), integers({2, 2}, 0, 3, 3)},
       [](const Tensors& x) { return Tensors{weft::dice_loss(x[0], x[1])}; },
       [](const Arrays& a) {
         double loss = 0;
         for (int64_t k = 0; k < 3; ++k) {
           double both = 0, sum = 0;
           for (int64_t n = 0; n < 2; ++n)
             for (int64_t i = 0; i < 2; ++i) {
               double total = 0;
               for (int64_t j = 0; j < 3; ++j) total += std::exp(a[0].at({n, j, i}));
               const double p = std::exp(a[0].at({n, k, i})) / total, t = a[1].at({n, i}) == static_cast<double>(k);
               both += p * t;
               sum += p + t;
             }
           loss += (1 - 2 * both / (sum + 1e-4)) / 3;
         }
         Array y{Shape{}};
         y.v[0] = loss;
         return Arrays{y};
       }});
  std::vector<Op> t = {cross, nll, dice};
  for (Op& op : t) op.half_eps = 8;
  return t;
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("losses of elements") { check(regression()); }
  DEVICE_TEST_CASE("losses of classes") { check(classification()); }
}
