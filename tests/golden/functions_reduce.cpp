// Reductions, running sums, softmax.
#include "golden/registry.h"
#include "golden/words.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/softmax.h"

namespace golden {
namespace {

weft::DimList dims(const Call& c, const char* name = "dim") {
  return weft::DimList(c.opt_ints(name).value_or(Shape{}));
}
bool keepdim(const Call& c) { return c.boolean("keepdim", false); }

std::vector<Tensor> both(const weft::ValuesIndices& v) { return {v.values, v.indices}; }

/// torch.max and torch.min: elementwise with `other`, along an axis with `dim`, of everything otherwise.
template <class Along, class All>
std::vector<Tensor> extreme(const Call& c, Tensor (*elementwise)(const Tensor&, const Tensor&), Along along, All all) {
  const Tensor x = c.in("input"), other = c.in("other");
  if (other.defined()) return {elementwise(x, other)};
  if (c.has("dim")) return both(along(x, c.integer("dim"), keepdim(c)));
  keepdim(c);
  return {all(x)};
}

weft::VarOptions var_options(const Call& c) {
  const bool unbiased = c.boolean("unbiased", true);
  return {.correction = c.number("correction", unbiased ? 1 : 0), .keepdim = keepdim(c)};
}

Tensor norm(const Call& c, const char* which) {
  double p = 2;
  if (c.has(which)) {
    const Value& v = c.value(which);
    if (v.is_string() && v.string == "nuc") throw Skip("F.norm with p = nuc");
    if (!(v.is_string() && v.string == "fro")) p = v.as_double();
  }
  return weft::vector_norm(c.in("input"), p, dims(c), keepdim(c), c.opt_dtype("dtype"));
}

}  // namespace

void add_reduce(Functions& f) {
  f.add("F.sum", {"input"},
        [](const Call& c) { return weft::sum(c.in("input"), dims(c), keepdim(c), c.opt_dtype("dtype")); });
  f.add("F.mean", {"input"},
        [](const Call& c) { return weft::mean(c.in("input"), dims(c), keepdim(c), c.opt_dtype("dtype")); });
  f.add("F.prod", {"input"},
        [](const Call& c) { return weft::prod(c.in("input"), dims(c), keepdim(c), c.opt_dtype("dtype")); });
  f.add("F.var", {"input"}, [](const Call& c) { return weft::var(c.in("input"), dims(c), var_options(c)); });
  f.add("F.std", {"input"}, [](const Call& c) { return weft::std(c.in("input"), dims(c), var_options(c)); });
  f.add("F.amax", {"input"}, [](const Call& c) { return weft::amax(c.in("input"), dims(c), keepdim(c)); });
  f.add("F.amin", {"input"}, [](const Call& c) { return weft::amin(c.in("input"), dims(c), keepdim(c)); });
  f.add("F.any", {"input"}, [](const Call& c) { return weft::any(c.in("input"), dims(c), keepdim(c)); });
  f.add("F.all", {"input"}, [](const Call& c) { return weft::all(c.in("input"), dims(c), keepdim(c)); });
  f.add("F.argmax", {"input"},
        [](const Call& c) { return weft::argmax(c.in("input"), c.opt_integer("dim"), keepdim(c)); });
  f.add("F.argmin", {"input"},
        [](const Call& c) { return weft::argmin(c.in("input"), c.opt_integer("dim"), keepdim(c)); });
  f.add("F.logsumexp", {"input"}, [](const Call& c) { return weft::logsumexp(c.in("input"), dims(c), keepdim(c)); });
  f.add("F.norm", {"input"}, [](const Call& c) { return norm(c, "p"); });
  f.add("F.vector_norm", {"input"}, [](const Call& c) { return norm(c, "ord"); });
  f.add("F.max", {"input", "other"}, [](const Call& c) {
    return extreme(
        c, weft::maximum, [](const Tensor& x, int64_t d, bool k) { return weft::max(x, d, k); },
        [](const Tensor& x) { return weft::max(x); });
  });
  f.add("F.min", {"input", "other"}, [](const Call& c) {
    return extreme(
        c, weft::minimum, [](const Tensor& x, int64_t d, bool k) { return weft::min(x, d, k); },
        [](const Tensor& x) { return weft::min(x); });
  });
  f.add("F.cumsum", {"input"},
        [](const Call& c) { return weft::cumsum(c.in("input"), c.integer("dim"), c.opt_dtype("dtype")); });
  f.add("F.cumprod", {"input"},
        [](const Call& c) { return weft::cumprod(c.in("input"), c.integer("dim"), c.opt_dtype("dtype")); });
  f.add("F.softmax", {"input"}, [](const Call& c) {
    return weft::softmax(c.in("input"), softmax_dim(c, c.in("input")), c.opt_dtype("dtype"));
  });
  f.add("F.log_softmax", {"input"}, [](const Call& c) {
    return weft::log_softmax(c.in("input"), softmax_dim(c, c.in("input")), c.opt_dtype("dtype"));
  });
}

}  // namespace golden
