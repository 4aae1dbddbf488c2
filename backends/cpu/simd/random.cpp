#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstring>

#include "weft/backends/cpu/simd/register.h"
#include "weft/core/fn/philox.h"
#include "weft/core/kernels.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

constexpr int64_t kTile = 256;    // words made at a time: 64 blocks, well inside the first cache
constexpr int64_t kGrain = 4096;  // a drawn element costs several times a copied one

#if defined(__AVX2__)
// Blocks in 64-bit lanes whose upper halves are ignored: the one multiplication that x86 has for 32 bits times 32 is of that form,
// and compilers do not find it (2 to 3 times slower).
#if defined(__AVX512F__)
using Lanes = uint64_t __attribute__((vector_size(64)));
// the masked form, because g++ 12 takes the plain one's undefined operand for a mistake
Lanes multiply(Lanes a, Lanes b) { return (Lanes)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b); }
constexpr Lanes kIota = {0, 1, 2, 3, 4, 5, 6, 7};
Lanes zip_low(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
Lanes zip_high(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
using Lanes = uint64_t __attribute__((vector_size(32)));
Lanes multiply(Lanes a, Lanes b) { return (Lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
constexpr Lanes kIota = {0, 1, 2, 3};
Lanes zip_low(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
Lanes zip_high(Lanes a, Lanes b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
#endif
constexpr int64_t kLanes = sizeof(Lanes) / sizeof(uint64_t);
static_assert(kTile % (8 * kLanes) == 0);

// The blocks from `block` on, enough for `count` words and never more than a tile; fn::philox is the plain form.
void draw(uint32_t* words, uint64_t seed, uint64_t block, int64_t count) {
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
void draw(uint32_t* words, uint64_t seed, uint64_t block, int64_t count) {
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
  parallel_for((n + tile - 1) / tile, kGrain / tile, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[kTile];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t first = t * tile, count = n - first < tile ? n - first : tile;
      draw(words, from.seed, from.offset + static_cast<uint64_t>(first * WordsPerElement / 4), count * WordsPerElement);
      use(first, count, words);
    }
  });
}

void uniform_kernel(const MutTensorRef& out, Generator::State from, double low, double high) {
  dispatch_floating(out.dtype, "uniform", [&]<class T> {
    T* y = out.as_mut<T>();
    if constexpr (std::is_same_v<T, double>) {
      for_each_tile<2>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
        for (int64_t i = 0; i < count; ++i) y[first + i] = low + (high - low) * fn::uniform01(w[2 * i], w[2 * i + 1]);
      });
    } else {
      const float a = static_cast<float>(low), range = static_cast<float>(high - low);
      for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
#pragma omp simd
        for (int64_t i = 0; i < count; ++i) y[first + i] = T(a + range * static_cast<float>(fn::uniform_as<T>(w[i])));
      });
    }
  });
}

void normal_kernel(const MutTensorRef& out, Generator::State from, double mean, double std) {
  dispatch_floating(out.dtype, "normal", [&]<class T> {
    T* y = out.as_mut<T>();
    using C = compute_t<T>;
    constexpr int words = std::is_same_v<T, double> ? 2 : 1;
    const C m = static_cast<C>(mean), s = static_cast<C>(std);
    for_each_tile<words>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
      // elements 2i and 2i + 1 share a pair of uniforms; the tile holds whole pairs
      alignas(64) C z[kTile];
      const int64_t pairs = (count + 1) / 2;
#pragma omp simd
      for (int64_t i = 0; i < pairs; ++i) {
        C u, v;
        if constexpr (words == 2) {
          u = fn::uniform01(w[4 * i], w[4 * i + 1]);
          v = fn::uniform01(w[4 * i + 2], w[4 * i + 3]);
        } else {
          u = fn::uniform01(w[2 * i]);
          v = fn::uniform01(w[2 * i + 1]);
        }
        C a, b;
        fn::box_muller(u, v, a, b);
        z[2 * i] = a;
        z[2 * i + 1] = b;
      }
      for (int64_t i = 0; i < count; ++i) y[first + i] = T(m + s * z[i]);
    });
  });
}

void randint_kernel(const MutTensorRef& out, Generator::State from, int64_t low, uint64_t range) {
  const bool wide = range == 0 || range > (uint64_t{1} << 32);
  dispatch_all(out.dtype, "randint", [&]<class T> {
    T* y = out.as_mut<T>();
    auto store = [=](int64_t i, uint64_t r) {
      const int64_t v = static_cast<int64_t>(static_cast<uint64_t>(low) + r);
      if constexpr (std::is_same_v<T, bool>) y[i] = v != 0;
      else if constexpr (sizeof(T) == 2) y[i] = T(static_cast<float>(v));
      else y[i] = static_cast<T>(v);
    };
    if (wide) {
      for_each_tile<2>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
        for (int64_t i = 0; i < count; ++i) {
          const uint64_t word = uint64_t{w[2 * i]} << 32 | w[2 * i + 1];
          store(first + i, range == 0 ? word : fn::bounded(word, range));
        }
      });
    } else {
      for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
        for (int64_t i = 0; i < count; ++i) store(first + i, fn::bounded(w[i], range));
      });
    }
  });
}

void bernoulli_kernel(const MutTensorRef& out, Generator::State from, double p) {
  const fn::Keep keep(p);
  dispatch_all(out.dtype, "bernoulli", [&]<class T> {
    T* y = out.as_mut<T>();
    const T one = keep.none ? T(0) : T(1), zero = T(0);
    const uint32_t last = keep.last;
    for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
      T* d = y + first;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) d[i] = w[i] <= last ? one : zero;
    });
  });
}

void dropout_kernel(const MutTensorRef& out, const TensorRef& in, Generator::State from, double p, double scale) {
  const fn::Keep keep(p);
  dispatch_floating(out.dtype, "dropout", [&]<class T> {
    T* y = out.as_mut<T>();
    const T* x = in.as<T>();
    using C = compute_t<T>;
    const C s = keep.none ? C(0) : static_cast<C>(scale);
    const uint32_t last = keep.last;
    for_each_tile<1>(out.numel, from, [=](int64_t first, int64_t count, const uint32_t* w) {
      const T* a = x + first;
      T* d = y + first;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) {
        const C v = static_cast<C>(a[i]) * s;  // always loaded: a choice of values, not of branches
        d[i] = T(w[i] <= last ? v : C(0));
      }
    });
  });
}

}  // namespace

void register_random() {
  kernels::uniform.set(DeviceType::cpu, uniform_kernel);
  kernels::normal.set(DeviceType::cpu, normal_kernel);
  kernels::randint.set(DeviceType::cpu, randint_kernel);
  kernels::bernoulli.set(DeviceType::cpu, bernoulli_kernel);
  kernels::dropout.set(DeviceType::cpu, dropout_kernel);
}

}  // namespace weft::cpu::WEFT_ISA
