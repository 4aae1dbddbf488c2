#include "weft/autograd/ops/index/index.h"

#include <cmath>
#include <limits>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/index/index_lookup.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {

using detail::at_least_1d;
using detail::Lookup;

namespace {

void check_index_dtype(const char* op, const Tensor& index) {
  WEFT_CHECK(kIndexDtypes.has(index.dtype(op)), DtypeError, op, ": index is ", index.dtype(), "; expected ",
             kIndexDtypes);
}

// Bytes become i64.
Tensor widened(const Tensor& index) { return index.dtype() == Dtype::u8 ? index.to(Dtype::i64) : index; }

}  // namespace

Tensor index_select(const Tensor& x, Int dim, const Tensor& index) {
  const OpName op("index_select");
  const int d = wrap_dim(op, dim, x.rank());
  WEFT_CHECK(index.rank() <= 1, ShapeError, "index must have rank 0 or 1, got ", index.shape());
  if (x.rank() == 0) return index_select(x.reshape({1}), 0, index).reshape({});
  return detail::lookup(x, Lookup(op, x.shape(), {d}, {at_least_1d(index)}, false));
}

namespace {
/// The dtype that elements of d are added in; bools are added as integers, so that any true one counts.
Dtype sum_type(Dtype d) { return d == Dtype::boolean ? Dtype::i32 : compute_dtype(d); }
}  // namespace

Tensor index_add(const Tensor& x, Int dim, const Tensor& index, const Tensor& src, Scalar factor) {
  const OpName op("index_add");
  const Scalar alpha = x.dtype(op) == Dtype::boolean ? Scalar(factor.to<bool>()) : factor;
  const int d = wrap_dim(op, dim, x.rank());
  WEFT_CHECK(index.rank() <= 1, ShapeError, "index must have rank 0 or 1, got ", index.shape());
  WEFT_CHECK(src.dtype() == x.dtype(), DtypeError, "x is ", x.dtype(), " but src ", src.dtype());
  WEFT_CHECK(x.is_floating() || alpha.to_double() == std::trunc(alpha.to_double()), ValueError, "alpha=", alpha,
             " must be an integer for dtype ", x.dtype());
  if (x.rank() == 0) return index_add(x.reshape({1}), 0, index, at_least_1d(src), alpha).reshape({});
  const Lookup l(op, x.shape(), {d}, {at_least_1d(index)}, false);
  WEFT_CHECK(src.shape() == l.result(), ShapeError, "src is ", src.shape(), " but x ", x.shape(), " with ",
             index.numel(), " indices along axis ", d, " expects ", l.result());
  const Dtype compute = sum_type(x.dtype());
  Tensor y = x.detach().to(compute);
  if (y.is_same(x) || compute == x.dtype()) y = y.clone();
  Tensor add = src.detach().to(compute);
  const bool scaled = alpha.to_double() != 1;
  detail::lookup_put(y, l, !scaled ? add : mul(add, detail::number(alpha, add.options())), true);
  return record(op, y.to(x.dtype()), {x, src},
                [d, index, alpha, scaled, i = Saved(index, "index")](BackwardCtx& c) -> Grads {
                  (void)c.get(i);
                  Tensor gs = c.needs(1) ? index_select(c.grad(), d, index) : Tensor();
                  return {c.grad(), gs.defined() && scaled ? mul(gs, alpha) : gs};
                });
}

namespace {

// gather, with errors in the name of `op`.
Tensor gather_as(const char* op, const Tensor& x, int64_t dim, const Tensor& index) {
  const int d = wrap_dim(op, dim, x.rank());
  if (index.dtype() == Dtype::u8) return gather_as(op, x, dim, widened(index));
  check_index_dtype(op, index);
  if (x.rank() == 0 || index.rank() == 0) {
    WEFT_CHECK(x.rank() <= 1 && index.rank() <= 1, ShapeError, op, ": index ", index.shape(), " must have the rank of ",
               x.shape());
    return gather_as(op, at_least_1d(x), 0, at_least_1d(index)).reshape(index.shape());
  }
  WEFT_CHECK(index.rank() == x.rank() || index.numel() == 0, ShapeError, op, ": index ", index.shape(),
             " must have the rank of ", x.shape());
  Tensor y = empty(index.shape(), x.options());
  if (y.numel() > 0) {
    for (int i = 0; i < x.rank(); ++i)
      WEFT_CHECK(i == d || index.shape()[i] <= x.shape()[i], ShapeError, op, ": index ", index.shape(), " exceeds ",
                 x.shape(), " along axis ", i);
    kernels::gather(x.device(), mut_ref(y), ref(x), ref(index), d, op);
  }
  return record(op, y, {x}, [d, shape = x.shape(), i = Saved(index, "index")](BackwardCtx& c) -> Grads {
    return {scatter_add(zeros(shape, c.grad().options()), d, c.get(i), c.grad())};
  });
}

}  // namespace

