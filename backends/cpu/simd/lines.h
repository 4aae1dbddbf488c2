// Walks the lines of a tensor along one axis: for kernels that work on a whole line (softmax, running sums, extremes).
// Everything here lives in the namespace of its instruction set.
#pragma once

#include "weft/core/parallel.h"
#include "weft/core/tensor_ref.h"

namespace weft::cpu::WEFT_ISA {

/// The axis that is worked along, and the others.
struct Lines {
  int64_t length = 1;  // of a line
  int64_t count = 1;   // of lines
  int rank = 0;
  int64_t shape[kMaxRank];
  int axis[kMaxRank];

  Lines(const TensorRef& x, int dim) {
    if (x.rank) length = x.shape[dim];
    for (int i = 0; i < x.rank; ++i) {
      if (i == dim) continue;
      shape[rank] = x.shape[i];
      axis[rank++] = i;
      count *= x.shape[i];
    }
  }
  /// Offset of line number `at` in a tensor of the same axes, in elements.
  int64_t offset(int64_t at, const TensorRef& t) const {
    int64_t o = 0;
    for (int i = rank - 1; i >= 0; --i) {
      o += at % shape[i] * t.strides[axis[i]];
      at /= shape[i];
    }
    return o;
  }
  int64_t grain() const { return std::max<int64_t>(1, kSerialBelow / std::max<int64_t>(length, 1)); }
};

}  // namespace weft::cpu::WEFT_ISA
