// Rounding of f32 to a smaller floating format, held in f32 again. Integer arithmetic on the bits: no f32 subnormal is
// made or read by a floating-point instruction, so that flushing them to zero changes nothing. Knows no tensor;
// autograd/ops/elementwise/format.h has the public form.
#pragma once

#include <bit>
#include <cstdint>

#include "weft/core/export.h"

namespace weft::fn {

/// Sign, `exponent` bits with bias 2^(exponent-1), `mantissa` bits; subnormals, no infinities and no NaN of its own:
/// larger numbers become the largest, NaN stays NaN, -0 stays -0. As x / 2^scale the format's subnormals are those of
/// f32, and rounding is an addition to the bits and a mask. Part of a kernel's signature, so the same type in every
/// instruction set: all members are inlined.
struct FpFormat {
  uint32_t most;     // bits of the largest number
  int32_t scale;     // 127 - bias
  int32_t drop;      // bits of an f32 mantissa that go
  int32_t random;    // of them, how many are compared with random ones
  uint32_t base;     // what is added before the cut, besides random bits
  uint32_t even;     // 1: ties to even
  float last_place;  // 2^(scale - 149)

  /// `random_bits` in [1, 23 - mantissa]: stochastic. 0: to nearest, ties to even or towards zero.
  WEFT_INLINE FpFormat(int exponent, int mantissa, int random_bits, bool ties_to_even)
      : scale(127 - (1 << (exponent - 1))), drop(23 - mantissa), random(random_bits), even(ties_to_even ? 1 : 0) {
    const int bias = 1 << (exponent - 1);
    most = static_cast<uint32_t>(bias - 1 + 127) << 23 | ((1u << mantissa) - 1) << drop;
    base = random == 0 ? (1u << (drop - 1)) - 1 : (random < drop ? 1u << (drop - random - 1) : 0);
    last_place = std::bit_cast<float>(static_cast<uint32_t>(scale - 149 + 127) << 23);
  }

  /// What to add for the random integer r; only its lower `random` bits count.
  WEFT_HD WEFT_INLINE uint32_t offset(uint32_t r) const {
    return base + ((r & ((1u << random) - 1)) << (drop - random));
  }
  /// The same from 32 random bits.
  WEFT_HD WEFT_INLINE uint32_t offset_of_word(uint32_t word) const { return offset(word >> (32 - random)); }

  WEFT_HD WEFT_INLINE float operator()(float x, uint32_t offset) const {
    const uint32_t all = std::bit_cast<uint32_t>(x), sign = all & 0x80000000u, size = all ^ sign;
    const uint32_t a = size < most ? size : most;
    // a / 2^scale. Where that is an f32 subnormal, `below` bits of the significand go, to nearest even.
    const int32_t exponent = static_cast<int32_t>(a >> 23);
    const uint32_t significand = exponent > 0 ? (a & 0x7fffffu) | 0x800000u : a;
    const int32_t below = scale + 1 - (exponent > 0 ? exponent : 1);
    const int32_t shift = below < 1 ? 1 : (below < 25 ? below : 25);
    const uint32_t tiny = (significand + ((1u << (shift - 1)) - 1) + (significand >> shift & 1u)) >> shift;
    const uint32_t u = below > 0 ? tiny : a - (static_cast<uint32_t>(scale) << 23);
    const uint32_t r = (u + offset + (u >> drop & even)) & (0xffffffffu << drop);
    // and back
    const uint32_t subnormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(r)) * last_place);
    const uint32_t y = r < 0x800000u ? subnormal : r + (static_cast<uint32_t>(scale) << 23);
    return size > 0x7f800000u ? x : std::bit_cast<float>(y | sign);
  }
};

}  // namespace weft::fn
