#include "golden/compare.h"

#include <cmath>

#include "golden/args.h"
#include "weft/core/factory.h"

namespace golden {

using weft::Tensor;

std::string difference(const Tensor& got, const Tensor& want, Tolerance t) {
  // The vectors' tolerances are the CPU's. A card sums in other groups and cuBLAS splits long products: the same number
  // of roundings, along another tree.
  if (device().type == weft::DeviceType::cuda && got.defined() && got.is_floating()) t.atol *= 4, t.rtol *= 4;
  if (!got.defined()) return "nothing where a tensor is expected";
  if (got.shape() != want.shape()) return weft::str("shape ", got.shape(), ", expected ", want.shape());
  // i64 beyond 2^53 would lose digits in f64; integers are compared as such.
  if (!got.is_floating() && !want.is_floating()) {
    const std::vector<int64_t> g = got.to_vector<int64_t>(), w = want.to_vector<int64_t>();
    for (size_t i = 0; i < g.size(); ++i)
      if (std::abs(static_cast<double>(g[i] - w[i])) > t.atol + t.rtol * std::abs(static_cast<double>(w[i])))
        return weft::str("element ", i, " is ", g[i], ", expected ", w[i]);
    return "";
  }
  const std::vector<double> g = got.to_vector<double>(), w = want.to_vector<double>();
  size_t wrong = 0, worst = 0;
  double worst_excess = -1;
  for (size_t i = 0; i < g.size(); ++i) {
    if (g[i] == w[i] || (std::isnan(g[i]) && std::isnan(w[i]))) continue;
    const double error = std::abs(g[i] - w[i]), allowed = t.atol + t.rtol * std::abs(w[i]);
    if (std::isfinite(w[i]) && error <= allowed) continue;
    ++wrong;
    const double excess = std::isfinite(error) ? error / (allowed + 1e-300) : HUGE_VAL;
    if (excess > worst_excess) {
      worst_excess = excess;
      worst = i;
    }
  }
  if (wrong == 0) return "";
  std::ostringstream s;
  s.precision(10);
  s << wrong << " of " << g.size() << " elements differ; worst at " << worst << " of " << got.shape() << ": "
    << g[worst] << ", expected " << w[worst] << " (rtol " << t.rtol << ", atol " << t.atol << ")";
  return s.str();
}

std::string not_zero(const Tensor& got) {
  const std::vector<double> g = got.to_vector<double>();
  for (size_t i = 0; i < g.size(); ++i)
    if (g[i] != 0) return weft::str("element ", i, " is ", g[i], ", expected no gradient");
  return "";
}

}  // namespace golden
