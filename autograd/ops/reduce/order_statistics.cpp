#include "weft/autograd/ops/reduce/order_statistics.h"

#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/index/index_lookup.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/autograd/ops/refuse.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/order.h"

namespace weft {
namespace {
using namespace detail;

/// The axis, checked: it must not be empty.
int full_axis(const char* op, const Tensor& x, int64_t dim) {
  const int d = wrap_dim(op, dim, x.rank(op));
  WEFT_CHECK(x.rank() == 0 || x.size(d) > 0, ShapeError, op, ": axis ", d, " of ", x.shape(), " is empty");
  return d;
}
/// x at `index` (of size 1 along d), recorded; `rank` is that of the op's input.
ValuesIndices pick(const Tensor& x, int d, const Tensor& index, Only<bool> keepdim, int rank) {
  ValuesIndices r{gather(x, d, index), index};
  if (rank == 0) return {r.values.reshape({}), r.indices.reshape({})};
  return keepdim ? r : ValuesIndices{r.values.squeeze(d), r.indices.squeeze(d)};
}
/// The median's place in the sorted line (i64, size 1 along d): the first NaN, or among what is none (`skip_nan`).
Tensor middle(const Tensor& x, int d, bool skip_nan) {
  const int64_t n = x.size(d);
  const Tensor valid = n - sum(isnan(x), d, true);
  if (skip_nan) return div(clamp(valid - 1, 0), 2, RoundingMode::floor);
  return where(eq(valid, n), (n - 1) / 2, valid);
}

ValuesIndices median_along(const char* op, const Tensor& in, int64_t dim, Only<bool> keepdim, bool skip_nan) {
  const int d = full_axis(op, in, dim);
  WEFT_CHECK(in.dtype() != Dtype::boolean, DtypeError, op, ": not defined for bool");
  const Tensor x = at_least_1d(in);
  const Tensor place = middle(x.detach(), d, skip_nan);
  return pick(x, d, gather(argsort(x.detach(), d), d, place), keepdim, in.rank());
}
Tensor median_of_all(const char* op, const Tensor& x, bool skip_nan) {
  WEFT_CHECK(x.dtype(op) != Dtype::boolean, DtypeError, op, ": not defined for bool");
  WEFT_CHECK(x.numel() > 0 || x.is_floating(), ShapeError, op, ": ", x.shape(), " has no elements");
  Tensor y;
  if (x.numel() == 0) y = full({}, NAN, x.options());
  else {
    const Tensor line = x.detach().reshape({-1});
    y = gather(sort(line, 0).values, 0, middle(line, 0, skip_nan)).reshape({});
  }
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, y, {x}, [x = Saved(x), y = Saved::output(y)](BackwardCtx& c) -> Grads {
    const Tensor a = c.get(x), m = c.get(y).detach();
    const Tensor at = logical_or(eq(a, m), logical_and(isnan(a), isnan(m)));
    return {where(at, c.grad() / sum(at).to(c.grad().dtype()), 0)};
  });
}

Tensor quantile_of(const char* op, const Tensor& x, const Tensor& q, std::optional<int64_t> dim, Only<bool> keepdim,
                   QuantileInterpolation how, bool skip_nan) {
  const OpName name(op);
  check_defined(op, x, q);
  WEFT_CHECK(x.dtype() == Dtype::f32 || x.dtype() == Dtype::f64, DtypeError, "x must be f32 or f64, got ", x.dtype());
  WEFT_CHECK(q.dtype() == x.dtype(), DtypeError, "q is ", q.dtype(), " but x is ", x.dtype());
  WEFT_CHECK(q.rank() <= 1, ShapeError, "q must be of rank 0 or 1, got ", q.shape());
  WEFT_CHECK(x.numel() > 0, ShapeError, "x ", x.shape(), " has no elements");
  const Tensor wanted = q.detach().reshape({-1});
  detail::refuse_any(op, logical_not(logical_and(ge(wanted, 0), le(wanted, 1))), "q must be in [0, 1]", ", got ", q);
  const int d = dim ? wrap_dim(op, *dim, x.rank()) : 0;
  const Tensor lines = dim && x.rank() ? x.movedim(d, -1) : x.reshape({-1});
  const int64_t n = lines.size(-1);
  const Tensor sorted = sort(lines, -1).values;
  Tensor rank, below, above;
  {
    NoGrad guard;
    const Tensor nans = sum(isnan(lines), -1, true);
    if (skip_nan) rank = wanted * clamp(n - 1 - nans, 0).to(x.dtype());
    else rank = where(gt(nans, 0), n - 1, wanted * static_cast<double>(n - 1));
    if (how == QuantileInterpolation::lower) rank = floor(rank);
    if (how == QuantileInterpolation::higher) rank = ceil(rank);
    if (how == QuantileInterpolation::nearest) rank = round(rank);
    below = rank.to(Dtype::i64);
    above = ceil(rank).to(Dtype::i64);
  }
  Tensor y = gather(sorted, -1, below);
  if (how == QuantileInterpolation::linear) y = lerp(y, gather(sorted, -1, above), rank - below.to(x.dtype()));
  if (how == QuantileInterpolation::midpoint) y = lerp(y, gather(sorted, -1, above), 0.5);
  y = y.movedim(-1, 0);  // [Q, ...]
  if (keepdim && dim && x.rank()) y = y.unsqueeze(d + 1);
  if (keepdim && !dim) {
    Shape kept = Shape::filled(x.rank() + 1, 1);
    kept[0] = wanted.numel();
    y = y.reshape(kept);
  }
  return q.rank() ? y : y.squeeze(0);
}
Tensor as_quantile(const char* op, double q, const Tensor& x) {
  check_defined(op, x);
  return detail::number(q, x.options());
}
}  // namespace

