#include "weft/autograd/ops/linalg/matmul.h"

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/format.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

void check_pair(const char* op, const Tensor& a, const Tensor& b, const char* what_a, const char* what_b) {
  check_defined(op, a, b);
  WEFT_CHECK(a.dtype() == b.dtype(), DtypeError, op, ": ", what_a, " is ", a.dtype(), " but ", what_b, " is ",
             b.dtype(), "; convert one with to(dtype)");
  WEFT_CHECK(a.device() == b.device(), DeviceError, op, ": ", what_a, " is on ", a.device(), " but ", what_b, " on ",
             b.device());
  WEFT_CHECK(a.dtype() != Dtype::boolean, DtypeError, op, ": bool has no product; convert with to(dtype)");
}

template <class R> struct Operand {
  int64_t shape[3], strides[3];
  R ref;
  // t from the element at `offset` on, as a [n, rows, cols] batch.
  Operand(const R& t, int64_t offset, int64_t n, int64_t rows, int64_t cols, int64_t s0, int64_t s1, int64_t s2)
      : shape{n, rows, cols}, strides{s0, s1, s2}, ref(seen_as(t, shape, strides, 3, offset)) {}
};

// a: [..., M, K], b: [..., K, N], ranks >= 2, shapes checked; bias: [N] or undefined.
Tensor product(const char* op, const Tensor& a, const Tensor& b, const Tensor& bias) {
  if (const Dtype d = a.dtype(); is_short(d)) {  // i32 has the same lower bits
    const Dtype wide = compute_dtype(d);
    return product(op, a.to(wide), b.to(wide), bias.defined() ? bias.to(wide) : bias).to(d);
  }
  const int ra = a.rank() - 2, rb = b.rank() - 2;
  Shape shape = ra == 0 && rb == 0 ? Shape{} : broadcast_shapes(op, a.shape().slice(0, ra), b.shape().slice(0, rb));
  const int batch_rank = shape.size();
  int64_t rows = a.size(-2), cols = b.size(-1), inner = a.size(-1);
  shape.push_back(rows);
  shape.push_back(cols);
  Tensor y = empty(shape, a.options());
  if (y.numel() == 0) return y;
  const TensorRef ta = ref(a), tb = ref(b), tbias = ref(bias);
  const MutTensorRef ty = mut_ref(y);
  int64_t a_row = ta.stride(-2), out_row = cols;

  fn::Axes<3> batch;  // of y, a and b
  for (int i = 0; i < batch_rank; ++i) {
    int ia = i - (batch_rank - ra), ib = i - (batch_rank - rb);
    batch.append(shape[i], {ty.strides[i], ia < 0 || a.shape()[ia] == 1 ? 0 : ta.strides[ia],
                            ib < 0 || b.shape()[ib] == 1 ? 0 : tb.strides[ib]});
  }
  // The same b for all: the batch is more rows.
  if (batch.rank > 0 && batch.inner(2) == 0 && batch.inner(0) == out_row * rows) {
    const int64_t n = batch.inner_size(), step = batch.inner(1);
    if (rows == 1 || step == a_row * rows) {
      if (rows == 1) a_row = step;
      rows *= n;
      --batch.rank;
    }
  }
  // The last batch axis goes into the kernel, the others are walked here.
  const int outer = batch.rank > 0 ? batch.rank - 1 : 0;
  const int64_t n = batch.inner_size(), so = batch.inner(0), sa = batch.inner(1), sb = batch.inner(2);
  batch.walk(0, batch.count() / n, outer, 3, [&](const int64_t* at) {
    const Operand out(ty, at[0], n, rows, cols, so, out_row, 1);
    kernels::matmul(y.device(), out.ref, Operand(ta, at[1], n, rows, inner, sa, a_row, ta.stride(-1)).ref,
                    Operand(tb, at[2], n, inner, cols, sb, tb.stride(-2), tb.stride(-1)).ref, tbias);
  });
  return y;
}

// Rows of a tensor as one matrix; also for empty ones, where -1 says nothing.
Tensor as_matrix(const Tensor& x) {
  if (x.rank() == 2) return x;
  int64_t rows = 1;
  for (int i = 0; i < x.rank() - 1; ++i) rows *= x.size(i);
  return x.reshape({rows, x.size(-1)});
}

