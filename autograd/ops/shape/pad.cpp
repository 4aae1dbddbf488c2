#include "weft/autograd/ops/shape/pad.h"

#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {

constexpr int64_t kMost = int64_t{1} << 48;  // sums must not overflow

PadParams params(const Shape& shape, const Shape& pads, PadMode mode, double value) {
  WEFT_CHECK(pads.size() % 2 == 0 && pads.size() <= 2 * shape.size(), ShapeError, pads,
             " must hold two numbers for each padded axis of ", shape, ", the last axis first");
  PadParams p;
  p.mode = mode;
  p.value = value;
  p.rank = shape.size();
  for (int i = 0; i < p.rank; ++i) p.axis[i].size = shape[i];
  for (int k = 0; k < pads.size() / 2; ++k) {
    fn::PadAxis& a = p.axis[p.rank - 1 - k];
    a.lo = pads[2 * k];
    a.hi = pads[2 * k + 1];
    for (int64_t v : {a.lo, a.hi}) WEFT_CHECK(v >= -kMost && v <= kMost, ValueError, v, " in ", pads, " is too large");
    WEFT_CHECK(a.out() >= 0, ShapeError, pads, " leaves axis ", p.rank - 1 - k, " of ", shape, " with size ", a.out());
    if (mode == PadMode::constant || !a.changes()) continue;
    WEFT_CHECK(a.size > 0, ShapeError, Choice(mode).text(), " padding of axis ", p.rank - 1 - k, " of ", shape,
               ", which is empty");
    const int64_t most = std::max(a.lo, a.hi);
    if (mode == PadMode::reflect)
      WEFT_CHECK(most < a.size, ShapeError, "reflect padding ", most, " must be less than the size of axis ",
                 p.rank - 1 - k, " of ", shape);
    if (mode == PadMode::circular) {
      const int64_t left = a.size + std::min<int64_t>(a.lo, 0) + std::min<int64_t>(a.hi, 0);
      WEFT_CHECK(most <= left, ShapeError, "circular padding ", most, " wraps axis ", p.rank - 1 - k, " of ", shape,
                 " more than once");
    }
  }
  return p;
}

}  // namespace

Tensor pad(const Tensor& x, const Shape& pads, Choice<PadMode> mode, double value) {
  const OpName op("pad");
  const PadParams p = params(x.shape(), pads, mode, value);
  Shape shape = x.shape();
  for (int i = 0; i < p.rank; ++i) shape[i] = p.axis[i].out();
  Tensor from = detail::dense_ordered(x), y = detail::empty_ordered(shape, x.dtype(), from);
  kernels::pad(x.device(), mut_ref(y), ref(from), p);
  return record(op, y, {x}, [shape = x.shape(), pads, mode](BackwardCtx& c) -> Grads {
    return {pad_backward(c.grad(), shape, pads, mode)};
  });
}

Tensor pad_backward(const Tensor& g, const Shape& shape, const Shape& pads, PadMode mode) {
  const OpName op("pad_backward");
  if (mode == PadMode::constant) {
    Shape back = pads;
    for (int64_t& n : back) n = -n;
    return pad(g, back);
  }
  const PadParams p = params(shape, pads, mode, 0);
  Tensor from = detail::dense_ordered(g.detach().to(compute_dtype(g.dtype())));  // halves are summed in f32
  Tensor y = detail::empty_ordered(shape, from.dtype(), from);
  kernels::pad_backward(g.device(), mut_ref(y), ref(from), p);
  return record(op, y.to(g.dtype()), {g},
                [pads, mode](BackwardCtx& c) -> Grads { return {pad(c.grad(), pads, mode)}; });
}

}  // namespace weft
