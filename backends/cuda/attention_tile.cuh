// Tiles of attention in shared memory, and the products of a warp with them. A warp owns M times 16 rows; its sums lie
// in registers as mma.sync leaves them: sums[m][n] of a thread are rows lane / 4 and lane / 4 + 8 of columns
// 8 n + 2 (lane % 4) and the one behind.
#pragma once

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/elementwise.cuh"
#include "weft/backends/cuda/mma.cuh"
#include "weft/core/fn/math.h"

namespace weft::cuda {

/// The calling thread's lane, read anew at each call: places in shared memory are computed where they are used. Known
/// to the compiler as one number, they would all be computed before a loop and take its registers.
__device__ WEFT_INLINE int this_lane() {
#if defined(__CUDA_ARCH__)
  int lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane & (kWarp - 1);
#else
  return static_cast<int>(threadIdx.x) % kWarp;
#endif
}

template <class T> inline constexpr int kChunk = 16 / static_cast<int>(sizeof(T));
/// 16 bytes of shared memory.
template <class T> using Chunk = Pack<T, kChunk<T>>;

/// Rows of D elements. The chunks of a row change places by its number, so that eight rows' chunks of one column lie in
/// different banks.
template <class T, int D> struct SharedRows {
  static constexpr int kChunks = D / kChunk<T>;
  static_assert(kChunks % 8 == 0);
  T* memory;
  __device__ WEFT_INLINE explicit SharedRows(Chunk<T>* m) : memory(reinterpret_cast<T*>(m)) {}
  __device__ WEFT_INLINE T* chunk(int row, int c) const {
    const unsigned r = static_cast<unsigned>(row), u = static_cast<unsigned>(c);
    return memory + r * D + u / 8 * 8 * kChunk<T> + ((u ^ r) & 7) * kChunk<T>;
  }
  __device__ WEFT_INLINE T* at(int row, int col) const { return chunk(row, col / kChunk<T>) + col % kChunk<T>; }
};

/// Rows of a matrix in global memory: `count` of `width` elements side by side. `wide`: 16 bytes at once.
template <class T> struct Rows {
  T* data;
  int64_t stride;
  int count, width;
  bool wide;
};

/// Begins to copy R rows from `first` on, with zeros for what the matrix does not have.
template <int R, int Threads, class T, int D>
__device__ WEFT_INLINE void load_rows(const SharedRows<T, D>& to, const Rows<const T>& from, int first) {
  constexpr int kChunks = SharedRows<T, D>::kChunks, kAcross = kChunks < Threads ? kChunks : Threads,
                kDown = Threads / kAcross;  // chunks at once
  static_assert(R % kDown == 0);
  for (int c = static_cast<int>(threadIdx.x) % kAcross; c < kChunks; c += kAcross) {
    const int col = c * kChunk<T>;
    WEFT_NO_UNROLL
    for (int k = 0; k < R / kDown; ++k) {
      const int row = k * kDown + static_cast<int>(threadIdx.x) / kAcross;
      const bool there = first + row < from.count && col < from.width;
      const T* const source = there ? from.data + (first + row) * from.stride + col : from.data;
      T* const target = to.chunk(row, c);
      if (from.wide) {
        copy_async<16>(target, source, there ? 16 : 0);
      } else {
        for (int j = 0; j < kChunk<T>; ++j) target[j] = there && col + j < from.width ? source[j] : T(0.f);
      }
    }
  }
}

/// Writes a warp's rows, the first of which is `first`.
template <int M, int Tiles, class T>
__device__ WEFT_INLINE void store_rows(const Rows<T>& to, const float (&sums)[M][Tiles][4], int first) {
  const int lane = this_lane();
  WEFT_UNROLL
  for (int m = 0; m < M; ++m) {
    WEFT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = first + m * 16 + half * 8 + lane / 4;
      if (row >= to.count) continue;
      T* const at = to.data + row * to.stride + 2 * (lane % 4);
      WEFT_UNROLL
      for (int n = 0; n < Tiles; ++n) {
        const int left = to.width - (8 * n + 2 * (lane % 4));
        Pack<T, 2> pair;
        for (int j = 0; j < 2; ++j) pair.v[j] = static_cast<T>(sums[m][n][2 * half + j]);
        if (to.wide && left >= 2) {
          *reinterpret_cast<Pack<T, 2>*>(at + 8 * n) = pair;
        } else {
          for (int j = 0; j < 2; ++j)
            if (j < left) at[8 * n + j] = pair.v[j];
        }
      }
    }
  }
}

