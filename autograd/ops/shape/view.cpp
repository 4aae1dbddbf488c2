// Tensor's views: another shape, strides and offset over the same storage, and their gradients.
#include <algorithm>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/shape/pieces.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/fn/integer.h"
#include "weft/core/map.h"

namespace weft {
namespace {

Tensor view_of(const Tensor& x, const Shape& shape, const Strides& strides, int64_t offset) {
  Tensor y(make_ref<TensorImpl>(Ref<Storage>(x.impl()->storage), shape, strides, offset, x.dtype()));
  y.impl()->is_view = true;
  return y;
}

/// What a gradient needs to know of the tensor it goes back to.
struct Layout {
  Shape shape;
  Strides strides;
  explicit Layout(const Tensor& x)
      : shape(x.shape()), strides(x.is_dense() ? x.strides() : contiguous_strides(x.shape())) {}
};

/// Zeros of `base`'s layout with g at the place that `at` views: the adjoint of a view that names no element twice.
template <class At> Tensor embed(const char* name, const Tensor& g, const Layout& base, const At& at) {
  Tensor y = empty_strided(base.shape, base.strides, g.options());
  {
    NoGrad no_grad;
    y.zero_();
    Tensor place = at(y);
    kernels::copy(g.device(), mut_ref(place), ref(g));
  }
  return record(name, y, {g}, [at](BackwardCtx& c) -> Grads { return {at(c.grad())}; });
}

/// Records y, a view of x made by `at`, with embed as its gradient.
template <class At> Tensor record_part(const char* name, Tensor y, const Tensor& x, const At& at) {
  return record(name, std::move(y), {x},
                [name, base = Layout(x), at](BackwardCtx& c) -> Grads { return {embed(name, c.grad(), base, at)}; });
}

Shape resolve_shape(const char* op, const Shape& shape, int64_t numel) {
  Shape out = shape;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < out.size(); ++i) {
    if (out[i] == -1) {
      WEFT_CHECK(unknown < 0, ShapeError, op, ": more than one -1 in ", shape);
      unknown = i;
    } else {
      WEFT_CHECK(out[i] >= 0, ShapeError, op, ": negative size in ", shape);
      WEFT_CHECK(!__builtin_mul_overflow(known, out[i], &known), ShapeError, op, ": ", numel, " elements do not fit ",
                 shape);
    }
  }
  if (unknown >= 0) {
    WEFT_CHECK(known > 0 && numel % known == 0, ShapeError, op, ": ", numel, " elements do not fit ", shape);
    out[unknown] = numel / known;
  }
  WEFT_CHECK(checked_numel(op, out) == numel, ShapeError, op, ": ", numel, " elements do not fit ", shape);
  return out;
}

/// Strides of x seen as `shape`, if no copy is needed: runs of axes that lie one in the other are cut anew.
std::optional<Strides> view_strides(const Tensor& x, const Shape& shape) {
  if (x.is_contiguous() || x.numel() == 0) return contiguous_strides(shape);
  Strides out = Shape::filled(shape.size(), 1);
  int to = shape.size() - 1;
  int64_t run = 1, step = x.rank() ? x.strides()[-1] : 1, filled = 1;
  for (int i = x.rank() - 1; i >= 0; --i) {
    run *= x.shape()[i];
    bool ends = i == 0 || (x.shape()[i - 1] != 1 && x.strides()[i - 1] != run * step);
    if (!ends) continue;
    while (to >= 0 && (filled < run || shape[to] == 1)) {
      out[to] = filled * step;
      filled *= shape[to];
      --to;
    }
    if (filled != run) return std::nullopt;
    if (i > 0) {
      step = x.strides()[i - 1];
      run = filled = 1;
    }
  }
  return to < 0 ? std::optional(out) : std::nullopt;
}

Tensor record_reshape(Tensor y, const Tensor& x) {
  return record("reshape", std::move(y), {x},
                [shape = x.shape()](BackwardCtx& c) -> Grads { return {c.grad().reshape(shape)}; });
}

/// All of x as a tensor of its own: what is asked of a view's result must not change x.
Tensor whole(const Tensor& x) {
  return record("view", view_of(x, x.shape(), x.strides(), x.impl()->offset), {x},
                [](BackwardCtx& c) -> Grads { return {c.take_grad()}; });
}

}  // namespace

Tensor Tensor::reshape(const Shape& wanted) const {
  Shape to = resolve_shape("reshape", wanted, numel());
  if (to == shape()) return whole(*this);
  if (auto strides = view_strides(*this, to)) return record_reshape(view_of(*this, to, *strides, impl_->offset), *this);
  Tensor y = empty(to, options());
  Tensor as_given = view_of(y, shape(), contiguous_strides(shape()), 0);
  kernels::copy(device(), mut_ref(as_given), ref(*this));
  return record_reshape(std::move(y), *this);
}
Tensor Tensor::reshape_as(const Tensor& o) const {
  const OpName op("reshape_as");
  return reshape(o.shape());
}

