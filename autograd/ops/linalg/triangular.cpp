// Triangular systems, and the Cholesky factor with what comes of it.
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/common.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft::linalg {
namespace {

// Batch axes agree. A transposed view of a contiguous A is read where it lies.
Tensor triangular(const Tensor& A, const Tensor& B, const SolveTriangularOptions& o) {
  const NoGrad off;
  Tensor x = fresh(B);
  if (x.numel() == 0) return x;
  const Tensor t = transposed(A.detach());
  const bool flip = !A.is_contiguous() && t.is_contiguous();
  const Tensor a = flip ? t : A.detach().contiguous();
  kernels::triangular_solve(A.device(), FlatOut(x, 2), FlatIn(a, 2),
                            TriangleParams{o.upper != flip, o.left, flip, o.unitriangular});
  return x;
}

Tensor cholesky_factor(const Tensor& A, Tensor& info, Only<bool> upper) {
  Tensor y = fresh(A);
  info = zeros(batch_of(A), {Dtype::i32, A.device()});
  if (y.numel() > 0) kernels::cholesky(A.device(), FlatOut(y, 2), FlatOut(info, 0), upper);
  return record("linalg.cholesky", y, {A}, [upper, y = Saved::output(y)](BackwardCtx& c) -> Grads {
    const Tensor L = upper ? transposed(c.get(y)) : c.get(y), g = upper ? transposed(c.grad()) : c.grad();
    // L^-T sym(L^T g) L^-1, where sym keeps half of the lower triangle on either side (Murray 2016)
    const Tensor low = tril(matmul(transposed(L), g));
    const Tensor core = (low + transposed(tril(low, -1))) * 0.5;
    const Tensor half = solve_triangular(transposed(L), core, {.upper = true});
    return {solve_triangular(L, half, {.upper = false, .left = false})};
  });
}

}  // namespace

Tensor solve_triangular(const Tensor& A_given, const Tensor& B_given, const SolveTriangularOptions& o) {
  const OpName op("linalg.solve_triangular");
  const Tensor A = square_operand(op, A_given, &kernels::triangular_solve), B = second_operand(op, A, B_given);
  WEFT_CHECK(B.rank() >= 2, ShapeError, "B must be a matrix or a batch of matrices, got ", B.shape());
  WEFT_CHECK(B.size(o.left ? -2 : -1) == A.size(-1), ShapeError, "sizes do not fit: A ", A.shape(), ", B ", B.shape(),
             o.left ? " in A X = B" : " in X A = B");
  const Shape batch = broadcast_shapes(op, batch_of(A), batch_of(B));
  const Tensor a = expand_batch(A, batch), b = expand_batch(B, batch);
  const Tensor x = triangular(a, b, o);
  return record(op, x, {a, b}, [o, a = Saved::input(a, "A"), y = Saved::output(x)](BackwardCtx& c) -> Grads {
    const Tensor A = c.get(a), X = c.get(y);
    SolveTriangularOptions other = o;
    other.upper = !o.upper;
    const Tensor gb = solve_triangular(transposed(A), c.grad(), other);
    Tensor ga;
    if (c.needs(0)) {
      ga = neg(o.left ? matmul(gb, transposed(X)) : matmul(transposed(X), gb));
      ga = o.upper ? triu(ga, o.unitriangular ? 1 : 0) : tril(ga, o.unitriangular ? -1 : 0);
    }
    return {ga, gb};
  });
}

CholeskyEx cholesky_ex(const Tensor& given, Only<bool> upper) {
  const OpName op("linalg.cholesky_ex");
  const Tensor A = square_operand("linalg.cholesky", given, &kernels::cholesky);
  CholeskyEx r;
  r.L = cholesky_factor(A, r.info, upper);
  return r;
}

Tensor cholesky(const Tensor& A, Only<bool> upper) {
  const OpName op("linalg.cholesky");
  const CholeskyEx r = cholesky_ex(A, upper);
  check_info(op, r.info, "is not positive-definite: its leading minor of order ", " is not positive");
  return r.L;
}

}  // namespace weft::linalg

namespace weft {

Tensor cholesky_solve(const Tensor& B, const Tensor& L, Only<bool> upper) {
  const OpName op("cholesky_solve");
  const Tensor t = linalg::square_operand(op, L, &kernels::triangular_solve), adjoint = t.transpose(-2, -1);
  const Tensor half = linalg::solve_triangular(upper ? adjoint : t, B, {.upper = false});
  return linalg::solve_triangular(upper ? t : adjoint, half, {.upper = true});
}

Tensor cholesky_inverse(const Tensor& L, Only<bool> upper) {
  const OpName op("cholesky_inverse");
  const Tensor t = linalg::square_operand(op, L, &kernels::triangular_solve);
  return cholesky_solve(linalg::identity_like(t), t, upper);
}

}  // namespace weft
