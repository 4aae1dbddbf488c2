// Elementwise functions of one tensor.
#include "golden/registry.h"
#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/unary.h"

namespace golden {
namespace {

void plain(Functions& f, const char* name, Tensor (*op)(const Tensor&)) {
  f.add(name, {"input"}, [op](const Call& c) { return op(c.in("input")); });
}

Tensor clamp(const Call& c) {
  const Tensor x = c.in("input");
  const auto bound = [&](const char* name) {
    return c.has(name) && c.is_scalar(name) ? std::optional(c.scalar(name, 0)) : std::nullopt;
  };
  const std::optional<Scalar> low = bound("min"), high = bound("max");
  if (low || high) return weft::clamp(x, low, high);
  const Tensor min = c.in("min"), max = c.in("max");
  return min.defined() || max.defined() ? weft::clamp(x, min, max) : weft::clamp(x, std::nullopt, std::nullopt);
}

Tensor gelu(const Call& c) {
  const std::string approximate = c.word("approximate", "none");
  if (approximate != "none" && approximate != "tanh") throw weft::ValueError("gelu: approximate is " + approximate);
  return weft::gelu(c.in("input"), approximate == "tanh" ? weft::Approximate::tanh : weft::Approximate::none);
}

}  // namespace

void add_unary(Functions& f) {
  plain(f, "F.abs", weft::abs);
  plain(f, "F.neg", weft::neg);
  plain(f, "F.sign", weft::sign);
  plain(f, "F.square", weft::square);
  plain(f, "F.sqrt", weft::sqrt);
  plain(f, "F.rsqrt", weft::rsqrt);
  plain(f, "F.reciprocal", weft::reciprocal);
  plain(f, "F.exp", weft::exp);
  plain(f, "F.exp2", weft::exp2);
  plain(f, "F.expm1", weft::expm1);
  plain(f, "F.log", weft::log);
  plain(f, "F.log2", weft::log2);
  plain(f, "F.log10", weft::log10);
  plain(f, "F.log1p", weft::log1p);
  plain(f, "F.sin", weft::sin);
  plain(f, "F.cos", weft::cos);
  plain(f, "F.tan", weft::tan);
  plain(f, "F.asin", weft::asin);
  plain(f, "F.acos", weft::acos);
  plain(f, "F.atan", weft::atan);
  plain(f, "F.sinh", weft::sinh);
  plain(f, "F.cosh", weft::cosh);
  plain(f, "F.tanh", weft::tanh);
  plain(f, "F.asinh", weft::asinh);
  plain(f, "F.acosh", weft::acosh);
  plain(f, "F.atanh", weft::atanh);
  plain(f, "F.erf", weft::erf);
  plain(f, "F.erfc", weft::erfc);
  plain(f, "F.floor", weft::floor);
  plain(f, "F.ceil", weft::ceil);
  plain(f, "F.trunc", weft::trunc);
  plain(f, "F.frac", weft::frac);
  plain(f, "F.isnan", weft::isnan);
  plain(f, "F.isinf", weft::isinf);
  plain(f, "F.isfinite", weft::isfinite);
  plain(f, "F.logical_not", weft::logical_not);
  plain(f, "F.relu", weft::relu);
  plain(f, "F.relu6", weft::relu6);
  plain(f, "F.selu", weft::selu);
  plain(f, "F.sigmoid", weft::sigmoid);
  plain(f, "F.logsigmoid", weft::logsigmoid);
  plain(f, "F.hardsigmoid", weft::hardsigmoid);
  plain(f, "F.hardswish", weft::hardswish);
  plain(f, "F.silu", weft::silu);
  plain(f, "F.mish", weft::mish);
  plain(f, "F.softsign", weft::softsign);
  f.add("F.round", {"input"}, [](const Call& c) { return weft::round(c.in("input"), c.integer("decimals", 0)); });
  f.add("F.clamp", {"input", "min", "max"}, clamp);
  f.add("F.gelu", {"input"}, gelu);
  f.add("F.leaky_relu", {"input"},
        [](const Call& c) { return weft::leaky_relu(c.in("input"), c.number("negative_slope", 0.01)); });
  f.add("F.prelu", {"input", "weight"}, [](const Call& c) { return weft::prelu(c.in("input"), c.in("weight")); });
  f.add("F.elu", {"input"}, [](const Call& c) { return weft::elu(c.in("input"), c.number("alpha", 1)); });
  f.add("F.hardtanh", {"input"},
        [](const Call& c) { return weft::hardtanh(c.in("input"), c.number("min_val", -1), c.number("max_val", 1)); });
  f.add("F.softplus", {"input"},
        [](const Call& c) { return weft::softplus(c.in("input"), c.number("beta", 1), c.number("threshold", 20)); });
}

}  // namespace golden