Tensor Tensor::view(const Shape& wanted) const {
  const OpName op("view");
  Shape to = resolve_shape(op, wanted, numel());
  auto strides = view_strides(*this, to);
  WEFT_CHECK(strides, ShapeError, shape(), " with strides ", this->strides(), " cannot be seen as ", to,
             " without a copy; use reshape");
  return record_reshape(view_of(*this, to, *strides, impl_->offset), *this);
}

Tensor Tensor::permute(const Shape& dims) const {
  const OpName op("permute");
  WEFT_CHECK(dims.size() == rank(), ShapeError, dims, " must name each of the ", rank(), " dimensions once");
  Shape to, back = Shape::filled(rank(), -1);
  Strides strides;
  for (int i = 0; i < rank(); ++i) {
    int d = wrap_dim(op, dims[i], rank());
    WEFT_CHECK(back[d] == -1, ShapeError, "dim ", d, " stands twice in ", dims);
    back[d] = i;
    to.push_back(shape()[d]);
    strides.push_back(impl_->strides[d]);
  }
  return record(op, view_of(*this, to, strides, impl_->offset), {*this},
                [back](BackwardCtx& c) -> Grads { return {c.grad().permute(back)}; });
}

Tensor Tensor::transpose(Int dim0, Int dim1) const {
  const OpName op("transpose");
  int a = wrap_dim(op, dim0, rank()), b = wrap_dim(op, dim1, rank());
  if (rank() == 0) return whole(*this);
  Shape dims;
  for (int i = 0; i < rank(); ++i) dims.push_back(i == a ? b : i == b ? a : i);
  return permute(dims);
}

Tensor Tensor::t() const {
  WEFT_CHECK(rank() <= 2, ShapeError, "t: expects at most 2 dimensions, got ", shape());
  return rank() < 2 ? whole(*this) : transpose(0, 1);
}

Tensor Tensor::T() const {
  Shape dims;
  for (int i = rank() - 1; i >= 0; --i) dims.push_back(i);
  return permute(dims);
}

Tensor Tensor::mT() const {
  WEFT_CHECK(rank() >= 2, ShapeError, "mT: expects at least 2 dimensions, got ", shape());
  return transpose(-2, -1);
}

Tensor Tensor::slice(Int dim, std::optional<Int> start, std::optional<Int> stop, Int step) const {
  const OpName op("slice");
  WEFT_CHECK(rank() > 0, ShapeError, "a rank-0 tensor has no axis to slice");
  WEFT_CHECK(step >= 1, ValueError, "step must be at least 1, got ", step);
  int d = wrap_dim(op, dim, rank());
  int64_t n = shape()[d];
  auto bound = [n](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + n : v, 0, n); };
  int64_t a = bound(start.value_or(0)), b = std::max(a, bound(stop.value_or(n)));
  Shape to = shape();
  Strides strides = impl_->strides;
  to[d] = b > a ? (b - a - 1) / step + 1 : 0;
  strides[d] *= std::min<int64_t>(step, std::max<int64_t>(n, 1));  // a longer one is never taken
  int64_t offset = impl_->offset + (to[d] > 0 ? a * impl_->strides[d] : 0);
  return record_part(op, view_of(*this, to, strides, offset), *this,
                     [d, a, b, step](const Tensor& t) { return t.slice(d, a, b, step); });
}

Tensor Tensor::select(Int dim, Int index) const {
  const OpName op("select");
  WEFT_CHECK(rank() > 0, ShapeError, "a rank-0 tensor has no axis to select from");
  int d = wrap_dim(op, dim, rank());
  int64_t n = shape()[d];
  WEFT_CHECK(index >= -n && index < n, ValueError, "index ", index, " is out of range for axis ", d, " of size ", n);
  int64_t i = index + (index < 0 ? n : 0);
  Shape to = shape();
  Strides strides = impl_->strides;
  to.erase(d);
  strides.erase(d);
  return record_part(op, view_of(*this, to, strides, impl_->offset + i * impl_->strides[d]), *this,
                     [d, i](const Tensor& t) { return t.select(d, i); });
}

Tensor Tensor::narrow(Int dim, Int start, Int length) const {
  const OpName op("narrow");
  WEFT_CHECK(rank() > 0, ShapeError, "a rank-0 tensor has no axis to narrow");
  int d = wrap_dim(op, dim, rank());
  int64_t n = shape()[d], a = start + (start < 0 ? n : 0);
  WEFT_CHECK(a >= 0 && length >= 0 && a <= n && length <= n - a, ValueError, "start ", start, " and length ", length,
             " do not fit axis ", d, " of size ", n);
  return slice(d, a, a + length, 1);
}

