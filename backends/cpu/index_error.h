// Reports a bad index from kernels that may not throw themselves.
#pragma once

#include <cstdint>

namespace weft::cpu {

/// ValueError: "<op>: index <value> is out of range for axis <dim> of size <size>".
[[noreturn]] void bad_index(const char* op, int64_t value, int64_t dim, int64_t size);

}  // namespace weft::cpu
