// Sorting along an axis. Equal elements keep their order; NaN counts as the largest.
#pragma once

#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/choice.h"

namespace weft {

/// x sorted along `dim`, with the positions its elements came from (i64). Stable. Gradient: back to those positions.
[[nodiscard]] WEFT_API ValuesIndices sort(const Tensor& x, Int dim = -1, Only<bool> descending = false);
/// The positions alone.
[[nodiscard]] WEFT_API Tensor argsort(const Tensor& x, Int dim = -1, Only<bool> descending = false);
/// The k largest (or smallest) elements along `dim`, in falling (rising) order whether `sorted` or not, with their
/// positions. ValueError if the axis has fewer than k elements.
[[nodiscard]] WEFT_API ValuesIndices topk(const Tensor& x, Int k, Int dim = -1, Only<bool> largest = true,
                                          Only<bool> sorted = true);

}  // namespace weft
