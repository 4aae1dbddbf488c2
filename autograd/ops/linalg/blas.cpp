#include "weft/autograd/ops/linalg/blas.h"

#include <algorithm>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

void check_one_dtype(const char* op, const Tensor& a, const Tensor& b) {
  WEFT_CHECK(a.dtype() == b.dtype(), DtypeError, op, ": one tensor is ", a.dtype(), ", the other ", b.dtype(),
             "; convert one with to(dtype)");
  WEFT_CHECK(a.device() == b.device(), DeviceError, op, ": one tensor is on ", a.device(), ", the other on ",
             b.device());
}

/// beta input + alpha y, where y is the product.
Tensor add_product(const char* op, const Tensor& x, Tensor y, Scalar beta, Scalar alpha) {
  check_defined(op, x);
  WEFT_CHECK(broadcast_shapes(op, x.shape(), y.shape()) == y.shape(), ShapeError, op, ": input ", x.shape(),
             " does not broadcast to ", y.shape());
  check_one_dtype(op, x, y);
  if (!y.is_floating()) alpha = alpha.to<int64_t>(), beta = beta.to<int64_t>();
  if (alpha.to_double() != 1) y = y * alpha;
  if (beta.to_double() == 0) return y;
  return y + (beta.to_double() == 1 ? x : x * beta);
}

void check_batches(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, a, b);
  WEFT_CHECK(a.rank() == 3 && b.rank() == 3, ShapeError, op, ": expects two batches of matrices, got ", a.shape(),
             " and ", b.shape());
  WEFT_CHECK(a.size(0) == b.size(0), ShapeError, op, ": batch sizes differ: ", a.shape(), " x ", b.shape());
  WEFT_CHECK(a.size(2) == b.size(1), ShapeError, op, ": inner dimensions differ: ", a.shape(), " x ", b.shape());
}

}  // namespace

Tensor inner(const Tensor& a, const Tensor& b) {
  const OpName op("inner");
  check_defined(op, a, b);
  if (a.rank() == 0 || b.rank() == 0) return a * b;
  WEFT_CHECK(a.size(-1) == b.size(-1), ShapeError, "the last sizes of ", a.shape(), " and ", b.shape(), " differ");
  const Shape sa = a.shape().slice(0, a.rank() - 1), sb = b.shape().slice(0, b.rank() - 1);
  const Tensor y = matmul(a.reshape({sa.numel(), a.size(-1)}), b.reshape({sb.numel(), b.size(-1)}).t());
  return y.reshape(detail::joined(sa, sb));
}

Tensor kron(const Tensor& a, const Tensor& b) {
  const OpName op("kron");
  check_defined(op, a, b);
  const int rank = std::max(a.rank(), b.rank());
  auto size = [rank](const Tensor& x, int i) { return i < rank - x.rank() ? 1 : x.size(i - (rank - x.rank())); };
  // an axis of a beside each axis of b; one is enough where either has size 1
  Shape apart_a, apart_b, shape;
  for (int i = 0; i < rank; ++i) {
    const int64_t n = size(a, i), m = size(b, i);
    shape.push_back(n * m);
    if (n != 1 && m != 1) apart_a.push_back(n), apart_b.push_back(1);
    apart_a.push_back(n != 1 && m != 1 ? 1 : n), apart_b.push_back(m);
  }
  return mul(a.reshape(apart_a), b.reshape(apart_b)).reshape(shape);
}

Tensor tensordot(const Tensor& a, const Tensor& b, Int dims) {
  const OpName op("tensordot");
  check_defined(op, a, b);
  WEFT_CHECK(dims >= 0 && dims <= std::min(a.rank(), b.rank()), ValueError, "dims=", dims, " does not fit tensors of ",
             a.rank(), " and ", b.rank(), " dimensions");
  Shape last, first;
  for (int64_t i = 0; i < dims; ++i) last.push_back(i - dims), first.push_back(i);
  return tensordot(a, b, last, first);
}

Tensor tensordot(const Tensor& left, const Tensor& right, const Shape& dims_a, const Shape& dims_b) {
  const OpName op("tensordot");
  check_defined(op, left, right);
  WEFT_CHECK(dims_a.size() == dims_b.size(), ShapeError, dims_a.size(), " axes of the first tensor for ", dims_b.size(),
             " of the second");
  check_one_dtype(op, left, right);
  Tensor a = left, b = right;
  Shape over_a, over_b;
  for (int k = 0; k < dims_a.size(); ++k) {
    WEFT_CHECK(a.rank() > 0 && b.rank() > 0, ShapeError, "a rank-0 tensor has no axis to sum over");
    const int i = wrap_dim(op, dims_a[k], a.rank()), j = wrap_dim(op, dims_b[k], b.rank());
    WEFT_CHECK(!over_a.contains(i) && !over_b.contains(j), ValueError, "an axis stands twice in ", dims_a, " or ",
               dims_b);
    over_a.push_back(i), over_b.push_back(j);
    if (a.size(i) == b.size(j)) continue;
    WEFT_CHECK(a.size(i) == 1 || b.size(j) == 1, ShapeError, "axis ", i, " of ", left.shape(), " and axis ", j, " of ",
               right.shape(), " differ in size");
    if (a.size(i) == 1) b = sum(b, j, true, b.dtype());
    else a = sum(a, i, true, a.dtype());
  }
  Shape free_a, free_b, order_a, order_b = over_b;
  int64_t inner_size = 1;
  for (int i = 0; i < a.rank(); ++i)
    if (!over_a.contains(i)) order_a.push_back(i), free_a.push_back(a.size(i));
  for (int64_t i : over_a) order_a.push_back(i), inner_size *= a.shape()[static_cast<int>(i)];
  for (int j = 0; j < b.rank(); ++j)
    if (!over_b.contains(j)) order_b.push_back(j), free_b.push_back(b.size(j));
  const Tensor y = mm(a.permute(order_a).reshape({free_a.numel(), inner_size}),
                      b.permute(order_b).reshape({inner_size, free_b.numel()}));
  return y.reshape(detail::joined(free_a, free_b));
}

