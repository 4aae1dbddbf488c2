// Calls of modules as others see them: forward hooks, and observers of all calls of a thread (profilers, summary).
// Knows Module, no layer.
#pragma once

#include <atomic>
#include <concepts>
#include <type_traits>
#include <utility>

#include "weft/core/profile.h"
#include "weft/nn/module.h"

namespace weft::nn {

/// Told of each call of a module on this thread while it lives. Those that were made later are told first.
class WEFT_API CallObserver {
 public:
  CallObserver();
  virtual ~CallObserver();
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;
  /// Before the call's hooks run.
  virtual void enter(const Module& m) = 0;
  /// After the call, also when it threw; not where this observer's `enter` threw.
  virtual void leave(const Module& m) noexcept = 0;

 private:
  friend class CallScope;
  CallObserver* before_;
};

namespace detail {
extern WEFT_API std::atomic<int> observers;  // of all threads; a profiler is one
inline bool is_heard(const Module& m) { return m.state().hooks || observers.load(std::memory_order_relaxed) != 0; }
/// The innermost call of this thread that is heard is one of m: of a class derived from the layer that calls it.
WEFT_API bool is_inside(const Module& m);
/// The tensor of a result that hooks get: itself, or its `output`; null where there is none.
template <class Y> Tensor* result_tensor(Y& y) {
  if constexpr (std::same_as<Y, Tensor>) return &y;
  else if constexpr (requires {
                       { y.output } -> std::same_as<Tensor&>;
                     })
    return &y.output;
  else return nullptr;
}
}  // namespace detail

/// The time of a call: observers are told at both ends. `nn::call` makes one.
class WEFT_API CallScope {
 public:
  explicit CallScope(const Module& m);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  /// Runs the hooks before the call; x, or what they made of it.
  Tensor before(const Tensor& x) const;
  /// Runs the hooks after the call, which may replace y.
  void after(const Tensor& x, Tensor* y) const;

 private:
  Module module_;
  const CallScope* outer_;
  weft::detail::ProfileScope profile_;
  friend bool detail::is_inside(const Module& m);
};

/// f(x) as the call of module m (within another call of m, as from a class derived from a layer, just f(x)): hooks run
/// before and after, observers are told. x is the call's first input; hooks see it where it is a Tensor. Costs two
/// loads where nobody listens. Hooks and observers know of no call that goes round this one: a layer's `forward` is its
/// arithmetic alone. By this line a class of one's own has hooks, and without it none:
///     Tensor operator()(const Tensor& x) { return nn::call(*this, x, [&](const Tensor& x) { return relu(fc(x)); }); }
template <class X, class F>
requires requires(F& f, const X& x) { f(x); }
auto call(const Module& m, const X& x, F&& f) {
  if (!detail::is_heard(m) || detail::is_inside(m)) [[likely]]
    return f(x);
  const CallScope scope(m);
  if constexpr (std::is_base_of_v<Tensor, X>) {
    const Tensor in = scope.before(x);
    auto y = f(in);
    scope.after(in, detail::result_tensor(y));
    return y;
  } else {
    const Tensor in = scope.before(Tensor());
    auto y = f(x);
    scope.after(in, detail::result_tensor(y));
    return y;
  }
}
/// The same for a module that has its arithmetic in `forward`:
///     Tensor operator()(const Tensor& x) { return nn::call(*this, x); }
template <class M, class X, class... A>
requires requires(M& m, const X& x, const A&... rest) { m.forward(x, rest...); }
auto call(M& m, const X& x, const A&... rest) {
  return call(static_cast<const Module&>(m), x, [&](const auto& in) { return m.forward(in, rest...); });
}

}  // namespace weft::nn
