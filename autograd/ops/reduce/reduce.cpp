#include "weft/autograd/ops/reduce/reduce.h"

#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/common.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/core/factory.h"

namespace weft {

uint32_t DimList::mask(const char* op, int rank) const {
  if (dims_.empty()) return (1u << rank) - 1;
  uint32_t m = 0;
  for (int64_t d : dims_) {
    const int i = wrap_dim(op, d, rank);
    if (rank == 0) continue;
    WEFT_CHECK(!(m >> i & 1), ValueError, op, ": dim ", d, " appears twice in ", dims_);
    m |= 1u << i;
  }
  return m;
}

namespace detail {

Shape reduced_shape(const Shape& x, uint32_t mask, bool keepdim) {
  Shape s;
  for (int i = 0; i < x.size(); ++i) {
    if (!(mask >> i & 1)) s.push_back(x[i]);
    else if (keepdim) s.push_back(1);
  }
  return s;
}
int64_t reduced_count(const Shape& x, uint32_t mask) {
  int64_t n = 1;
  for (int i = 0; i < x.size(); ++i)
    if (mask >> i & 1) n *= x[i];
  return n;
}
Tensor spread(const Tensor& g, const Shape& shape, uint32_t mask, bool keepdim) {
  return (keepdim ? g : g.reshape(reduced_shape(shape, mask, true))).expand(shape);
}
Reduced::Reduced(const Tensor& x, uint32_t mask, bool keepdim, Dtype dtype)
    : y(empty(reduced_shape(x.shape(), mask, keepdim), {dtype, x.device()})),
      kept(reduced_shape(x.shape(), mask, true)),
      strides(contiguous_strides(kept)) {}
MutTensorRef Reduced::ref() { return seen_as(mut_ref(y), kept.data(), strides.data(), kept.size()); }

}  // namespace detail

namespace {
using namespace detail;

/// Integers and bool are summed in i64.
Dtype sum_dtype(const Tensor& x, std::optional<Dtype> dtype) { return dtype.value_or(sum_dtype(x.dtype())); }

void check_floating(const char* op, const Tensor& x) {
  WEFT_CHECK(x.is_floating(op), DtypeError, op, ": expects a floating dtype, got ", x.dtype(), "; convert with to()");
}
void check_not_empty(const char* op, const Tensor& x, uint32_t mask) {
  for (int i = 0; i < x.rank(); ++i)
    WEFT_CHECK(!(mask >> i & 1) || x.size(i) > 0, ShapeError, op, ": axis ", i, " of ", x.shape(),
               " is empty and has no extreme");
}
}  // namespace

Tensor sum(const Tensor& in, const DimList& dims, Only<bool> keepdim, std::optional<Dtype> dtype) {
  const OpName op("sum");
  Tensor x = autocast(CastPolicy::fp32, in);
  const uint32_t mask = dims.mask(op, x.rank());
  Tensor y = detail::reduce<fn::Sum>(x, mask, keepdim, sum_dtype(x, dtype));
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, std::move(y), {x}, [shape = x.shape(), mask, keepdim](BackwardCtx& c) -> Grads {
    return {spread(c.grad(), shape, mask, keepdim)};
  });
}
Tensor nansum(const Tensor& in, const DimList& dims, Only<bool> keepdim, std::optional<Dtype> dtype) {
  const OpName op("nansum");
  if (!in.is_floating() || (dtype && !is_floating(*dtype))) return sum(in, dims, keepdim, dtype);
  Tensor x = autocast(CastPolicy::fp32, in);
  const uint32_t mask = dims.mask(op, x.rank());
  Tensor y = detail::reduce<fn::NanSum>(x, mask, keepdim, sum_dtype(x, dtype));
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, std::move(y), {x}, [x = Saved(x), mask, keepdim](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x);
    return {where(isnan(a), 0, spread(c.grad(), a.shape(), mask, keepdim))};
  });
}
Tensor sum_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  const int lead = g.rank() - shape.size();
  Shape dims;
  for (int i = 0; i < g.rank(); ++i)
    if (i < lead || (shape[i - lead] == 1 && g.size(i) != 1)) dims.push_back(i);
  if (dims.empty()) return g.reshape(shape);
  // kept axes and a reshape: right for leading and inner axes alike
  return sum(g, dims, true, g.dtype()).reshape(shape);
}

