#include "weft/autograd/ops/shape/diagonal.h"

#include <algorithm>

#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {

Tensor diag(const Tensor& x, Int diagonal) {
  const OpName op("diag");
  WEFT_CHECK(x.rank() == 1 || x.rank() == 2, ShapeError, "expects a vector or a matrix, got ", x.shape());
  return x.rank() == 1 ? diag_embed(x, diagonal) : x.diagonal(diagonal).clone();
}

Tensor diag_embed(const Tensor& x, Int offset, Int dim1, Int dim2) {
  const OpName op("diag_embed");
  WEFT_CHECK(x.rank() > 0, ShapeError, "expects at least 1 dimension, got ", x.shape());
  const int a = wrap_dim(op, dim1, x.rank() + 1), b = wrap_dim(op, dim2, x.rank() + 1);
  WEFT_CHECK(a != b, ValueError, "dim1 and dim2 are both ", a);
  int64_t n = 0;
  const bool fits = offset >= 0 ? !__builtin_add_overflow(x.size(-1), int64_t{offset}, &n)
                                : !__builtin_sub_overflow(x.size(-1), int64_t{offset}, &n);
  WEFT_CHECK(fits, ShapeError, "offset ", offset, " is too large");
  Shape shape = x.shape();
  shape.pop_back();
  shape.insert(std::min(a, b), n);
  shape.insert(std::max(a, b), n);
  (void)checked_numel(op, shape);
  Tensor y = zeros(shape, x.options());
  Tensor place = y.diagonal(offset, a, b);
  if (x.numel() > 0) kernels::copy(x.device(), mut_ref(place), ref(x));
  return record(op, y, {x}, [offset, a, b](BackwardCtx& c) -> Grads { return {c.grad().diagonal(offset, a, b)}; });
}

Tensor trace(const Tensor& x) {
  const OpName op("trace");
  WEFT_CHECK(x.rank() == 2, ShapeError, "expects a matrix, got ", x.shape());
  WEFT_CHECK(x.dtype() != Dtype::boolean, DtypeError, "not defined for bool; convert with to(dtype)");
  return sum(x.diagonal(), 0);
}

Tensor block_diag(const std::vector<Tensor>& tensors) {
  const OpName op("block_diag");
  if (tensors.empty()) return zeros({1, 0});
  Dtype dtype = tensors[0].dtype(op);
  int64_t rows = 0, cols = 0;
  for (size_t k = 0; k < tensors.size(); ++k) {
    const Tensor& t = tensors[k];
    check_defined(op, t);
    WEFT_CHECK(t.rank() <= 2, ShapeError, "tensor ", k, " is ", t.shape(), "; expected at most 2 dimensions");
    WEFT_CHECK(t.device() == tensors[0].device(), DeviceError, "tensor ", k, " is on ", t.device(), ", tensor 0 on ",
               tensors[0].device());
    dtype = promote(dtype, t.dtype());
    rows += t.rank() == 2 ? t.size(0) : 1;
    cols += t.rank() == 0 ? 1 : t.size(-1);
  }
  (void)checked_numel(op, {rows, cols});
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
  return record(op, y, inputs, [blocks = std::move(blocks)](BackwardCtx& c) -> Grads {
    Grads grads(static_cast<int>(blocks.size()));
    for (int k = 0; const Block& b : blocks) {
      if (c.needs(k)) grads[k] = b.of(c.grad()).reshape(b.shape);
      ++k;
    }
    return grads;
  });
}

}  // namespace weft
