// How to walk the elements of a few broadcast operands together: axes ordered by the output's strides and merged where
// memory allows. Built once per call by core/map.h; kernels only read it.
#pragma once

#include "weft/core/fn/axes.h"
#include "weft/core/tensor_ref.h"

namespace weft {

/// Axes of rank 1 or more. Operand 0 is the output; a stride is 0 where the operand is broadcast. A merged contiguous
/// walk has rank 1 and all strides 1 (or 0 for a broadcast scalar).
struct ElementPlan : fn::Axes<5> {
  static constexpr int kMaxOperands = 5;  ///< the output and up to four inputs
  int operands = 0;                       ///< with the output
  int64_t numel = 0;                      ///< elements of the output

  /// Every operand is walked with stride 1, as one run.
  bool contiguous() const {
    if (rank != 1) return false;
    for (int k = 0; k < operands; ++k)
      if (strides[k][0] != 1) return false;
    return true;
  }
};

/// Plan for `out` (operand 0) and `in`, whose shapes broadcast to out's.
WEFT_API void make_plan(ElementPlan& plan, const Tensor& out, const Tensor* const* in, int count);

/// An uninitialised tensor of `shape` whose strides follow the first of `in` that has this shape and is dense, so that
/// channels-last stays channels-last; contiguous otherwise.
WEFT_API Tensor empty_for(const Shape& shape, Dtype dtype, const Tensor* const* in, int count);

}  // namespace weft
