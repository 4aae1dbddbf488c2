#include "weft/autograd/ops/reduce/search.h"

#include <cmath>
#include <limits>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/common.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/scan.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/core/kernels/order.h"

namespace weft {
namespace {
using namespace detail;

/// searchsorted of values and a sorted line of one dtype.
Tensor search_places(const Tensor& line, const Tensor& values, bool right, Dtype dtype) {
  const Tensor s = line.contiguous(), v = values.contiguous();
  Tensor at = empty(v.shape(), {dtype, v.device()});
  kernels::search_sorted(v.device(), mut_ref(at), ref(s), ref(v), right);
  return at;
}

Tensor search(const char* op, const Tensor& sequence, const Tensor& values, const SearchOptions& o) {
  const OpName name(op);
  check_defined(op, sequence, values);
  kernels::detail::check_same_device(op, sequence, values);
  const Shape &s = sequence.shape(), &v = values.shape();
  WEFT_CHECK(s.size() > 0, ShapeError, "the sorted sequence must have an axis, got rank 0");
  WEFT_CHECK(s.size() == 1 || (s.size() == v.size() && s.slice(0, s.size() - 1) == v.slice(0, v.size() - 1)),
             ShapeError, op, ": a sequence ", s, " does not fit values ", v,
             "; expects rank 1, or the same axes but the last");
  NoGrad guard;
  const Dtype d = promote(sequence.dtype(), values.dtype());
  Tensor line = cast(sequence, d);
  if (o.sorter.defined()) {
    WEFT_CHECK(o.sorter.shape() == s, ShapeError, "the sorter ", o.sorter.shape(), " is not of the sequence's shape ",
               s);
    WEFT_CHECK(o.sorter.dtype() == Dtype::i64, DtypeError, "the sorter must be i64, got ", o.sorter.dtype());
    line = gather(line, -1, o.sorter);
  }
  return search_places(line, cast(values, d), o.right, o.out_int32 ? Dtype::i32 : Dtype::i64);
}

}  // namespace

Tensor searchsorted(const Tensor& sorted_sequence, const Tensor& values, const SearchOptions& o) {
  return search("searchsorted", sorted_sequence, values, o);
}
Tensor searchsorted(const Tensor& sorted_sequence, Scalar value, const SearchOptions& o) {
  const OpName op("searchsorted");
  return search(op, sorted_sequence, detail::number_beside(op, value, sorted_sequence), o);
}
Tensor bucketize(const Tensor& x, const Tensor& boundaries, const SearchOptions& o) {
  const OpName op("bucketize");
  check_defined(op, x, boundaries);
  WEFT_CHECK(boundaries.rank() == 1, ShapeError, "boundaries must be of rank 1, got ", boundaries.shape());
  WEFT_CHECK(!o.sorter.defined(), ValueError, "takes no sorter; sort the boundaries");
  return search(op, boundaries, x, o);
}

Tensor bucketize(Scalar x, const Tensor& boundaries, const SearchOptions& o) {
  return bucketize(detail::number_beside("bucketize", x, boundaries), boundaries, o);
}

Tensor isin(const Tensor& elements, const Tensor& test_elements, const IsinOptions& o) {
  const OpName op("isin");
  check_defined(op, elements, test_elements);
  kernels::detail::check_same_device(op, elements, test_elements);
  NoGrad guard;
  const Dtype d = promote(elements.dtype(), test_elements.dtype());
  const Tensor x = cast(elements, d).reshape({-1}), among = sort(cast(test_elements, d).reshape({-1}), 0).values;
  const int64_t n = among.numel();
  if (n == 0) return full(elements.shape(), o.invert, {Dtype::boolean, elements.device()});
  const Tensor found = eq(gather(among, 0, clamp(search_places(among, x, false, Dtype::i64), {}, n - 1)), x);
  return (o.invert ? logical_not(found) : found).reshape(elements.shape());
}
Tensor isin(const Tensor& elements, Scalar test_element, const IsinOptions& o) {
  check_defined("isin", elements);
  return o.invert ? ne(elements, test_element) : eq(elements, test_element);
}
Tensor isin(Scalar element, const Tensor& test_elements, const IsinOptions& o) {
  check_defined("isin", test_elements);
  const Tensor found = any(eq(test_elements, element));
  return o.invert ? logical_not(found) : found;
}

Tensor isclose(const Tensor& x, const Tensor& y, double rtol, double atol, Only<bool> equal_nan) {
  const OpName op("isclose");
  check_operands(op, x, y);
  WEFT_CHECK(x.dtype() == y.dtype(), DtypeError, "dtypes differ: ", x.dtype(), " and ", y.dtype());
  WEFT_CHECK(rtol >= 0 && atol >= 0, ValueError, "tolerances must not be negative, got rtol ", rtol, " and atol ",
             atol);
  NoGrad guard;
  const Tensor a = x.to(Dtype::f64), b = y.to(Dtype::f64), distance = abs(a - b);
  const Tensor near = logical_and(isfinite(distance), le(distance, abs(b) * rtol + atol));
  const Tensor close = logical_or(eq(x, y), near);
  return equal_nan ? logical_or(close, logical_and(isnan(a), isnan(b))) : close;
}

UniqueResult unique_consecutive(const Tensor& in, const UniqueOptions& o) {
  const OpName op("unique_consecutive");
  check_defined(op, in);
  NoGrad guard;
  const int d = o.dim ? wrap_dim(op, *o.dim, in.rank()) : 0;
  const Tensor x = o.dim && in.rank() ? in.detach() : in.detach().reshape({-1});
  const int64_t n = x.size(d);
  WEFT_CHECK(n == 0 || x.numel() > 0, ShapeError, "the slices of ", in.shape(), " along axis ", d, " are empty");
  const TensorOptions count{Dtype::i64, x.device()};
  UniqueResult r;
  Tensor first = zeros({0}, {Dtype::boolean, x.device()});  // does a run begin here?
  if (n > 0) {
    const Tensor differs =
        ne(x.narrow(d, 1, n - 1), x.narrow(d, 0, n - 1)).movedim(d, 0).reshape({n - 1, x.numel() / n});
    first = cat({ones({1}, {Dtype::boolean, x.device()}), any(differs, 1)});
  }
  const Tensor starts = nonzero(first).reshape({-1});
  r.output = index_select(x, d, starts);
  if (o.return_inverse) r.inverse_indices = (cumsum(first, 0) - 1).reshape(o.dim ? Shape{n} : in.shape());
  if (o.return_counts)
    r.counts = n == 0 ? starts : cat({starts.narrow(0, 1, starts.numel() - 1), full({1}, n, count)}) - starts;
  return r;
}

UniqueResult unique(const Tensor& in, const UniqueOptions& o) {
  const OpName op("unique");
  check_defined(op, in);
  NoGrad guard;
  const int d = o.dim ? wrap_dim(op, *o.dim, in.rank()) : 0;
  const Tensor x = o.dim && in.rank() ? in.detach() : in.detach().reshape({-1});
  const int64_t n = x.size(d), length = n == 0 ? 0 : x.numel() / n;
  WEFT_CHECK(n == 0 || length > 0, ShapeError, "the slices of ", in.shape(), " along axis ", d, " are empty");
  const Tensor columns = x.movedim(d, 0).reshape({n, length}).t().contiguous();
  Tensor order = arange(0, n, 1, {Dtype::i64, x.device()});
  // sorts keep the order of equals: the last one, by the first element, counts most
  for (int64_t i = length; i-- > 0;)
    order = index_select(order, 0, argsort(index_select(columns.select(0, i), 0, order), 0));
  UniqueResult r = unique_consecutive(index_select(x, d, order),
                                      {.return_inverse = o.return_inverse, .return_counts = o.return_counts, .dim = d});
  if (o.return_inverse)
    r.inverse_indices = scatter(order, 0, order, r.inverse_indices).reshape(o.dim ? Shape{n} : in.shape());
  return r;
}

Tensor bincount(const Tensor& x, const Tensor& weights, Int minlength) {
  const OpName op("bincount");
  check_defined(op, x);
  WEFT_CHECK(!x.is_floating() && x.dtype() != Dtype::boolean, DtypeError, "expects integers, got ", x.dtype());
  WEFT_CHECK(x.rank() == 1, ShapeError, "expects rank 1, got ", x.shape());
  WEFT_CHECK(minlength >= 0, ValueError, "minlength must not be negative, got ", minlength);
  WEFT_CHECK(!weights.defined() || weights.shape() == x.shape(), ShapeError, "weights are ",
             weights.defined() ? weights.shape() : Shape{}, " but x is ", x.shape());
  NoGrad guard;
  int64_t size = minlength;
  if (x.numel() > 0) {
    const int64_t least = min(x).item<int64_t>(), most = max(x).item<int64_t>();
    WEFT_CHECK(least >= 0, ValueError, least, " is negative");
    WEFT_CHECK(most < std::numeric_limits<int64_t>::max(), ValueError, "there is no room for ", most,
               " and all counts below");
    size = std::max(size, most + 1);
  }
  const Dtype d = !weights.defined() ? Dtype::i64 : weights.dtype() == Dtype::f32 ? Dtype::f32 : Dtype::f64;
  const TensorOptions at{d, x.device()};
  return index_add(zeros({size}, at), 0, x.to(Dtype::i64), weights.defined() ? cast(weights, d) : ones(x.shape(), at));
}

Tensor histc(const Tensor& in, const HistcOptions& o) {
  const OpName op("histc");
  check_defined(op, in);
  WEFT_CHECK(in.is_floating(), DtypeError, "expects a floating dtype, got ", in.dtype(), "; convert with to()");
  WEFT_CHECK(o.bins > 0 && o.bins < kTooManyElements, ValueError, "bins must be positive and below 2^59, got ", o.bins);
  NoGrad guard;
  const Tensor x = cast(in.detach(), compute_dtype(in.dtype())).reshape({-1});
  double low = o.min, high = o.max;
  if (low == high && x.numel() > 0) low = min(x).item<double>(), high = max(x).item<double>();
  WEFT_CHECK(std::isfinite(low) && std::isfinite(high), ValueError, "the range [", low, ", ", high, "] is not finite");
  if (low == high) low -= 1, high += 1;
  WEFT_CHECK(low < high, ValueError, "max ", high, " is less than min ", low);
  const Tensor inside = logical_and(ge(x, low), le(x, high));
  const Tensor part = (where(inside, x, low) - low) * static_cast<double>(o.bins) / (high - low);
  const Tensor bin = where(inside, clamp(part.to(Dtype::i64), {}, o.bins - 1), o.bins);
  return bincount(bin, {}, o.bins + 1).narrow(0, 0, o.bins).to(in.dtype());
}

}  // namespace weft
