// What comes of A = P L U: inverses, determinants, systems of equations.
#include <limits>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/common.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/core/factory.h"

namespace weft::linalg {
namespace {

// The factors of A^T: LAPACK takes the rows of A for columns.
struct Factors {
  Tensor lu, pivots, info;
};

Factors factorise(const Tensor& A) {
  const NoGrad off;
  const Shape batch = batch_of(A);
  Factors f{fresh(A), empty(joined(batch, {A.size(-1)}), {Dtype::i32, A.device()}),
            zeros(batch, {Dtype::i32, A.device()})};
  if (f.lu.numel() > 0) kernels::lu_factor(A.device(), FlatOut(f.lu, 2), FlatOut(f.pivots, 1), FlatOut(f.info, 0));
  return f;
}

// A^-1 B, or A^-T B.
Tensor substitute(const char* op, const Factors& f, const Tensor& B, bool adjoint) {
  const NoGrad off;
  const Shape batch = broadcast_shapes(op, batch_of(f.lu), batch_of(B));
  Tensor x = fresh_transposed(expand_batch(B, batch));
  if (x.numel() > 0) {
    const Tensor lu = expand_batch(f.lu, batch).contiguous();
    const Tensor pivots = f.pivots.expand(joined(batch, {f.pivots.size(-1)})).contiguous();
    kernels::lu_solve(x.device(), FlatOut(x, 2), FlatIn(lu, 2), FlatIn(pivots, 1), !adjoint);
  }
  return x.size(-2) == 1 ? x.reshape(joined(batch, {x.size(-1), 1})) : fresh_transposed(x);
}

// The same on the tape. The factors serve the gradients of every order.
Tensor apply_inverse(const char* op, const Tensor& A, const Factors& f, const Tensor& B, bool adjoint) {
  Tensor y = substitute(op, f, B.detach(), adjoint);
  return record(
      op, y, {A, B},
      [op, f, adjoint, shape = B.shape(), A = Saved::input(A, "A"), y = Saved::output(y)](BackwardCtx& c) -> Grads {
        const Tensor a = c.get(A), x = c.get(y);
        const Tensor gb = apply_inverse(op, a, f, c.grad(), !adjoint);
        Tensor ga;
        if (c.needs(0)) ga = neg(sum_to(adjoint ? matmul(x, transposed(gb)) : matmul(gb, transposed(x)), a.shape()));
        return {ga, c.needs(1) ? sum_to(gb, shape) : Tensor()};
      });
}

// Of the permutation and of U's diagonal: [...].
Tensor parity(const Factors& f) {
  const int64_t n = f.pivots.size(-1);
  const Tensor stay = arange(1, n + 1, 1, {Dtype::i32, f.pivots.device()});
  return 1 - 2 * remainder(sum(ne(f.pivots, stay), -1), 2).to(f.lu.dtype());
}
Tensor pivots_of(const Factors& f) { return f.lu.diagonal(0, -2, -1); }

// The gradient of det: d A^-T, and where A is singular the cofactors by the SVD, U diag(products of the other s) Vh.
Tensor cofactors(const Tensor& A, const Factors& f, const Tensor& d) {
  const OpName op("linalg.det");
  const Tensor identity = identity_like(A);
  Tensor singular;
  {
    const NoGrad off;
    const double eps = A.dtype() == Dtype::f32 ? std::numeric_limits<float>::epsilon()
                                               : std::numeric_limits<double>::epsilon();
    const Tensor u = abs(pivots_of(f)), most = amax(u, -1);
    singular = logical_and(le(amin(u, -1), most * (static_cast<double>(A.size(-1)) * eps)), isfinite(most));
  }
  const auto as_matrices = [](const Tensor& x) { return x.unsqueeze(-1).unsqueeze(-1); };
  if (!any(singular).item<bool>()) return apply_inverse(op, A, f, identity * as_matrices(d), true);
  // Each matrix takes its way; the other way gets a harmless one in its place, so that no NaN arises.
  const Tensor mask = as_matrices(singular);
  const Tensor regular = where(mask, identity, A);
  const Tensor by_inverse = apply_inverse(op, regular, factorise(regular),
                                          identity * as_matrices(where(singular, 1, d)), true);
  const Tensor spread = identity * arange(1, A.size(-1) + 1, 1, A.options());
  const auto [U, S, Vh] = svd(where(mask, A, spread), false);
  const Tensor others = prod(where(eq(identity, 1), identity, S.unsqueeze(-2).expand(A.shape())), -1);
  Tensor sign;
  {
    const NoGrad off;
    sign = det(U.detach()) * det(Vh.detach());
  }
  return where(mask, as_matrices(sign) * matmul(U * others.unsqueeze(-2), Vh), by_inverse);
}

}  // namespace

InvEx inv_ex(const Tensor& given) {
  const OpName op("linalg.inv_ex");
  const Tensor A = square_operand("linalg.inv", given, &kernels::inverse);
  Tensor y = fresh(A), info = zeros(batch_of(A), {Dtype::i32, A.device()});
  if (y.numel() > 0) kernels::inverse(A.device(), FlatOut(y, 2), FlatOut(info, 0));
  y = record("linalg.inv", y, {A}, [y = Saved::output(y)](BackwardCtx& c) -> Grads {
    const Tensor t = transposed(c.get(y));
    return {neg(matmul(t, matmul(c.grad(), t)))};
  });
  return {y, info};
}

Tensor inv(const Tensor& A) {
  const OpName op("linalg.inv");
  const InvEx r = inv_ex(A);
  check_info(op, r.info, "is singular: its pivot ", " (counted from 1) is zero");
  return r.inverse;
}

Tensor solve(const Tensor& A_given, const Tensor& B_given, Only<bool> left) {
  const OpName op("linalg.solve");
  const Tensor A = square_operand(op, A_given, &kernels::lu_solve), B = second_operand(op, A, B_given);
  WEFT_CHECK(B.rank() >= 1, ShapeError, "B needs at least one dimension");
  const bool vector = B.rank() == 1 || (A.rank() - 1 == B.rank() && A.shape().slice(0, B.rank()) == B.shape());
  WEFT_CHECK(left || !vector, ShapeError, "X A = B needs a matrix B, got ", B.shape(), " for A ", A.shape());
  const Tensor b = vector ? B.unsqueeze(-1) : B;
  WEFT_CHECK(b.size(left ? -2 : -1) == A.size(-1), ShapeError, "sizes do not fit: A ", A.shape(), ", B ", B.shape(),
             left ? " in A X = B" : " in X A = B");
  const Factors f = factorise(A);
  check_info(op, f.info, "is singular: its pivot ", " (counted from 1) is zero");
  if (!left) return transposed(apply_inverse(op, A, f, transposed(b), true));
  const Tensor x = apply_inverse(op, A, f, b, false);
  return vector ? x.squeeze(-1) : x;
}

Tensor det(const Tensor& given) {
  const OpName op("linalg.det");
  const Tensor A = square_operand(op, given, &kernels::lu_factor);
  const Factors f = factorise(A);
  Tensor d = prod(pivots_of(f), -1) * parity(f);
  return record(op, d, {A}, [f, A = Saved::input(A, "A"), d = Saved::output(d)](BackwardCtx& c) -> Grads {
    const Tensor a = c.get(A);
    if (a.numel() == 0) return {zeros_like(a)};
    return {c.grad().unsqueeze(-1).unsqueeze(-1) * cofactors(a, f, c.get(d))};
  });
}

SlogDet slogdet(const Tensor& given) {
  const OpName op("linalg.slogdet");
  const Tensor A = square_operand(op, given, &kernels::lu_factor);
  const Factors f = factorise(A);
  const Tensor u = pivots_of(f), sign_of = prod(sign(u), -1) * parity(f);
  const Tensor size = record(op, sum(log(abs(u)), -1), {A}, [f, A = Saved::input(A, "A")](BackwardCtx& c) -> Grads {
    const Tensor a = c.get(A);
    return {c.grad().unsqueeze(-1).unsqueeze(-1) * apply_inverse("linalg.slogdet", a, f, identity_like(a), true)};
  });
  return {sign_of, size};
}

}  // namespace weft::linalg
