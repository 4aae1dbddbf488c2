#include "weft/autograd/ops/reduce/sort.h"

#include "weft/autograd/ops/index/index.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

// The first k positions in order; x of rank >= 1.
Tensor positions(const Tensor& x, int d, int64_t k, Only<bool> descending) {
  Shape shape = x.shape();
  shape[d] = k;
  Tensor y = empty(shape, {Dtype::i64, x.device()});
  kernels::sort_indices(x.device(), mut_ref(y), ref(x), d, descending);
  return y;
}

}  // namespace

Tensor argsort(const Tensor& x, Int dim, Only<bool> descending) {
  const int d = wrap_dim("argsort", dim, x.rank());
  return x.rank() == 0 ? zeros({}, {Dtype::i64, x.device()}) : positions(x, d, x.shape()[d], descending);
}

ValuesIndices sort(const Tensor& x, Int dim, Only<bool> descending) {
  const int d = wrap_dim("sort", dim, x.rank());
  const Tensor at = argsort(x, d, descending);
  return {gather(x, d, at), at};
}

ValuesIndices topk(const Tensor& x, Int k, Int dim, Only<bool> largest, Only<bool>) {
  const OpName op("topk");
  const int d = wrap_dim(op, dim, x.rank());
  const int64_t n = x.rank() ? x.shape()[d] : 1;
  WEFT_CHECK(k >= 0 && k <= n, ValueError, "k = ", k, " is out of range for axis ", d, " of size ", n);
  if (x.rank() == 0) {
    const ValuesIndices v = topk(x.reshape({1}), k, 0, largest);
    return k == 1 ? ValuesIndices{v.values.reshape({}), v.indices.reshape({})} : v;
  }
  const Tensor at = positions(x, d, k, largest);
  return {gather(x, d, at), at};
}

}  // namespace weft
