// Counters behind the promise that a steady-state step compiles nothing.
#pragma once

#include <cstdint>

#include "weft/core/export.h"

namespace weft::cpu {

/// Since the start of the process, over all threads. All zero in a build without oneDNN.
struct PrimitiveStats {
  uint64_t created = 0;         ///< primitives compiled
  uint64_t weights_packed = 0;  ///< weights brought into a packed layout (one per changed weight and step)
};
WEFT_API PrimitiveStats primitive_stats();

}  // namespace weft::cpu