Tensor mean(const Tensor& x, const DimList& dims, Only<bool> keepdim, std::optional<Dtype> dtype) {
  const OpName op("mean");
  const Dtype d = dtype.value_or(x.dtype());
  WEFT_CHECK(is_floating(d), DtypeError, "expects a floating dtype, got ", d,
             "; give a floating dtype or convert with to()");
  const uint32_t mask = dims.mask(op, x.rank());
  const double count = static_cast<double>(reduced_count(x.shape(), mask));
  Tensor y = detail::reduce<fn::Mean>(x, mask, keepdim, d, {count});
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, std::move(y), {x}, [shape = x.shape(), mask, keepdim, count](BackwardCtx& c) -> Grads {
    return {spread(c.grad() / count, shape, mask, keepdim)};
  });
}
Tensor nanmean(const Tensor& x, const DimList& dims, Only<bool> keepdim, std::optional<Dtype> dtype) {
  const OpName op("nanmean");
  const Dtype d = dtype.value_or(x.dtype());
  WEFT_CHECK(is_floating(d), DtypeError, "expects a floating dtype, got ", d,
             "; give a floating dtype or convert with to()");
  return nansum(x, dims, keepdim, d) / sum(logical_not(isnan(x)), dims, keepdim).to(d);
}

namespace {
/// Products of all other elements of the line: exact at zeros to every order, at n times the memory.
Tensor products_of_others(const Tensor& x, int dim) {
  const int64_t n = x.size(dim);
  Shape s = Shape::filled(x.rank() + 1, 1);
  s[dim] = s[dim + 1] = n;
  return prod(where(eye(n, -1, {Dtype::boolean, x.device()}).reshape(s), 1, x.unsqueeze(dim)), dim + 1);
}
/// Gradient of the product over the axes of `mask`; y and g with those axes kept.
Tensor prod_grad(const Tensor& g, const Tensor& x, const Tensor& y, uint32_t mask, bool exact) {
  const Tensor zero = eq(x, 0);
  if (exact && any(zero).item<bool>()) {
    // bring the reduced axes together at the end
    Shape order, back = Shape::filled(x.rank(), 0);
    for (int pass = 0; pass < 2; ++pass)
      for (int i = 0; i < x.rank(); ++i)
        if (static_cast<int>(mask >> i & 1) == pass) order.push_back(i);
    for (int i = 0; i < x.rank(); ++i) back[static_cast<int>(order[i])] = i;
    Tensor moved = x.permute(order);
    Shape flat = reduced_shape(x.shape(), mask, false);
    const int dim = flat.size();
    flat.push_back(reduced_count(x.shape(), mask));
    return g * products_of_others(moved.reshape(flat), dim).reshape(moved.shape()).permute(back);
  }
  // The product of the others, from that of all: zeros, infinities and NaNs are left out of it and counted, so that
  // nothing is divided by them.
  const Tensor endless = isinf(x), odd = isnan(x);
  const Tensor filled = where(logical_or(zero, odd), 1, where(endless, sign(x), x));
  Shape axes;
  for (int i = 0; i < x.rank(); ++i)
    if (mask >> i & 1) axes.push_back(i);
  const auto elsewhere = [&](const Tensor& special) { return gt(sum(special, axes, true), special.to(Dtype::i64)); };
  const Tensor factor = where(elsewhere(odd), NAN, where(elsewhere(endless), INFINITY, ones_like(x)));
  const Tensor others = prod(filled, axes, true) / filled * factor * where(elsewhere(zero), 0, ones_like(x));
  (void)y;
  return g * others;
}
}  // namespace

Tensor prod(const Tensor& in, const DimList& dims, Only<bool> keepdim, std::optional<Dtype> dtype) {
  const OpName op("prod");
  Tensor x = autocast(CastPolicy::fp32, in);
  const uint32_t mask = dims.mask(op, x.rank());
  Tensor y = detail::reduce<fn::Prod>(x, mask, keepdim, sum_dtype(x, dtype));
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, std::move(y), {x}, [x = Saved(x), mask, keepdim](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x), g = keepdim ? c.grad() : c.grad().reshape(reduced_shape(a.shape(), mask, true));
    if (mask == 0) return {g};
    return {prod_grad(g, a, {}, mask, c.create_graph())};
  });
}

