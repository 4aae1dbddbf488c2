// Functions of mathematics and order statistics.
#include "golden/registry.h"
#include "support/ops.h"

namespace golden {
namespace {

using namespace weft;

QuantileInterpolation interpolation(const Call& c) {
  const std::string how = c.word("interpolation", "linear");
  using enum QuantileInterpolation;
  return how == "linear"     ? linear
         : how == "lower"    ? lower
         : how == "higher"   ? higher
         : how == "midpoint" ? midpoint
                             : nearest;
}

}  // namespace

void add_special(Functions& f) {
  const std::pair<const char*, Tensor (*)(const Tensor&)> one[] = {
      {"F.lgamma", lgamma}, {"F.digamma", digamma}, {"F.erfinv", erfinv}, {"F.sinc", sinc}};
  for (const auto& entry : one)
    f.add(entry.first, {"input"}, [op = entry.second](const Call& c) { return op(c.in("input")); });
  const std::pair<const char*, Tensor (*)(const Tensor&, const Tensor&)> two[] = {{"F.logaddexp", logaddexp},
                                                                                  {"F.logaddexp2", logaddexp2},
                                                                                  {"F.xlogy", xlogy},
                                                                                  {"F.hypot", hypot},
                                                                                  {"F.copysign", copysign}};
  for (const auto& entry : two)
    f.add(entry.first, {"input", "other"},
          [op = entry.second](const Call& c) { return op(c.in("input"), c.in("other")); });
  f.add("F.logit", {"input"}, [](const Call& c) { return logit(c.in("input"), c.opt_number("eps")); });
  f.add("F.nan_to_num", {"input"}, [](const Call& c) {
    return nan_to_num(c.in("input"),
                      {.nan = c.number("nan", 0), .posinf = c.opt_number("posinf"), .neginf = c.opt_number("neginf")});
  });
  f.add("F.median", {"input"}, [](const Call& c) { return median(c.in("input")); });
  f.add("F.nanmedian", {"input"}, [](const Call& c) { return nanmedian(c.in("input")); });
  f.add("F.quantile", {"input", "q"}, [](const Call& c) {
    return quantile(c.in("input"), c.in("q"), c.opt_integer("dim"), c.boolean("keepdim", false), interpolation(c));
  });
  f.add("F.nanquantile", {"input", "q"}, [](const Call& c) {
    return nanquantile(c.in("input"), c.in("q"), c.opt_integer("dim"), c.boolean("keepdim", false), interpolation(c));
  });
  f.add("F.logcumsumexp", {"input"}, [](const Call& c) { return logcumsumexp(c.in("input"), c.integer("dim")); });
}

}  // namespace golden
