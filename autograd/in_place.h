// What a write in place must check first.
#pragma once

#include "weft/core/tensor.h"

namespace weft::detail {

/// ValueError or Error, in the name of `op`, if x cannot be written: undefined, part of a graph that is being recorded
/// (or `other`, which is read, is), or with elements that share memory.
WEFT_API void check_in_place(const char* op, const Tensor& x, const Tensor* other = nullptr);
/// DtypeError if x's own dtype would lose what the result is: integers take no fractions, bools no integers.
WEFT_API void check_in_place_dtype(const char* op, Dtype x, bool y_floating, bool y_bool);

/// How places step through memory, axes by rising stride; axes of at most one place do not count.
struct Steps {
  bool apart = true;  ///< each axis steps over all places of the axes inside of it: no two places name one element
  int64_t reach = 0;  ///< from the first place to the last one, in elements
};
Steps steps_of(const Shape& shape, const Strides& strides);

}  // namespace weft::detail
