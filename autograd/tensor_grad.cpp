// Tensor's members that deal with gradients.
#include <algorithm>
#include <cmath>

#include "weft/autograd/engine.h"
#include "weft/autograd/ops/binary.h"
#include "weft/core/map.h"

namespace weft {

bool Tensor::requires_grad() const { return at().autograd && at().autograd->requires_grad; }

Tensor& Tensor::set_requires_grad(bool on) {
  WEFT_CHECK(is_leaf(), ValueError, "set_requires_grad: the result of ", at().autograd->grad_node->name(),
             " is no leaf; use detach() to cut it off");
  WEFT_CHECK(!on || is_floating(), DtypeError, "set_requires_grad: a tensor of ", dtype(), " has no gradient");
  if (on || at().autograd) detail::meta(*this).requires_grad = on;
  return *this;
}

bool Tensor::is_leaf() const { return !at().autograd || !at().autograd->grad_node; }

Tensor Tensor::grad() const { return at().autograd ? at().autograd->grad : Tensor(); }

void Tensor::set_grad(const Tensor& g) {
  if (!g.defined()) {
    if (at().autograd) at().autograd->grad = Tensor();
    return;
  }
  WEFT_CHECK(g.shape() == shape() && g.dtype() == dtype() && g.device() == device(), ShapeError, "set_grad: gradient ",
             g.shape(), " ", g.dtype(), " does not fit the tensor ", shape(), " ", dtype());
  detail::meta(*this).grad = g;
}

namespace {
/// A function whose copies share its state: the engine calls a copy, so that a hook may remove itself or add others.
template <class R, class A> std::function<R(A)> shared(std::function<R(A)> f) {
  return [f = std::make_shared<std::function<R(A)>>(std::move(f))](A x) { return (*f)(x); };
}
std::vector<GradHook>& hooks_of(AutogradMeta& m) {
  Node& n = m.grad_node ? *m.grad_node : m;
  if (!n.hooks) n.hooks = std::make_unique<std::vector<GradHook>>();
  return *n.hooks;
}
}  // namespace

int64_t Tensor::register_hook(std::function<Tensor(const Tensor&)> hook) {
  WEFT_CHECK(requires_grad(), ValueError, "register_hook: the tensor does not require grad");
  WEFT_CHECK(hook, ValueError, "register_hook: the hook is empty");
  AutogradMeta& m = *at().autograd;
  std::vector<GradHook>& hooks = hooks_of(m);
  const int64_t handle = m.next_hook++;
  const auto behind = std::find_if(hooks.begin(), hooks.end(), [](const GradHook& h) { return h.last; });
  hooks.insert(behind, {handle, m.output_index, shared(std::move(hook))});
  return handle;
}

void Tensor::remove_hook(int64_t handle) {
  size_t removed = 0;
  if (at().autograd) {
    AutogradMeta& m = *at().autograd;
    removed = std::erase_if(
        hooks_of(m), [&](const GradHook& h) { return h.handle == handle && h.index == m.output_index && !h.last; });
  }
  WEFT_CHECK(removed, ValueError, "remove_hook: the tensor ", shape(), " has no hook of handle ", handle,
             "; it was removed already, or belongs to another tensor");
}

void Tensor::register_post_accumulate_hook(std::function<void(Tensor&)> hook) {
  WEFT_CHECK(is_leaf(), ValueError, "register_post_accumulate_hook: only leaves accumulate");
  WEFT_CHECK(hook, ValueError, "register_post_accumulate_hook: the hook is empty");
  AutogradMeta& m = detail::meta(*this);
  if (!m.post_hooks) m.post_hooks = std::make_unique<std::vector<std::function<void(Tensor&)>>>();
  m.post_hooks->push_back(shared(std::move(hook)));
}

void Tensor::retain_grad() {
  WEFT_CHECK(requires_grad(), ValueError, "retain_grad: the tensor ", shape(),
             " does not require grad; no gradient will ever reach it");
  if (is_leaf()) return;
  AutogradMeta& m = detail::meta(*this);
  if (m.retain_hook) return;
  m.retain_hook = m.next_hook++;
  const auto keep = [&m](const Tensor& g) {  // removed when m goes
    std::lock_guard lock(m.mutex);
    m.grad = m.grad.defined() ? m.grad + g : g;
    return Tensor();
  };
  hooks_of(m).push_back({m.retain_hook, m.output_index, keep, true});
}

void Tensor::swap_contents(Tensor& o) {
  TensorImpl &a = at(), &b = o.at();
  if (a.storage == b.storage) a.storage->bump();  // what was saved of either cannot tell by its storage
  std::swap(a.storage, b.storage);
  std::swap(a.shape, b.shape);
  std::swap(a.strides, b.strides);
  std::swap(a.offset, b.offset);
  std::swap(a.numel, b.numel);
  std::swap(a.dtype, b.dtype);
  std::swap(a.contiguous, b.contiguous);
}

namespace {
/// Do two places of x name one element? Axes in the order of their strides: each must step over all that lies inside. Where
/// that does not tell, the places are counted.
bool overlaps_itself(const Tensor& x) {
  if (x.is_contiguous() || x.numel() < 2) return false;
  int order[kMaxRank], n = 0;
  for (int i = 0; i < x.rank(); ++i) {
    if (x.shape()[i] == 1) continue;
    int j = n++;
    for (; j > 0 && x.strides()[order[j - 1]] > x.strides()[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  int64_t reach = 0;
  bool nested = true;
  for (int i = 0; i < n; ++i) {
    const int64_t stride = x.strides()[order[i]];
    if (stride == 0) return true;
    nested = nested && stride > reach;
    reach += (x.shape()[order[i]] - 1) * stride;
  }
  if (nested) return false;
  if (x.numel() > reach + 1) return true;
  std::vector<bool> seen(static_cast<size_t>(reach) + 1);
  int64_t at[kMaxRank] = {}, offset = 0;
  for (int64_t k = 0; k < x.numel(); ++k) {
    if (seen[static_cast<size_t>(offset)]) return true;
    seen[static_cast<size_t>(offset)] = true;
    for (int i = 0; i < n; ++i) {
      const int64_t stride = x.strides()[order[i]];
      offset += stride;
      if (++at[i] < x.shape()[order[i]]) break;
      offset -= at[i] * stride;
      at[i] = 0;
    }
  }
  return false;
}

/// Bytes from the first element's to beyond the last one's.
std::pair<const char*, const char*> extent(const Tensor& x) {
  const char* begin = static_cast<const char*>(x.raw_data());
  int64_t reach = 1;
  for (int i = 0; i < x.rank(); ++i) reach += (x.shape()[i] - 1) * x.strides()[i];
  return {begin, begin + reach * static_cast<int64_t>(itemsize(x.dtype()))};
}

/// `from`, to be read while x is written: itself if each element of it is read where that very place is written, or if they
/// have no memory in common; else a copy. Its shape broadcasts to x's.
Tensor readable(const Tensor& from, const Tensor& x) {
  if (x.numel() == 0 || from.device() != x.device()) return from;
  const auto [a, a_end] = extent(from);
  const auto [b, b_end] = extent(x);
  if (a_end <= b || b_end <= a) return from;
  bool same = a == b && from.dtype() == x.dtype() && from.shape() == x.shape();
  for (int i = 0; same && i < x.rank(); ++i) same = x.shape()[i] == 1 || from.strides()[i] == x.strides()[i];
  return same ? from : from.detach().clone();
}

void check_in_place(const char* op, const Tensor& x, const Tensor* other = nullptr) {
  bool recorded = grad_enabled() && (x.requires_grad() || (other && other->requires_grad()));
  WEFT_CHECK(
      !recorded, Error, op, ": an in-place change of a tensor ", x.shape(),
      " that takes part in a graph cannot be recorded; use the form without the underscore, or do it under NoGrad");
  WEFT_CHECK(!overlaps_itself(x), ValueError, op, ": elements of the tensor ", x.shape(), " with strides ", x.strides(),
             " share memory (it was expanded or unfolded); clone() it first");
}
/// x op y in x's own dtype must not lose what y is: integers take no fractions, bools no integers.
void check_in_place_dtype(const char* op, Dtype x, bool y_floating, bool y_bool) {
  WEFT_CHECK(is_floating(x) || (!y_floating && (y_bool || x != Dtype::boolean)), DtypeError, op, ": a tensor of ", x,
             " cannot take the result; use the form without the underscore");
}
}  // namespace

Tensor& Tensor::copy_(const Tensor& src) {
  check_defined("copy_", *this, src);
  check_in_place("copy_", *this, &src);
  Tensor from = src.shape() == shape() ? src.detach() : src.detach().expand(shape());
  from = from.device() != device() ? from.to(device()) : readable(from, *this);
  kernels::copy(device(), mut_ref(*this), ref(from));
  return *this;
}

Tensor& Tensor::fill_(Scalar value) {
  check_defined("fill_", *this);
  check_in_place("fill_", *this);
  detail::check_holds("fill_", value, dtype());
  kernels::fill(device(), mut_ref(*this), value);
  return *this;
}

namespace {
template <class F> void binary_in_place(const char* op, Tensor& x, const Tensor& y, const F& f) {
  check_defined(op, x, y);
  check_in_place(op, x, &y);
  check_in_place_dtype(op, x.dtype(), y.is_floating(), y.dtype() == Dtype::boolean);
  Tensor o = y.dtype() == x.dtype() ? y : y.detach().to(x.dtype());
  WEFT_CHECK(broadcast_shapes(op, x.shape(), o.shape()) == x.shape(), ShapeError, op, ": ", o.shape(),
             " does not broadcast to the shape ", x.shape(), " that is written");
  kernels::detail::check_same_device(op, x, o);
  o = readable(o, x);
  ElementPlan plan;
  const Tensor* in[] = {&x, &o};
  make_plan(plan, x, in, 2);
  void* p = x.mut_raw_data();
  kernels::binary.of<F>()(x.device(), plan, p, p, o.raw_data(), x.dtype(), &f);
}
}  // namespace

Tensor& Tensor::add_(const Tensor& o, double alpha) {
  if (alpha != std::trunc(alpha)) check_in_place_dtype("add_", at().dtype, true, false);
  if (alpha == 1) binary_in_place("add_", *this, o, fn::Add{});
  else binary_in_place("add_", *this, o, fn::AddScaled{alpha});
  return *this;
}
Tensor& Tensor::mul_(const Tensor& o) {
  binary_in_place("mul_", *this, o, fn::Mul{});
  return *this;
}
Tensor& Tensor::mul_(Scalar s) {
  check_defined("mul_", *this);
  check_in_place_dtype("mul_", dtype(), s.is_floating(), s.is_bool());
  return mul_(detail::number(s, options()));
}

}  // namespace weft
