// Elementwise functions of two and three tensors. `other` may be a number.
#include "golden/registry.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/index/index.h"

namespace golden {
namespace {

/// An op with a form for tensors and one for a number.
template <class F> void with_scalar(Functions& f, const char* name, F op, const char* second = "other") {
  f.add(name, {"input", second}, [op, second](const Call& c) {
    const Tensor x = c.in("input");
    return c.is_scalar(second) ? op(c, x, c.scalar(second, 0)) : op(c, x, c.in(second));
  });
}

void plain(Functions& f, const char* name, Tensor (*op)(const Tensor&, const Tensor&), const char* second = "other") {
  f.add(name, {"input", second}, [op, second](const Call& c) { return op(c.in("input"), c.in(second)); });
}

weft::RoundingMode rounding(const Call& c) {
  const std::string mode = c.word("rounding_mode", "none");
  if (mode == "none") return weft::RoundingMode::none;
  if (mode == "trunc") return weft::RoundingMode::trunc;
  if (mode == "floor") return weft::RoundingMode::floor;
  throw weft::ValueError("div: rounding_mode is " + mode);
}

// Either side of torch.where and the base of torch.pow may be a number. A condition alone gives the places.
std::vector<Tensor> where(const Call& c) {
  const Tensor condition = c.in("condition");
  if (c.inputs.size() == 1) return weft::where(condition);
  const bool a = c.is_scalar("input"), b = c.is_scalar("other");
  if (a && b) return {weft::where(condition, c.scalar("input", 0), c.scalar("other", 0))};
  if (a) return {weft::where(condition, c.scalar("input", 0), c.in("other"))};
  if (b) return {weft::where(condition, c.in("input"), c.scalar("other", 0))};
  return {weft::where(condition, c.in("input"), c.in("other"))};
}

Tensor pow(const Call& c) {
  if (c.is_scalar("input")) return weft::pow(c.scalar("input", 0), c.in("exponent"));
  if (c.is_scalar("exponent")) return weft::pow(c.in("input"), c.scalar("exponent", 0));
  return weft::pow(c.in("input"), c.in("exponent"));
}

}  // namespace

void add_binary(Functions& f) {
  with_scalar(f, "F.add",
              [](const Call& c, const Tensor& x, const auto& y) { return weft::add(x, y, c.scalar("alpha", 1)); });
  with_scalar(f, "F.sub",
              [](const Call& c, const Tensor& x, const auto& y) { return weft::sub(x, y, c.scalar("alpha", 1)); });
  with_scalar(f, "F.mul", [](const Call&, const Tensor& x, const auto& y) { return weft::mul(x, y); });
  with_scalar(f, "F.div", [](const Call& c, const Tensor& x, const auto& y) { return weft::div(x, y, rounding(c)); });
  with_scalar(f, "F.fmod", [](const Call&, const Tensor& x, const auto& y) { return weft::fmod(x, y); });
  with_scalar(f, "F.eq", [](const Call&, const Tensor& x, const auto& y) { return weft::eq(x, y); });
  with_scalar(f, "F.ne", [](const Call&, const Tensor& x, const auto& y) { return weft::ne(x, y); });
  with_scalar(f, "F.lt", [](const Call&, const Tensor& x, const auto& y) { return weft::lt(x, y); });
  with_scalar(f, "F.le", [](const Call&, const Tensor& x, const auto& y) { return weft::le(x, y); });
  with_scalar(f, "F.gt", [](const Call&, const Tensor& x, const auto& y) { return weft::gt(x, y); });
  with_scalar(f, "F.ge", [](const Call&, const Tensor& x, const auto& y) { return weft::ge(x, y); });
  f.add("F.pow", {"input", "exponent"}, pow);
  plain(f, "F.maximum", weft::maximum);
  plain(f, "F.minimum", weft::minimum);
  plain(f, "F.atan2", weft::atan2);
  plain(f, "F.logical_and", weft::logical_and);
  plain(f, "F.logical_or", weft::logical_or);
  plain(f, "F.logical_xor", weft::logical_xor);
  plain(f, "F.outer", weft::outer, "vec2");
  f.add("F.where", {"condition", "input", "other"}, where);
  f.add("F.lerp", {"input", "end", "weight"}, [](const Call& c) {
    const Tensor x = c.in("input"), end = c.in("end");
    return c.is_scalar("weight") ? weft::lerp(x, end, c.number("weight", 0)) : weft::lerp(x, end, c.in("weight"));
  });
  f.add("F.addcmul", {"input", "tensor1", "tensor2"}, [](const Call& c) {
    return weft::addcmul(c.in("input"), c.in("tensor1"), c.in("tensor2"), c.scalar("value", 1));
  });
  f.add("F.addcdiv", {"input", "tensor1", "tensor2"}, [](const Call& c) {
    return weft::addcdiv(c.in("input"), c.in("tensor1"), c.in("tensor2"), c.scalar("value", 1));
  });
}

}  // namespace golden