Tensor median(const Tensor& x) { return median_of_all("median", x, false); }
Tensor nanmedian(const Tensor& x) { return median_of_all("nanmedian", x, true); }
ValuesIndices median(const Tensor& x, Int dim, Only<bool> keepdim) {
  return median_along("median", x, dim, keepdim, false);
}
ValuesIndices nanmedian(const Tensor& x, Int dim, Only<bool> keepdim) {
  return median_along("nanmedian", x, dim, keepdim, true);
}

ValuesIndices kthvalue(const Tensor& in, Int k, Int dim, Only<bool> keepdim) {
  const OpName op("kthvalue");
  const int d = full_axis(op, in, dim);
  const Tensor x = at_least_1d(in);
  WEFT_CHECK(k >= 1 && k <= x.size(d), ValueError, "k = ", k, " is out of range for axis ", d, " of size ", x.size(d));
  return pick(x, d, topk(x.detach(), k, d, false).indices.narrow(d, k - 1, 1), keepdim, in.rank());
}
ValuesIndices mode(const Tensor& in, Int dim, Only<bool> keepdim) {
  const int d = full_axis("mode", in, dim);
  const Tensor x = at_least_1d(in);
  Shape shape = x.shape();
  shape[d] = 1;
  Tensor index = empty(shape, {Dtype::i64, x.device()});
  kernels::mode(x.device(), mut_ref(index), ref(x), d);
  return pick(x, d, index, keepdim, in.rank());
}

Tensor quantile(const Tensor& x, double q, std::optional<Int> dim, Only<bool> keepdim,
                Choice<QuantileInterpolation> interpolation) {
  const OpName op("quantile");
  return quantile_of(op, x, as_quantile(op, q, x), dim, keepdim, interpolation, false);
}
Tensor quantile(const Tensor& x, const Tensor& q, std::optional<Int> dim, Only<bool> keepdim,
                Choice<QuantileInterpolation> interpolation) {
  return quantile_of("quantile", x, q, dim, keepdim, interpolation, false);
}
Tensor nanquantile(const Tensor& x, double q, std::optional<Int> dim, Only<bool> keepdim,
                   Choice<QuantileInterpolation> interpolation) {
  const OpName op("nanquantile");
  return quantile_of(op, x, as_quantile(op, q, x), dim, keepdim, interpolation, true);
}
Tensor nanquantile(const Tensor& x, const Tensor& q, std::optional<Int> dim, Only<bool> keepdim,
                   Choice<QuantileInterpolation> interpolation) {
  return quantile_of("nanquantile", x, q, dim, keepdim, interpolation, true);
}

}  // namespace weft
