// An option of a layer, shared by all copies of the layer.
#pragma once

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
/// module's calls. A copy made by `clone` has a value of its own. Assigning an Option to another lets the two share a
/// value, as for modules; `a.p = *b.p` copies it.
template <class T> class Option {
 public:
  /// T.
  using value_type = T;
  /// A value of its own.
  Option(T value) : shared_(new detail::OptionValue<T>(std::move(value))) {}
  /// Shares the value; inside `clone`, of the clone.
  Option(const Option& o) : shared_(o.shared_) {
    if (detail::CloneScope* scope = detail::CloneScope::current()) shared_ = scope->own(shared_);
  }
  Option(Option&& o) noexcept : shared_(o.shared_) {}  // shares: a moved-from layer keeps its options
  Option& operator=(const Option&) = default;
  /// Changes the shared value.
  Option& operator=(T value) {
    **this = std::move(value);
    return *this;
  }
  /// The shared value. Through `*` and `->` it may be changed, also in a const layer.
  operator const T&() const { return **this; }
  T& operator*() const { return static_cast<detail::OptionValue<T>&>(*shared_).value; }
  T* operator->() const { return &**this; }

 private:
  Ref<detail::OptionBox> shared_;
};

}  // namespace weft::nn