namespace {
/// Number of elements less the correction.
double var_divisor(const Tensor& x, uint32_t mask, double correction) {
  return std::max(0.0, static_cast<double>(reduced_count(x.shape(), mask)) - correction);
}
/// The variance in f64: the mean as x's compute type holds it is taken off, and what that leaves is made good after the
/// sum.
Tensor wide_var(const Tensor& x, uint32_t mask, const VarOptions& o) {
  NoGrad guard;
  const double count = static_cast<double>(reduced_count(x.shape(), mask));
  const Tensor m = detail::reduce<fn::Mean>(x, mask, true, Dtype::f64, {count}), near = m.to(compute_dtype(x.dtype()));
  Tensor m2 = detail::reduce<fn::SumSquares>(x - near, mask, true, Dtype::f64);
  if (x.dtype() != Dtype::f64) m2 = clamp(m2 - square(m - near) * count, 0);
  m2 = m2 / var_divisor(x, mask, o.correction);
  return o.keepdim ? m2 : m2.reshape(reduced_shape(x.shape(), mask, false));
}
/// g (x - mean(x)), with the reduced axes of g kept: the mean comes off in two steps, as above.
Tensor times_deviation(const Tensor& g, const Tensor& x, const DimList& dims) {
  const Dtype t = compute_dtype(x.dtype());
  const Tensor m = mean(x, dims, true, Dtype::f64), near = m.to(t), by = g.to(t);
  const Tensor rest = where(isinf(near), 0, near - m).to(t);
  return addcmul(by * rest, by, x.to(t) - near);
}
}  // namespace

Tensor var(const Tensor& x, const DimList& dims, const VarOptions& o) {
  const OpName op("var");
  check_floating(op, x);
  const uint32_t mask = dims.mask(op, x.rank());
  Tensor y = cast(wide_var(x, mask, o), x.dtype());
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, std::move(y), {x}, [x = Saved(x), dims, mask, o](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x);
    Tensor g = c.grad().to(compute_dtype(a.dtype())) / (var_divisor(a, mask, o.correction) / 2);
    if (!o.keepdim) g = g.reshape(reduced_shape(a.shape(), mask, true));
    return {times_deviation(g, a, dims)};
  });
}
Tensor std(const Tensor& x, const DimList& dims, const VarOptions& o) {
  const OpName op("std");
  check_floating(op, x);
  const uint32_t mask = dims.mask(op, x.rank());
  Tensor y;
  {
    NoGrad guard;
    y = cast(sqrt(wide_var(x, mask, o)), x.dtype());
  }
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, y, {x}, [x = Saved(x), y = Saved::output(y), dims, mask, o](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x), s = c.get(y).to(compute_dtype(a.dtype()));
    Tensor zero = eq(s, 0);
    Tensor g = where(zero, 0, c.grad() / where(zero, 1, s)) / var_divisor(a, mask, o.correction);
    if (!o.keepdim) g = g.reshape(reduced_shape(a.shape(), mask, true));
    return {times_deviation(g, a, dims)};
  });
}

Tensor any(const Tensor& x, const DimList& dims, Only<bool> keepdim) {
  const OpName op("any");
  return detail::reduce<fn::Any>(x, dims.mask("any", x.rank()), keepdim, Dtype::boolean);
}
Tensor all(const Tensor& x, const DimList& dims, Only<bool> keepdim) {
  const OpName op("all");
  return detail::reduce<fn::All>(x, dims.mask("all", x.rank()), keepdim, Dtype::boolean);
}
Tensor count_nonzero(const Tensor& x, const DimList& dims) {
  const OpName op("count_nonzero");
  return detail::reduce<fn::Sum>(ne(x, 0), dims.mask("count_nonzero", x.rank()), false, Dtype::i64);
}

