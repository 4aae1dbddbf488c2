#include "weft/autograd/ops/shape/diagonal.h"

#include <algorithm>

#include "weft/autograd/ops/composed.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {

Tensor diag(const Tensor& x, int64_t diagonal) try {
  WEFT_CHECK(x.rank() == 1 || x.rank() == 2, ShapeError, "diag: expects a vector or a matrix, got ", x.shape());
  return x.rank() == 1 ? diag_embed(x, diagonal) : x.diagonal(diagonal).clone();
} catch (const Error& e) { detail::rethrow_as("diag", e); }

Tensor diag_embed(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) try {
  WEFT_CHECK(x.rank() > 0, ShapeError, "diag_embed: expects at least 1 dimension, got ", x.shape());
  const int a = wrap_dim("diag_embed", dim1, x.rank() + 1), b = wrap_dim("diag_embed", dim2, x.rank() + 1);
  WEFT_CHECK(a != b, ValueError, "diag_embed: dim1 and dim2 are both ", a);
  int64_t n = 0;
  const bool fits = offset >= 0 ? !__builtin_add_overflow(x.size(-1), offset, &n)
                                : !__builtin_sub_overflow(x.size(-1), offset, &n);
  WEFT_CHECK(fits, ShapeError, "diag_embed: offset ", offset, " is too large");
  Shape shape = x.shape();
  shape.pop_back();
  shape.insert(std::min(a, b), n);
  shape.insert(std::max(a, b), n);
  (void)checked_numel("diag_embed", shape);
  Tensor y = zeros(shape, x.options());
  Tensor place = y.diagonal(offset, a, b);
  if (x.numel() > 0) kernels::copy(x.device(), mut_ref(place), ref(x));
  return record("diag_embed", y, {x},
                [offset, a, b](BackwardCtx& c) -> Grads { return {c.grad().diagonal(offset, a, b)}; });
} catch (const Error& e) { detail::rethrow_as("diag_embed", e); }

Tensor trace(const Tensor& x) try {
  WEFT_CHECK(x.rank() == 2, ShapeError, "trace: expects a matrix, got ", x.shape());
  WEFT_CHECK(x.dtype() != Dtype::boolean, DtypeError, "trace: not defined for bool; convert with to(dtype)");
  return sum(x.diagonal(), 0);
} catch (const Error& e) { detail::rethrow_as("trace", e); }

Tensor block_diag(const std::vector<Tensor>& tensors) try {
  if (tensors.empty()) return zeros({1, 0});
  Dtype dtype = tensors[0].dtype("block_diag");
  int64_t rows = 0, cols = 0;
  for (size_t k = 0; k < tensors.size(); ++k) {
    const Tensor& t = tensors[k];
    check_defined("block_diag", t);
    WEFT_CHECK(t.rank() <= 2, ShapeError, "block_diag: tensor ", k, " is ", t.shape(),
               "; expected at most 2 dimensions");
    WEFT_CHECK(t.device() == tensors[0].device(), DeviceError, "block_diag: tensor ", k, " is on ", t.device(),
               ", tensor 0 on ", tensors[0].device());
    dtype = promote(dtype, t.dtype());
    rows += t.rank() == 2 ? t.size(0) : 1;
    cols += t.rank() == 0 ? 1 : t.size(-1);
  }
  (void)checked_numel("block_diag", {rows, cols});
  Tensor y = zeros({rows, cols}, {dtype, tensors[0].device()});
  struct Block {
    Shape shape;
    int64_t row, col, rows, cols;
    Tensor of(const Tensor& whole) const { return whole.narrow(0, row, rows).narrow(1, col, cols); }
  };
  std::vector<Block> blocks;
  std::vector<Tensor> inputs;
  for (int64_t row = 0, col = 0; const Tensor& t : tensors) {
    inputs.push_back(t.to(dtype));
    const Block b{t.shape(), row, col, t.rank() == 2 ? t.size(0) : 1, t.rank() == 0 ? 1 : t.size(-1)};
    const Tensor from = inputs.back().detach().reshape({b.rows, b.cols});
    Tensor place = b.of(y);
    if (t.numel() > 0) kernels::copy(y.device(), mut_ref(place), ref(from));
    row += b.rows, col += b.cols;
    blocks.push_back(b);
  }
  return record("block_diag", y, inputs, [blocks = std::move(blocks)](BackwardCtx& c) -> Grads {
    Grads grads(static_cast<int>(blocks.size()));
    for (int k = 0; const Block& b : blocks) {
      if (c.needs(k)) grads[k] = b.of(c.grad()).reshape(b.shape);
      ++k;
    }
    return grads;
  });
} catch (const Error& e) { detail::rethrow_as("block_diag", e); }

}  // namespace weft