Tensor gather(const Tensor& x, Int dim, const Tensor& index) {
  const OpName op("gather");
  check_defined(op, x, index);
  return gather_as(op, x, dim, index);
}

namespace {

// What scatter and scatter_add share: checks, then the kernel on a copy of x; src with index's shape.
Tensor scatter_into(const char* op, const Tensor& x, int d, const Tensor& index, const Tensor& src, bool accumulate) {
  const Dtype compute = accumulate ? sum_type(x.dtype()) : x.dtype();
  Tensor y = x.detach().to(compute), from = src.detach().to(compute);
  if (compute == x.dtype()) y = y.clone();
  kernels::scatter(x.device(), mut_ref(y), ref(index), ref(from), d, accumulate, op);
  return y.to(x.dtype());
}

// Checks the shapes; src cut to index's shape, which is all that is read.
Tensor scatter_source(const char* op, const Tensor& x, int d, const Tensor& index, const Tensor& src) {
  check_index_dtype(op, index);
  WEFT_CHECK(src.dtype() == x.dtype(), DtypeError, op, ": x is ", x.dtype(), " but src ", src.dtype());
  if (index.numel() == 0) return src;
  WEFT_CHECK(index.rank() == x.rank() && src.rank() == x.rank(), ShapeError, op, ": index ", index.shape(), " and src ",
             src.shape(), " must have the rank of ", x.shape());
  Tensor cut = src;
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t n = index.shape()[i];
    WEFT_CHECK(n <= src.shape()[i] && (i == d || n <= x.shape()[i]), ShapeError, op, ": index ", index.shape(),
               " exceeds src ", src.shape(), " or, but along axis ", d, ", x ", x.shape());
    if (n < src.shape()[i]) cut = cut.narrow(i, 0, n);
  }
  return cut;
}

}  // namespace

Tensor scatter_add(const Tensor& x, Int dim, const Tensor& index, const Tensor& src) {
  const OpName op("scatter_add");
  const int d = wrap_dim(op, dim, x.rank());
  if (x.rank() == 0) return scatter_add(x.reshape({1}), 0, at_least_1d(index), at_least_1d(src)).reshape({});
  const Tensor from = scatter_source(op, x, d, widened(at_least_1d(index)), at_least_1d(src)),
               at = widened(at_least_1d(index));
  if (index.numel() == 0) return x.clone();
  Tensor y = scatter_into(op, x, d, at, from, true);
  return record(op, y, {x, from}, [d, i = Saved(at, "index")](BackwardCtx& c) -> Grads {
    return {c.grad(), c.needs(1) ? gather(c.grad(), d, c.get(i)) : Tensor()};
  });
}

Tensor scatter(const Tensor& x, Int dim, const Tensor& index, const Tensor& src) {
  const OpName op("scatter");
  const int d = wrap_dim(op, dim, x.rank());
  if (x.rank() == 0) return scatter(x.reshape({1}), 0, at_least_1d(index), at_least_1d(src)).reshape({});
  const Tensor from = scatter_source(op, x, d, widened(at_least_1d(index)), at_least_1d(src)),
               at = widened(at_least_1d(index));
  if (index.numel() == 0) return x.clone();
  Tensor y = scatter_into(op, x, d, at, from, false);
  return record(op, y, {x, from}, [d, i = Saved(at, "index")](BackwardCtx& c) -> Grads {
    Tensor index = c.get(i);
    return {c.needs(0) ? scatter(c.grad(), d, index, 0) : Tensor(), c.needs(1) ? gather(c.grad(), d, index) : Tensor()};
  });
}

