#include <cblas.h>

#include <algorithm>

#include "weft/backends/cpu/gemm.h"

namespace weft::cpu {

bool gemm_blas(const Gemm& g) {
  bool ta, tb;
  int64_t lda, ldb;
  if (!plain_matrix(g.m, g.k, g.a_row, g.a_col, ta, lda) || !plain_matrix(g.k, g.n, g.b_row, g.b_col, tb, ldb))
    return false;
  const int64_t limit = INT32_MAX;
  if (g.m > limit || g.n > limit || g.k > limit || lda > limit || ldb > limit || g.out_row > limit) return false;
  auto narrow = [](int64_t v) { return static_cast<blasint>(v); };
  const double *a = static_cast<const double*>(g.a), *b = static_cast<const double*>(g.b);
  double* out = static_cast<double*>(g.out);
  const bool keep = g.accumulate || g.bias;
  for (int64_t i = 0; i < g.batch; ++i) {
    double* c = out + i * g.out_batch;
    if (g.bias) {
      const double* bias = static_cast<const double*>(g.bias);
      for (int64_t r = 0; r < g.m; ++r)
        for (int64_t j = 0; j < g.n; ++j) c[r * g.out_row + j] = bias[j] + (g.accumulate ? c[r * g.out_row + j] : 0);
    }
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, narrow(g.m), narrow(g.n),
                narrow(g.k), 1.0, a + i * g.a_batch, narrow(lda), b + i * g.b_batch, narrow(ldb), keep ? 1.0 : 0.0, c,
                narrow(std::max(g.out_row, g.n)));
  }
  return true;
}

}  // namespace weft::cpu
