// Least squares and what belongs to the rank: pinv, matrix_rank, lstsq.
#include <limits>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/common.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft::linalg {
namespace {

double default_rtol(const Tensor& A) {
  const double eps = A.dtype() == Dtype::f32 ? std::numeric_limits<float>::epsilon()
                                             : std::numeric_limits<double>::epsilon();
  return eps * static_cast<double>(std::max(A.size(-1), A.size(-2)));
}

// Which of s [..., k] (>= 0) count: above the bound.
Tensor counting(const char* op, const Tensor& A, const Tensor& s, const PinvOptions& o) {
  const double atol = o.atol.value_or(0), rtol = o.rtol.value_or(atol > 0 ? 0 : default_rtol(A));
  WEFT_CHECK(atol >= 0 && rtol >= 0, ValueError, op, ": atol and rtol must not be negative, got ", atol, " and ", rtol);
  return gt(s, clamp(amax(s, -1, true) * rtol, atol));
}

// The gradient of A for P = pinv(A) and the gradient g of P (Golub and Pereyra 1973).
Tensor pinv_gradient(const Tensor& g, const Tensor& P, const Tensor& A) {
  const Tensor Pt = transposed(P), gt = transposed(g);
  // What A P and P A leave over is taken from the small factor: (I - A P) Z = Z - A (P Z).
  const Tensor left = matmul(matmul(gt, P), Pt), right = matmul(Pt, matmul(P, gt));
  return neg(matmul(Pt, matmul(g, Pt))) + (left - matmul(A, matmul(P, left))) + (right - matmul(matmul(right, P), A));
}

}  // namespace

Tensor pinv(const Tensor& given, const PinvOptions& o) {
  const OpName op("linalg.pinv");
  const Tensor A = o.hermitian ? square_operand(op, given, &kernels::eigh) : operand(op, given, &kernels::svd);
  const NoAutocast plain(A);
  Tensor P;
  {
    const NoGrad off;
    const Tensor x = A.detach();
    if (A.numel() == 0) {
      P = zeros(joined(batch_of(A), {A.size(-1), A.size(-2)}), A.options());
    } else if (o.hermitian) {
      const auto [w, V] = eigh(x);
      const Tensor inverse = where(counting(op, A, abs(w), o), reciprocal(w), 0);
      P = matmul(V * inverse.unsqueeze(-2), transposed(V));
    } else {
      const auto [U, S, Vh] = svd(x, false);
      const Tensor inverse = where(counting(op, A, S, o), reciprocal(S), 0);
      P = matmul(transposed(Vh) * inverse.unsqueeze(-2), transposed(U));
    }
  }
  return record(op, P, {A},
                [hermitian = o.hermitian, A = Saved::input(A, "A"), P = Saved::output(P)](BackwardCtx& c) -> Grads {
                  const Tensor a = c.get(A), p = c.get(P);
                  if (!hermitian) return {pinv_gradient(c.grad(), p, a)};
                  const Tensor whole = tril(a) + transposed(tril(a, -1)), g = pinv_gradient(c.grad(), p, whole);
                  return {(g + transposed(g)) * 0.5};
                });
}

Tensor matrix_rank(const Tensor& given, const PinvOptions& o) {
  const OpName op("linalg.matrix_rank");
  const NoGrad off;
  const Tensor A = o.hermitian ? square_operand(op, given, &kernels::eigh) : operand(op, given, &kernels::svd);
  if (A.numel() == 0) return zeros(batch_of(A), {Dtype::i64, A.device()});
  return sum(counting(op, A, o.hermitian ? abs(eigvalsh(A)) : svdvals(A), o), -1);
}

Lstsq lstsq(const Tensor& A_given, const Tensor& B_given, const LstsqOptions& o) {
  const OpName op("linalg.lstsq");
  const Tensor A = operand(op, A_given, &kernels::lstsq), B = second_operand(op, A, B_given);
  const NoAutocast plain(A);
  const LstsqDriver driver = o.driver;
  const bool vector = B.rank() == A.rank() - 1;
  WEFT_CHECK(B.rank() == A.rank() || vector, ShapeError, "B must have A's rank or one less, got A ", A.shape(),
             " and B ", B.shape());
  const Tensor b = vector ? B.unsqueeze(-1) : B;
  const int64_t m = A.size(-2), n = A.size(-1), columns = b.size(-1), least = std::min(m, n);
  WEFT_CHECK(b.size(-2) == m, ShapeError, "sizes do not fit: A ", A.shape(), ", B ", B.shape());
  const Shape batch = broadcast_shapes(op, batch_of(A), batch_of(b));
  const Tensor a = expand_batch(A, batch), y = expand_batch(b, batch);
  check_finite(op, A);
  check_finite(op, B);

  const TensorOptions integers(Dtype::i32, A.device());
  const bool values = driver == LstsqDriver::gelsd || driver == LstsqDriver::gelss;
  Tensor x, rank = zeros(batch, integers), info = zeros(batch, integers),
            s = values ? zeros(joined(batch, {least}), A.options()) : Tensor();
  {
    const NoGrad off;
    Tensor work = zeros(joined(batch, {columns, std::max(m, n)}), A.options());
    work.narrow(-1, 0, m).copy_(transposed(y.detach()));
    if (a.numel() > 0 && columns > 0) {
      Tensor matrix = fresh_transposed(a);
      kernels::lstsq(A.device(), FlatOut(matrix, 2), FlatOut(work, 2), FlatOut(rank, 0), FlatOut(s, 1),
                     FlatOut(info, 0), o.rcond.value_or(default_rtol(A)), driver);
      check_info(op, info,
                 driver == LstsqDriver::gels ? "has not full rank: its triangular factor is zero at "
                                             : "has singular values that did not converge: ",
                 driver == LstsqDriver::gels ? "; take another driver" : "");
    }
    x = a.numel() > 0 ? fresh_transposed(work.narrow(-1, 0, n)) : zeros(joined(batch, {n, columns}), A.options());
  }
  x = record(op, x, {a, y}, [A = Saved::input(a, "A"), B = Saved::input(y, "B")](BackwardCtx& c) -> Grads {
    const Tensor a = c.get(A), b = c.get(B), P = pinv(a);
    return {c.needs(0) ? pinv_gradient(matmul(c.grad(), transposed(b)), P, a) : Tensor(),
            c.needs(1) ? matmul(transposed(P), c.grad()) : Tensor()};
  });

  Lstsq r;
  const bool full = driver == LstsqDriver::gels || all(eq(rank, least)).item<bool>();
  r.residuals = m > n && full && driver != LstsqDriver::gelsy ? sum(square(matmul(a, x) - y), -2)
                                                              : empty({0}, A.options());
  r.solution = vector ? x.squeeze(-1) : x;
  r.rank = driver == LstsqDriver::gels ? empty({0}, {Dtype::i64, A.device()}) : rank.to(Dtype::i64);
  r.singular_values = values ? s : empty({0}, A.options());
  return r;
}

}  // namespace weft::linalg
