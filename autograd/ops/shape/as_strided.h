// A view of a tensor's storage by sizes, strides and offset. Views that need no strides are Tensor's members.
#pragma once

#include "weft/core/tensor.h"

namespace weft {

/// Elements of x's storage at storage_offset + sum of index_i stride_i: a view. Strides and offset count elements from
/// the storage's beginning, whatever part of it x is; without an offset it is x's own. Elements may be named more than
/// once: their gradients add up. Elements of the storage outside of x are seen, and get no gradient. Errors: ShapeError
/// for negative sizes and for strides of another number, ValueError for negative strides or offset and for elements
/// beyond the storage. Equivalent: torch.as_strided.
[[nodiscard]] WEFT_API Tensor as_strided(const Tensor& x, const Shape& size, const Strides& stride,
                                         std::optional<Int> storage_offset = {});

}  // namespace weft
