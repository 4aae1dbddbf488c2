#include "weft/backends/cpu/conv_few.h"

#include "weft/backends/cpu/simd/lanes.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/core/parallel.h"

// Compiled with contraction: results are held against references by tolerance, not by bits.
namespace weft::cpu::WEFT_ISA {
namespace {

using Vec = VectorAt<float>;
constexpr int kStep = kLanesOf<float>;            // input channels at a time
constexpr int kSums = kRegisters == 32 ? 24 : 9;  // their registers, beside those of the operands

// Pixels of a row that are computed together, so that their sums fill the registers.
template <int O> constexpr int kPixels = kSums / O > 12 ? 12 : kSums / O;

float sum_of(const Vec& v) {
  float s = 0;
  for (int i = 0; i < kStep; ++i) s += v[i];
  return s;
}

template <int O>
void row(float* y, const float* x, const float* weight, const float* bias, const ConvWindows& p, const float* zeros,
         int64_t z, int64_t line) {
  constexpr int P = kPixels<O>;
  for (int64_t first = 0; first < p.out[2]; first += P) {
    Vec sums[P][O] = {};
    for (int64_t kz = 0; kz < p.kernel[0]; ++kz) {
      const int64_t iz = z * p.stride[0] + kz * p.dilation[0] - p.lo[0];
      if (iz < 0 || iz >= p.in[0]) continue;
      for (int64_t ky = 0; ky < p.kernel[1]; ++ky) {
        const int64_t iy = line * p.stride[1] + ky * p.dilation[1] - p.lo[1];
        if (iy < 0 || iy >= p.in[1]) continue;
        const float* source = x + (iz * p.in[1] + iy) * p.in[2] * p.c;
        const float* w = weight + (kz * p.kernel[1] + ky) * p.kernel[2] * O * p.c;
        for (int64_t kx = 0; kx < p.kernel[2]; ++kx, w += O * p.c) {
          const float* pixel[P];
          for (int i = 0; i < P; ++i) {
            const int64_t ix = (first + i) * p.stride[2] + kx * p.dilation[2] - p.lo[2];
            pixel[i] = ix >= 0 && ix < p.in[2] ? source + ix * p.c : zeros;
          }
          for (int64_t c = 0; c < p.c; c += kStep) {
            Vec f[O];
#pragma GCC unroll 4
            for (int o = 0; o < O; ++o) f[o] = *reinterpret_cast<const Vec*>(w + o * p.c + c);
#pragma GCC unroll 12
            for (int i = 0; i < P; ++i) {
              const Vec v = *reinterpret_cast<const Vec*>(pixel[i] + c);
#pragma GCC unroll 4
              for (int o = 0; o < O; ++o) sums[i][o] += v * f[o];
            }
          }
        }
      }
    }
    for (int i = 0; i < P && first + i < p.out[2]; ++i)
      for (int o = 0; o < O; ++o) y[(first + i) * O + o] = sum_of(sums[i][o]) + (bias ? bias[o] : 0.0f);
  }
}

template <int O> void all(float* y, const float* x, const float* weight, const float* bias, const ConvWindows& p) {
  constexpr int64_t kMostChannels = 4096;
  alignas(64) static float zeros[kMostChannels];  // never written; constant ones would lie in the file
  const int64_t lines = p.n * p.out[0] * p.out[1];
  const int64_t work = p.out[2] * p.c * O * p.kernel[0] * p.kernel[1] * p.kernel[2];
  parallel_for(lines, 1 + 4 * kSerialBelow / (work + 1), [&](int64_t begin, int64_t end) {
    for (int64_t l = begin; l < end; ++l) {
      const int64_t line = l % p.out[1], z = l / p.out[1] % p.out[0], n = l / p.out[1] / p.out[0];
      row<O>(y + l * p.out[2] * O, x + n * p.in[0] * p.in[1] * p.in[2] * p.c, weight, bias, p, zeros, z, line);
    }
  });
}

void few_kernel(float* y, const float* x, const float* weight, const float* bias, const ConvWindows& p) {
  switch (p.o) {
    case 1: return all<1>(y, x, weight, bias, p);
    case 2: return all<2>(y, x, weight, bias, p);
    case 3: return all<3>(y, x, weight, bias, p);
    default: return all<4>(y, x, weight, bias, p);
  }
}

}  // namespace

void register_conv_few() { few::run = few_kernel; }

}  // namespace weft::cpu::WEFT_ISA
