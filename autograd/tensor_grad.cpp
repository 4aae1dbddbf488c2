// Tensor's members that deal with gradients.
#include <cmath>

#include "weft/autograd/engine.h"
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
}  // namespace

int64_t Tensor::register_hook(std::function<Tensor(const Tensor&)> hook) {
  WEFT_CHECK(requires_grad(), ValueError, "register_hook: the tensor does not require grad");
  WEFT_CHECK(hook, ValueError, "register_hook: the hook is empty");
  AutogradMeta& m = *at().autograd;
  Node& n = m.grad_node ? *m.grad_node : m;
  if (!n.hooks) n.hooks = std::make_unique<std::vector<GradHook>>();
  int64_t handle = m.next_hook++;
  n.hooks->push_back({handle, m.output_index, shared(std::move(hook))});
  return handle;
}

void Tensor::remove_hook(int64_t handle) {
  if (!at().autograd) return;
  AutogradMeta& m = *at().autograd;
  Node& n = m.grad_node ? *m.grad_node : m;
  if (n.hooks)
    std::erase_if(*n.hooks, [&](const GradHook& h) { return h.handle == handle && h.index == m.output_index; });
}

void Tensor::register_post_accumulate_hook(std::function<void(Tensor&)> hook) {
  WEFT_CHECK(is_leaf(), ValueError, "register_post_accumulate_hook: only leaves accumulate");
  WEFT_CHECK(hook, ValueError, "register_post_accumulate_hook: the hook is empty");
  AutogradMeta& m = detail::meta(*this);
  if (!m.post_hooks) m.post_hooks = std::make_unique<std::vector<std::function<void(Tensor&)>>>();
  m.post_hooks->push_back(shared(std::move(hook)));
}

void Tensor::retain_grad() {
  if (is_leaf()) return;
  AutogradMeta& m = detail::meta(*this);
  if (m.retain_hook) return;
  m.retain_hook = register_hook([&m](const Tensor& g) {  // removed when m goes
    m.grad = g;
    return Tensor();
  });
}

void Tensor::swap_contents(Tensor& o) {
  TensorImpl &a = at(), &b = o.at();
  std::swap(a.storage, b.storage);
  std::swap(a.shape, b.shape);
  std::swap(a.strides, b.strides);
  std::swap(a.offset, b.offset);
  std::swap(a.numel, b.numel);
  std::swap(a.dtype, b.dtype);
  std::swap(a.contiguous, b.contiguous);
}

namespace {
void check_in_place(const char* op, const Tensor& x, const Tensor* other = nullptr) {
  bool recorded = grad_enabled() && (x.requires_grad() || (other && other->requires_grad()));
  WEFT_CHECK(
      !recorded, Error, op, ": an in-place change of a tensor ", x.shape(),
      " that takes part in a graph cannot be recorded; use the form without the underscore, or do it under NoGrad");
  if (x.is_contiguous()) return;
  for (int i = 0; i < x.rank(); ++i)
    WEFT_CHECK(x.strides()[i] != 0 || x.shape()[i] <= 1, ValueError, op, ": the tensor ", x.shape(),
               " has its elements many times along dim ", i, " (it was expanded); clone() it first");
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
  if (from.device() != device()) from = from.to(device());
  kernels::copy(device(), mut_ref(*this), ref(from));
  return *this;
}

Tensor& Tensor::fill_(Scalar value) {
  check_defined("fill_", *this);
  check_in_place("fill_", *this);
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
  return mul_(full({}, s, options()));
}

}  // namespace weft