Tensor scatter(const Tensor& x, Int dim, const Tensor& index, Scalar value) {
  const OpName op("scatter");
  detail::check_holds(op, value, x.dtype());
  return scatter(x, dim, index, detail::number(value, x.options()).expand(index.shape()));
}

Tensor take_along_dim(const Tensor& x, const Tensor& indices, std::optional<Int> dim) {
  const OpName op("take_along_dim");
  if (!dim) return take_along_dim(x.flatten(), indices.flatten(), 0);
  check_defined(op, x, indices);
  WEFT_CHECK(x.rank() == indices.rank(), ShapeError, "indices ", indices.shape(), " must have the rank of ", x.shape());
  check_index_dtype(op, widened(indices));
  if (x.rank() == 0) return take_along_dim(x.reshape({1}), indices.reshape({1}), 0).reshape({});
  const int d = wrap_dim(op, *dim, x.rank());
  Shape a = x.shape(), b = indices.shape();
  a[d] = b[d] = 1;
  const Shape both = broadcast_shapes(op, a, b);
  Shape xs = both, is = both;
  xs[d] = x.shape()[d];
  is[d] = indices.shape()[d];
  const Tensor at = widened(indices);
  // no sum with what is not negative: the greatest index has none
  const Tensor wrapped = at + lt(at, 0).to(Dtype::i64) * x.shape()[d];
  return gather_as(op, x.expand(xs), d, wrapped.expand(is));
}

Tensor take(const Tensor& x, const Tensor& index) {
  const OpName op("take");
  check_index_dtype(op, index);
  return x.flatten().index({index.flatten()}).reshape(index.shape());
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value) {
  const OpName op("masked_fill");
  WEFT_CHECK(mask.dtype() == Dtype::boolean, DtypeError, "mask is ", mask.dtype(), "; expected bool");
  detail::check_holds(op, value, x.dtype());
  return where(mask, detail::number(value, x.options()), x);
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value) {
  const OpName op("masked_fill");
  WEFT_CHECK(mask.dtype() == Dtype::boolean, DtypeError, "mask is ", mask.dtype(), "; expected bool");
  WEFT_CHECK(value.rank() == 0, ShapeError, "value must have rank 0, got ", value.shape());
  return where(mask, value.to(x.dtype()), x);
}

Tensor nonzero(const Tensor& x) {
  Tensor count = empty({}, {Dtype::i64, x.device()});
  kernels::count_nonzero(x.device(), mut_ref(count), ref(x));
  Tensor y = empty({count.item<int64_t>(), x.rank()}, {Dtype::i64, x.device()});
  if (y.numel() > 0) kernels::nonzero(x.device(), mut_ref(y), ref(x));
  return y;
}

std::vector<Tensor> where(const Tensor& condition) {
  const OpName op("where");
  return nonzero(condition).unbind(1);
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  const OpName op("masked_select");
  WEFT_CHECK(mask.dtype() == Dtype::boolean, DtypeError, "mask is ", mask.dtype(), "; expected bool");
  const Shape shape = broadcast_shapes(op, x.shape(), mask.shape());
  const Tensor m = mask.expand(shape);
  return x.expand(shape).index({m});
}

Tensor one_hot(const Tensor& x, Int num_classes) {
  const OpName op("one_hot");
  check_index_dtype(op, x);
  int64_t classes = num_classes;
  if (num_classes == -1) {
    WEFT_CHECK(x.numel() > 0, ValueError, "num_classes is needed for an empty tensor");
    const int64_t most = max(x).item<int64_t>();
    WEFT_CHECK(most < std::numeric_limits<int64_t>::max(), ValueError, "there is no room for ", most,
               " and all classes below");
    classes = most + 1;
  }
  WEFT_CHECK(classes > 0, ValueError, "num_classes must be positive, got ", num_classes);
  Shape shape = x.shape();
  shape.push_back(classes);
  const Tensor index = x.contiguous();
  Tensor y = empty(shape, {Dtype::i64, x.device()});
  kernels::one_hot(x.device(), mut_ref(y), ref(index));
  return y;
}

}  // namespace weft
