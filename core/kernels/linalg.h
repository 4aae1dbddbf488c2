// Kernels of dense linear algebra: autograd/ops/linalg/linalg.h says what they compute. Matrices are batches of rank 3,
// contiguous, f32 or f64, and none is empty; "by columns" says that the tensor [B, n, m] holds the columns of m x n
// matrices. `info` is [B] i32, LAPACK's: 0, or where it stopped.
#pragma once

#include "weft/core/kernels.h"
#include "weft/core/linalg_params.h"

namespace weft {

/// Which triangle of a matrix counts, and what is done with it.
struct TriangleParams {
  bool upper, left, transposed, unit;
};

namespace kernels {

/// a (by columns) = its LU factors; pivots [B, min(m, n)] i32: row i was swapped with row pivots[i], counted from 1.
extern WEFT_API Kernel<void(const MutTensorRef& a, const MutTensorRef& pivots, const MutTensorRef& info)> lu_factor;
/// x (by columns) = A^-1 x, or A^-T x, from the factors of A.
extern WEFT_API Kernel<void(const MutTensorRef& x, const TensorRef& lu, const TensorRef& pivots, bool transposed)>
    lu_solve;
/// a = a^-1; what it holds where info is not 0 is not said.
extern WEFT_API Kernel<void(const MutTensorRef& a, const MutTensorRef& info)> inverse;
/// x [B, m, n] = op(a)^-1 x (left) or x op(a)^-1; a [B, k, k]. The other triangle, and a unit diagonal, are not read.
extern WEFT_API Kernel<void(const MutTensorRef& x, const TensorRef& a, const TriangleParams& p)> triangular_solve;
/// a = its Cholesky factor (lower, or upper), from that triangle of a; zero elsewhere.
extern WEFT_API Kernel<void(const MutTensorRef& a, const MutTensorRef& info, bool upper)> cholesky;
/// a (by columns, overwritten) = q r. q: by columns, k of them, min(m, n) <= k <= m, or undefined; r: by columns, k x
/// n.
extern WEFT_API Kernel<void(const MutTensorRef& q, const MutTensorRef& r, const MutTensorRef& a)> qr;
/// a [B, m, n] (overwritten) = u diag(s) vh. u [B, m, k], vh [B, k, n], or square both, or undefined both; s [B, min(m,
/// n)].
extern WEFT_API Kernel<void(const MutTensorRef& u, const MutTensorRef& s, const MutTensorRef& vh, const MutTensorRef& a,
                            const MutTensorRef& info)>
    svd;
/// Eigenvalues w [B, n] in rising order of the symmetric a, of which one triangle is read; a = the eigenvectors, one a
/// row.
extern WEFT_API
    Kernel<void(const MutTensorRef& a, const MutTensorRef& w, const MutTensorRef& info, bool upper, bool vectors)>
        eigh;
/// b (by columns, max(m, n) rows of which m count) = the x of least |a x - b|, in its first n rows; a by columns,
/// overwritten. rank [B] i32 (gels leaves it), s [B, min(m, n)] of gelsd and gelss.
extern WEFT_API Kernel<void(const MutTensorRef& a, const MutTensorRef& b, const MutTensorRef& rank,
                            const MutTensorRef& s, const MutTensorRef& info, double rcond, LstsqDriver driver)>
    lstsq;

}  // namespace kernels
}  // namespace weft
