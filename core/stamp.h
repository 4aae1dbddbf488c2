// Tells whether a tensor still has the contents that something was made of.
// Knows neither what was made nor who changes tensors.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// A tensor's storage and version. Equal stamps of a tensor: nobody has written to its contents, or swapped them, in
/// between.
struct Stamp {
  uint64_t storage = ~uint64_t{0};  ///< its id; by default one that no storage has
  uint32_t version = 0;             ///< of the storage
  Stamp() = default;
  /// Of t as it is now.
  explicit Stamp(const Tensor& t) : storage(t.impl()->storage->id()), version(t.version()) {}
  bool operator==(const Stamp&) const = default;
};

}  // namespace weft
