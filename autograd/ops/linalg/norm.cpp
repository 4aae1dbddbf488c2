// Norms of matrices, and functions that are products of matrices.
#include <cmath>
#include <limits>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/common.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/core/factory.h"

namespace weft::linalg {
namespace {

std::string text(const Ord& ord) { return ord.name ? str("'", Choice<MatrixNorm>(*ord.name).text(), "'") : str(ord.p); }

// The greatest (0 of none) or smallest along `dim`.
Tensor extreme(const Tensor& x, bool greatest, int64_t dim, bool keepdim) {
  if (!greatest) return amin(x, dim, keepdim);
  return x.size(dim) == 0 ? sum(x, dim, keepdim) : amax(x, dim, keepdim);
}

// exp(A) for matrices whose 1-norm is at most 0.78, to f64's rounding: powers up to A^4, Horner's scheme in A^4.
Tensor taylor(const Tensor& A) {
  const Tensor identity = identity_like(A), A2 = matmul(A, A), A3 = matmul(A2, A), A4 = matmul(A2, A2);
  double c[17] = {1};
  for (int i = 1; i < 17; ++i) c[i] = c[i - 1] / i;
  const auto four = [&](int i) { return identity * c[i] + A * c[i + 1] + A2 * c[i + 2] + A3 * c[i + 3]; };
  Tensor y = four(12) + A4 * c[16];
  for (int i = 8; i >= 0; i -= 4) y = four(i) + matmul(A4, y);
  return y;
}

}  // namespace

Tensor matrix_norm(const Tensor& given, const Ord& ord, const Shape& dim, Only<bool> keepdim,
                   std::optional<Dtype> dtype) {
  const OpName op("linalg.matrix_norm");
  const bool values = ord.name == MatrixNorm::nuc || (!ord.name && std::abs(ord.p) == 2);
  Tensor A = operand(op, dtype ? given.to(*dtype) : given, values ? &kernels::svd : nullptr);
  const NoAutocast plain(A);
  WEFT_CHECK(dim.size() == 2, ValueError, "dim must be two axes, got ", dim);
  int rows = wrap_dim(op, dim[0], A.rank()), columns = wrap_dim(op, dim[1], A.rank());
  WEFT_CHECK(rows != columns, ValueError, "dim names axis ", rows, " twice");
  const bool sums = !ord.name && (std::abs(ord.p) == 1 || std::isinf(ord.p));
  WEFT_CHECK(values || sums || ord.name == MatrixNorm::fro, ValueError,
             "ord must be 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, got ", text(ord));
  if (ord.name == MatrixNorm::fro) return vector_norm(A, 2, {rows, columns}, keepdim);
  if (sums) {
    if (std::isinf(ord.p)) std::swap(rows, columns);
    const Tensor line = sum(abs(A), rows, true), y = extreme(line, ord.p > 0, columns, true);
    return keepdim ? y : y.squeeze(Shape{rows, columns});
  }
  const Tensor s = svdvals(A.movedim(Shape{rows, columns}, Shape{-2, -1}));
  const Tensor y = ord.name == MatrixNorm::nuc ? sum(s, -1) : extreme(s, ord.p > 0, -1, false);
  if (!keepdim) return y;
  return y.unsqueeze(std::min(rows, columns)).unsqueeze(std::max(rows, columns));
}

Tensor norm(const Tensor& A, std::optional<Ord> ord, const DimList& dim, Only<bool> keepdim,
            std::optional<Dtype> dtype) {
  const OpName op("linalg.norm");
  check_defined(op, A);
  const int axes = dim.empty() ? A.rank() : dim.dims().size();
  if (!ord) return vector_norm(A, 2, dim, keepdim, dtype);
  WEFT_CHECK(axes == 1 || axes == 2, ShapeError, "an ord needs one axis or two, got ",
             dim.empty() ? str("a tensor of shape ", A.shape()) : str("dim ", dim.dims()));
  if (axes == 2) return matrix_norm(A, *ord, dim.empty() ? Shape{-2, -1} : dim.dims(), keepdim, dtype);
  WEFT_CHECK(!ord->name, ValueError, "ord ", text(*ord), " is a norm of matrices, but dim is one axis");
  return vector_norm(A, ord->p, dim, keepdim, dtype);
}

Tensor cond(const Tensor& given, std::optional<Ord> p) {
  const OpName op("linalg.cond");
  const bool values = !p || (!p->name && std::abs(p->p) == 2);
  const Tensor A = values ? operand(op, given, &kernels::svd) : square_operand(op, given, &kernels::inverse);
  const NoAutocast plain(A);
  if (A.numel() == 0) return zeros(batch_of(A), A.options());
  if (values) {
    const Tensor s = svdvals(A), most = amax(s, -1), least = amin(s, -1);
    return p && p->p < 0 ? least / most : most / least;
  }
  const InvEx r = inv_ex(A);
  const Tensor singular = logical_or(ne(r.info, 0), any(isnan(A), {-2, -1})),
               inverse = where(singular.unsqueeze(-1).unsqueeze(-1), 0, r.inverse);
  return where(singular, std::numeric_limits<double>::infinity(), matrix_norm(A, *p) * matrix_norm(inverse, *p));
}

Tensor matrix_power(const Tensor& given, Int n) {
  const OpName op("linalg.matrix_power");
  Tensor A = square_operand(op, given, n < 0 ? &kernels::inverse : nullptr);
  const NoAutocast plain(A);
  if (n < 0) A = inv(A);
  uint64_t left = n < 0 ? -static_cast<uint64_t>(n) : static_cast<uint64_t>(n);
  if (left == 0) return identity_like(A).clone();
  Tensor y;
  for (Tensor square = A;; square = matmul(square, square)) {
    if (left & 1) y = y.defined() ? matmul(y, square) : square;
    left >>= 1;
    if (left == 0) break;
  }
  return n == 1 ? y.clone() : y;
}

Tensor matrix_exp(const Tensor& given) {
  const OpName op("linalg.matrix_exp");
  const Tensor A = square_operand(op, given, nullptr);
  const NoAutocast plain(A);
  if (A.numel() == 0) return A.clone();
  Tensor squarings;  // [..., 1, 1], each matrix its own number
  {
    const NoGrad off;
    const Tensor size = matrix_norm(A.detach(), 1, {-2, -1}, true);
    squarings = clamp(ceil(log2(size / 0.78)), 0);
    squarings = where(isfinite(squarings), squarings, 0);
  }
  const int64_t most = amax(squarings).item<int64_t>();
  Tensor y = taylor(most == 0 ? A : A * exp2(neg(squarings)));
  for (int64_t i = 0; i < most; ++i) {
    const Tensor next = matmul(y, y), more = gt(squarings, i);
    y = all(more).item<bool>() ? next : where(more, next, y);
  }
  return y;
}

Tensor multi_dot(const std::vector<Tensor>& tensors) {
  const OpName op("linalg.multi_dot");
  const size_t n = tensors.size();
  WEFT_CHECK(n >= 2, ValueError, "needs two tensors or more, got ", n);
  for (size_t i = 0; i < n; ++i) {
    check_defined(op, tensors[i]);
    const int rank = tensors[i].rank();
    WEFT_CHECK(rank == 2 || (rank == 1 && (i == 0 || i == n - 1)), ShapeError, "tensor ", i, " is ", tensors[i].shape(),
               "; needs matrices, and vectors as the first and the last alone");
  }
  std::vector<Tensor> factors = tensors;
  const bool row = factors.front().rank() == 1, column = factors.back().rank() == 1;
  if (row) factors.front() = factors.front().unsqueeze(0);
  if (column) factors.back() = factors.back().unsqueeze(1);
  std::vector<double> side;
  for (const Tensor& t : factors) side.push_back(static_cast<double>(t.size(0)));
  side.push_back(static_cast<double>(factors.back().size(1)));
  for (size_t i = 0; i + 1 < n; ++i)
    WEFT_CHECK(factors[i].size(1) == factors[i + 1].size(0), ShapeError, "tensors ", i, " and ", i + 1,
               " do not fit: ", tensors[i].shape(), " x ", tensors[i + 1].shape());
  // cost[i][j]: of the product of i .. j; cut[i][j]: where it is parted
  std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0));
  std::vector<std::vector<size_t>> cut(n, std::vector<size_t>(n, 0));
  for (size_t length = 1; length < n; ++length)
    for (size_t i = 0, j = length; j < n; ++i, ++j) {
      cost[i][j] = std::numeric_limits<double>::infinity();
      for (size_t k = i; k < j; ++k) {
        const double c = cost[i][k] + cost[k + 1][j] + side[i] * side[k + 1] * side[j + 1];
        if (c < cost[i][j]) cost[i][j] = c, cut[i][j] = k;
      }
    }
  // Parts lie on a stack until both factors of a product are there.
  struct Part {
    size_t i, j;
    bool ready;
  };
  std::vector<Part> todo = {{0, n - 1, false}};
  std::vector<Tensor> done;
  while (!todo.empty()) {
    const Part part = todo.back();
    todo.pop_back();
    if (part.i == part.j) {
      done.push_back(factors[part.i]);
    } else if (part.ready) {
      const Tensor right = done.back();
      done.pop_back();
      done.back() = mm(done.back(), right);
    } else {
      const size_t k = cut[part.i][part.j];
      todo.push_back({part.i, part.j, true});
      todo.push_back({k + 1, part.j, false});
      todo.push_back({part.i, k, false});
    }
  }
  Tensor y = done.back();
  if (column) y = y.squeeze(1);
  return row ? y.squeeze(0) : y;
}

}  // namespace weft::linalg
