// Tensor's members that deal with gradients.
#include <algorithm>

#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/factory.h"
#include "weft/core/recording.h"

namespace weft {

bool Tensor::requires_grad() const { return at().autograd && at().autograd->requires_grad; }

Tensor& Tensor::set_requires_grad(Only<bool> on) {
  WEFT_CHECK(is_leaf(), ValueError, "set_requires_grad: the result of ", at().autograd->grad_node->name(),
             " is no leaf; use detach() to cut it off");
  WEFT_CHECK(!on || is_floating(), DtypeError, "set_requires_grad: a tensor of ", dtype(), " has no gradient");
  if (on || at().autograd) detail::meta(*this).requires_grad = on;
  return *this;
}

bool Tensor::is_leaf() const { return !at().autograd || !at().autograd->grad_node; }

Tensor Tensor::grad() const {
  Tensor g = at().autograd ? at().autograd->grad : Tensor();
  if (detail::Recording* r = detail::recording(); r && is_leaf()) r->touch(*this, g, false);
  return g;
}

void Tensor::set_grad(const Tensor& g) {
  if (detail::Recording* r = detail::recording(); r && is_leaf())
    r->touch(*this, at().autograd ? at().autograd->grad : Tensor(), true);
  if (!g.defined()) {
    if (at().autograd) at().autograd->grad = Tensor();
    return;
  }
  WEFT_CHECK(g.shape() == shape() && g.dtype() == dtype() && g.device() == device(), ShapeError, "set_grad: gradient ",
             g.shape(), " ", g.dtype(), " does not fit the tensor ", shape(), " ", dtype());
  detail::meta(*this).grad = g;
}

void detail::clear_grad(Tensor& t, bool set_to_none) {
  if (set_to_none) return t.zero_grad();
  const NoGrad off;
  Tensor g = t.grad();
  if (!g.defined()) return;
  if (g.requires_grad()) t.set_grad(zeros_like(g).detach());  // it belongs to a graph of its own
  else g.zero_();
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

void Tensor::register_post_accumulate_grad_hook(std::function<void(Tensor&)> hook) {
  WEFT_CHECK(is_leaf(), ValueError, "register_post_accumulate_grad_hook: only leaves accumulate");
  WEFT_CHECK(hook, ValueError, "register_post_accumulate_grad_hook: the hook is empty");
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
    const MutexLock lock(m.mutex);
    m.grad = m.grad.defined() ? m.grad + g : g;
    return Tensor();
  };
  hooks_of(m).push_back({m.retain_hook, m.output_index, keep, true});
}

void Tensor::swap_contents(Tensor& o) {
  if (detail::Recording* r = detail::recording())
    r->refuse("a change of contents (swap_contents, Module::to)", "would be made once, and not in every run");
  ++detail::swaps;
  TensorImpl &a = at(), &b = o.at();
  if (a.storage == b.storage) a.storage->bump();  // what was saved of either cannot tell by its storage
  std::swap(a.storage, b.storage);
  std::swap(a.shape, b.shape);
  std::swap(a.strides, b.strides);
  std::swap(a.offset, b.offset);
  std::swap(a.numel, b.numel);
  std::swap(a.dtype, b.dtype);
  std::swap(a.contiguous, b.contiguous);
  std::swap(a.is_view, b.is_view);
}

}  // namespace weft