Tensor Tensor::expand(const Shape& wanted) const {
  const OpName op("expand");
  int extra = wanted.size() - rank();
  WEFT_CHECK(extra >= 0, ShapeError, wanted, " has fewer dimensions than ", shape());
  Shape to = wanted;
  Strides strides = Shape::filled(wanted.size(), 0);
  for (int i = 0; i < wanted.size(); ++i) {
    if (i < extra) {
      WEFT_CHECK(to[i] >= 0, ShapeError, "size ", to[i], " of a new axis in ", wanted);
      continue;
    }
    int64_t have = shape()[i - extra];
    if (to[i] == -1) to[i] = have;
    WEFT_CHECK(to[i] == have || have == 1, ShapeError, "axis ", i - extra, " of ", shape(), " cannot grow to ", to[i],
               "; only sizes of 1 do");
    if (to[i] == have) strides[i] = impl_->strides[i - extra];
  }
  if (to == shape()) return whole(*this);
  (void)checked_numel(op, to);
  return record(op, view_of(*this, to, strides, impl_->offset), {*this},
                [from = shape()](BackwardCtx& c) -> Grads { return {sum_to(c.grad(), from)}; });
}
Tensor Tensor::expand_as(const Tensor& o) const {
  const OpName op("expand_as");
  return expand(o.shape());
}

Tensor Tensor::squeeze() const {
  Shape ones;
  for (int i = 0; i < rank(); ++i)
    if (shape()[i] == 1) ones.push_back(i);
  return squeeze(ones);
}

Tensor Tensor::squeeze(const Shape& dims) const {
  const OpName op("squeeze");
  Shape drop, to;
  Strides strides;
  for (int64_t d : dims) {
    int i = wrap_dim(op, d, rank());
    WEFT_CHECK(!drop.contains(i), ValueError, "dim ", i, " stands twice in ", dims);
    drop.push_back(i);
  }
  for (int i = 0; i < rank(); ++i) {
    if (drop.contains(i) && shape()[i] == 1) continue;
    to.push_back(shape()[i]);
    strides.push_back(impl_->strides[i]);
  }
  if (to.size() == rank()) return whole(*this);
  return record_reshape(view_of(*this, to, strides, impl_->offset), *this);
}

Tensor Tensor::unsqueeze(Int dim) const {
  const OpName op("unsqueeze");
  int d = wrap_dim(op, dim, rank() + 1);
  Shape to = shape();
  Strides strides = impl_->strides;
  to.insert(d, 1);
  strides.insert(d, d < rank() ? std::max<int64_t>(impl_->shape[d], 1) * impl_->strides[d] : 1);
  return record_reshape(view_of(*this, to, strides, impl_->offset), *this);
}

Tensor Tensor::flatten(Int start_dim, Int end_dim) const {
  const OpName op("flatten");
  int a = wrap_dim(op, start_dim, rank()), b = wrap_dim(op, end_dim, rank());
  WEFT_CHECK(a <= b, ValueError, "start_dim ", start_dim, " comes after end_dim ", end_dim);
  if (rank() == 0) return reshape({1});
  Shape to = shape().slice(0, a);
  int64_t n = 1;
  for (int i = a; i <= b; ++i) n *= shape()[i];
  to.push_back(n);
  for (int i = b + 1; i < rank(); ++i) to.push_back(shape()[i]);
  return reshape(to);
}

Tensor Tensor::unflatten(Int dim, const Shape& sizes) const {
  const OpName op("unflatten");
  int d = wrap_dim(op, dim, rank());
  Shape parts = resolve_shape(op, sizes, shape()[d]), to = shape().slice(0, d);
  for (int64_t s : parts) to.push_back(s);
  for (int i = d + 1; i < rank(); ++i) to.push_back(shape()[i]);
  return reshape(to);
}

Tensor Tensor::movedim(const Shape& source, const Shape& destination) const {
  const OpName op("movedim");
  WEFT_CHECK(source.size() == destination.size(), ValueError, source, " and ", destination, " differ in length");
  Shape order = Shape::filled(rank(), -1), taken;
  for (int i = 0; i < source.size(); ++i) {
    int s = wrap_dim(op, source[i], rank()), d = wrap_dim(op, destination[i], rank());
    WEFT_CHECK(order[d] == -1 && !taken.contains(s), ValueError, "a dim stands twice in ", source, " or ", destination);
    order[d] = s;
    taken.push_back(s);
  }
  int next = 0;
  for (int64_t& o : order) {
    if (o != -1) continue;
    while (taken.contains(next)) ++next;
    o = next++;
  }
  return permute(order);
}

