// Tensor's members that deal with gradients.
#include "weft/autograd/engine.h"
#include "weft/core/map.h"

namespace weft {

bool Tensor::requires_grad() const { return impl_->autograd && impl_->autograd->requires_grad; }

Tensor& Tensor::set_requires_grad(bool on) {
  WEFT_CHECK(is_leaf(), ValueError, "set_requires_grad: the result of ", impl_->autograd->grad_node->name(),
             " is no leaf; use detach() to cut it off");
  WEFT_CHECK(!on || is_floating(), DtypeError, "set_requires_grad: a tensor of ", dtype(), " has no gradient");
  if (on || impl_->autograd) detail::meta(*this).requires_grad = on;
  return *this;
}

bool Tensor::is_leaf() const { return !impl_->autograd || !impl_->autograd->grad_node; }

Tensor Tensor::grad() const { return impl_->autograd ? impl_->autograd->grad : Tensor(); }

void Tensor::set_grad(const Tensor& g) {
  if (!g.defined()) {
    if (impl_->autograd) impl_->autograd->grad = Tensor();
    return;
  }
  WEFT_CHECK(g.shape() == shape() && g.dtype() == dtype() && g.device() == device(), ShapeError, "set_grad: gradient ",
             g.shape(), " ", g.dtype(), " does not fit the tensor ", shape(), " ", dtype());
  detail::meta(*this).grad = g;
}

int64_t Tensor::register_hook(std::function<Tensor(const Tensor&)> hook) {
  WEFT_CHECK(requires_grad(), ValueError, "register_hook: the tensor does not require grad");
  AutogradMeta& m = *impl_->autograd;
  Node& n = m.grad_node ? *m.grad_node : m;
  if (!n.hooks) n.hooks = std::make_unique<std::vector<GradHook>>();
  int64_t handle = m.next_hook++;
  n.hooks->push_back({handle, m.output_index, std::move(hook)});
  return handle;
}

void Tensor::remove_hook(int64_t handle) {
  if (!impl_->autograd) return;
  AutogradMeta& m = *impl_->autograd;
  Node& n = m.grad_node ? *m.grad_node : m;
  if (n.hooks)
    std::erase_if(*n.hooks, [&](const GradHook& h) { return h.handle == handle && h.index == m.output_index; });
}

void Tensor::register_post_accumulate_hook(std::function<void(Tensor&)> hook) {
  WEFT_CHECK(is_leaf(), ValueError, "register_post_accumulate_hook: only leaves accumulate");
  AutogradMeta& m = detail::meta(*this);
  if (!m.post_hooks) m.post_hooks = std::make_unique<std::vector<std::function<void(Tensor&)>>>();
  m.post_hooks->push_back(std::move(hook));
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
  TensorImpl &a = *impl_, &b = *o.impl_;
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
}
}  // namespace

Tensor& Tensor::copy_(const Tensor& src) {
  check_in_place("copy_", *this, &src);
  Tensor from = src.shape() == shape() ? src.detach() : src.detach().expand(shape());
  if (from.device() != device()) from = from.to(device());
  kernels::copy(device(), mut_ref(*this), ref(from));
  return *this;
}

Tensor& Tensor::fill_(Scalar value) {
  check_in_place("fill_", *this);
  kernels::fill(device(), mut_ref(*this), value);
  return *this;
}

namespace {
template <class F> void binary_in_place(const char* op, Tensor& x, const Tensor& y, const F& f) {
  check_in_place(op, x, &y);
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
  if (alpha == 1) binary_in_place("add_", *this, o, fn::Add{});
  else binary_in_place("add_", *this, o, fn::AddScaled{alpha});
  return *this;
}
Tensor& Tensor::mul_(const Tensor& o) {
  binary_in_place("mul_", *this, o, fn::Mul{});
  return *this;
}
Tensor& Tensor::mul_(Scalar s) { return mul_(full({}, s, options())); }

}  // namespace weft
