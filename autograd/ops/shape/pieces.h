// How many tensors one call may give. Internal: not part of the public headers.
#pragma once

#include <cstdint>

#include "weft/core/error.h"

namespace weft::detail {

/// Most pieces that an axis is cut into: each is a tensor of its own, some hundred bytes.
inline constexpr int64_t kMostPieces = int64_t{1} << 24;

/// ValueError, in the name of the caller's OpName, for more pieces.
inline void check_pieces(int64_t count) {
  WEFT_CHECK(count <= kMostPieces, ValueError, count, " pieces are more than ", kMostPieces);
}

}  // namespace weft::detail
