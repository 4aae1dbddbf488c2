#include "weft/backends/cpu/gemm.h"

#include "weft/backends/cpu/onednn/engine.h"
#include "weft/core/parallel.h"

namespace weft::cpu {

bool gemm_onednn(const Gemm& g) {
  using namespace onednn;
  bool ta, tb;
  int64_t lda, ldb;
  if (g.accumulate || !plain_matrix(g.m, g.k, g.a_row, g.a_col, ta, lda) ||
      !plain_matrix(g.k, g.n, g.b_row, g.b_col, tb, ldb))
    return false;
  const int64_t ldc = g.m == 1 ? g.n : g.out_row;
  // A shared operand is a batch of one, which oneDNN broadcasts.
  const bool batched = g.batch > 1;
  const bool many_a = batched && g.a_batch != 0, many_b = batched && g.b_batch != 0;
  Key key('g');
  key.add(static_cast<int64_t>(g.dtype))
      .add(g.bias != nullptr)
      .add(num_threads())
      .add(g.batch)
      .add(g.m)
      .add(g.n)
      .add(g.k);
  key.add(ta)
      .add(lda)
      .add(tb)
      .add(ldb)
      .add(ldc)
      .add(many_a ? g.a_batch : 0)
      .add(many_b ? g.b_batch : 0)
      .add(batched ? g.out_batch : 0);

  thread_local Lru<Compiled> cache;
  const Compiled& product = cache.get(key, [&] {
    using desc = dnnl::memory::desc;
    using dims = dnnl::memory::dims;
    const auto type = data_type(g.dtype);
    auto matrix = [&](int64_t count, int64_t step, int64_t rows, int64_t cols, bool transposed, int64_t ld) {
      const int64_t row = transposed ? 1 : ld, col = transposed ? ld : 1;
      if (!batched) return desc(dims{rows, cols}, type, dims{row, col});
      return desc(dims{count, rows, cols}, type, dims{step == 0 ? rows * row + cols * col : step, row, col});
    };
    const desc a = matrix(many_a ? g.batch : 1, many_a ? g.a_batch : 0, g.m, g.k, ta, lda);
    const desc b = matrix(many_b ? g.batch : 1, many_b ? g.b_batch : 0, g.k, g.n, tb, ldb);
    const desc out = matrix(g.batch, g.out_batch, g.m, g.n, false, ldc);
    if (!g.bias) {
      dnnl::matmul::primitive_desc d(engine(), a, b, out, attributes());
      return Compiled(d, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, out}});
    }
    const desc bias = batched ? desc(dims{1, 1, g.n}, type, dims{g.n, g.n, 1}) : desc(dims{1, g.n}, type, dims{g.n, 1});
    dnnl::matmul::primitive_desc d(engine(), a, b, bias, out, attributes());
    return Compiled(d, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, out}, {DNNL_ARG_BIAS, bias}});
  });
  if (g.bias) product.run({g.a, g.b, g.out, g.bias});
  else product.run({g.a, g.b, g.out});
  return true;
}

}  // namespace weft::cpu