/// 2^x; on the card within 2 ulp.
__device__ WEFT_INLINE float exp2_near(float x) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return fn::f32::exp2(x);
#endif
}

// The two products that a warp needs, for each way to multiply:
//   rows_by_rows: sums += a b', for the M * 16 rows of a from `row` on, the rows of b and the first `width` columns;
//   weights_by_rows: sums += weights b, for the rows of b and its first `width` columns. Weights lie as sums do.

/// Halves, on tensor cores.
template <class T, int D> struct HalfProducts {
  using Element = T;
  static constexpr int kFeatures = D;

  template <int M, int Tiles>
  static __device__ WEFT_INLINE void rows_by_rows(float (&sums)[M][Tiles][4], const SharedRows<T, D>& a, int row,
                                                  const SharedRows<T, D>& b, int width) {
    static_assert(Tiles % 2 == 0);
    const int lane = this_lane();
    WEFT_UNROLL
    for (int c = 0; c < D / 8; c += 2) {
      if (c % 4 == 0 && 8 * c >= width) break;
      uint32_t x[M][4];
      WEFT_UNROLL
      for (int m = 0; m < M; ++m) ldmatrix(x[m], a.chunk(row + m * 16 + lane % 16, c + lane / 16));
      WEFT_UNROLL
      for (int n = 0; n < Tiles; n += 2) {
        uint32_t y[4];
        ldmatrix(y, b.chunk(n * 8 + lane / 16 * 8 + lane % 8, c + lane / 8 % 2));
        multiply(sums, n, x, y);
      }
    }
  }

  template <int M, int N, int Tiles>
  static __device__ WEFT_INLINE void weights_by_rows(float (&sums)[M][Tiles][4], const float (&weights)[M][N][4],
                                                     const SharedRows<T, D>& b, int width) {
    static_assert(N % 2 == 0 && Tiles % 2 == 0);
    const int lane = this_lane();
    WEFT_UNROLL
    for (int k = 0; k < N; k += 2) {  // sums lie as the left factor of the next product has to
      uint32_t x[M][4];
      WEFT_UNROLL
      for (int m = 0; m < M; ++m) {
        WEFT_UNROLL
        for (int i = 0; i < 4; ++i)
          x[m][i] = pair_of<T>(weights[m][k + i / 2][i % 2 * 2], weights[m][k + i / 2][i % 2 * 2 + 1]);
      }
      WEFT_UNROLL
      for (int n = 0; n < Tiles; n += 2) {
        if (n % 4 == 0 && 8 * n >= width) break;
        uint32_t y[4];
        ldmatrix<true>(y, b.chunk(k * 8 + lane % 16, n + lane / 16));
        multiply(sums, n, x, y);
      }
    }
  }

 private:
  template <int M, int Tiles>
  static __device__ WEFT_INLINE void multiply(float (&sums)[M][Tiles][4], int n, const uint32_t (&x)[M][4],
                                              const uint32_t (&y)[4]) {
    WEFT_UNROLL
    for (int m = 0; m < M; ++m) {
      mma_16x8x16<T>(sums[m][n], x[m], {y[0], y[1]});
      mma_16x8x16<T>(sums[m][n + 1], x[m], {y[2], y[3]});
    }
  }
};

template <int D> using Bf16Products = HalfProducts<bf16, D>;
template <int D> using F16Products = HalfProducts<f16, D>;

