// The factors of A = P L U as results.
#include <numeric>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/linalg/common.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft::linalg {
namespace {

// Row perm[i] of A is row i of L U (or, `back`, the other way round): [..., m] i64.
Tensor permutation(const Tensor& pivots, int64_t m, bool back) {
  const NoGrad off;
  const Shape batch = pivots.shape().slice(0, pivots.rank() - 1);
  const int64_t count = batch.numel(), k = pivots.size(-1);
  const std::vector<int32_t> swaps = pivots.to_vector<int32_t>();
  std::vector<int64_t> all(static_cast<size_t>(count * m)), row(static_cast<size_t>(m));
  for (int64_t b = 0; b < count; ++b) {
    std::iota(row.begin(), row.end(), int64_t{0});
    for (int64_t i = 0; i < k; ++i) {
      const int64_t other = swaps[static_cast<size_t>(b * k + i)] - int64_t{1};
      WEFT_CHECK(other >= 0 && other < m, ValueError, "linalg.lu_solve: pivot ", other + 1, " is not in 1 .. ", m);
      std::swap(row[static_cast<size_t>(i)], row[static_cast<size_t>(other)]);
    }
    for (int64_t i = 0; i < m; ++i) {
      const size_t from = static_cast<size_t>(row[static_cast<size_t>(i)]), to = static_cast<size_t>(b * m);
      if (back) all[to + from] = i;
      else all[to + static_cast<size_t>(i)] = static_cast<int64_t>(from);
    }
  }
  return tensor(all, joined(batch, {m})).to(pivots.device());
}

// The rows of A in the order perm.
Tensor rows(const Tensor& A, const Tensor& perm) {
  const Shape batch = broadcast_shapes("linalg.lu_solve", batch_of(A), perm.shape().slice(0, perm.rank() - 1));
  const Shape shape = joined(batch, {A.size(-2), A.size(-1)});
  return gather(A.expand(shape), -2, perm.unsqueeze(-1).expand(shape));
}

Tensor unit_lower(const Tensor& LU, int64_t k) {
  const Tensor L = tril(LU.narrow(-1, 0, k), -1);
  return L + eye(LU.size(-2), k, LU.options());
}
Tensor upper_part(const Tensor& LU, int64_t k) { return triu(LU.narrow(-2, 0, k)); }

// With X = L^-1 dA U^-1 (square): dL = L tril(X, -1), dU = triu(X) U. Rows or columns beyond the square follow from
// theirs.
Tensor lu_gradient(const Tensor& g, const Tensor& LU) {
  const int64_t m = LU.size(-2), n = LU.size(-1), k = std::min(m, n);
  const Tensor square = LU.narrow(-2, 0, k).narrow(-1, 0, k), L = unit_lower(square, k), U = triu(square);
  const SolveTriangularOptions by_l{.upper = true, .unitriangular = true}, by_u{.upper = false, .left = false};
  Tensor gl = g.narrow(-2, 0, k).narrow(-1, 0, k), gu = gl, rest;
  if (n > m) {
    rest = solve_triangular(transposed(L), g.narrow(-1, k, n - k), by_l);
    gl = gl - matmul(rest, transposed(LU.narrow(-1, k, n - k)));
  } else if (m > n) {
    rest = solve_triangular(transposed(U), g.narrow(-2, k, m - k), by_u);
    gu = gu - matmul(transposed(LU.narrow(-2, k, m - k)), rest);
  }
  const Tensor core = tril(matmul(transposed(L), tril(gl, -1)), -1) + triu(matmul(triu(gu), transposed(U)));
  const Tensor first = solve_triangular(transposed(U), solve_triangular(transposed(L), core, by_l), by_u);
  return rest.defined() ? cat({first, rest}, n > m ? -1 : -2) : first;
}

struct Packed {
  Tensor LU, pivots, info;
};

Packed pack(const char* op, const Tensor& given) {
  const Tensor A = operand(op, given, &kernels::lu_factor);
  const int64_t m = A.size(-2), n = A.size(-1);
  const Shape batch = batch_of(A);
  const TensorOptions integers(Dtype::i32, A.device());
  Tensor columns = fresh_transposed(A), pivots = empty(joined(batch, {std::min(m, n)}), integers),
         info = zeros(batch, integers);
  if (A.numel() > 0) kernels::lu_factor(A.device(), FlatOut(columns, 2), FlatOut(pivots, 1), FlatOut(info, 0));
  Tensor LU = fresh_transposed(columns);
  LU = record(op, LU, {A}, [pivots, y = Saved::output(LU)](BackwardCtx& c) -> Grads {
    const Tensor lu = c.get(y);
    if (lu.numel() == 0) return {zeros_like(lu)};
    return {rows(lu_gradient(c.grad(), lu), permutation(pivots, lu.size(-2), true))};
  });
  return {LU, pivots, info};
}

}  // namespace

LuFactors lu_factor(const Tensor& A) {
  const OpName op("linalg.lu_factor");
  const Packed p = pack(op, A);
  check_info(op, p.info, "is singular: its pivot ", " (counted from 1) is zero; linalg.lu takes it");
  return {p.LU, p.pivots};
}

Lu lu(const Tensor& A) {
  const Packed p = pack("linalg.lu", A);
  const int64_t m = p.LU.size(-2), k = std::min(m, p.LU.size(-1));
  const Tensor identity = eye(m, -1, p.LU.options());
  return {rows(identity, permutation(p.pivots, m, true)), unit_lower(p.LU, k), upper_part(p.LU, k)};
}

Tensor lu_solve(const Tensor& given, const Tensor& pivots, const Tensor& B_given, const LuSolveOptions& o) {
  const OpName op("linalg.lu_solve");
  const Tensor LU = square_operand(op, given, &kernels::triangular_solve), B = second_operand(op, LU, B_given);
  check_defined(op, pivots);
  WEFT_CHECK(pivots.dtype() == Dtype::i32 && pivots.shape() == LU.shape().slice(0, LU.rank() - 1), ShapeError,
             "pivots must be i32 of shape ", LU.shape().slice(0, LU.rank() - 1), ", got ", pivots.dtype(), " ",
             pivots.shape());
  WEFT_CHECK(B.rank() >= 2 && B.size(o.left ? -2 : -1) == LU.size(-1), ShapeError, "sizes do not fit: LU ", LU.shape(),
             ", B ", B.shape());
  if (!o.left) return transposed(lu_solve(LU, pivots, transposed(B), {.adjoint = !o.adjoint}));
  const SolveTriangularOptions lower{.upper = false, .unitriangular = true}, upper{.upper = true};
  if (!o.adjoint)
    return solve_triangular(LU, solve_triangular(LU, rows(B, permutation(pivots, LU.size(-1), false)), lower), upper);
  const Tensor t = transposed(LU), half = solve_triangular(t, B, {.upper = false});
  return rows(solve_triangular(t, half, {.upper = true, .unitriangular = true}),
              permutation(pivots, LU.size(-1), true));
}

}  // namespace weft::linalg
