// Bits, comparisons with tolerances, quotients, and functions of mathematics.
#include "golden/registry.h"
#include "support/ops.h"

namespace golden {
namespace {

/// An op with a form for two tensors and one for a number on either side.
template <class F> void with_numbers(Functions& f, const char* name, F op) {
  f.add(name, {"input", "other"}, [op](const Call& c) {
    if (c.is_scalar("input")) return op(c.scalar("input", 0), c.in("other"));
    return c.is_scalar("other") ? op(c.in("input"), c.scalar("other", 0)) : op(c.in("input"), c.in("other"));
  });
}

/// One bool as a tensor.
Tensor truth(bool b) { return weft::scalar(b, {Dtype::boolean, device()}); }

}  // namespace

void add_elementwise(Functions& f) {
  with_numbers(f, "F.bitwise_and", [](const auto& x, const auto& y) { return weft::bitwise_and(x, y); });
  with_numbers(f, "F.bitwise_or", [](const auto& x, const auto& y) { return weft::bitwise_or(x, y); });
  with_numbers(f, "F.bitwise_xor", [](const auto& x, const auto& y) { return weft::bitwise_xor(x, y); });
  with_numbers(f, "F.bitwise_left_shift", [](const auto& x, const auto& y) { return weft::bitwise_left_shift(x, y); });
  with_numbers(f, "F.bitwise_right_shift",
               [](const auto& x, const auto& y) { return weft::bitwise_right_shift(x, y); });
  with_numbers(f, "F.remainder", [](const auto& x, const auto& y) { return weft::remainder(x, y); });
  with_numbers(f, "F.xlogy", [](const auto& x, const auto& y) { return weft::xlogy(x, y); });
  const std::pair<const char*, Tensor (*)(const Tensor&)> one[] = {{"F.bitwise_not", weft::bitwise_not},
                                                                   {"F.lgamma", weft::lgamma},
                                                                   {"F.digamma", weft::digamma},
                                                                   {"F.erfinv", weft::erfinv},
                                                                   {"F.sinc", weft::sinc}};
  for (const auto& entry : one)
    f.add(entry.first, {"input"}, [op = entry.second](const Call& c) { return op(c.in("input")); });
  const std::pair<const char*, Tensor (*)(const Tensor&, const Tensor&)> two[] = {{"F.fmax", weft::fmax},
                                                                                  {"F.fmin", weft::fmin},
                                                                                  {"F.logaddexp", weft::logaddexp},
                                                                                  {"F.logaddexp2", weft::logaddexp2},
                                                                                  {"F.hypot", weft::hypot}};
  for (const auto& entry : two)
    f.add(entry.first, {"input", "other"},
          [op = entry.second](const Call& c) { return op(c.in("input"), c.in("other")); });
  f.add("F.heaviside", {"input", "values"},
        [](const Call& c) { return weft::heaviside(c.in("input"), c.in("values")); });
  f.add("F.copysign", {"input", "other"}, [](const Call& c) {
    return c.is_scalar("other") ? weft::copysign(c.in("input"), c.scalar("other", 0))
                                : weft::copysign(c.in("input"), c.in("other"));
  });
  f.add("F.floor_divide", {"input", "other"}, [](const Call& c) {
    return c.is_scalar("other") ? weft::floor_divide(c.in("input"), c.scalar("other", 0))
                                : weft::floor_divide(c.in("input"), c.in("other"));
  });
  f.add("F.polygamma", {"input"}, [](const Call& c) { return weft::polygamma(c.integer("n"), c.in("input")); });
  f.add("F.logit", {"input"}, [](const Call& c) { return weft::logit(c.in("input"), c.opt_number("eps")); });
  f.add("F.nan_to_num", {"input"}, [](const Call& c) {
    return weft::nan_to_num(
        c.in("input"), {.nan = c.number("nan", 0), .posinf = c.opt_number("posinf"), .neginf = c.opt_number("neginf")});
  });
  f.add("F.isclose", {"input", "other"}, [](const Call& c) {
    return weft::isclose(c.in("input"), c.in("other"), c.number("rtol", 1e-5), c.number("atol", 1e-8),
                         c.boolean("equal_nan", false));
  });
  f.add("F.allclose", {"input", "other"}, [](const Call& c) {
    return truth(weft::allclose(c.in("input"), c.in("other"), c.number("rtol", 1e-5), c.number("atol", 1e-8),
                                c.boolean("equal_nan", false)));
  });
  f.add("F.equal", {"input", "other"}, [](const Call& c) { return truth(weft::equal(c.in("input"), c.in("other"))); });
}

}  // namespace golden
