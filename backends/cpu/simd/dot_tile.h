// The innermost product of bf16 matrices where the processor adds dot products of two: AVX512_BF16.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <cstdint>

#include "weft/backends/cpu/simd/tile.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace weft::cpu::WEFT_ISA {

#if defined(__AVX512F__)
inline constexpr bool kMayHaveDots = true;
/// Does this processor have them?
inline bool has_dots() { return __builtin_cpu_supports("avx512bf16"); }

struct DotTile {
  static constexpr int kCols = Tile<float>::kCols;
  /// out[r][c] = sum over i < k of a[i][r] . b[i][c], for r < R and c < kCols, where elements of a and b are two bf16
  /// numbers each. Rows of a, b and out are a_row, kCols and out_row elements apart. Subnormal numbers count as 0.
  template <int R>
  __attribute__((target("avx512bf16"), noinline)) static void multiply(int64_t k, const uint32_t* a, int64_t a_row,
                                                                       const uint32_t* b, float* out, int64_t out_row) {
    __m512 acc[R][2];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; ++i) {
      const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 16);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512i s = _mm512_set1_epi32(static_cast<int>(a[r]));
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], reinterpret_cast<__m512bh>(b0), reinterpret_cast<__m512bh>(s));
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], reinterpret_cast<__m512bh>(b1), reinterpret_cast<__m512bh>(s));
      }
      a += a_row;
      b += kCols;
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      _mm512_storeu_ps(out + r * out_row, acc[r][0]);
      _mm512_storeu_ps(out + r * out_row + 16, acc[r][1]);
    }
  }
};
#else
inline constexpr bool kMayHaveDots = false;
inline bool has_dots() { return false; }
struct DotTile {  // not defined: nobody calls it
  template <int R> static void multiply(int64_t, const uint32_t*, int64_t, const uint32_t*, float*, int64_t);
};
#endif

}  // namespace weft::cpu::WEFT_ISA
