// An option of a layer, shared by all copies of the layer.
#pragma once

#include <memory>
#include <utility>

#include "weft/nn/module.h"

namespace weft::nn {

/// `dropout.p = 0.3` and `bn.options->momentum = 0.01` are seen by every copy of the module, by printing and by the
/// module's calls. A copy made by `clone` has a value of its own. Assigning an Option to another lets the two share a
/// value, as for modules; `a.p = *b.p` copies it.
template <class T> class Option {
 public:
  using value_type = T;
  Option(T value) : shared_(std::make_shared<T>(std::move(value))) {}
  Option(const Option& o) : shared_(o.shared_) {
    if (detail::CloneScope* scope = detail::CloneScope::current()) shared_ = scope->own(shared_);
  }
  Option(Option&&) noexcept = default;
  Option& operator=(const Option&) = default;
  Option& operator=(Option&&) noexcept = default;
  Option& operator=(T value) {
    *shared_ = std::move(value);
    return *this;
  }
  operator const T&() const { return *shared_; }
  T& operator*() const { return *shared_; }
  T* operator->() const { return shared_.get(); }

 private:
  std::shared_ptr<T> shared_;
};

}  // namespace weft::nn
