// Resampling of bytes along one axis. Inputs are multiplied in pairs: two products of 16 bits and their sum are one
// instruction.
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/lanes.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/kernels/picture.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

uint8_t rounded(int32_t sum, int precision) { return static_cast<uint8_t>(std::clamp(sum >> precision, 0, 255)); }

/// One output of `inner` neighbours.
void each(const uint8_t* p, uint8_t* y, const int16_t* w, int64_t n, int64_t inner, int precision) {
  for (int64_t c = 0; c < inner; ++c) {
    int32_t sum = 1 << (precision - 1);
    for (int64_t k = 0; k < n; ++k) sum += w[k] * p[k * inner + c];
    y[c] = rounded(sum, precision);
  }
}

#if defined(__SSE2__)

int32_t pair_of(const int16_t* w) {
  int32_t both;
  std::memcpy(&both, w, sizeof both);
  return both;
}

// A register of bytes, and the names of what is done with it.
using Bytes = Vector<long long>;
#if defined(__AVX512BW__)
#define WEFT_SIMD(name) _mm512_##name
#elif defined(__AVX2__)
#define WEFT_SIMD(name) _mm256_##name
#else
#define WEFT_SIMD(name) _mm_##name
#endif
Bytes load(const uint8_t* p) { return reinterpret_cast<Bytes>(*reinterpret_cast<const VectorAt<uint8_t>*>(p)); }
void store(uint8_t* p, Bytes v) { *reinterpret_cast<VectorAt<uint8_t>*>(p) = reinterpret_cast<VectorAt<uint8_t>>(v); }

/// A register of neighbours. Unpacking and packing both work within 16 bytes, so that the order comes back.
void neighbours(const uint8_t* p, uint8_t* y, const int16_t* w, int64_t n, int64_t inner, int precision) {
  const Bytes half = WEFT_SIMD(set1_epi32)(1 << (precision - 1)), zero = {};
  Bytes sum[4] = {half, half, half, half};
  for (int64_t k = 0; k < n; k += 2) {
    const Bytes a = load(p + k * inner), b = k + 1 < n ? load(p + (k + 1) * inner) : zero;
    const Bytes weights = WEFT_SIMD(set1_epi32)(pair_of(w + k));
    const Bytes low = WEFT_SIMD(unpacklo_epi8)(a, b), high = WEFT_SIMD(unpackhi_epi8)(a, b);
    const Bytes pairs[4] = {WEFT_SIMD(unpacklo_epi8)(low, zero), WEFT_SIMD(unpackhi_epi8)(low, zero),
                            WEFT_SIMD(unpacklo_epi8)(high, zero), WEFT_SIMD(unpackhi_epi8)(high, zero)};
    for (int i = 0; i < 4; ++i) sum[i] = WEFT_SIMD(add_epi32)(sum[i], WEFT_SIMD(madd_epi16)(pairs[i], weights));
  }
  for (Bytes& s : sum) s = reinterpret_cast<Bytes>(reinterpret_cast<Vector<int32_t>>(s) >> precision);
  store(y, WEFT_SIMD(packus_epi16)(WEFT_SIMD(packs_epi32)(sum[0], sum[1]), WEFT_SIMD(packs_epi32)(sum[2], sum[3])));
}
#undef WEFT_SIMD

/// The three bytes of an RGB pixel from the sums of its colours.
void store_pixel(uint8_t* y, __m128i sum, int precision) {
  const __m128i halves = _mm_sra_epi32(sum, _mm_cvtsi32_si128(precision)), words = _mm_packs_epi32(halves, halves);
  const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  std::memcpy(y, &bytes, 3);
}

#if defined(__AVX2__)

/// Outputs i and i + 1 of a row of RGB pixels, one in each half of a register, four inputs at a time. Reads 16 bytes
/// from the first of each four.
void two_outputs(const uint8_t* row, uint8_t* y, int64_t i, const ByteTaps& taps) {
  const int16_t* w = taps.weights + i * taps.width;
  const uint8_t *a = row + 3 * taps.begin[i], *b = row + 3 * taps.begin[i + 1];
  const int64_t n = std::max(taps.count[i], taps.count[i + 1]);
  // red, green and blue of two pixels, as 16 bits
  const __m256i first = _mm256_broadcastsi128_si256(
                    _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1)),
                second = _mm256_broadcastsi128_si256(
                    _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
  __m256i sum = _mm256_set1_epi32(1 << (taps.precision - 1));
  for (int64_t k = 0; k < n; k += 4) {
    const auto half = [k](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 3 * k)); };
    const auto four = [k](const int16_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + k)); };
    const __m256i pixels = _mm256_set_m128i(half(b), half(a)),
                  weights = _mm256_set_m128i(four(w + taps.width), four(w));
    sum = _mm256_add_epi32(sum,
                           _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, first), _mm256_shuffle_epi32(weights, 0x00)));
    sum = _mm256_add_epi32(sum,
                           _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, second), _mm256_shuffle_epi32(weights, 0x55)));
  }
  store_pixel(y, _mm256_castsi256_si128(sum), taps.precision);
  store_pixel(y + 3, _mm256_extracti128_si256(sum, 1), taps.precision);
}

