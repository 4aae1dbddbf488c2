#include "weft/autograd/ops/index/scatter_reduce.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/index/index_lookup.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/autograd/ops/refuse.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"

namespace weft {

using detail::at_least_1d;

namespace {

/// Where elements of src go along an axis: an index per element, or one per slice (`slices`).
struct Targets {
  const char* op;
  int dim;
  bool slices;
  Tensor index;  // i64; src's shape, or [n]

  /// What lies at the targets: src's shape.
  Tensor take(const Tensor& x) const { return slices ? index_select(x, dim, index) : gather(x, dim, index); }
  Tensor add(const Tensor& x, const Tensor& src) const {
    return slices ? index_add(x, dim, index, src) : scatter_add(x, dim, index, src);
  }
  /// Number of elements that go to each place of x; broadcasts to x.
  Tensor counts(const Tensor& x) const {
    const TensorOptions o(Dtype::i64, x.device());
    if (!slices) return add(zeros(x.shape(), o), ones(index.shape(), o));
    Shape line = Shape::filled(x.rank(), 1);
    line[dim] = x.size(dim);
    return index_add(zeros({x.size(dim)}, o), 0, index, ones(index.shape(), o)).reshape(line);
  }
  /// The index as a tensor that broadcasts to src.
  Tensor keys(int rank) const {
    if (!slices) return index;
    Shape line = Shape::filled(rank, 1);
    line[dim] = index.numel();
    return index.reshape(line);
  }
};

Tensor combined(ScatterReduce reduce, const Tensor& a, const Tensor& b) {
  return reduce == ScatterReduce::prod ? a * b : reduce == ScatterReduce::amax ? maximum(a, b) : minimum(a, b);
}

/// The reduction of src alone at each place of x, 0 where nothing goes. Elements of one target are brought together by
/// a stable sort; each then takes in its neighbours of the same target at distances 1, 2, 4, ..., so that the last one
/// holds all.
Tensor reduced_source(const Targets& t, const Tensor& x, const Tensor& src, ScatterReduce reduce) {
  const int d = t.dim;
  const ValuesIndices order = sort(t.index, t.slices ? 0 : d);
  const Targets sorted{t.op, d, t.slices, order.values};
  Tensor v = Targets{t.op, d, t.slices, order.indices}.take(src);
  const Tensor keys = sorted.keys(x.rank());
  const int64_t n = v.size(d);
  auto same_at = [&](int64_t step) { return eq(keys.narrow(d, step, n - step), keys.narrow(d, 0, n - step)); };
  for (int64_t step = 1; step < n; step *= 2) {
    const Tensor same = same_at(step);
    if (detail::values_at_hand(same) && !any(same).item<bool>()) break;  // elsewhere all steps cost less than a look
    const Tensor later = v.narrow(d, step, n - step);
    v = cat({v.narrow(d, 0, step), where(same, combined(reduce, later, v.narrow(d, 0, n - step)), later)}, d);
  }
  Shape end = keys.shape();
  end[d] = 1;
  const Tensor last = cat({logical_not(same_at(1)), ones(end, {Dtype::boolean, x.device()})}, d);
  return sorted.add(zeros(x.shape(), x.options()), where(last, v, 0));
}

/// sum and mean: their parts have the gradients.
Tensor summed(const Targets& t, const Tensor& x, const Tensor& src, bool mean, bool include_self) {
  const Tensor counts = t.counts(x), touched = gt(counts, 0);
  const Tensor y = t.add(include_self ? x : where(touched, 0, x), src);
  if (!mean) return y;
  const Tensor divisor = include_self ? counts + 1 : where(touched, counts, 1);
  return x.is_floating() ? y / divisor.to(x.dtype()) : div(y, divisor, RoundingMode::floor).to(x.dtype());
}

/// The others, in compute dtypes.
Tensor chosen(const Targets& t, const Tensor& x, const Tensor& src, ScatterReduce reduce, bool include_self) {
  const Tensor touched = gt(t.counts(x), 0);  // first: this is where a bad index is found
  const auto value = [&] {
    const Tensor r = reduced_source(t, x, src, reduce);
    return where(touched, include_self ? combined(reduce, x, r) : r, x);
  };
  if (reduce == ScatterReduce::prod) return value();
  Tensor y;
  {
    NoGrad off;
    y = value();
  }
  return record(t.op, y, {x, src},
                [t, include_self, touched, x = Saved(x), src = Saved(src, "src"), y = Saved::output(y),
                 i = Saved(t.index, "index")](BackwardCtx& c) -> Grads {
                  (void)c.get(i);
                  const Tensor extreme = c.get(y), &g = c.grad();
                  Tensor own = eq(c.get(x), extreme);
                  if (!include_self) own = logical_and(own, logical_not(touched));
                  // where NaN won nothing equals it, and all get 0 * (g / 0): NaN
                  const Tensor mine = own.to(g.dtype()), theirs = eq(c.get(src), t.take(extreme)).to(g.dtype());
                  const Tensor share = g / t.add(mine, theirs);
                  return {mine * share, c.needs(1) ? theirs * t.take(share) : Tensor()};
                });
}

/// After all checks.
Tensor reduced(const Targets& t, const Tensor& x, const Tensor& src, ScatterReduce reduce, bool include_self) {
  const Dtype dtype = x.dtype(), wide = compute_dtype(dtype);
  if (dtype == Dtype::boolean) {
    WEFT_CHECK(reduce != ScatterReduce::mean, DtypeError, t.op, ": bool has no mean; convert with to(dtype)");
    const bool either = reduce == ScatterReduce::sum || reduce == ScatterReduce::amax;
    return chosen(t, x.to(Dtype::u8), src.to(Dtype::u8), either ? ScatterReduce::amax : ScatterReduce::amin,
                  include_self)
        .to(dtype);
  }
  const bool mean = reduce == ScatterReduce::mean;
  const Tensor a = x.to(wide), b = src.to(wide);
  return (mean || reduce == ScatterReduce::sum ? summed(t, a, b, mean, include_self)
                                               : chosen(t, a, b, reduce, include_self))
      .to(dtype);
}

void check_sources(const char* op, const Tensor& x, const Tensor& index, const Tensor& src) {
  check_defined(op, x, index, src);
  WEFT_CHECK(index.device() == x.device() && src.device() == x.device(), DeviceError, op, ": x is on ", x.device(),
             ", index on ", index.device(), ", src on ", src.device());
  WEFT_CHECK(kIndexDtypes.has(index.dtype()), DtypeError, op, ": index is ", index.dtype(), "; expected ",
             kIndexDtypes);
  WEFT_CHECK(src.dtype() == x.dtype(), DtypeError, op, ": x is ", x.dtype(), " but src ", src.dtype());
}

}  // namespace

Tensor scatter_reduce(const Tensor& x, Int dim, const Tensor& index, const Tensor& src, Choice<ScatterReduce> reduce,
                      Only<bool> include_self) {
  const OpName op("scatter_reduce");
  check_sources(op, x, index, src);
  const int d = wrap_dim(op, dim, x.rank());
  if (x.rank() == 0)
    return scatter_reduce(x.reshape({1}), 0, at_least_1d(index), at_least_1d(src), reduce, include_self).reshape({});
  if (index.numel() == 0) return x.clone();
  const Tensor at = x.rank() == 1 ? at_least_1d(index) : index;
  Tensor from = x.rank() == 1 ? at_least_1d(src) : src;
  WEFT_CHECK(at.rank() == x.rank() && from.rank() == x.rank(), ShapeError, "index ", index.shape(), " and src ",
             src.shape(), " must have the rank of ", x.shape());
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t n = at.size(i);
    WEFT_CHECK(n <= from.size(i) && (i == d || n <= x.size(i)), ShapeError, "index ", index.shape(), " exceeds src ",
               src.shape(), " or, but along axis ", d, ", x ", x.shape());
    if (n < from.size(i)) from = from.narrow(i, 0, n);
  }
  return reduced({op, d, false, at.to(Dtype::i64)}, x, from, reduce, include_self);
}