namespace {
/// amax and amin: equal extremes share the gradient. Where the extreme is NaN nothing equals it: the gradient is NaN,
/// or what is NaN shares it (max and min of everything).
template <class F> Tensor extreme(const char* op, const Tensor& x, const DimList& dims, bool keepdim, bool share_nan) {
  const uint32_t mask = dims.mask(op, x.rank(op));
  check_not_empty(op, x, mask);
  Tensor y = detail::reduce<F>(x, mask, keepdim, x.dtype());
  if (!recording(x)) return unrecorded(op, std::move(y));
  return record(op, y, {x}, [x = Saved(x), y = Saved::output(y), mask, share_nan](BackwardCtx& c) -> Grads {
    Tensor a = c.get(x);
    const Shape kept = reduced_shape(a.shape(), mask, true);
    const Tensor extremum = c.get(y).reshape(kept), none = isnan(extremum);
    Tensor at = eq(a, extremum);
    if (share_nan) at = logical_or(at, logical_and(none, isnan(a)));
    Tensor ties = detail::reduce<fn::Sum>(at, mask, true, Dtype::i64);
    const Tensor g = c.grad().reshape(kept);
    return {where(at, g / ties.to(g.dtype()), share_nan ? zeros_like(g) : where(none, NAN, zeros_like(g)))};
  });
}

/// Position of the extreme along `dim`, and its value if `values` is asked for.
ValuesIndices locate(const char* op, const Tensor& x, int dim, bool keepdim, bool largest, bool want_values) {
  const uint32_t mask = x.rank() ? 1u << dim : 0;
  check_not_empty(op, x, mask);
  Reduced index(x, mask, keepdim, Dtype::i64);
  Reduced value(x, mask, keepdim, x.dtype());
  kernels::arg_extreme(x.device(), want_values ? value.ref() : MutTensorRef{}, index.ref(), ref(x), dim, largest);
  return {want_values ? std::move(value.y) : Tensor(), std::move(index.y)};
}
ValuesIndices extreme_along(const char* op, const Tensor& x, int64_t dim_in, bool keepdim, bool largest) {
  const int dim = wrap_dim(op, dim_in, x.rank(op));
  ValuesIndices r = locate(op, x, dim, keepdim, largest, true);
  if (!recording(x)) return r;
  r.values = record(op, std::move(r.values), {x}, [shape = x.shape(), index = Saved(r.indices, "indices"), dim](BackwardCtx& c) -> Grads {
    if (shape.empty()) return {c.grad()};
    const Shape kept = reduced_shape(shape, 1u << dim, true);
    Shape line = Shape::filled(shape.size(), 1);
    line[dim] = shape[dim];
    Tensor at = eq(arange(0, shape[dim], 1, {Dtype::i64, c.grad().device()}).reshape(line), c.get(index).reshape(kept));
    return {where(at, c.grad().reshape(kept), 0)};
  });
  return r;
}
Tensor arg_extreme(const char* op, const Tensor& x, std::optional<int64_t> dim, bool keepdim, bool largest) {
  WEFT_CHECK(x.dtype(op) != Dtype::boolean, DtypeError, op, ": not defined for bool");
  if (dim) return locate(op, x, wrap_dim(op, *dim, x.rank()), keepdim, largest, false).indices;
  Tensor flat = x.detach().reshape({-1});
  Tensor y = locate(op, flat, 0, false, largest, false).indices;
  return keepdim ? y.reshape(Shape::filled(x.rank(), 1)) : y;
}
}  // namespace

Tensor amax(const Tensor& x, const DimList& dims, Only<bool> keepdim) {
  return extreme<fn::Max>("amax", x, dims, keepdim, false);
}
Tensor amin(const Tensor& x, const DimList& dims, Only<bool> keepdim) {
  return extreme<fn::Min>("amin", x, dims, keepdim, false);
}
Tensor max(const Tensor& x) { return extreme<fn::Max>("max", x, {}, false, true); }
Tensor min(const Tensor& x) { return extreme<fn::Min>("min", x, {}, false, true); }
Tensor max(const Tensor& x, const Tensor& y) {
  const OpName op("max");
  return maximum(x, y);
}
Tensor min(const Tensor& x, const Tensor& y) {
  const OpName op("min");
  return minimum(x, y);
}
ValuesIndices max(const Tensor& x, Int dim, Only<bool> keepdim) { return extreme_along("max", x, dim, keepdim, true); }
ValuesIndices min(const Tensor& x, Int dim, Only<bool> keepdim) { return extreme_along("min", x, dim, keepdim, false); }
Tensor argmax(const Tensor& x, std::optional<Int> dim, Only<bool> keepdim) {
  return arg_extreme("argmax", x, dim, keepdim, true);
}
Tensor argmin(const Tensor& x, std::optional<Int> dim, Only<bool> keepdim) {
  return arg_extreme("argmin", x, dim, keepdim, false);
}

}  // namespace weft
