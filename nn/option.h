// An option of a layer, shared by all copies of the layer.
#pragma once

#include <concepts>
#include <utility>

#include "weft/nn/module.h"

namespace weft::nn {

namespace detail {
/// The shared value of an option. Not a shared_ptr: its templates take a tenth of a program's compile time.
class OptionBox : public RefCounted {
 public:
  virtual ~OptionBox() = default;
  virtual Ref<OptionBox> copy() const = 0;
};
inline void destroy(OptionBox* b) { delete b; }
template <class T> struct OptionValue final : OptionBox {
  explicit OptionValue(T v) : value(std::move(v)) {}
  Ref<OptionBox> copy() const override { return Ref<OptionBox>(new OptionValue(value)); }
  T value;
};
}  // namespace detail

/// `dropout.p = 0.3` and `bn.options->momentum = 0.01` are seen by every copy of the module, by printing and by the
/// module's calls. A copy made by `clone` has a value of its own. `a.p = b.p` copies the value; only where whole
/// modules are assigned do their options share one from then on.
///     const double before = dropout.p;   // a value; `auto before = dropout.p` does not compile
template <class T> class Option {
 public:
  /// T.
  using value_type = T;
  /// A value of its own.
  Option(T value) : shared_(new detail::OptionValue<T>(std::move(value))) {}
  /// Shares the value, inside `clone` that of the clone: for modules that are copied; explicit, so that no variable
  /// shares an option by accident.
  explicit Option(const Option& o) : shared_(o.shared_) {
    if (detail::CloneScope* scope = detail::CloneScope::current()) shared_ = scope->own(shared_);
  }
  explicit Option(Option&& o) noexcept : shared_(o.shared_) {}  // shares: a moved-from layer keeps its options
  template <std::same_as<Option> O> Option(const O&) {
    static_assert(sizeof(O) == 0,
                  "an option stays the layer's: `double before = layer.p;` takes its value, `layer.p.share()` a handle "
                  "that sees its changes");
  }
  /// Copies the value, or shares it where whole modules are assigned.
  Option& operator=(Option& o) { return *this = T(*o); }
  Option& operator=(const Option& o) {  // what the assignment of a module calls
    if (!detail::Reassigned::covers(this, &o)) return *this = T(*o);
    shared_ = o.shared_;
    return *this;
  }
  /// Changes the shared value.
  Option& operator=(T value) {
    **this = std::move(value);
    return *this;
  }
  template <class U> Option& operator+=(const U& y) { return **this += y, *this; }
  template <class U> Option& operator-=(const U& y) { return **this -= y, *this; }
  template <class U> Option& operator*=(const U& y) { return **this *= y, *this; }
  template <class U> Option& operator/=(const U& y) { return **this /= y, *this; }
  /// A handle that sees what becomes of the option, for the text that set_extra takes.
  Option share() const { return Option(*this); }
  /// The shared value. Through `*` and `->` it may be changed, also in a const layer.
  operator const T&() const { return **this; }
  T& operator*() const { return static_cast<detail::OptionValue<T>&>(*shared_).value; }
  T* operator->() const { return &**this; }

 private:
  Ref<detail::OptionBox> shared_;
};

}  // namespace weft::nn
