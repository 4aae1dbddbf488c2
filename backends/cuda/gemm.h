// Matrix products on a card: one description for matmul and convolution, and how a row-major product looks to a library that
// thinks in columns. Knows no CUDA.
#pragma once

#include "weft/core/gemm_operands.h"

namespace weft::cuda {

/// What is done to alpha a b + beta out before it is stored. GELU is the form with tanh, which the library has.
enum class Epilogue : uint8_t { none, bias, relu, relu_bias, gelu, gelu_bias };
WEFT_HD constexpr bool has_bias(Epilogue e) {
  return e == Epilogue::bias || e == Epilogue::relu_bias || e == Epilogue::gelu_bias;
}

/// out[i] = epilogue(alpha a[i] b[i] + beta out[i] [+ bias]). out is not read when beta is 0. It has the dtype of a and
/// b, or is f32 for halves; bias has out's dtype.
struct Gemm : GemmOperands {
  Dtype out_dtype = Dtype::f32;
  double alpha = 1, beta = 0;
  Epilogue epilogue = Epilogue::none;

  Gemm() = default;
  Gemm(const MutTensorRef& to, const TensorRef& x, const TensorRef& y) : GemmOperands(to, x, y), out_dtype(to.dtype) {}
};

/// On the current stream: by cuBLASLt for floating dtypes, by the own kernel for integers and what the library refuses.
void gemm(const Gemm& g);

/// A matrix as the library wants it: columns of `rows` elements that begin `ld` elements apart.
struct LtMatrix {
  int64_t rows = 0, cols = 0, ld = 0, batch_stride = 0;
  bool transposed = false;  ///< the product takes its transpose
};
/// d = op(a) op(b) of column-major matrices, [m, n] = [m, k] [k, n].
struct LtProblem {
  int64_t m = 0, n = 0, k = 0;
  LtMatrix a, b, d;
};

/// The row-major matrix [rows, cols] with strides (row, col), read as the column-major matrix [cols, rows]. False if neither
/// stride is 1, or rows overlap: it has to be copied.
inline bool lt_operand(LtMatrix& to, int64_t rows, int64_t cols, int64_t row, int64_t col, int64_t batch_stride) {
  if (cols == 1) col = 1;
  if (rows == 1) row = col == 1 ? cols : 1;
  if (col == 1 && (row >= cols || rows == 1)) {
    to = {cols, rows, row < cols ? cols : row, batch_stride, false};
    return true;
  }
  if (row == 1 && (col >= rows || cols == 1)) {
    to = {rows, cols, col < rows ? rows : col, batch_stride, true};
    return true;
  }
  return false;
}

/// Row-major memory of out is column-major memory of its transpose, and out' = b' a': b is the library's first operand. Says
/// with `copy_a` and `copy_b` which operand has to be copied to rows without gaps first.
inline LtProblem lt_problem(const Gemm& g, bool& copy_a, bool& copy_b) {
  LtProblem p;
  p.m = g.n, p.n = g.m, p.k = g.k;
  copy_b = !lt_operand(p.a, g.k, g.n, g.b_row, g.b_col, g.b_batch);
  copy_a = !lt_operand(p.b, g.m, g.k, g.a_row, g.a_col, g.a_batch);
  p.d = {g.n, g.m, g.m == 1 || g.out_row < g.n ? g.n : g.out_row, g.out_batch, false};
  return p;
}

}  // namespace weft::cuda