// Ranks >= 2.
Tensor product_op(const char* op, const Tensor& a, const Tensor& b) {
  WEFT_CHECK(a.size(-1) == b.size(-2), ShapeError, op, ": inner dimensions differ: ", a.shape(), " x ", b.shape());
  return record(op, product(op, a, b, {}), {a, b},
                [a = Saved::input(a, "left"), b = Saved::input(b, "right")](BackwardCtx& c) -> Grads {
                  const Tensor &g = c.grad(), x = c.get(a), w = c.get(b);
                  Tensor gx, gw;
                  if (c.needs(0)) gx = sum_to(matmul(g, w.transpose(-2, -1)), x.shape());
                  if (c.needs(1)) {
                    // A matrix on the right sums over the batch inside the product.
                    if (w.rank() == 2 && x.rank() > 2) gw = mm(as_matrix(x).t(), as_matrix(g));
                    else gw = sum_to(matmul(x.transpose(-2, -1), g), w.shape());
                  }
                  return {gx, gw};
                });
}

}  // namespace

Tensor matmul(const Tensor& left, const Tensor& right) {
  const OpName op("matmul");
  const Tensor a = autocast(CastPolicy::lower, left), b = autocast(CastPolicy::lower, right);
  check_pair(op, a, b, "left", "right");
  WEFT_CHECK(a.rank() > 0 && b.rank() > 0, ShapeError, "both arguments need at least one dimension, got ", a.shape(),
             " and ", b.shape());
  if (a.rank() >= 2 && b.rank() >= 2) return product_op(op, a, b);
  const int axis = b.rank() == 1 ? 0 : b.rank() - 2;
  WEFT_CHECK(a.size(-1) == b.size(axis), ShapeError, "inner dimensions differ: ", a.shape(), " x ", b.shape());
  Tensor y = product_op(op, a.rank() == 1 ? a.unsqueeze(0) : a, b.rank() == 1 ? b.unsqueeze(1) : b);
  if (b.rank() == 1) y = y.squeeze(-1);
  if (a.rank() == 1) y = y.squeeze(b.rank() == 1 ? -1 : -2);
  return y;
}

Tensor mm(const Tensor& left, const Tensor& right) {
  const OpName op("mm");
  const Tensor a = autocast(CastPolicy::lower, left), b = autocast(CastPolicy::lower, right);
  WEFT_CHECK(a.rank() == 2 && b.rank() == 2, ShapeError, "expects two matrices, got ", a.shape(), " and ", b.shape());
  check_pair(op, a, b, "left", "right");
  return product_op(op, a, b);
}

Tensor bmm(const Tensor& left, const Tensor& right) {
  const OpName op("bmm");
  const Tensor a = autocast(CastPolicy::lower, left), b = autocast(CastPolicy::lower, right);
  WEFT_CHECK(a.rank() == 3 && b.rank() == 3, ShapeError, "expects two batches of matrices, got ", a.shape(), " and ",
             b.shape());
  WEFT_CHECK(a.size(0) == b.size(0), ShapeError, "batch sizes differ: ", a.shape(), " x ", b.shape());
  check_pair(op, a, b, "left", "right");
  return product_op(op, a, b);
}

Tensor mv(const Tensor& a, const Tensor& x) {
  const OpName op("mv");
  WEFT_CHECK(a.rank() == 2 && x.rank() == 1, ShapeError, "expects a matrix and a vector, got ", a.shape(), " and ",
             x.shape());
  return matmul(a, x);
}

