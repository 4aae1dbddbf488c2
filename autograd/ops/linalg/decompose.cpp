// QR, singular values, eigenvalues of symmetric matrices.
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/common.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft::linalg {
namespace {

bool recording(const Tensor& A) { return detail::thread_mode().grad && A.requires_grad(); }

// x_i on the diagonal: [..., n] -> [..., n, n].
Tensor on_diagonal(const Tensor& x) { return eye(x.size(-1), -1, x.options()) * x.unsqueeze(-2); }
Tensor skew(const Tensor& x) { return x - transposed(x); }
// x_j - x_i, and 1 on the diagonal.
Tensor gaps(const Tensor& x) { return x.unsqueeze(-2) - x.unsqueeze(-1) + eye(x.size(-1), -1, x.options()); }

// m >= n (Walter and Lehmann 2012); g of either may be undefined.
Tensor tall_qr_gradient(const Tensor& gq, const Tensor& gr, const Tensor& Q, const Tensor& R) {
  Tensor core;
  if (gr.defined()) core = matmul(gr, transposed(R));
  if (gq.defined()) {
    const Tensor part = matmul(transposed(Q), gq);
    core = core.defined() ? core - part : neg(part);
  }
  const Tensor up = triu(core);
  Tensor g = matmul(Q, up + transposed(triu(core, 1)));
  if (gq.defined()) g = g + gq;
  return solve_triangular(transposed(R), g, {.upper = false, .left = false});
}

// m < n.
Tensor wide_qr_gradient(const Tensor& gq, const Tensor& gr, const Tensor& Q, const Tensor& R) {
  const int64_t m = R.size(-2), n = R.size(-1);
  // A = [X, Y], X = Q U, and V = Q^T Y has Q in it.
  const Tensor U = R.narrow(-1, 0, m), V = R.narrow(-1, m, n - m);
  if (!gr.defined()) return cat({tall_qr_gradient(gq, gr, Q, U), zeros_like(matmul(Q, V))}, -1);
  const Tensor gu = gr.narrow(-1, 0, m), gv = gr.narrow(-1, m, n - m), more = matmul(matmul(Q, V), transposed(gv));
  const Tensor first = tall_qr_gradient(gq.defined() ? gq + more : more, gu, Q, U);
  return cat({first, matmul(Q, gv)}, -1);
}

// With E_ij = s_j^2 - s_i^2: U [skew(U^T gU) / E S + S skew(V^T gV) / E + gS] V^T, and what leaves the two subspaces.
Tensor svd_gradient(const Tensor& gu, const Tensor& gs, const Tensor& gvh, const Tensor& U, const Tensor& S,
                    const Tensor& Vh) {
  const Tensor V = transposed(Vh), row = S.unsqueeze(-2), column = S.unsqueeze(-1);
  if (!gu.defined() && !gvh.defined()) return matmul(U * gs.unsqueeze(-2), Vh);
  const Tensor E = (row - column) * (row + column) + eye(S.size(-1), -1, S.options());
  Tensor core = gs.defined() ? on_diagonal(gs) : Tensor();
  const auto more = [&core](const Tensor& x) { core = core.defined() ? core + x : x; };
  if (gu.defined()) more(skew(matmul(transposed(U), gu)) / E * row);
  if (gvh.defined()) more(column * (skew(matmul(Vh, transposed(gvh))) / E));
  Tensor g = matmul(matmul(U, core), Vh);
  if (gu.defined() && U.size(-2) > S.size(-1)) {
    const Tensor scaled = gu / row;
    g = g + matmul(scaled - matmul(U, matmul(transposed(U), scaled)), Vh);
  }
  if (gvh.defined() && Vh.size(-1) > S.size(-1)) {
    const Tensor scaled = gvh / column;
    g = g + matmul(U, scaled - matmul(matmul(scaled, V), Vh));
  }
  return g;
}

// The part of a gradient that belongs to the first k vectors.
Tensor thin(const Tensor& g, int64_t dim, int64_t k) {
  if (g.size(dim) == k) return g;
  const Tensor rest = g.detach().narrow(dim, k, g.size(dim) - k);
  WEFT_CHECK(!any(ne(rest, 0)).item<bool>(), ValueError, "linalg.svd: singular vectors beyond the first ", k,
             " have no gradient; svd(a, false) leaves them out");
  return g.narrow(dim, 0, k);
}

// The eigenvalues of A; A becomes its eigenvectors, a row each.
Tensor eigen(const char* op, Tensor& A, Choice<Triangle> UPLO, bool vectors) {
  const NoGrad off;
  Tensor w = empty(A.shape().slice(0, A.rank() - 1), A.options()), info = zeros(batch_of(A), {Dtype::i32, A.device()});
  if (A.numel() > 0)
    kernels::eigh(A.device(), FlatOut(A, 2), FlatOut(w, 1), FlatOut(info, 0), UPLO == Triangle::upper, vectors);
  check_info(op, info, "has eigenvalues that did not converge: ");
  return w;
}

// Zeros in the triangle that is not read: a NaN there has no effect.
Tensor read_triangle(const Tensor& A, Choice<Triangle> UPLO) {
  const NoGrad off;
  return UPLO == Triangle::upper ? triu(A.detach()) : tril(A.detach());
}

}  // namespace

Qr qr(const Tensor& given, Choice<QrMode> mode) {
  const OpName op("linalg.qr");
  const Tensor A = operand(op, given, &kernels::qr);
  const bool complete = mode == QrMode::complete, want_q = mode != QrMode::r;
  if (!want_q && recording(A)) return {empty({0}, A.options()), qr(A).R};  // its gradient needs Q
  const int64_t m = A.size(-2), n = A.size(-1), k = complete ? m : std::min(m, n);
  const Shape batch = batch_of(A);
  if (complete) check_extent(op, m, m);
  Tensor q, r = empty(joined(batch, {n, k}), A.options());
  if (want_q) q = empty(joined(batch, {k, m}), A.options());
  if (A.numel() > 0) {
    Tensor columns = fresh_transposed(A);
    kernels::qr(A.device(), FlatOut(q, 2), FlatOut(r, 2), FlatOut(columns, 2));
  } else if (want_q) {
    const NoGrad off;
    q.copy_(eye(k, m, A.options()).expand(q.shape()));
  }
  r = fresh_transposed(r);
  if (!want_q) return {empty({0}, A.options()), r};
  q = fresh_transposed(q);
  const auto backward = [k, n, q = Saved::output(q, 0), r = Saved::output(r, 1)](BackwardCtx& c) -> Grads {
    const Tensor Q = c.get(q), R = c.get(r);
    WEFT_CHECK(k <= n || Q.size(-2) > k, NotSupported,
               "linalg.qr: mode complete has no gradient where there are more rows than columns; use reduced");
    if (Q.numel() == 0 || R.numel() == 0) return {zeros(joined(batch_of(Q), {Q.size(-2), n}), Q.options())};
    const Tensor gq = c.has_grad(0) ? c.grad(0) : Tensor(), gr = c.has_grad(1) ? c.grad(1) : Tensor();
    return {k < n ? wide_qr_gradient(gq, gr, Q, R) : tall_qr_gradient(gq, gr, Q, R)};
  };
  const std::vector<Tensor> ys = record_n(op, {q, r}, {A}, backward);
  return {ys[0], ys[1]};
}

Svd svd(const Tensor& given, Only<bool> full_matrices) {
  const OpName op("linalg.svd");
  const Tensor A = operand(op, given, &kernels::svd);
  check_finite(op, A);
  const int64_t m = A.size(-2), n = A.size(-1), k = std::min(m, n);
  const Shape batch = batch_of(A);
  if (full_matrices) check_extent(op, std::max(m, n), std::max(m, n));
  Tensor U = empty(joined(batch, {m, full_matrices ? m : k}), A.options()),
         Vh = empty(joined(batch, {full_matrices ? n : k, n}), A.options()), S = empty(joined(batch, {k}), A.options()),
         info = zeros(batch, {Dtype::i32, A.device()});
  if (A.numel() > 0) {
    Tensor rows = fresh(A);
    kernels::svd(A.device(), FlatOut(U, 2), FlatOut(S, 1), FlatOut(Vh, 2), FlatOut(rows, 2), FlatOut(info, 0));
    check_info(op, info, "has singular values that did not converge: ");
  } else {
    const NoGrad off;
    U.copy_(eye(m, U.size(-1), A.options()).expand(U.shape()));
    Vh.copy_(eye(Vh.size(-2), n, A.options()).expand(Vh.shape()));
  }
  const auto backward = [k, u = Saved::output(U, 0), s = Saved::output(S, 1),
                         v = Saved::output(Vh, 2)](BackwardCtx& c) -> Grads {
    const Tensor U = c.get(u), S = c.get(s), Vh = c.get(v);
    if (U.numel() == 0 || Vh.numel() == 0 || k == 0)
      return {zeros(joined(batch_of(U), {U.size(-2), Vh.size(-1)}), U.options())};
    return {svd_gradient(c.has_grad(0) ? thin(c.grad(0), -1, k) : Tensor(), c.has_grad(1) ? c.grad(1) : Tensor(),
                         c.has_grad(2) ? thin(c.grad(2), -2, k) : Tensor(), U.narrow(-1, 0, k), S,
                         Vh.narrow(-2, 0, k))};
  };
  const std::vector<Tensor> ys = record_n(op, {U, S, Vh}, {A}, backward);
  return {ys[0], ys[1], ys[2]};
}

Tensor svdvals(const Tensor& given) {
  const OpName op("linalg.svdvals");
  const Tensor A = operand(op, given, &kernels::svd);
  if (recording(A)) return svd(A, false).S;  // the gradient needs the vectors
  check_finite(op, A);
  Tensor S = empty(joined(batch_of(A), {std::min(A.size(-2), A.size(-1))}), A.options()),
         info = zeros(batch_of(A), {Dtype::i32, A.device()});
  if (A.numel() > 0) {
    Tensor rows = fresh(A), none;
    kernels::svd(A.device(), FlatOut(none, 2), FlatOut(S, 1), FlatOut(none, 2), FlatOut(rows, 2), FlatOut(info, 0));
    check_info(op, info, "has singular values that did not converge: ");
  }
  return S;
}

Eigh eigh(const Tensor& given, Choice<Triangle> UPLO) {
  const OpName op("linalg.eigh");
  const Tensor A = square_operand(op, given, &kernels::eigh);
  Tensor rows = read_triangle(A, UPLO);
  check_finite(op, rows);
  const Tensor w = eigen(op, rows, UPLO, true), V = fresh_transposed(rows);
  const auto backward = [w = Saved::output(w, 0), v = Saved::output(V, 1)](BackwardCtx& c) -> Grads {
    const Tensor w_ = c.get(w), V_ = c.get(v);
    if (V_.numel() == 0) return {zeros_like(V_)};
    Tensor core;
    if (c.has_grad(0)) core = on_diagonal(c.grad(0));
    if (c.has_grad(1)) {
      const Tensor turn = skew(matmul(transposed(V_), c.grad(1))) / gaps(w_) * 0.5;
      core = core.defined() ? core + turn : turn;
    }
    return {matmul(V_, matmul(core, transposed(V_)))};
  };
  const std::vector<Tensor> ys = record_n(op, {w, V}, {A}, backward);
  return {ys[0], ys[1]};
}

Tensor eigvalsh(const Tensor& given, Choice<Triangle> UPLO) {
  const OpName op("linalg.eigvalsh");
  const Tensor A = square_operand(op, given, &kernels::eigh);
  if (recording(A)) return eigh(A, UPLO).eigenvalues;  // the gradient needs the vectors
  Tensor rows = read_triangle(A, UPLO);
  check_finite(op, rows);
  return eigen(op, rows, UPLO, false);
}

}  // namespace weft::linalg