std::vector<Tensor> Tensor::pieces(Int size, Int dim) const {
  const OpName op("split");
  WEFT_CHECK(rank() > 0, ShapeError, "a rank-0 tensor has no axis to split");
  int d = wrap_dim(op, dim, rank());
  int64_t n = shape()[d];
  WEFT_CHECK(size > 0 || (size == 0 && n == 0), ValueError, "piece size must be positive, got ", size);
  if (n > 0) detail::check_pieces(fn::ceil_div(n, int64_t{size}));
  std::vector<Tensor> out;
  const int64_t step = std::min<int64_t>(size, n);
  for (int64_t at = 0; at < n; at += step) out.push_back(narrow(d, at, std::min(step, n - at)));
  if (out.empty()) out.push_back(whole(*this));
  return out;
}

std::vector<Tensor> Tensor::split(const Shape& sizes, Int dim) const {
  const OpName op("split");
  int d = wrap_dim(op, dim, rank());
  int64_t total = 0;
  bool fits = true;
  for (int64_t s : sizes) fits = fits && !__builtin_add_overflow(total, s, &total);
  WEFT_CHECK(rank() > 0 && fits && total == shape()[d], ValueError, "sizes ", sizes, " do not add up to axis ", d,
             " of ", shape());
  std::vector<Tensor> out;
  int64_t at = 0;
  for (int64_t s : sizes) {
    out.push_back(narrow(d, at, s));
    at += s;
  }
  return out;
}

std::vector<Tensor> Tensor::chunk(Int chunks, Int dim) const {
  const OpName op("chunk");
  WEFT_CHECK(chunks > 0, ValueError, "needs at least one chunk, got ", chunks);
  int d = wrap_dim(op, dim, rank());
  WEFT_CHECK(rank() > 0, ShapeError, "a rank-0 tensor has no axis to split");
  int64_t n = shape()[d];
  if (n == 0) {
    detail::check_pieces(chunks);
    std::vector<Tensor> out;
    for (int64_t i = 0; i < chunks; ++i) out.push_back(whole(*this));
    return out;
  }
  return split(fn::ceil_div(n, int64_t{chunks}), d);
}

namespace {
// Each element of x sums the gradients of the windows that hold it.
Tensor unfold_backward(const Tensor& g, const Shape& shape, int d, int64_t size, int64_t step) {
  Tensor y = zeros(shape, g.options());
  {
    NoGrad no_grad;
    int64_t windows = g.shape()[d];
    for (int64_t i = 0; i < size && windows > 0; ++i)
      y.slice(d, i, i + (windows - 1) * step + 1, step).add_(g.detach().select(-1, i));
  }
  return record("unfold_backward", y, {g}, [=](BackwardCtx& c) -> Grads { return {c.grad().unfold(d, size, step)}; });
}
}  // namespace

Tensor Tensor::unfold(Int dim, Int size, Int step) const {
  const OpName op("unfold");
  int d = wrap_dim(op, dim, rank());
  int64_t n = rank() ? shape()[d] : 1;
  WEFT_CHECK(size >= 0 && size <= n && step > 0, ValueError, "windows of ", size, " every ", step, " do not fit axis ",
             d, " of size ", n);
  Shape to = shape();
  Strides strides = impl_->strides;
  if (rank() == 0) return record_reshape(view_of(*this, {size}, {1}, impl_->offset), *this);
  to[d] = (n - size) / step + 1;
  strides[d] *= std::min<int64_t>(step, std::max<int64_t>(n, 1));  // a longer one is never taken
  to.push_back(size);
  strides.push_back(impl_->strides[d]);
  return record(op, view_of(*this, to, strides, impl_->offset), {*this}, [=, from = shape()](BackwardCtx& c) -> Grads {
    return {unfold_backward(c.grad(), from, d, size, step)};
  });
}

Tensor Tensor::diagonal(Int offset, Int dim0, Int dim1) const {
  const OpName op("diagonal");
  int a = wrap_dim(op, dim0, rank()), b = wrap_dim(op, dim1, rank());
  WEFT_CHECK(a != b, ValueError, "dim0 and dim1 are both ", a);
  int64_t rows = shape()[a], cols = shape()[b];
  int64_t n = std::max<int64_t>(0, offset >= 0 ? std::min(rows, cols - offset) : std::min(rows + offset, cols));
  int64_t first = n == 0 ? 0 : offset >= 0 ? offset * impl_->strides[b] : -offset * impl_->strides[a];
  Shape to;
  Strides strides;
  for (int i = 0; i < rank(); ++i) {
    if (i == a || i == b) continue;
    to.push_back(shape()[i]);
    strides.push_back(impl_->strides[i]);
  }
  to.push_back(n);
  strides.push_back(impl_->strides[a] + impl_->strides[b]);
  return record_part(op, view_of(*this, to, strides, impl_->offset + first), *this,
                     [offset, a, b](const Tensor& t) { return t.diagonal(offset, a, b); });
}

Tensor Tensor::detach() const { return Tensor(at().detached()); }

}  // namespace weft
