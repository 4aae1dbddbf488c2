#include "weft/autograd/ops/index/index_write.h"

#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/index/index_lookup.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"

namespace weft {

using detail::at_least_1d;
using detail::Lookup;

namespace {

// x, its index and what is written lie together, in one dtype.
void check_writes(const char* op, const Tensor& x, const Tensor& index, const Tensor& src) {
  check_defined(op, x, index, src);
  WEFT_CHECK(index.device() == x.device() && src.device() == x.device(), DeviceError, op, ": x is on ", x.device(),
             ", index on ", index.device(), ", what is written on ", src.device());
  WEFT_CHECK(src.dtype() == x.dtype(), DtypeError, op, ": x is ", x.dtype(), " but what is written ", src.dtype());
}

}  // namespace

Tensor index_fill(const Tensor& x, Int dim, const Tensor& index, const Tensor& given) {
  const OpName op("index_fill");
  check_defined(op, x, index, given);
  WEFT_CHECK(given.rank() == 0, ShapeError, "value must have rank 0, got ", given.shape());
  WEFT_CHECK(index.rank() <= 1, ShapeError, "index must have rank 0 or 1, got ", index.shape());
  const Tensor value = given.to(x.dtype());
  check_writes(op, x, index, value);
  const int d = wrap_dim(op, dim, x.rank());
  if (x.rank() == 0) return index_fill(x.reshape({1}), 0, index, value).reshape({});
  const Lookup l(op, x.shape(), {d}, {at_least_1d(index)}, true);
  Tensor y = x.detach().clone();
  detail::lookup_put(y, l, value.detach().expand(l.result()), false);
  return record(op, y, {x, value}, [d, n = x.size(d), i = Saved(index, "index")](BackwardCtx& c) -> Grads {
    const Tensor at = c.get(i);
    Tensor gx, gv;
    if (c.needs(0)) gx = index_fill(c.grad(), d, at, 0);
    if (c.needs(1)) {  // each place once, however often it is named
      Shape line = Shape::filled(c.grad().rank(), 1);
      line[d] = n;
      const Tensor filled = index_fill(zeros({n}, {Dtype::boolean, at.device()}), 0, at, true).reshape(line);
      gv = sum(where(filled, c.grad(), 0), {}, false, c.grad().dtype());
    }
    return {gx, gv};
  });
}

Tensor index_fill(const Tensor& x, Int dim, const Tensor& index, Scalar value) {
  const OpName op("index_fill");
  check_defined(op, x, index);
  detail::check_holds(op, value, x.dtype());
  return index_fill(x, dim, index, detail::number(value, x.options()));
}

Tensor index_copy(const Tensor& x, Int dim, const Tensor& index, const Tensor& given) {
  const OpName op("index_copy");
  check_writes(op, x, index, given);
  WEFT_CHECK(index.rank() <= 1, ShapeError, "index must have rank 0 or 1, got ", index.shape());
  const int d = wrap_dim(op, dim, x.rank());
  if (x.rank() == 0) return index_copy(x.reshape({1}), 0, index, at_least_1d(given)).reshape({});
  const Tensor src = x.rank() == 1 ? at_least_1d(given) : given;
  const Lookup l(op, x.shape(), {d}, {at_least_1d(index)}, false);
  WEFT_CHECK(src.shape() == l.result(), ShapeError, "src is ", src.shape(), " but x ", x.shape(), " with ",
             index.numel(), " indices along axis ", d, " expects ", l.result());
  Tensor y = x.detach().clone();
  detail::lookup_put(y, l, src, false);
  return record(op, y, {x, src}, [d, i = Saved(index, "index")](BackwardCtx& c) -> Grads {
    const Tensor at = c.get(i);
    return {c.needs(0) ? index_fill(c.grad(), d, at, 0) : Tensor(),
            c.needs(1) ? index_select(c.grad(), d, at) : Tensor()};
  });
}

Tensor put(const Tensor& x, const Tensor& index, const Tensor& src, Only<bool> accumulate) {
  const OpName op("put");
  check_writes(op, x, index, src);
  WEFT_CHECK(kIndexDtypes.has(index.dtype()), DtypeError, "index is ", index.dtype(), "; expected ", kIndexDtypes);
  WEFT_CHECK(src.numel() == index.numel(), ShapeError, "src has ", src.numel(), " elements for ", index.numel(),
             " indices");
  const Tensor at = index.flatten();
  return index_put(x.flatten(), {at}, src.flatten(), accumulate).reshape(x.shape());
}

Tensor masked_scatter(const Tensor& x, const Tensor& mask, const Tensor& src) {
  const OpName op("masked_scatter");
  check_writes(op, x, mask, src);
  WEFT_CHECK(mask.dtype() == Dtype::boolean, DtypeError, "mask is ", mask.dtype(), "; expected bool");
  const Shape shape = broadcast_shapes(op, x.shape(), mask.shape());
  const Tensor at = nonzero(mask.expand(shape).flatten()).select(1, 0);
  WEFT_CHECK(at.numel() <= src.numel(), ValueError, "src has ", src.numel(), " elements for ", at.numel(), " places");
  return index_put(x.expand(shape).flatten(), {at}, src.flatten().narrow(0, 0, at.numel())).reshape(shape);
}

Tensor argwhere(const Tensor& x) {
  const OpName op("argwhere");
  return nonzero(x);
}

}  // namespace weft
