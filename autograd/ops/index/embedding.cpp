#include "weft/autograd/ops/index/embedding.h"

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/index/index_lookup.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

// One factor per looked-up row: 0 for the padding row, 1 / frequency where asked for.
Tensor row_factors(const Tensor& index, int64_t rows, const EmbeddingOptions& o, const TensorOptions& options) {
  Tensor f;
  if (o.scale_grad_by_freq) {
    const Tensor flat = index.flatten();
    const Tensor counts = index_add(zeros({rows}, options), 0, flat, ones({flat.numel()}, options));
    f = div(1, index_select(counts, 0, flat).reshape(index.shape()));
  }
  if (o.padding_idx) {
    const Tensor kept = ne(index, int64_t{*o.padding_idx}).to(options.dtype());
    f = f.defined() ? mul(f, kept) : kept;
  }
  return f.unsqueeze(-1);
}

}  // namespace

Tensor embedding(const Tensor& index, const Tensor& weight, const EmbeddingOptions& options) {
  const OpName op("embedding");
  WEFT_CHECK(weight.rank() == 2, ShapeError, "weight must be [V, D], got ", weight.shape());
  const int64_t rows = weight.shape()[0];
  EmbeddingOptions o = options;
  if (o.padding_idx) {
    WEFT_CHECK(*o.padding_idx >= -rows && *o.padding_idx < rows, ValueError, "padding_idx ", *o.padding_idx,
               " is out of range for ", rows, " rows");
    if (*o.padding_idx < 0) o.padding_idx = *o.padding_idx + rows;
  }
  const detail::Lookup l(op, weight.shape(), {0}, {index}, false);
  if (!o.padding_idx && !o.scale_grad_by_freq) return detail::lookup(weight, l);
  // The factors act on the gradient alone: the value is that of the plain lookup.
  Tensor y = detail::lookup(weight.detach(), l);
  return record(op, y, {weight}, [l, o, rows, index, i = Saved(index, "index")](BackwardCtx& c) -> Grads {
    (void)c.get(i);
    const Tensor factors = row_factors(index, rows, o, {compute_dtype(c.grad().dtype()), c.grad().device()});
    return {detail::lookup_adjoint(mul(c.grad(), factors.to(c.grad().dtype())), l)};
  });
}

}  // namespace weft