void rgb_row(const uint8_t* row, const uint8_t* end, uint8_t* y, int64_t outputs, const ByteTaps& taps) {
  int64_t i = 0;
  for (; i + 2 <= outputs; i += 2) {
    const int64_t n = std::max(taps.count[i], taps.count[i + 1]);
    if (row + 3 * (std::max(taps.begin[i], taps.begin[i + 1]) + (n - 1) / 4 * 4) + 16 > end) break;
    two_outputs(row, y + 3 * i, i, taps);
  }
  for (; i < outputs; ++i)
    each(row + 3 * taps.begin[i], y + 3 * i, taps.weights + i * taps.width, taps.count[i], 3, taps.precision);
}

#else

/// Two weights times two RGB pixels, for each colour; the fourth sum is of no use. Reads 11 bytes.
__m128i two_pixels(const uint8_t* p, const int16_t* w) {
  const __m128i zero = _mm_setzero_si128(), a = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)),
                b = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 3));
  return _mm_madd_epi16(_mm_unpacklo_epi8(_mm_unpacklo_epi8(a, b), zero), _mm_set1_epi32(pair_of(w)));
}

void rgb_row(const uint8_t* row, const uint8_t* end, uint8_t* y, int64_t outputs, const ByteTaps& taps) {
  for (int64_t i = 0; i < outputs; ++i, y += 3) {
    const int16_t* w = taps.weights + i * taps.width;
    const uint8_t* p = row + 3 * taps.begin[i];
    const int64_t n = taps.count[i];
    if (p + 3 * n + 8 > end) {
      each(p, y, w, n, 3, taps.precision);
      continue;
    }
    __m128i sum = _mm_set1_epi32(1 << (taps.precision - 1));
    for (int64_t k = 0; k < n; k += 2) sum = _mm_add_epi32(sum, two_pixels(p + 3 * k, w + k));
    store_pixel(y, sum, taps.precision);
  }
}

#endif
#endif

/// Rows of N bytes side by side. A row becomes N planes of 16 bits; an output is the product of its weights with a
/// piece of a plane, eight lanes at a time.
template <int N>
void across(const uint8_t* in, uint8_t* out, int64_t rows, int64_t length, int64_t outputs, const ByteTaps& taps) {
  constexpr int kLanes = 8;
  const int64_t plane = length + taps.width;
  parallel_for(rows, std::max<int64_t>(1, kSerialBelow / (outputs * taps.width)), [=](int64_t first, int64_t last) {
    const Scratch memory(static_cast<size_t>(N * plane) * sizeof(int16_t));
    auto* planes = memory.as<int16_t>();  // the weights beyond a row's end are 0
    for (int64_t r = first; r < last; ++r) {
      const uint8_t* p = in + r * length * N;
      for (int64_t i = 0; i < length; ++i, p += N)
#pragma GCC unroll 4
        for (int c = 0; c < N; ++c) planes[c * plane + i] = p[c];
      uint8_t* y = out + r * outputs * N;
      for (int64_t i = 0; i < outputs; ++i, y += N) {
        const int16_t *w = taps.weights + i * taps.width, *from = planes + taps.begin[i];
#pragma GCC unroll 4
        for (int c = 0; c < N; ++c) {
          int32_t sum = 1 << (taps.precision - 1);
          for (int64_t piece = 0; piece < taps.count[i]; piece += kLanes)
            for (int k = 0; k < kLanes; ++k) sum += int32_t{w[piece + k]} * int32_t{from[c * plane + piece + k]};
          y[c] = rounded(sum, taps.precision);
        }
      }
    }
  });
}

void rgb(const uint8_t* in, uint8_t* out, int64_t rows, int64_t length, int64_t outputs, const ByteTaps& taps) {
#if defined(__SSE2__)
  const uint8_t* end = in + rows * length * 3;
  parallel_for(rows, std::max<int64_t>(1, kSerialBelow / (outputs * taps.width)), [=](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) rgb_row(in + r * length * 3, end, out + r * outputs * 3, outputs, taps);
  });
#else
  across<3>(in, out, rows, length, outputs, taps);
#endif
}

void resample_bytes(const MutTensorRef& out, const TensorRef& in, const ByteTaps& taps) {
  const int64_t rows = in.shape[0], length = in.shape[1], inner = in.shape[2], outputs = out.shape[1];
  const auto* x = in.as<uint8_t>();
  auto* y = out.as_mut<uint8_t>();
  switch (inner) {
    case 1: return across<1>(x, y, rows, length, outputs, taps);
    case 3: return rgb(x, y, rows, length, outputs, taps);
    case 4: return across<4>(x, y, rows, length, outputs, taps);
    default: break;
  }
  parallel_for(rows * outputs, std::max<int64_t>(1, kSerialBelow / (inner * taps.width)),
               [=](int64_t first, int64_t last) {
                 for (int64_t r = first; r < last; ++r) {
                   const int64_t i = r % outputs, n = taps.count[i];
                   const int16_t* w = taps.weights + i * taps.width;
                   const uint8_t* p = x + (r / outputs * length + taps.begin[i]) * inner;
                   uint8_t* to = y + r * inner;
#if defined(__SSE2__)
                   if (inner >= kVectorBytes) {
                     int64_t c = 0;
                     for (; c + kVectorBytes <= inner; c += kVectorBytes)
                       neighbours(p + c, to + c, w, n, inner, taps.precision);
                     c = inner - kVectorBytes;
                     if (inner % kVectorBytes) neighbours(p + c, to + c, w, n, inner, taps.precision);
                     continue;
                   }
#endif
                   each(p, to, w, n, inner, taps.precision);
                 }
               });
}

}  // namespace

void register_picture() { kernels::resample_bytes.set(DeviceType::cpu, resample_bytes); }

}  // namespace weft::cpu::WEFT_ISA
