// Lists of parameters as modules.
#pragma once

#include "weft/nn/module.h"

namespace weft::nn {

/// Parameters by position; their names are "0", "1", ...
class WEFT_API ParameterList : public Module {
 public:
  explicit ParameterList(const std::vector<Tensor>& values = {});
  /// Registers a leaf, trainable from now on.
  ParameterList& push_back(Tensor value);
  /// The parameter; -1 is the last. ValueError out of range.
  Tensor at(int64_t index) const;
  int64_t size() const { return static_cast<int64_t>(state().params.size()); }
};

/// Parameters by name, in order of insertion.
class WEFT_API ParameterDict : public Module {
 public:
  explicit ParameterDict(const std::vector<NamedTensor>& values = {});
  ParameterDict& insert(std::string name, Tensor value);
  /// The parameter of that name. ValueError if there is none.
  Tensor at(std::string_view name) const { return get(name); }
  bool contains(std::string_view name) const;
  std::vector<std::string> keys() const;
  int64_t size() const { return static_cast<int64_t>(state().params.size()); }
};

}  // namespace weft::nn
