// Reports a bad index from kernels that may not throw themselves.
#pragma once

#include <cstdint>

#include "weft/core/tensor_ref.h"

namespace weft::cpu {

/// ValueError: "<op>: index <value> is out of range for axis <dim> of size <size>".
[[noreturn]] void bad_index(const char* op, int64_t value, int64_t dim, int64_t size);
/// ValueError for a class of cross_entropy, see raise_target.
[[noreturn]] void bad_target(const TensorRef& target, int64_t classes, int64_t ignore_index);

}  // namespace weft::cpu
