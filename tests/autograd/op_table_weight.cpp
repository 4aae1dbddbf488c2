// Rows of the op table: weight standardisation.
#include <cmath>

#include "autograd/op_table.h"
#include "weft/autograd/ops/layer/weight.h"

namespace {

using namespace op_table;
using weft::WSVariant;

/// (w - mean) gain / sqrt(max(var N, eps)) row by row.
Array standardised(const Array& w, const Array& gain, WSVariant variant, double eps) {
  Array y(w.shape);
  const bool nfnet = variant == WSVariant::nfnet;
  const size_t rows = gain.v.size(), n = w.v.size() / rows;
  for (size_t r = 0; r < rows; ++r) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; ++i) mean += w.v[r * n + i] / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) squares += std::pow(w.v[r * n + i] - mean, 2);
    const double var = squares / static_cast<double>(nfnet ? n : n - 1),
                 fan = static_cast<double>(nfnet ? n : w.v.size());
    for (size_t i = 0; i < n; ++i)
      y.v[r * n + i] = (w.v[r * n + i] - mean) * gain.v[r] / std::sqrt(std::max(var * fan, eps));
  }
  return y;
}

std::vector<Op> weights() {
  Op op{.name = "standardize_weight"};
  for (const Shape& s : {Shape{3, 4}, Shape{1, 2}, Shape{2, 3, 5}, Shape{4, 2, 3, 3}, Shape{2, 1, 2, 1, 3}})
    for (const WSVariant variant : {WSVariant::elektronn3, WSVariant::nfnet})
      for (const double eps : {1e-4, 1e3})  // the second one is the scale of every row
        op.samples.push_back(
            {weft::str(s, variant == WSVariant::nfnet ? " nfnet" : "", eps > 1 ? " floor" : ""),
             {uniform(s), uniform({s[0]}, -1, 1, 5)},
             [=](const Tensors& t) { return Tensors{weft::standardize_weight(t[0], t[1], variant, eps)}; },
             [=](const Arrays& a) { return Arrays{standardised(a[0], a[1], variant, eps)}; }});
  op.faults = {{[] {
                  (void)weft::standardize_weight(here::ones({3, 1, 1}), here::ones({3}));
                },
                "standardize_weight: weight"},
               {[] {
                  (void)weft::standardize_weight(here::ones({3, 2}), here::ones({2}));
                },
                "standardize_weight: gain"},
               {[] {
                  (void)weft::standardize_weight(integers({3, 2}, 0, 5), here::ones({3}));
                },
                "standardize_weight: weight is"}};
  return {op};
}

}  // namespace

TEST_SUITE("op table") {
  DEVICE_TEST_CASE("weight standardisation") { check(weights()); }
}
