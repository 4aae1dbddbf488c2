// What drawing from a generator takes. Internal: not part of the public headers.
#pragma once

#include "weft/core/generator.h"

namespace weft::detail {

inline Generator& choose(Generator* g) { return g ? *g : default_generator(); }
/// Philox blocks of four 32-bit numbers for `numel` numbers; `wide` ones take two.
inline uint64_t blocks(int64_t numel, bool wide = false) {
  return static_cast<uint64_t>(wide ? (numel + 1) / 2 : (numel + 3) / 4);
}

}  // namespace weft::detail
