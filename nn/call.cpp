#include "weft/nn/call.h"

namespace weft::nn {

std::atomic<int> detail::observers{0};

namespace {
thread_local CallObserver* latest = nullptr;

weft::detail::ProfileScope profile_call(const Module& m) {
  if (const weft::detail::ProfileListener* l = weft::detail::profiling()) return {*l, l->call(m)};
  return {};
}
}  // namespace

CallObserver::CallObserver() : before_(std::exchange(latest, this)) { ++detail::observers; }
CallObserver::~CallObserver() {
  --detail::observers;
  CallObserver** at = &latest;
  while (*at && *at != this) at = &(*at)->before_;
  if (*at) *at = before_;
}

namespace {
thread_local const CallScope* innermost = nullptr;
}
bool detail::is_inside(const Module& m) { return innermost && &innermost->module_.state() == &m.state(); }

CallScope::CallScope(const Module& m) : module_(m), outer_(std::exchange(innermost, this)), profile_(profile_call(m)) {
  __atomic_fetch_add(&m.state().heard, 1, __ATOMIC_RELAXED);
  CallObserver* o = latest;
  try {
    for (; o; o = o->before_) o->enter(m);
  } catch (...) {
    for (CallObserver* told = latest; told != o; told = told->before_) told->leave(module_);
    innermost = outer_;
    throw;
  }
}
CallScope::~CallScope() {
  for (CallObserver* o = latest; o; o = o->before_) o->leave(module_);
  innermost = outer_;
}

Tensor CallScope::before(const Tensor& x) const {
  Tensor in = x;
  if (const std::shared_ptr<const detail::Hooks> hooks = module_.state().hooks)
    for (const auto& [id, hook] : hooks->before)
      if (Tensor other = hook(module_, in); other.defined()) in = std::move(other);
  return in;
}
void CallScope::after(const Tensor& x, Tensor* y) const {
  const std::shared_ptr<const detail::Hooks> hooks = module_.state().hooks;
  if (!hooks) return;
  for (const auto& [id, hook] : hooks->after) {
    Tensor other = hook(module_, x, y ? *y : Tensor());
    if (!other.defined()) continue;
    WEFT_CHECK(y, ValueError, module_.name(), ": a forward hook gives a tensor for a result that is none");
    *y = std::move(other);
  }
}

namespace {

/// A changed copy: calls that run meanwhile go on with the hooks that they began with.
template <class F> void change(Module::State& s, const F& f) {
  auto hooks = s.hooks ? std::make_shared<detail::Hooks>(*s.hooks) : std::make_shared<detail::Hooks>();
  f(*hooks);
  if (hooks->before.empty() && hooks->after.empty()) s.hooks = nullptr;
  else s.hooks = std::move(hooks);
}
std::atomic<int64_t> next_hook{1};

}  // namespace

int64_t Module::add_pre_hook(detail::PreHook hook) {
  const int64_t id = next_hook++;
  change(*state_, [&](detail::Hooks& h) { h.before.emplace_back(id, std::move(hook)); });
  return id;
}
int64_t Module::add_hook(detail::PostHook hook) {
  const int64_t id = next_hook++;
  change(*state_, [&](detail::Hooks& h) { h.after.emplace_back(id, std::move(hook)); });
  return id;
}
void Module::remove_hook(int64_t handle) {
  size_t found = 0;
  const auto is_it = [&](const auto& each) { return each.first == handle; };
  if (state_->hooks)
    change(*state_, [&](detail::Hooks& h) { found = std::erase_if(h.before, is_it) + std::erase_if(h.after, is_it); });
  WEFT_CHECK(found > 0, ValueError, "remove_hook: ", name(), " has no hook ", handle);
}

}  // namespace weft::nn
