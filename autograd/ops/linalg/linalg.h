// Dense linear algebra with PyTorch's names and results (torch.linalg), differentiable to any order unless said
// otherwise. A is [..., m, n]: a matrix or a batch of them; `...` are its batch axes. f32 or f64 (DtypeError else;
// Autocast: fp32). What goes through LAPACK runs on the CPU: NotSupported elsewhere, and in a build with WEFT_BLAS=OFF.
// Empty matrices and batches are legal.
#pragma once

#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/choice.h"
#include "weft/core/linalg_params.h"
#include "weft/core/results.h"
#include "weft/core/tensor_list.h"

namespace weft::linalg {

/// A matrix that the op cannot take: singular, not positive-definite, or with NaN or infinity in it. Its text names the
/// op, the index in the batch and the pivot. Equivalent: torch.linalg.LinAlgError.
struct WEFT_API LinAlgError : ValueError {
  using ValueError::ValueError;
};

// Inverses, determinants, systems of equations. All factor A = P L U; backward uses the same factors again.

/// A^-1. A: [..., n, n]. LinAlgError if A is singular.
[[nodiscard]] WEFT_API Tensor inv(const Tensor& A);
/// What inv_ex gives.
WEFT_RESULT(InvEx, inverse, info);
/// inv without an error: a singular matrix shows in `info` alone ([...] i32, 0, or the pivot that is zero, counted from
/// 1), and its inverse is arbitrary.
[[nodiscard]] WEFT_API InvEx inv_ex(const Tensor& A);
/// X of A X = B, or of X A = B without `left`. A: [..., n, n], B: [..., n, k] or [..., k, n]; batch axes broadcast. B
/// is a vector, and X of its shape, where it is [n] or its shape is A's without the last axis. LinAlgError if A is
/// singular.
[[nodiscard]] WEFT_API Tensor solve(const Tensor& A, const Tensor& B, Only<bool> left = true);
/// Determinant. A: [..., n, n] -> [...]. The gradient is exact at singular matrices too (the cofactors, by the SVD);
/// there its own gradient needs singular values that differ.
[[nodiscard]] WEFT_API Tensor det(const Tensor& A);
/// What slogdet gives, [...] each.
WEFT_RESULT(SlogDet, sign, logabsdet);
/// Sign and logarithm of |det A|: 0 and -inf where A is singular, and the gradient is not finite. sign has no gradient.
[[nodiscard]] WEFT_API SlogDet slogdet(const Tensor& A);

/// What lu_factor gives.
WEFT_RESULT(LuFactors, LU, pivots);
/// A = P L U, packed. A: [..., m, n]. LU: [..., m, n], L below the diagonal (its own is 1), U on and above it. pivots:
/// [..., min(m, n)] i32, row i was swapped with row pivots[i] - 1. LinAlgError if a pivot is zero (`lu` takes such a
/// matrix).
[[nodiscard]] WEFT_API LuFactors lu_factor(const Tensor& A);
/// What lu gives.
WEFT_RESULT(Lu, P, L, U);
/// A = P L U: [..., m, m], [..., m, k], [..., k, n] with k = min(m, n). P has no gradient.
[[nodiscard]] WEFT_API Lu lu(const Tensor& A);
/// Options of lu_solve.
struct LuSolveOptions {
  bool left = true;      ///< A X = B, else X A = B
  bool adjoint = false;  ///< A^T in place of A
};
/// X from the result of lu_factor(A). B: [..., n, k]; batch axes broadcast.
[[nodiscard]] WEFT_API Tensor lu_solve(const Tensor& LU, const Tensor& pivots, const Tensor& B,
                                       const LuSolveOptions& o = {});

/// Options of solve_triangular.
struct SolveTriangularOptions {
  bool upper;                  ///< which triangle of A counts; the other one is not read
  bool left = true;            ///< A X = B, else X A = B
  bool unitriangular = false;  ///< the diagonal is taken as 1 and not read
};
/// X of A X = B with a triangular A: `solve_triangular(A, B, {.upper = false})`. A: [..., n, n], B: [..., n, k]; batch
/// axes broadcast. A zero on the diagonal gives infinities.
[[nodiscard]] WEFT_API Tensor solve_triangular(const Tensor& A, const Tensor& B, const SolveTriangularOptions& o);

// Symmetric matrices. One triangle of A is read; the gradient is that of a symmetric A, and symmetric.

/// L of A = L L^T, or U of A = U^T U (`upper`), for a positive-definite A: [..., n, n]. LinAlgError otherwise.
[[nodiscard]] WEFT_API Tensor cholesky(const Tensor& A, Only<bool> upper = false);
/// What cholesky_ex gives.
WEFT_RESULT(CholeskyEx, L, info);
/// cholesky without an error: a matrix that is not positive-definite shows in `info` alone ([...] i32, 0, or the order
/// of the first leading minor that is not positive).
[[nodiscard]] WEFT_API CholeskyEx cholesky_ex(const Tensor& A, Only<bool> upper = false);
/// What eigh gives.
WEFT_RESULT(Eigh, eigenvalues, eigenvectors);
/// Which triangle of a symmetric matrix is read: "L" or "U" as text.
enum class Triangle : uint8_t { lower, upper };
constexpr auto mode_words(Triangle) { return make_words("linalg: UPLO", "L", "U"); }
/// A = V diag(w) V^T: w [..., n] in rising order, V [..., n, n], a vector a column. UPLO: the triangle that
/// is read. Gradients through the eigenvectors need eigenvalues that differ and an objective that does not depend on
/// the vectors' signs. LinAlgError for NaN and infinity.
[[nodiscard]] WEFT_API Eigh eigh(const Tensor& A, Choice<Triangle> UPLO = Triangle::lower);
/// The eigenvalues alone.
[[nodiscard]] WEFT_API Tensor eigvalsh(const Tensor& A, Choice<Triangle> UPLO = Triangle::lower);

// Factors of any A.

/// What qr gives.
WEFT_RESULT(Qr, Q, R);
/// Which factors qr makes.
enum class QrMode : uint8_t { reduced, complete, r };
constexpr auto mode_words(QrMode) { return make_words("linalg.qr: mode", "reduced", "complete", "r"); }
/// A = Q R, k = min(m, n). mode "reduced": Q [..., m, k], R [..., k, n]; "complete": Q [..., m, m], R [..., m, n]; "r":
/// R alone, Q is [0]. The gradient needs the first k columns of A to be independent; NotSupported for "complete" where
/// m > n.
[[nodiscard]] WEFT_API Qr qr(const Tensor& A, Choice<QrMode> mode = QrMode::reduced);
/// What svd gives.
WEFT_RESULT(Svd, U, S, Vh);
/// A = U diag(S) Vh. U [..., m, m], S [..., k] in falling order, Vh [..., n, n], k = min(m, n); without full_matrices U
/// [..., m, k], Vh [..., k, n]. Gradients through U and Vh need singular values that differ (and no 0 among them unless
/// m == n), and an objective that does not depend on the vectors' signs; the columns beyond k have none (ValueError).
/// LinAlgError for NaN and infinity.
[[nodiscard]] WEFT_API Svd svd(const Tensor& A, Only<bool> full_matrices = true);
/// The singular values alone.
[[nodiscard]] WEFT_API Tensor svdvals(const Tensor& A);

// Least squares.

/// Options of pinv and matrix_rank: which singular values count.
struct PinvOptions {
  std::optional<double> atol =
      std::nullopt;  ///< singular values up to max(atol, rtol * the largest) count as 0; default 0
  std::optional<double> rtol = std::nullopt;  ///< default max(m, n) * epsilon of the dtype; 0 where atol > 0
  bool hermitian = false;                     ///< A is symmetric: by its eigenvalues, from the lower triangle
};
/// The Moore-Penrose inverse: [..., m, n] -> [..., n, m]. The gradient is that of a rank that does not change.
[[nodiscard]] WEFT_API Tensor pinv(const Tensor& A, const PinvOptions& o = {});
[[nodiscard]] inline Tensor pinv(const Tensor& A, Only<double> rtol) { return pinv(A, PinvOptions{.rtol = rtol}); }
/// Number of singular values above the bound of PinvOptions: [..., m, n] -> [...] i64.
[[nodiscard]] WEFT_API Tensor matrix_rank(const Tensor& A, const PinvOptions& o = {});
/// Options of lstsq.
struct LstsqOptions {
  std::optional<double> rcond = std::nullopt;       ///< default max(m, n) * epsilon of the dtype
  Choice<LstsqDriver> driver = LstsqDriver::gelsy;  ///< of LAPACK; gelsy, the default, takes any rank
};
/// What lstsq gives.
struct Lstsq {
  Tensor solution;         ///< [..., n, k]
  Tensor residuals;        ///< [..., k] squared, where m > n, all of full rank and the driver is not gelsy; else [0]
  Tensor rank;             ///< [...] i64; [0] for gels
  Tensor singular_values;  ///< [..., min(m, n)] for gelsd and gelss; else [0]. Not differentiable.
};
/// X of least |A X - B|, the shortest one where there are many. A: [..., m, n], B: [..., m, k], or [..., m] as vectors
/// where it is of one axis less. The gradient is pinv's. LinAlgError for NaN and infinity, and for gels where A has not
/// full rank.
[[nodiscard]] WEFT_API Lstsq lstsq(const Tensor& A, const Tensor& B, const LstsqOptions& o = {});

// Norms, and functions of products.

/// Norms of matrices that have names: Frobenius and nuclear.
enum class MatrixNorm : uint8_t { fro, nuc };
constexpr auto mode_words(MatrixNorm) { return make_words("linalg.norm: ord", "fro", "nuc"); }
/// Which norm: "fro", "nuc", or a number.
struct Ord {
  Ord(MatrixNorm name) : name(name) {}
  Ord(const char* name) : name(Choice<MatrixNorm>(name)) {}
  template <class T>
  requires std::is_arithmetic_v<T> Ord(T p) : p(static_cast<double>(p)) {}
  std::optional<MatrixNorm> name = std::nullopt;  ///< none: a number
  double p = 0;                                   ///< the number, without a name
};
/// Norm of the matrices of the axes dim: "fro" (root of the sum of squares), "nuc" (sum of singular values), 1 and -1
/// (greatest and smallest sum of a column's |x|), inf and -inf (of a row's), 2 and -2 (greatest and smallest singular
/// value). `dtype` converts first.
[[nodiscard]] WEFT_API Tensor matrix_norm(const Tensor& A, const Ord& ord = "fro", const Shape& dim = {-2, -1},
                                          Only<bool> keepdim = false, std::optional<Dtype> dtype = {});
using weft::vector_norm;
/// vector_norm for one axis and for none (2-norm of all elements without ord), matrix_norm for two axes, or for a
/// matrix with an ord.
[[nodiscard]] WEFT_API Tensor norm(const Tensor& A, std::optional<Ord> ord = {}, const DimList& dim = {},
                                   Only<bool> keepdim = false, std::optional<Dtype> dtype = {});
/// Condition number |A| |A^-1| in the norm p; without p, 2 and -2 as quotients of singular values, of any A
/// (LinAlgError for a NaN or infinity). In the other norms inf if A is singular or has a NaN.
[[nodiscard]] WEFT_API Tensor cond(const Tensor& A, std::optional<Ord> p = {});
/// A^n for an integer n, by squaring; of the inverse for n < 0. On any device for n >= 0.
[[nodiscard]] WEFT_API Tensor matrix_power(const Tensor& A, Int n);
/// exp(A) = sum of A^i / i!: Taylor's polynomial of degree 16 (Paterson and Stockmeyer) with scaling and squaring,
/// matrix by matrix. On any device.
[[nodiscard]] WEFT_API Tensor matrix_exp(const Tensor& A);
/// The product of two or more matrices in the cheapest order. The first and the last may be vectors. On any device.
[[nodiscard]] WEFT_API Tensor multi_dot(const std::vector<Tensor>& tensors);
[[nodiscard]] inline Tensor multi_dot(TensorBraces tensors) { return multi_dot(listed(tensors)); }

}  // namespace weft::linalg

namespace weft {

/// X of A X = B from A's Cholesky factor. L: [..., n, n] lower, or `upper`; B: [..., n, k]. Equivalent:
/// torch.cholesky_solve.
[[nodiscard]] WEFT_API Tensor cholesky_solve(const Tensor& B, const Tensor& L, Only<bool> upper = false);
/// A^-1 from A's Cholesky factor. Equivalent: torch.cholesky_inverse.
[[nodiscard]] WEFT_API Tensor cholesky_inverse(const Tensor& L, Only<bool> upper = false);

}  // namespace weft
