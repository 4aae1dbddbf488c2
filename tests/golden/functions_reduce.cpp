// Reductions, scans, order statistics, softmax.
#include "golden/registry.h"
#include "golden/words.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/order_statistics.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/autograd/ops/reduce/statistics.h"

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

/// Values and positions, or (`only`: "values") without the positions, which PyTorch leaves open where elements tie.
std::vector<Tensor> picked(const Call& c, const weft::ValuesIndices& v) {
  if (c.word("only", "") == "values") return {v.values};
  return {v.values, v.indices};
}

/// A median of everything, or along `dim`.
template <class All, class Along> auto median_of(All all, Along along) {
  return [=](const Call& c) -> std::vector<Tensor> {
    if (!c.has("dim")) return {all(c.in("input"))};
    return picked(c, along(c.in("input"), c.integer("dim"), keepdim(c)));
  };
}

weft::Choice<weft::QuantileInterpolation> interpolation(const Call& c) { return c.word("interpolation", "linear"); }

/// A quantile for one q or for a tensor of them.
template <class F> auto quantile_of(F op) {
  return [op](const Call& c) {
    const Tensor x = c.in("input");
    const auto dim = c.opt_integer("dim");
    return c.is_scalar("q") ? op(x, c.number("q", 0), dim, keepdim(c), interpolation(c))
                            : op(x, c.in("q"), dim, keepdim(c), interpolation(c));
  };
}

void add_order_statistics(Functions& f) {
  f.add("F.median", {"input"},
        median_of([](const Tensor& x) { return weft::median(x); },
                  [](const Tensor& x, int64_t dim, bool keep) { return weft::median(x, dim, keep); }));
  f.add("F.nanmedian", {"input"},
        median_of([](const Tensor& x) { return weft::nanmedian(x); },
                  [](const Tensor& x, int64_t dim, bool keep) { return weft::nanmedian(x, dim, keep); }));
  f.add("F.kthvalue", {"input"}, [](const Call& c) {
    return picked(c, weft::kthvalue(c.in("input"), c.integer("k"), c.integer("dim", -1), keepdim(c)));
  });
  f.add("F.mode", {"input"},
        [](const Call& c) { return picked(c, weft::mode(c.in("input"), c.integer("dim", -1), keepdim(c))); });
  f.add("F.quantile", {"input", "q"}, quantile_of([](const auto&... a) { return weft::quantile(a...); }));
  f.add("F.nanquantile", {"input", "q"}, quantile_of([](const auto&... a) { return weft::nanquantile(a...); }));
  f.add("F.cummax", {"input"}, [](const Call& c) { return picked(c, weft::cummax(c.in("input"), c.integer("dim"))); });
  f.add("F.cummin", {"input"}, [](const Call& c) { return picked(c, weft::cummin(c.in("input"), c.integer("dim"))); });
  f.add("F.argsort", {"input"}, [](const Call& c) {
    (void)c.boolean("stable", false);  // weft's is stable always
    return weft::argsort(c.in("input"), c.integer("dim", -1), c.boolean("descending", false));
  });
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
  f.add("F.logcumsumexp", {"input"}, [](const Call& c) { return weft::logcumsumexp(c.in("input"), c.integer("dim")); });
  f.add("F.nansum", {"input"},
        [](const Call& c) { return weft::nansum(c.in("input"), dims(c), keepdim(c), c.opt_dtype("dtype")); });
  f.add("F.nanmean", {"input"},
        [](const Call& c) { return weft::nanmean(c.in("input"), dims(c), keepdim(c), c.opt_dtype("dtype")); });
  f.add("F.count_nonzero", {"input"}, [](const Call& c) { return weft::count_nonzero(c.in("input"), dims(c)); });
  f.add("F.std_mean", {"input"}, [](const Call& c) {
    const auto [s, mean] = weft::std_mean(c.in("input"), dims(c), var_options(c));
    return std::vector<Tensor>{s, mean};
  });
  f.add("F.var_mean", {"input"}, [](const Call& c) {
    const auto [v, mean] = weft::var_mean(c.in("input"), dims(c), var_options(c));
    return std::vector<Tensor>{v, mean};
  });
  f.add("F.aminmax", {"input"}, [](const Call& c) {
    const auto [least, greatest] = weft::aminmax(c.in("input"), c.opt_integer("dim"), keepdim(c));
    return std::vector<Tensor>{least, greatest};
  });
  add_order_statistics(f);
  f.add("F.softmax", {"input"}, [](const Call& c) {
    return weft::softmax(c.in("input"), softmax_dim(c, c.in("input")), c.opt_dtype("dtype"));
  });
  f.add("F.log_softmax", {"input"}, [](const Call& c) {
    return weft::log_softmax(c.in("input"), softmax_dim(c, c.in("input")), c.opt_dtype("dtype"));
  });
}

}  // namespace golden
