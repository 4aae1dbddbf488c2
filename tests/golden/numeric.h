// What module and function cases have in common: outputs, gradients, second derivatives, state.
// Knows the engine; knows no op but a sum of squares.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "golden/folder.h"

namespace golden {

/// A case made ready: its forward pass and the tensors that have names.
struct Numeric {
  std::vector<Tensor> inputs;
  std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)> forward;
  /// A parameter or buffer by its state name; undefined if there is none.
  std::function<Tensor(const std::string&)> state = [](const std::string&) { return Tensor(); };
  std::vector<std::pair<std::string, Tensor>> named;  ///< more tensors that may take gradients
};

/// Runs the case as the schema says and collects what differs.
void run_numeric(const Folder& folder, const Value& item, Numeric& run, Failures& failures);

/// The class of error that the schema names, as far as weft has it; for information.
bool is_of_class(const weft::Error& e, const std::string& schema_class);

}  // namespace golden
