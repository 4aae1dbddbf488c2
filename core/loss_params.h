// What loss kernels are told beside their tensors.
#pragma once

#include <cstdint>

namespace weft {

struct CrossEntropyParams {
  int64_t ignore_index = -100;
  double label_smoothing = 0;
};

}  // namespace weft