Tensor dot(const Tensor& x, const Tensor& y) {
  const OpName op("dot");
  WEFT_CHECK(x.rank() == 1 && y.rank() == 1, ShapeError, "expects two vectors, got ", x.shape(), " and ", y.shape());
  return matmul(x, y);
}

Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, Scalar beta, Scalar alpha) {
  const OpName op("addmm");
  Tensor y = mm(a, b);
  WEFT_CHECK(broadcast_shapes(op, input.shape(), y.shape()) == y.shape(), ShapeError, "input ", input.shape(),
             " does not broadcast to ", y.shape());
  if (alpha.to_double() != 1) y = y * alpha;
  if (beta.to_double() == 0) return y;
  const Tensor x = autocast(CastPolicy::lower, input);
  check_pair(op, x, y, "input", "the product");
  return y + (beta.to_double() == 1 ? x : x * beta);
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  const OpName op("linear");
  if (SimulateFormat::current()) [[unlikely]]
    return detail::simulated(input, weight, [&](const Tensor& x, const Tensor& w) { return linear(x, w, bias); });
  const Tensor x = autocast(CastPolicy::lower, input), w = autocast(CastPolicy::lower, weight),
               b = autocast(CastPolicy::lower, bias);
  if (w.rank() == 1) {  // one output feature without an axis of its own, as PyTorch takes it
    Tensor y = matmul(x, w);
    return b.defined() ? y + b : y;
  }
  WEFT_CHECK(w.rank() == 2, ShapeError, "weight must be [out, in] or [in], got ", w.shape());
  WEFT_CHECK(x.rank() >= 1, ShapeError, "input needs at least one dimension, got ", x.shape());
  WEFT_CHECK(x.size(-1) == w.size(1), ShapeError, "input ", x.shape(), " has ", x.size(-1), " features but weight ",
             w.shape(), " expects ", w.size(1));
  check_pair(op, x, w, "input", "weight");
  if (b.defined()) {
    WEFT_CHECK(b.rank() == 1 && b.size(0) == w.size(0), ShapeError, "bias must be [", w.size(0), "] for weight ",
               w.shape(), ", got ", b.shape());
    check_pair(op, x, b, "input", "bias");
  }
  Tensor transposed;
  {
    NoGrad off;
    transposed = w.t();
  }
  Tensor y = x.rank() == 1 ? product(op, x.detach().unsqueeze(0), transposed, b).squeeze(0)
                           : product(op, x, transposed, b);
  // A frozen weight keeps no activation alive, and the other way round.
  const Saved xs = w.requires_grad() ? Saved::input(x, "input") : Saved(),
              ws = x.requires_grad() ? Saved::input(w, "weight") : Saved();
  auto backward = [xs, ws](BackwardCtx& c) -> Grads {
    const Tensor& g = c.grad();
    Grads grads(3);
    if (c.needs(0)) grads[0] = matmul(g, c.get(ws));
    if (c.needs(1)) grads[1] = mm(as_matrix(g).t(), as_matrix(c.get(xs)));
    if (c.needs(2)) grads[2] = sum(as_matrix(g), 0);
    return grads;
  };
  return record(op, std::move(y), {x, w, b}, std::move(backward));
}

Tensor bilinear(const Tensor& a, const Tensor& b, const Tensor& weight, const Tensor& bias) {
  const OpName op("bilinear");
  WEFT_CHECK(weight.rank() == 3, ShapeError, "weight must be [out, in1, in2], got ", weight.shape());
  const int64_t out = weight.size(0), in1 = weight.size(1), in2 = weight.size(2);
  WEFT_CHECK(a.rank() >= 1 && b.rank() == a.rank() &&
                 a.shape().slice(0, a.rank() - 1) == b.shape().slice(0, b.rank() - 1) && a.size(-1) == in1 &&
                 b.size(-1) == in2,
             ShapeError, "inputs ", a.shape(), " and ", b.shape(), " do not fit [..., ", in1, "] and [..., ", in2, "]");
  Shape shape = a.shape();
  shape[-1] = out;
  const Tensor x = as_matrix(a.rank() == 1 ? a.unsqueeze(0) : a), y = as_matrix(b.rank() == 1 ? b.unsqueeze(0) : b);
  // [N, in1] x [in1, out in2] -> [N, out, in2], then against y
  const Tensor half = matmul(x, weight.permute({1, 0, 2}).reshape({in1, out * in2}));
  const Tensor z = matmul(half.reshape({x.size(0), out, in2}), y.unsqueeze(2)).reshape(shape);
  return bias.defined() ? z + bias : z;
}

}  // namespace weft
