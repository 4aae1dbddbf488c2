// The state of a module, an optimiser or a file: named tensors in order, plus text metadata.
// Knows tensors only; who fills it (nn, optim) and who stores it (io) need not know each other.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/core/tensor.h"

namespace weft {

/// An ordered map name -> Tensor with text metadata. Tensors are handles: a dict shares what it was given.
///     for (const auto& [name, tensor] : dict) ...
class WEFT_API StateDict {
 public:
  /// Name and tensor.
  using Entry = std::pair<std::string, Tensor>;
  /// Free text that travels with the tensors (safetensors' `__metadata__`).
  std::map<std::string, std::string> metadata;

  /// A tensor of a file in a dtype that weft does not have, or does not have without a word for it.
  struct Foreign {
    Shape shape;        ///< in the file
    std::string dtype;  ///< in the format's words
    std::string error;  ///< why it is not here, and what to do
  };
  /// What a file holds beside the entries, by name. Asking for one, with `find` or `at`, is NotSupported with its
  /// `error`.
  std::map<std::string, Foreign, std::less<>> foreign;

  /// Appends. ValueError when the name is taken.
  void insert(std::string name, const Tensor& tensor);
  /// Replaces the tensor of that name (a foreign one, too), or appends.
  void set(std::string name, const Tensor& tensor);
  /// The tensor of that name, or null. Valid until the next change of the dict.
  const Tensor* find(std::string_view name) const;
  /// The tensor of that name; ValueError that names a similar entry otherwise.
  const Tensor& at(std::string_view name) const;
  /// Whether `at` gives one.
  bool contains(std::string_view name) const { return index_.find(name) != index_.end(); }
  /// Removes an entry, a foreign one, too; false when there is none.
  bool erase(std::string_view name);

  /// Number of entries, foreign ones not counted.
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  /// The entries in their order.
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  /// Entries (foreign ones, too) and metadata whose name begins with `prefix + "."`, without it: the state of a child.
  StateDict child(std::string_view prefix) const;
  /// Appends entries and metadata of `other` under `prefix + "."` (as they are when it is empty); all or, with
  /// ValueError, none.
  void merge(const StateDict& other, std::string_view prefix = "");

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
};

}  // namespace weft
