#include "weft/autograd/ops/scan.h"

#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/elementwise.h"
#include "weft/autograd/ops/reduce.h"
#include "weft/autograd/ops/select.h"
#include "weft/autograd/ops/unary.h"

namespace weft {
namespace {
using namespace detail;

Tensor as_scanned(const Tensor& x, std::optional<Dtype> dtype) { return cast(x, dtype.value_or(sum_dtype(x.dtype()))); }

/// Running sums from the front or from the back: each is the other's gradient.
Tensor running_sum(const Tensor& x, int dim, bool reverse) {
  Tensor y = empty_like(x);
  kernels::cumsum(x.device(), mut_ref(y), ref(x), dim, reverse);
  if (!recording(x)) return unrecorded("cumsum", std::move(y));
  return record("cumsum", std::move(y), {x},
                [dim, reverse](BackwardCtx& c) -> Grads { return {running_sum(c.grad(), dim, !reverse)}; });
}

/// [.., k, i, ..]: the product of x_j for j <= i, j != k, and 0 for i < k. Exact at zeros to every order of derivative.
Tensor products_without(const Tensor& x, int dim) {
  const int64_t n = x.size(dim);
  const Tensor at = arange(0, n, 1, {Dtype::i64, x.device()});
  const Tensor k = at.reshape({n, 1, 1}), i = at.reshape({1, n, 1}), j = at.reshape({1, 1, n});
  Shape s = Shape::filled(x.rank() + 2, 1);
  s[dim] = s[dim + 1] = s[dim + 2] = n;
  const Tensor in = logical_and(le(j, i), ne(j, k)).reshape(s);
  s[dim + 2] = 1;
  const Tensor upper = le(k, i).reshape(s).reshape(s);
  const Tensor p = prod(where(in, x.unsqueeze(dim).unsqueeze(dim), 1), dim + 2, true);
  return where(upper, p, 0).squeeze(dim + 2);
}

Tensor cumprod_grad(const Tensor& g, const Tensor& x, const Tensor& y, int dim, bool exact) {
  const Tensor zero = eq(x, 0);
  if (!any(zero).item<bool>()) return running_sum(g * y, dim, true) / x;
  if (exact) return sum(g.unsqueeze(dim) * products_without(x, dim), dim + 1);
  // Before the first zero as usual; at it, with the products that leave it out; nothing behind it.
  const Tensor seen = cumsum(zero, dim);
  const Tensor first = logical_and(zero, eq(seen, 1));
  const Tensor before = running_sum(g * y, dim, true) / where(zero, 1, x);
  const Tensor at = running_sum(g * cumprod(where(first, 1, x), dim), dim, true);
  return where(eq(seen, 0), before, where(first, at, 0));
}
}  // namespace

Tensor cumsum(const Tensor& in, int64_t dim, std::optional<Dtype> dtype) {
  check_defined("cumsum", in);
  Tensor x = as_scanned(autocast(CastPolicy::fp32, in), dtype);
  return running_sum(x, wrap_dim("cumsum", dim, x.rank()), false);
}
Tensor cumprod(const Tensor& in, int64_t dim_in, std::optional<Dtype> dtype) {
  check_defined("cumprod", in);
  Tensor x = as_scanned(autocast(CastPolicy::fp32, in), dtype);
  const int dim = wrap_dim("cumprod", dim_in, x.rank());
  Tensor y = empty_like(x);
  kernels::cumprod(x.device(), mut_ref(y), ref(x), dim);
  if (!recording(x)) return unrecorded("cumprod", std::move(y));
  return record("cumprod", y, {x}, [x = Saved(x), y = Saved::output(y), dim](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x);
    if (a.rank() == 0 || a.numel() == 0) return {c.grad()};
    return {cumprod_grad(c.grad(), a, c.get(y), dim, c.create_graph())};
  });
}

}  // namespace weft
