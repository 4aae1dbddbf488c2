#include "weft/core/loss_params.h"

#include <algorithm>

namespace weft {

void raise_target(const char* op, const int64_t* targets, const Shape& shape, int64_t classes, int64_t ignore_index) {
  const int64_t count = shape.numel();
  const int64_t* at = std::find_if(targets, targets + count,
                                   [&](int64_t t) { return t != ignore_index && (t < 0 || t >= classes); });
  raise<ValueError>(op, ": target ", at == targets + count ? -1 : *at, " at element ", at - targets, " of ", shape,
                    " is not in [0, ", classes, ") and is not ignore_index ", ignore_index);
}

}  // namespace weft
