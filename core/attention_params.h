// What attention kernels take beside tensors.
#pragma once

#include <cstdint>

#include "weft/core/generator.h"

namespace weft {

/// Features of a head that attention kernels take at most.
inline constexpr int64_t kMostHeadFeatures = 256;

/// Which scores count, and what becomes of the weights.
struct AttentionParams {
  double scale = 1;     ///< of the scores, greater than 0
  bool causal = false;  ///< query i sees keys 0..i; excludes a mask
  double keep = 1;      ///< probability that a weight stays, greater than 0: it is divided by it, the others become 0
  Generator::State
      from;  ///< of a weight's random word, as kernels::dropout draws it over [B, H, L, S] in row-major order
};

}  // namespace weft
