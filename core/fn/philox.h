// Philox4x32-10, the counter-based generator behind every random tensor, and the numbers made from its words.
// A block of four 32-bit words depends on (seed, counter) only, so any thread on any device can make any element.
// Owns arithmetic; core/generator.h owns seed and position.
#pragma once

#include "weft/core/dtype.h"
#include "weft/core/fn/math.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// Four random words.
struct PhiloxBlock {
  uint32_t w0, w1, w2, w3;
};

/// `Rounds` rounds on the counter c under the key (k0, k1). Recursive, because a loop in here would keep the loop over
/// blocks from being vectorised.
template <int Rounds> WEFT_HD WEFT_INLINE PhiloxBlock philox_rounds(const PhiloxBlock& c, uint32_t k0, uint32_t k1) {
  if constexpr (Rounds == 0) {
    return c;
  } else {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c.w0, p1 = uint64_t{0xCD9E8D57u} * c.w2;
    return philox_rounds<Rounds - 1>({static_cast<uint32_t>(p1 >> 32) ^ c.w1 ^ k0, static_cast<uint32_t>(p1),
                                      static_cast<uint32_t>(p0 >> 32) ^ c.w3 ^ k1, static_cast<uint32_t>(p0)},
                                     k0 + 0x9E3779B9u, k1 + 0xBB67AE85u);
  }
}

/// The block number `counter` of the stream `seed` (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011:
/// philox4x32 with 10 rounds; the counter fills the lower two words, the upper two are zero).
WEFT_HD WEFT_INLINE PhiloxBlock philox(uint64_t seed, uint64_t counter) {
  return philox_rounds<10>({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0},
                           static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

/// U[0, 1) with 24 bits (exact in f32) or 53 bits.
WEFT_HD WEFT_INLINE float uniform01(uint32_t w) { return static_cast<float>(static_cast<int32_t>(w >> 8)) * 0x1p-24f; }
WEFT_HD WEFT_INLINE double uniform01(uint32_t high, uint32_t low) {
  return static_cast<double>(static_cast<int64_t>((uint64_t{high} << 32 | low) >> 11)) * 0x1p-53;
}

/// Two independent N(0, 1) numbers from two U[0, 1) (Box and Muller, 1958). 1 - u keeps zero out of the logarithm; the
/// angle is below 2 pi, so f32 needs no care for huge arguments.
template <Real T> WEFT_HD WEFT_INLINE void box_muller(T u, T v, T& a, T& b) {
  const T r = fn::sqrt(T(-2) * fn::log(T(1) - u)), phi = T(6.283185307179586476925) * v;
  if constexpr (std::is_same_v<T, float>) {
    a = r * f32::cos_common(phi);
    b = r * f32::sin_common(phi);
  } else {
    a = r * fn::cos(phi);
    b = r * fn::sin(phi);
  }
}

/// An integer in [0, n): multiply and shift. The bias is below n / 2^32 (n / 2^64), far below what a test could see.
WEFT_HD WEFT_INLINE uint64_t bounded(uint32_t w, uint64_t n) { return (uint64_t{w} * n) >> 32; }
WEFT_HD WEFT_INLINE uint64_t bounded(uint64_t w, uint64_t n) {
  // high half of the 128-bit product
  const uint64_t wl = w & 0xffffffffu, wh = w >> 32, nl = n & 0xffffffffu, nh = n >> 32;
  const uint64_t mid = wh * nl + ((wl * nl) >> 32), mid2 = wl * nh + (mid & 0xffffffffu);
  return wh * nh + (mid >> 32) + (mid2 >> 32);
}

/// U[0, 1) with as many of the word's bits as T holds below one, so that rounding never reaches 1.
template <class T> WEFT_HD WEFT_INLINE T uniform_as(uint32_t w) {
  if constexpr (std::is_same_v<T, bf16>) return bf16(static_cast<float>(static_cast<int32_t>(w >> 24)) * 0x1p-8f);
  else if constexpr (std::is_same_v<T, f16>) return f16(static_cast<float>(static_cast<int32_t>(w >> 21)) * 0x1p-11f);
  else return uniform01(w);
}

/// The threshold t with P(word < t) = p, for p in [0, 1]; 64 bits wide so that p = 1 is exact.
WEFT_HD WEFT_INLINE uint64_t bernoulli_threshold(double p) { return static_cast<uint64_t>(p * 4294967296.0 + 0.5); }

/// Words up to and including `last` are kept, `none` where the probability is 0: one comparison of 32 bits for an
/// element.
struct Keep {
  bool none;
  uint32_t last;
  explicit Keep(double p)
      : none(bernoulli_threshold(p) == 0), last(static_cast<uint32_t>(bernoulli_threshold(p) - 1)) {}
};

}  // namespace WEFT_ISA
}  // namespace weft::fn
