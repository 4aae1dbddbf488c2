#include "weft/autograd/ops/index/index_lookup.h"

#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"

namespace weft::detail {
namespace {

// Element offsets of the lookups in a tensor with these strides: i64, flat.
Tensor offsets_of(const Lookup& l, const Strides& strides, Device device) {
  Tensor offsets = zeros({l.shape.numel()}, {Dtype::i64, device});
  for (int k = 0; k < l.dims.size(); ++k) {
    const auto d = static_cast<int>(l.dims[k]);
    kernels::index_offsets(device, mut_ref(offsets), ref(l.indices[static_cast<size_t>(k)]),
                           {l.op, d, l.base[d], strides[d], l.wrap});
  }
  return offsets;
}

// A tensor seen with other axes: what the kernels get.
struct Axes {
  Shape shape;
  Strides strides;
  void add(int64_t size, int64_t stride) {
    shape.push_back(size);
    strides.push_back(stride);
  }
  template <class R> R over(R r) const { return seen_as(r, shape.data(), strides.data(), shape.size()); }
};

// The base without the indexed axes.
Axes rest_of(const Tensor& base, const Lookup& l) {
  Axes a;
  for (int i = 0; i < base.rank(); ++i)
    if (!l.dims.contains(i)) a.add(base.shape()[i], base.strides()[i]);
  return a;
}

// The result as [n, rest...]; its lookup axes lie one in the other.
Axes rows_of(const Tensor& result, const Lookup& l) {
  Axes a;
  const int k = l.shape.size();
  a.add(l.shape.numel(), k > 0 ? result.strides()[l.at + k - 1] : 1);
  for (int i = 0; i < result.rank(); ++i)
    if (i < l.at || i >= l.at + k) a.add(result.shape()[i], result.strides()[i]);
  return a;
}

std::vector<Saved> saved(const Lookup& l) {
  std::vector<Saved> s;
  for (const Tensor& t : l.indices) s.push_back(Saved::input(t, "index"));
  return s;
}

void check(const BackwardCtx& c, const std::vector<Saved>& indices) {
  for (const Saved& s : indices) (void)c.get(s);
}

}  // namespace

Lookup::Lookup(const char* op_, const Shape& base_, const Shape& dims_, const std::vector<Tensor>& given, bool wrap_)
    : op(op_), base(base_), dims(dims_), wrap(wrap_) {
  for (const Tensor& t : given) {
    WEFT_CHECK(kIndexDtypes.has(t.dtype(op)), DtypeError, op, ": an index tensor is ", t.dtype(), "; expected ",
               kIndexDtypes);
    shape = broadcast_shapes(op, shape, t.shape());
  }
  bool neighbours = true;
  for (int k = 1; k < dims.size(); ++k) neighbours &= dims[k] == dims[k - 1] + 1;
  at = neighbours && !dims.empty() ? static_cast<int>(dims[0]) : 0;
  for (const Tensor& t : given) indices.push_back(t.detach().expand(shape).contiguous());
}

Shape Lookup::result() const {
  Shape r;
  for (int i = 0; i < base.size(); ++i)
    if (!dims.contains(i)) r.push_back(base[i]);
  Shape s = r.slice(0, at);
  for (int64_t n : shape) s.push_back(n);
  for (int i = at; i < r.size(); ++i) s.push_back(r[i]);
  return s;
}

Tensor lookup(const Tensor& x, const Lookup& l) {
  const Tensor offsets = offsets_of(l, x.strides(), x.device());
  const Shape shape = l.result();
  // one list of indices keeps x's order of axes
  Tensor y = l.shape.size() == 1 && l.dims.size() == 1 ? empty_ordered(shape, x.dtype(), x) : empty(shape, x.options());
  if (y.numel() > 0)
    kernels::index_get(x.device(), rows_of(y, l).over(mut_ref(y)), rest_of(x, l).over(ref(x)), ref(offsets));
  if (!(grad_enabled() && x.requires_grad())) return record(l.op, y, {x}, [](BackwardCtx&) -> Grads { return {}; });
  return record(l.op, y, {x}, [l, indices = saved(l)](BackwardCtx& c) -> Grads {
    check(c, indices);
    return {lookup_adjoint(c.grad(), l)};
  });
}

void lookup_put(Tensor& y, const Lookup& l, const Tensor& src, bool accumulate) {
  const Tensor offsets = offsets_of(l, y.strides(), y.device());
  const Tensor from = l.shape.size() <= 1 ? src.detach() : src.detach().contiguous();
  if (from.numel() > 0)
    kernels::index_put(y.device(), rest_of(y, l).over(mut_ref(y)), rows_of(from, l).over(ref(from)), ref(offsets),
                       accumulate);
}

Tensor lookup_adjoint(const Tensor& g, const Lookup& l) {
  const Tensor from = g.detach().to(compute_dtype(g.dtype()));  // halves are summed in f32
  Tensor y = zeros(l.base, from.options());
  lookup_put(y, l, from, true);
  return record("index_backward", y.to(g.dtype()), {g}, [l, indices = saved(l)](BackwardCtx& c) -> Grads {
    check(c, indices);
    return {lookup(c.grad(), l)};
  });
}

}  // namespace weft::detail
