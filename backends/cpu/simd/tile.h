// The innermost product of matrices: a tile of results that stays in registers.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <cstdint>

#include "weft/backends/cpu/simd/lanes.h"

namespace weft::cpu::WEFT_ISA {

template <class C> struct Tile {
  static constexpr int kVectors = 2;                       // of a row
  static constexpr int kRows = kRegisters == 32 ? 12 : 6;  // their sums leave registers for the operands
  static constexpr int kLanes = kLanesOf<C>;
  static constexpr int kCols = kVectors * kLanes;
  static constexpr int kFewRows = kRows / 3;
  using V = VectorAt<C>;

  /// out[r][c] = (load ? out[r][c] : 0) + sum over i < k of a[i][r] b[i][c], for r < R and c < kCols; rows of a, b and
  /// out are a_row, b_row and out_row elements apart.
  template <int R>
  static void multiply(int64_t k, const C* a, int64_t a_row, const C* b, int64_t b_row, C* out, int64_t out_row,
                       bool load) {
    V acc[R][kVectors];
    if (load) {
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < kVectors; ++v) acc[r][v] = *reinterpret_cast<const V*>(out + r * out_row + v * kLanes);
    } else {
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < kVectors; ++v) acc[r][v] = V{};
    }
    for (int64_t i = 0; i < k; ++i) {
      const V b0 = *reinterpret_cast<const V*>(b), b1 = *reinterpret_cast<const V*>(b + kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const C s = a[r];
        acc[r][0] += s * b0;
        acc[r][1] += s * b1;
      }
      a += a_row;
      b += b_row;
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) *reinterpret_cast<V*>(out + r * out_row + v * kLanes) = acc[r][v];
  }

  /// The same for m rows and n columns. Whole tiles: n is rounded up to kCols, m to kFewRows, in the memory of all
  /// three.
  static void multiply_all(int64_t m, int64_t n, int64_t k, const C* a, int64_t a_row, const C* b, int64_t b_row,
                           C* out, int64_t out_row, bool load) {
    for (int64_t c = 0; c < n; c += kCols) {
      int64_t r = 0;
      for (; r + 2 * kFewRows < m; r += kRows)
        multiply<kRows>(k, a + r, a_row, b + c, b_row, out + r * out_row + c, out_row, load);
      if (r + kFewRows < m) multiply<2 * kFewRows>(k, a + r, a_row, b + c, b_row, out + r * out_row + c, out_row, load);
      else if (r < m) multiply<kFewRows>(k, a + r, a_row, b + c, b_row, out + r * out_row + c, out_row, load);
    }
  }
};

}  // namespace weft::cpu::WEFT_ISA