Tensor addmv(const Tensor& input, const Tensor& a, const Tensor& x, Scalar beta, Scalar alpha) {
  const OpName op("addmv");
  return add_product(op, autocast(CastPolicy::lower, input), mv(a, x), beta, alpha);
}

Tensor addr(const Tensor& input, const Tensor& x, const Tensor& y, Scalar beta, Scalar alpha) {
  const OpName op("addr");
  check_defined(op, input, x, y);
  const Tensor z = outer(x, y);
  WEFT_CHECK(broadcast_shapes(op, input.shape(), z.shape()) == z.shape(), ShapeError, "input ", input.shape(),
             " does not broadcast to ", z.shape());
  const Dtype dtype = promote(input.dtype(), z.dtype());
  WEFT_CHECK(is_floating(dtype) || (!alpha.is_floating() && !beta.is_floating()), ValueError, "alpha=", alpha,
             " and beta=", beta, " must be integers for dtype ", dtype);
  if (dtype == Dtype::boolean) {
    const Tensor product = alpha.to_double() != 0 ? z : zeros_like(z);
    return beta.to_double() != 0 ? logical_or(product, input) : product;
  }
  return add_product(op, input.to(dtype), z.to(dtype), beta, alpha);
}

Tensor addbmm(const Tensor& input, const Tensor& a, const Tensor& b, Scalar beta, Scalar alpha) {
  const OpName op("addbmm");
  check_batches(op, a, b);
  // the sum over the batch lies inside of one product
  const int64_t rows = a.size(1), cols = b.size(2), inner_size = a.size(0) * a.size(2);
  const Tensor y = mm(a.permute({1, 0, 2}).reshape({rows, inner_size}), b.reshape({inner_size, cols}));
  return add_product(op, autocast(CastPolicy::lower, input), y, beta, alpha);
}

Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, Scalar beta, Scalar alpha) {
  const OpName op("baddbmm");
  check_batches(op, a, b);
  return add_product(op, autocast(CastPolicy::lower, input), bmm(a, b), beta, alpha);
}

Tensor cross(const Tensor& a, const Tensor& b, std::optional<Int> dim) {
  const OpName op("cross");
  check_defined(op, a, b);
  WEFT_CHECK(a.rank() == b.rank(), ShapeError, a.shape(), " and ", b.shape(), " differ in rank");
  if (!dim) {
    for (int i = a.rank() - 1; i >= 0; --i)
      if (a.size(i) == 3) dim = i;
    WEFT_CHECK(dim, ValueError, "no axis of ", a.shape(), " has size 3");
  }
  const int d = wrap_dim(op, *dim, a.rank());
  WEFT_CHECK(a.rank() > 0 && a.size(d) == 3 && b.size(d) == 3, ShapeError, "axis ", d, " of ", a.shape(), " and ",
             b.shape(), " must have size 3");
  check_one_dtype(op, a, b);
  WEFT_CHECK(a.dtype() != Dtype::boolean, DtypeError, "not defined for bool; convert with to(dtype)");
  (void)broadcast_shapes(op, a.shape(), b.shape());
  const Dtype wide = compute_dtype(a.dtype());
  const Tensor p = a.detach().to(wide), q = b.detach().to(wide);
  std::vector<Tensor> parts;
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    parts.push_back(p.select(d, i) * q.select(d, j) - p.select(d, j) * q.select(d, i));
  }
  return record(op, stack(parts, d).to(a.dtype()), {a, b},
                [d, a = Saved::input(a, "left"), b = Saved::input(b, "right")](BackwardCtx& c) -> Grads {
                  const Tensor x = c.get(a), y = c.get(b);
                  Tensor gx, gy;
                  if (c.needs(0)) gx = sum_to(cross(y.expand(c.grad().shape()), c.grad(), d), x.shape());
                  if (c.needs(1)) gy = sum_to(cross(c.grad(), x.expand(c.grad().shape()), d), y.shape());
                  return {gx, gy};
                });
}

}  // namespace weft