Tensor index_reduce(const Tensor& x, Int dim, const Tensor& index, const Tensor& src, Choice<ScatterReduce> reduce,
                    Only<bool> include_self) {
  const OpName op("index_reduce");
  check_sources(op, x, index, src);
  WEFT_CHECK(reduce != ScatterReduce::sum, ValueError,
             "reduce must be prod, mean, amax or amin; use index_add for sums");
  WEFT_CHECK(x.dtype() != Dtype::boolean, DtypeError, "not defined for bool; convert with to(dtype)");
  WEFT_CHECK(index.rank() <= 1, ShapeError, "index must have rank 0 or 1, got ", index.shape());
  const int d = wrap_dim(op, dim, x.rank());
  if (x.rank() == 0) return index_reduce(x.reshape({1}), 0, index, at_least_1d(src), reduce, include_self).reshape({});
  const Tensor from = x.rank() == 1 ? at_least_1d(src) : src;
  Shape expected = x.shape();
  expected[d] = index.numel();
  WEFT_CHECK(from.shape() == expected, ShapeError, "src is ", src.shape(), " but x ", x.shape(), " with ",
             index.numel(), " indices along axis ", d, " expects ", expected);
  if (from.numel() == 0) return x.clone();
  return reduced({op, d, true, at_least_1d(index).to(Dtype::i64)}, x, from, reduce, include_self);
}

}  // namespace weft
