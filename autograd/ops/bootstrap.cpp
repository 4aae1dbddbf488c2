#include "weft/autograd/ops/bootstrap.h"

#include "weft/autograd/engine.h"
#include "weft/core/map.h"

namespace weft {
Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", kernels::map2<fn::Add>(a, b), {a, b}, [sa = a.shape(), sb = b.shape()](BackwardCtx& c) -> Grads {
    return {c.needs(0) ? sum_to(c.grad(), sa) : Tensor(), c.needs(1) ? sum_to(c.grad(), sb) : Tensor()};
  });
}
Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", kernels::map2<fn::Mul>(a, b), {a, b}, [a = Saved(a), b = Saved(b)](BackwardCtx& c) -> Grads {
    Tensor x = c.get(a), y = c.get(b);
    return {c.needs(0) ? sum_to(c.grad() * y, x.shape()) : Tensor(), c.needs(1) ? sum_to(c.grad() * x, y.shape()) : Tensor()};
  });
}
Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
Tensor operator*(const Tensor& a, Scalar s) { return mul(a, full({}, s, a.options())); }

Tensor sum(const Tensor& x, const Shape& dims, bool keepdim) {
  uint32_t mask = dims.empty() ? (1u << x.rank()) - 1 : 0;
  for (int64_t d : dims) mask |= 1u << wrap_dim("sum", d, x.rank());
  Shape kept = x.shape(), out;
  for (int i = 0; i < x.rank(); ++i) {
    if (mask >> i & 1) kept[i] = 1;
    else out.push_back(kept[i]);
  }
  Tensor y = empty(kept, x.options());
  fn::Sum f;
  kernels::reduce.of<fn::Sum>()(x.device().type, mut_ref(y), ref(x), mask, &f);
  if (!keepdim) y = y.reshape(out);
  return record("sum", y, {x}, [kept, shape = x.shape()](BackwardCtx& c) -> Grads { return {c.grad().reshape(kept).expand(shape)}; });
}

Tensor sum_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  Shape dims;
  int extra = g.rank() - shape.size();
  for (int i = 0; i < g.rank(); ++i)
    if (i < extra || (shape[i - extra] == 1 && g.shape()[i] != 1)) dims.push_back(i);
  Tensor y = dims.empty() ? g : sum(g, dims, true);
  return y.reshape(shape);
}
}  // namespace weft
