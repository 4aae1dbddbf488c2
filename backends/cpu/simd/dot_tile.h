// The innermost product of bf16 matrices where the processor adds dot products of two: AVX512_BF16.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <cstdint>

#include "weft/backends/cpu/simd/tile.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace weft::cpu::WEFT_ISA {

struct DotTile;  // where there is none, nobody asks for it

#if defined(__AVX512F__)
inline constexpr bool kMayHaveDots = true;
/// Does this processor have them?
inline bool has_dots() { return __builtin_cpu_supports("avx512bf16"); }

struct DotTile {
  static constexpr int kLanes = Tile<float>::kLanes, kVectors = Tile<float>::kVectors;
  /// As Tile<float>::multiply, where each element of a and b is two bf16 numbers, whose products are added. Subnormal
  /// numbers count as 0.
  template <int R>
  __attribute__((target("avx512bf16"), noinline)) static void multiply(int64_t k, const float* a, int64_t a_row,
                                                                       const float* b, int64_t b_row, float* out,
                                                                       int64_t out_row, bool load) {
    __m512 acc[R][kVectors];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v)
        acc[r][v] = load ? _mm512_loadu_ps(out + r * out_row + v * kLanes) : _mm512_setzero_ps();
    for (int64_t i = 0; i < k; ++i) {
      const __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512 s = _mm512_set1_ps(a[r]);
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], reinterpret_cast<__m512bh>(b0), reinterpret_cast<__m512bh>(s));
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], reinterpret_cast<__m512bh>(b1), reinterpret_cast<__m512bh>(s));
      }
      a += a_row;
      b += b_row;
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(out + r * out_row + v * kLanes, acc[r][v]);
  }
};
#else
inline constexpr bool kMayHaveDots = false;
inline bool has_dots() { return false; }
#endif

}  // namespace weft::cpu::WEFT_ISA
