// Matrix products on the CPU: one description, and the engines that take it (own blocked kernel, OpenBLAS, oneDNN).
// Which engine gets which product is decided in gemm.cpp alone.
#pragma once

#include "weft/core/gemm_operands.h"

namespace weft::cpu {

struct Gemm : GemmOperands {
  using GemmOperands::GemmOperands;
  bool accumulate = false;  ///< adds to what is in out (f32 and f64 only)
};

/// Picks the engine by dtype, size and layout. Empty products (k = 0) give bias or 0.
void gemm(const Gemm& g);

/// A product of a matrix with its own transpose, in the form that the own kernel makes with half of the
/// multiplications: rows of features of which each has its numbers side by side. From 1024 features on a library's
/// whole product is as fast.
inline bool symmetric_product(const Gemm& g) {
  return (g.dtype == Dtype::f32 || g.dtype == Dtype::f64) && g.a == g.b && g.m == g.n && g.a_row == 1 && g.b_col == 1 &&
         g.a_col == g.b_row && g.a_batch == g.b_batch && !g.bias && !g.accumulate && g.n <= 512 && g.n % 32 == 0 &&
         g.k >= 256;
}

/// The own kernel: all dtypes but bool, all strides. Set by simd/gemm.cpp for the instruction set in use.
extern void (*gemm_own)(const Gemm& g);

#if WEFT_HAS_BLAS
/// f64 by OpenBLAS; false if the strides are none that BLAS knows.
bool gemm_blas(const Gemm& g);
#endif
#if WEFT_HAS_ONEDNN
namespace onednn {
/// The instruction sets that oneDNN uses here (the processor's, or fewer where ONEDNN_MAX_CPU_ISA says so) include
/// AVX-512. Without it there are no bf16 products, and weight gradients of some convolutions are not safe
/// (conv_policy.h).
bool has_avx512();
}  // namespace onednn
/// f32, and bf16 where onednn::has_avx512(), by oneDNN; false if the strides are none that its fast kernels know.
bool gemm_onednn(const Gemm& g);
#endif

/// The matrix has unit stride along one axis and does not overlap itself: what libraries take. Sets `transposed` when
/// it is the row axis, and `ld` to the other stride.
bool plain_matrix(int64_t rows, int64_t cols, int64_t row, int64_t col, bool& transposed, int64_t& ld);

}  // namespace weft::cpu
