// Moves elements between dtypes and strides: the one place that knows all pairs of dtypes.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <cstdint>

#include "weft/core/dtype.h"

namespace weft::cpu::WEFT_ISA {

/// dst[i * ds] = src[i * ss] for i < n, converted as C++ does (to bool: not zero; to halves: to nearest even).
void convert(void* dst, int64_t ds, Dtype dd, const void* src, int64_t ss, Dtype sd, int64_t n);
/// dst[i * di + j * dj] = src[i * si + j * sj] for i < ni, j < nj; elements of `size` bytes, strides in elements.
void move_2d(void* dst, int64_t di, int64_t dj, const void* src, int64_t si, int64_t sj, int64_t ni, int64_t nj,
             int size);
/// dst[i * di + j] = src[i + j * sj]: a transposition by vector shuffles where the size allows.
void transpose_2d(void* dst, int64_t di, const void* src, int64_t sj, int64_t ni, int64_t nj, int size);

}  // namespace weft::cpu::WEFT_ISA
