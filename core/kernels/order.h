// Kernels of running extremes, of places in sorted lines and of the most frequent element.
#pragma once

#include "weft/core/kernels.h"

namespace weft::kernels {

/// The greatest (`largest`) or smallest element of each line's beginning along `dim`, and its last position (i64); from
/// a NaN on the last NaN. values and indices: x's shape, any strides.
extern WEFT_API
    Kernel<void(const MutTensorRef& values, const MutTensorRef& indices, const TensorRef& x, int dim, bool largest)>
        running_extreme;
/// How many elements of the sorted line are less than each value, or (`right`) not greater: NaN is behind all numbers,
/// and its place behind everything. line: [n] for all values, or [..., n] with values [..., m]; one dtype. out: the
/// values' shape, i64 or i32. All contiguous.
extern WEFT_API Kernel<void(const MutTensorRef& out, const TensorRef& line, const TensorRef& values, bool right)>
    search_sorted;
/// The last position (i64) of the most frequent element along `dim`, of several the smallest. A NaN equals nothing: of
/// a line of NaNs the first. indices: x's rank with 1 at `dim`. x of rank >= 1, not empty along dim.
extern WEFT_API Kernel<void(const MutTensorRef& indices, const TensorRef& x, int dim)> mode;

}  // namespace weft::kernels
