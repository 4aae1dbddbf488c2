// Lists of parameters as modules.
#pragma once

#include "weft/nn/module.h"

namespace weft::nn {

/// What a list keeps of a parameter.
struct ParameterListEntry {
  bool trainable = true;  ///< off: it does not require grad
};

/// Parameters by position; their names are "0", "1", ...
class WEFT_API ParameterList : public Module {
 public:
  /// Input iterator over the parameters.
  class Iterator {
   public:
    using value_type = Parameter;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(const State* s, size_t at) : state_(s), at_(at) {}
    const Parameter& operator*() const {
      WEFT_CHECK(at_ < state_->params.size(), ValueError, "ParameterList: it lost parameters while a loop ran over it");
      return state_->params[at_].tensor;
    }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return {state_, at_++}; }
    bool operator==(const Iterator&) const = default;

   private:
    const State* state_ = nullptr;
    size_t at_ = 0;
  };

  /// Registers each value, as push_back.
  explicit ParameterList(const std::vector<Tensor>& values = {}, ParameterListEntry e = {});
  /// Registers a leaf, trainable from now on unless said otherwise. Integers are never.
  ParameterList& push_back(const Tensor& value, ParameterListEntry e = {});
  ParameterList& append(const Tensor& value, ParameterListEntry e = {}) { return push_back(value, e); }
  ParameterList& extend(const std::vector<Tensor>& values, ParameterListEntry e = {});
  /// The parameter; -1 is the last. ValueError out of range.
  const Parameter& at(int64_t index) const;
  const Parameter& operator[](int64_t index) const { return at(index); }
  /// Takes a parameter out; those behind it move up.
  Parameter pop(int64_t index = -1);
  /// Number of parameters.
  int64_t size() const { return static_cast<int64_t>(state().params.size()); }
  Iterator begin() const { return {&state(), 0}; }
  Iterator end() const { return {&state(), state().params.size()}; }
};

/// Parameters by name, in order of insertion.
class WEFT_API ParameterDict : public Module {
 public:
  /// Registers each pair, as `insert`.
  explicit ParameterDict(const std::vector<NamedTensor>& values = {}, ParameterListEntry e = {});
  /// Registers a leaf under that name, trainable unless said otherwise. ValueError for a name that is taken or illegal.
  ParameterDict& insert(std::string name, const Tensor& value, ParameterListEntry e = {});
  /// The parameter of that name. ValueError if there is none.
  const Parameter& at(std::string_view name) const;
  const Parameter& operator[](std::string_view name) const { return at(name); }
  /// Takes a parameter out. ValueError if there is none of that name.
  Parameter pop(std::string_view name);
  /// Is there one of that name?
  bool contains(std::string_view name) const;
  /// The names in their order.
  std::vector<std::string> keys() const;
  /// Number of parameters.
  int64_t size() const { return static_cast<int64_t>(state().params.size()); }
};

}  // namespace weft::nn
