#include "weft/autograd/ops/layer/fold.h"

#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

SlidingBlocks blocks(const char* op, const Dims<2>& size, const Dims<2>& kernel, const FoldOptions& o) {
  SlidingBlocks b;
  for (int d = 0; d < 2; ++d) {
    WEFT_CHECK(kernel[d] > 0 && o.stride[d] > 0 && o.dilation[d] > 0 && o.padding[d] >= 0, ValueError, op,
               ": kernel_size ", Shape(kernel), ", stride ", Shape(o.stride), " and dilation ", Shape(o.dilation),
               " must be positive, padding ", Shape(o.padding), " not negative");
    b.size[d] = size[d];
    b.kernel[d] = kernel[d];
    b.stride[d] = o.stride[d];
    b.padding[d] = o.padding[d];
    b.dilation[d] = o.dilation[d];
    const int64_t room = size[d] + 2 * o.padding[d] - o.dilation[d] * (kernel[d] - 1) - 1;
    WEFT_CHECK(room >= 0, ShapeError, op, ": blocks of ", Shape(kernel), " with dilation ", Shape(o.dilation),
               " do not fit ", Shape(size), " with padding ", Shape(o.padding), ": the output size along axis ", d,
               " would be below 1");
    b.out[d] = room / o.stride[d] + 1;
  }
  return b;
}

}  // namespace

Tensor unfold(const Tensor& x, const Dims<2>& kernel_size, const FoldOptions& o) {
  const OpName op("unfold");
  if (x.rank() == 3) return unfold(x.unsqueeze(0), kernel_size, o).squeeze(0);
  WEFT_CHECK(x.rank() == 4, ShapeError, "expects [N, C, H, W] or [C, H, W], got ", x.shape());
  const Dims<2> size(x.size(2), x.size(3));
  const SlidingBlocks b = blocks(op, size, kernel_size, o);
  Tensor y = empty({x.size(0), x.size(1) * b.kernel[0] * b.kernel[1], b.out[0] * b.out[1]}, x.options());
  kernels::unfold(x.device(), mut_ref(y), ref(x), b);
  return record(op, y, {x}, [=](BackwardCtx& c) -> Grads { return {fold(c.grad(), size, kernel_size, o)}; });
}

Tensor fold(const Tensor& columns, const Dims<2>& output_size, const Dims<2>& kernel_size, const FoldOptions& o) {
  const OpName op("fold");
  if (columns.rank() == 2) return fold(columns.unsqueeze(0), output_size, kernel_size, o).squeeze(0);
  WEFT_CHECK(columns.rank() == 3, ShapeError, "expects [N, C * kh * kw, L] or [C * kh * kw, L], got ", columns.shape());
  const SlidingBlocks b = blocks(op, output_size, kernel_size, o);
  const int64_t taps = b.kernel[0] * b.kernel[1], L = b.out[0] * b.out[1];
  WEFT_CHECK(columns.size(1) % taps == 0, ShapeError, "axis 1 of ", columns.shape(), " is not divisible by the ", taps,
             " elements of a block");
  WEFT_CHECK(columns.size(2) == L, ShapeError, columns.shape(), " has ", columns.size(2), " blocks but ",
             Shape(output_size), " holds ", b.out[0], " x ", b.out[1], " = ", L);
  const Tensor from = columns.detach().to(compute_dtype(columns.dtype())).contiguous();  // halves are summed in f32
  Tensor y = empty({columns.size(0), columns.size(1) / taps, b.size[0], b.size[1]}, from.options());
  kernels::fold(y.device(), mut_ref(y), ref(from), b);
  return record(op, y.to(columns.dtype()), {columns},
                [=](BackwardCtx& c) -> Grads { return {unfold(c.grad(), kernel_size, o)}; });
}

}  // namespace weft