/// f32 as TF32, on tensor cores.
template <int D> struct Tf32Products {
  using Element = float;
  static constexpr int kFeatures = D;

  template <int M, int Tiles>
  static __device__ WEFT_INLINE void rows_by_rows(float (&sums)[M][Tiles][4], const SharedRows<float, D>& a, int row,
                                                  const SharedRows<float, D>& b, int width) {
    const int lane = this_lane(), g = lane / 4, t = lane % 4;
    for (int k = 0; k < width; k += 8) {
      uint32_t x[M][4];
      WEFT_UNROLL
      for (int m = 0; m < M; ++m) {
        WEFT_UNROLL
        for (int i = 0; i < 4; ++i) x[m][i] = rounded(*a.at(row + m * 16 + g + i % 2 * 8, k + t + i / 2 * 4));
      }
      WEFT_UNROLL
      for (int n = 0; n < Tiles; ++n) {
        const uint32_t y[2] = {rounded(*b.at(n * 8 + g, k + t)), rounded(*b.at(n * 8 + g, k + t + 4))};
        WEFT_UNROLL
        for (int m = 0; m < M; ++m) mma_16x8x8_tf32(sums[m][n], x[m], y);
      }
    }
  }

  template <int M, int N, int Tiles>
  static __device__ WEFT_INLINE void weights_by_rows(float (&sums)[M][Tiles][4], const float (&weights)[M][N][4],
                                                     const SharedRows<float, D>& b, int width) {
    const int lane = this_lane(), g = lane / 4, t = lane % 4;
    WEFT_UNROLL
    for (int k = 0; k < N; ++k) {
      // A lane holds columns 2 t and 2 t + 1, where the product takes t and t + 4: rows of b change places alike.
      uint32_t x[M][4];
      WEFT_UNROLL
      for (int m = 0; m < M; ++m) {
        WEFT_UNROLL
        for (int i = 0; i < 4; ++i) x[m][i] = rounded(weights[m][k][i % 2 * 2 + i / 2]);
      }
      WEFT_UNROLL
      for (int n = 0; n < Tiles; ++n) {
        if (n % 4 == 0 && 8 * n >= width) break;
        const uint32_t y[2] = {rounded(*b.at(k * 8 + 2 * t, n * 8 + g)), rounded(*b.at(k * 8 + 2 * t + 1, n * 8 + g))};
        WEFT_UNROLL
        for (int m = 0; m < M; ++m) mma_16x8x8_tf32(sums[m][n], x[m], y);
      }
    }
  }

 private:
  static __device__ WEFT_INLINE uint32_t rounded(float x) { return to_tf32(std::bit_cast<uint32_t>(x)); }
};

/// f32 by fused multiply and add.
template <int D> struct FmaProducts {
  using Element = float;
  static constexpr int kFeatures = D;

  template <int M, int Tiles>
  static __device__ WEFT_INLINE void rows_by_rows(float (&sums)[M][Tiles][4], const SharedRows<float, D>& a, int row,
                                                  const SharedRows<float, D>& b, int width) {
    const int lane = this_lane();
    const auto load = [](const SharedRows<float, D>& from, int r, int c) {
      return *reinterpret_cast<const Chunk<float>*>(from.chunk(r, c));
    };
    for (int c = 0; c * 4 < width; ++c) {
      Chunk<float> x[M][2];
      WEFT_UNROLL
      for (int m = 0; m < M; ++m) {
        WEFT_UNROLL
        for (int half = 0; half < 2; ++half) x[m][half] = load(a, row + m * 16 + half * 8 + lane / 4, c);
      }
      WEFT_UNROLL
      for (int n = 0; n < Tiles; ++n) {
        WEFT_UNROLL
        for (int j = 0; j < 2; ++j) {
          const Chunk<float> y = load(b, n * 8 + 2 * (lane % 4) + j, c);
          WEFT_UNROLL
          for (int m = 0; m < M; ++m) {
            WEFT_UNROLL
            for (int half = 0; half < 2; ++half) {
              float& sum = sums[m][n][2 * half + j];
              WEFT_UNROLL
              for (int e = 0; e < 4; ++e) sum = fn::f32::fma(x[m][half].v[e], y.v[e], sum);
            }
          }
        }
      }
    }
  }

  template <int M, int N, int Tiles>
  static __device__ WEFT_INLINE void weights_by_rows(float (&sums)[M][Tiles][4], const float (&weights)[M][N][4],
                                                     const SharedRows<float, D>& b, int width) {
    const int lane = this_lane();
    WEFT_UNROLL
    for (int k = 0; k < 8 * N; ++k) {  // the row's weights lie with the four lanes of a row
      float w[M][2];
      WEFT_UNROLL
      for (int m = 0; m < M; ++m) {
        WEFT_UNROLL
        for (int half = 0; half < 2; ++half)
          w[m][half] = __shfl_sync(kAllLanes, weights[m][k / 8][2 * half + k % 2], (lane & ~3) | k % 8 / 2);
      }
      WEFT_UNROLL
      for (int n = 0; n < Tiles; ++n) {
        if (n % 4 == 0 && 8 * n >= width) break;
        const auto y = *reinterpret_cast<const Pack<float, 2>*>(b.at(k, 8 * n + 2 * (lane % 4)));
        WEFT_UNROLL
        for (int m = 0; m < M; ++m) {
          WEFT_UNROLL
          for (int half = 0; half < 2; ++half) {
            WEFT_UNROLL
            for (int j = 0; j < 2; ++j)
              sums[m][n][2 * half + j] = fn::f32::fma(w[m][half], y.v[j], sums[m][n][2 * half + j]);
          }
        }
      }
    }
  }
};

}  // namespace weft::cuda
