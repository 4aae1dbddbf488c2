// What loss kernels are told beside their tensors.
#pragma once

#include <cstdint>

#include "weft/core/shape.h"

namespace weft {

/// What the kernels of cross_entropy take beside tensors.
struct CrossEntropyParams {
  int64_t ignore_index = -100;  ///< targets that do not count
  double label_smoothing = 0;   ///< in [0, 1]
};

/// ValueError that names the first of `targets`, of that shape, that is no class.
[[noreturn]] WEFT_API void raise_target(const char* op, const int64_t* targets, const Shape& shape, int64_t classes,
                                        int64_t ignore_index);

}  // namespace weft
