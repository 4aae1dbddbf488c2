#include "weft/autograd/ops/reduce/scan.h"

#include "weft/autograd/ops/elementwise/activation.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/refuse.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/kernels/order.h"

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
  // Without a second derivative the general way is as good as a look at a device's values.
  if ((exact || detail::values_at_hand(zero)) && !any(zero).item<bool>()) return running_sum(g * y, dim, true) / x;
  if (exact) return sum(g.unsqueeze(dim) * products_without(x, dim), dim + 1);
  // Before the first zero as usual; at it, with the products that leave it out; nothing behind it.
  const Tensor seen = cumsum(zero, dim);
  const Tensor first = logical_and(zero, eq(seen, 1));
  const Tensor before = running_sum(g * y, dim, true) / where(zero, 1, x);
  const Tensor at = running_sum(g * cumprod(where(first, 1, x), dim), dim, true);
  return where(eq(seen, 0), before, where(first, at, 0));
}
}  // namespace

Tensor cumsum(const Tensor& in, Int dim, std::optional<Dtype> dtype) {
  const OpName op("cumsum");
  check_defined(op, in);
  Tensor x = as_scanned(autocast(CastPolicy::fp32, in), dtype);
  return running_sum(x, wrap_dim(op, dim, x.rank()), false);
}
Tensor cumprod(const Tensor& in, Int dim_in, std::optional<Dtype> dtype) {
  const OpName op("cumprod");
  check_defined(op, in);
  Tensor x = as_scanned(autocast(CastPolicy::fp32, in), dtype);
  const int dim = wrap_dim(op, dim_in, x.rank());
  Tensor y = empty_like(x);
  kernels::cumprod(x.device(), mut_ref(y), ref(x), dim);
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, y, {x}, [x = Saved(x), y = Saved::output(y), dim](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x);
    if (a.rank() == 0 || a.numel() == 0) return {c.grad()};
    return {cumprod_grad(c.grad(), a, c.get(y), dim, c.create_graph())};
  });
}

namespace {
ValuesIndices running_extreme(const char* op, const Tensor& x, int64_t dim_in, bool largest) {
  const int dim = wrap_dim(op, dim_in, x.rank(op));
  ValuesIndices r{empty_like(x), empty_like(x, Dtype::i64)};
  kernels::running_extreme(x.device(), mut_ref(r.values), mut_ref(r.indices), ref(x), dim, largest);
  r.values = record(op, std::move(r.values), {x},
                    [shape = x.shape(), at = Saved(r.indices, "indices"), dim](BackwardCtx& c) -> Grads {
                      if (shape.empty()) return {c.grad()};
                      return {scatter_add(zeros(shape, c.grad().options()), dim, c.get(at), c.grad())};
                    });
  return r;
}
/// logaddexp whose gradient is halved, not lost, between equal infinities.
Tensor log_joined(const Tensor& x, const Tensor& y) {
  return record("logcumsumexp", kernels::map2<fn::Logaddexp>(x, y), {x, y},
                [x = Saved(x), y = Saved(y)](BackwardCtx& c) -> Grads {
                  const Tensor a = c.get(x), b = c.get(y);
                  const Tensor apart = where(logical_and(eq(a, b), isinf(a)), 0, a - b);
                  return {c.grad() * sigmoid(apart), c.grad() * sigmoid(neg(apart))};
                });
}
}  // namespace

ValuesIndices cummax(const Tensor& x, Int dim) { return running_extreme("cummax", x, dim, true); }
ValuesIndices cummin(const Tensor& x, Int dim) { return running_extreme("cummin", x, dim, false); }

Tensor logcumsumexp(const Tensor& x, Int dim_in) {
  const OpName op("logcumsumexp");
  WEFT_CHECK(x.is_floating(), DtypeError, "expects a floating dtype, got ", x.dtype(), "; convert with to()");
  const int dim = wrap_dim(op, dim_in, x.rank());
  Tensor y = x.to(compute_dtype(x.dtype()));
  const int64_t n = x.rank() ? x.size(dim) : 1;
  for (int64_t step = 1; step < n && x.numel() > 0; step *= 2)
    y = cat({y.narrow(dim, 0, step), log_joined(y.narrow(dim, 0, n - step), y.narrow(dim, step, n - step))}, dim);
  return y.is_same(x) ? x.reshape(x.shape()) : y.to(x.dtype());
}

}  // namespace weft
