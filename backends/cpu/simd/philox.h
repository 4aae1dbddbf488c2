// Philox words in tiles, for kernels that use them as they are made.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstring>

#include "weft/backends/cpu/simd/lanes.h"
#include "weft/core/fn/integer.h"
#include "weft/core/fn/philox.h"
#include "weft/core/generator.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {

inline constexpr int64_t kTile = 256;    // words made at a time: 64 blocks, well inside the first cache
inline constexpr int64_t kGrain = 4096;  // a drawn element costs several times a copied one

#if defined(__AVX2__)
// Blocks in 64-bit lanes whose upper halves are ignored: the one multiplication that x86 has for 32 bits times 32 is of
// that form, and compilers do not find it (2 to 3 times slower).
using Lanes = Vector<uint64_t>;
#if defined(__AVX512F__)
// the masked form, because g++ 12 takes the plain one's undefined operand for a mistake
inline Lanes multiply(Lanes a, Lanes b) { return (Lanes)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b); }
inline constexpr Lanes kIota = {0, 1, 2, 3, 4, 5, 6, 7};
inline Lanes zip_low(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
inline Lanes zip_high(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
inline Lanes multiply(Lanes a, Lanes b) { return (Lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
inline constexpr Lanes kIota = {0, 1, 2, 3};
inline Lanes zip_low(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
inline Lanes zip_high(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
#endif
inline constexpr int64_t kLanes = kLanesOf<uint64_t>;
static_assert(kTile % (8 * kLanes) == 0);

// The blocks from `block` on, enough for `count` words and never more than a tile; fn::philox is the plain form.
inline void draw(uint32_t* words, uint64_t seed, uint64_t block, int64_t count) {
  const Lanes low = Lanes{} + 0xffffffffu, f0 = Lanes{} + 0xD2511F53u, f1 = Lanes{} + 0xCD9E8D57u;
  for (int64_t at = 0; at < count; at += 8 * kLanes) {  // two vectors of blocks, since a multiplication takes its time
    Lanes c0[2], c1[2], c2[2], c3[2];
    for (int h = 0; h < 2; ++h) {
      c0[h] = kIota + (block + static_cast<uint64_t>(at / 4 + h * kLanes));
      c1[h] = c0[h] >> 32;
      c2[h] = c3[h] = Lanes{};
    }
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (int h = 0; h < 2; ++h) {
        const Lanes p0 = multiply(c0[h], f0), p1 = multiply(c2[h], f1);
        c0[h] = (p1 >> 32) ^ c1[h] ^ uint64_t { k0 };
        c2[h] = (p0 >> 32) ^ c3[h] ^ uint64_t { k1 };
        c1[h] = p1;
        c3[h] = p0;
      }
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    for (int h = 0; h < 2; ++h) {
      const Lanes a = (c0[h] & low) | c1[h] << 32, b = (c2[h] & low) | c3[h] << 32;
      const Lanes pair[2] = {zip_low(a, b), zip_high(a, b)};
      std::memcpy(words + at + 4 * kLanes * h, pair, sizeof pair);
    }
  }
}
#else
// words[0..count) of the blocks from `block` on.
inline void draw(uint32_t* words, uint64_t seed, uint64_t block, int64_t count) {
  for (int64_t b = 0; b < (count + 3) / 4; ++b) {
    const fn::PhiloxBlock p = fn::philox(seed, block + static_cast<uint64_t>(b));
    words[4 * b] = p.w0;
    words[4 * b + 1] = p.w1;
    words[4 * b + 2] = p.w2;
    words[4 * b + 3] = p.w3;
  }
}
#endif

// Calls use(first, count, words) for pieces of [0, n) whose beginnings are multiples of a block's elements.
template <int WordsPerElement, class F> void for_each_tile(int64_t n, Generator::State from, const F& use) {
  constexpr int64_t tile = kTile / WordsPerElement;
  parallel_for(fn::ceil_div(n, tile), kGrain / tile, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[kTile];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t first = t * tile, count = n - first < tile ? n - first : tile;
      draw(words, from.seed, from.offset + static_cast<uint64_t>(first * WordsPerElement / 4), count * WordsPerElement);
      use(first, count, words);
    }
  });
}

}  // namespace weft::cpu::WEFT_ISA
