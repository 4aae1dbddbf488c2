#include "weft/backends/cpu/gemm.h"

#include <cstring>

#include "weft/backends/cpu/copy.h"
#include "weft/backends/cpu/register.h"
#include "weft/core/parallel.h"

namespace weft::cpu {

void (*gemm_own)(const Gemm&) = nullptr;

bool plain_matrix(int64_t rows, int64_t cols, int64_t row, int64_t col, bool& transposed, int64_t& ld) {
  // An axis of size 1 has whatever stride suits.
  if (cols == 1 && rows == 1) return transposed = false, ld = 1, true;
  if (col == 1 || cols == 1) {
    transposed = false;
    ld = rows == 1 ? cols : row;
    if (cols == 1 && row == 1) return transposed = true, ld = rows, true;
    if (ld >= cols) return true;
  }
  if (row == 1 || rows == 1) {
    transposed = true;
    ld = cols == 1 ? rows : col;
    return ld >= rows;
  }
  return false;
}

namespace {

// Below this many multiply-adds the call of a library costs more than it saves (2 to 5 us).
constexpr int64_t kOwnBelow = 48 * 48 * 48;
// Up to this many rows times the rows of a weight (a linear layer on a small batch) are bound by reading the weight:
// the own kernel does that in place, libraries pack it first (55 against 149 us for 1 x 1024 x 1024).
constexpr int64_t kOwnRows = 8;

bool own_is_faster(const Gemm& g) {
  if (g.batch * g.m * g.n * g.k < kOwnBelow || symmetric_product(g)) return true;
  return (g.dtype == Dtype::f32 || g.dtype == Dtype::f64) && g.a_col == 1 && g.b_row == 1 && g.m <= kOwnRows &&
         g.k >= 64 && !g.accumulate;
}

void fill_with_bias(const Gemm& g) {
  if (g.accumulate) return;
  const size_t bytes = static_cast<size_t>(g.n) * itemsize(g.dtype);
  for (int64_t i = 0; i < g.batch; ++i)
    for (int64_t r = 0; r < g.m; ++r) {
      char* row = static_cast<char*>(g.out) + static_cast<size_t>(i * g.out_batch + r * g.out_row) * itemsize(g.dtype);
      if (g.bias) std::memcpy(row, g.bias, bytes);
      else std::memset(row, 0, bytes);
    }
}

bool by_library([[maybe_unused]] const Gemm& g) {
#if WEFT_HAS_ONEDNN
  if (g.dtype == Dtype::f32 || g.dtype == Dtype::bf16) return gemm_onednn(g);
#endif
#if WEFT_HAS_BLAS
  if (g.dtype == Dtype::f64) return gemm_blas(g);
#endif
  return false;
}

bool has_library(Dtype d) {
#if WEFT_HAS_ONEDNN
  if (d == Dtype::f32 || d == Dtype::bf16) return d == Dtype::f32 || onednn::has_avx512();
#endif
#if WEFT_HAS_BLAS
  if (d == Dtype::f64) return true;
#endif
  (void)d;
  return false;
}

}  // namespace

void gemm(const Gemm& g) {
  if (g.batch * g.m * g.n == 0) return;
  if (g.k == 0) return fill_with_bias(g);
  if (!has_library(g.dtype) || own_is_faster(g)) return gemm_own(g);
  if (by_library(g)) return;
  bool transposed;
  int64_t ld;
  Scratch a, b;
  Gemm p = g;
  if (!plain_matrix(g.m, g.k, g.a_row, g.a_col, transposed, ld))
    p.a = compact_operand(g.a, g.dtype, g.batch, g.m, g.k, p.a_batch, p.a_row, p.a_col, a, copy_cpu);
  if (!plain_matrix(g.k, g.n, g.b_row, g.b_col, transposed, ld))
    p.b = compact_operand(g.b, g.dtype, g.batch, g.k, g.n, p.b_batch, p.b_row, p.b_col, b, copy_cpu);
  if (!by_library(p)) gemm_own(p);
}

namespace {

void matmul_kernel(const MutTensorRef& out, const TensorRef& a, const TensorRef& b, const TensorRef& bias) {
  Gemm g(out, a, b);
  Scratch copy;
  g.bias = dense_contiguous(bias, bias.dtype, copy, copy_cpu);
  gemm(g);
}

}  // namespace

void register_gemm_slots() { kernels::matmul.set(DeviceType::cpu, matmul_kernel); }

}  // namespace weft::cpu
