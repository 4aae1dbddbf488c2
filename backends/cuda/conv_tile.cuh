// A block's tile of a product: where its operands lie in shared memory, and how its warps multiply what is there. A
// stage is 64 bytes of the summed axis k: in rows along k (`KInner`, where memory has k innermost) or in rows across
// it. Chunks of 16 bytes are dealt over the banks such that neither loads nor ldmatrix wait for each other.
#pragma once

#include "weft/backends/cuda/elementwise.cuh"
#include "weft/backends/cuda/mma.cuh"

namespace weft::cuda {

/// What multiplies: tensor cores on halves, tensor cores on f32 rounded to TF32, or fused multiply-adds.
enum class Arithmetic : uint8_t { halves, tf32, fma };

/// Warps of a tile. One of [64, 64] reads the least of shared memory for what it multiplies; fused multiply-adds, words
/// that ldmatrix cannot transpose and copies of 8 bytes leave it no registers for that.
constexpr int conv_warps(Arithmetic how, int m, int n, bool k_inner, int unit) {
  if (m * n > 128 * 64 || how == Arithmetic::fma) return 4;
  return m * n == 128 * 64 && (unit == 8 || (how == Arithmetic::tf32 && !k_inner)) ? 4 : 2;
}

template <class C> __device__ WEFT_INLINE C multiply_add(C a, C b, C sum) {
#if defined(__CUDA_ARCH__)
  return ::fma(a, b, sum);
#else
  return a * b + sum;
#endif
}

/// sums [M, N] += a [M, k] b [N, k]. With g = lane / 4 and t = lane % 4, sums[i][j][e] is row row(i, e) and column
/// column(j, e): a lane has runs of kRun columns side by side.
template <class T, Arithmetic How, int M, int N, bool KInner, int Warps> struct ConvTile {
  using C = compute_t<T>;
  static constexpr int kDepth = 64 / static_cast<int>(sizeof(T));
  static constexpr int kABytes = M * 64, kBytes = (M + N) * 64;  // of a stage: a, then b
  static constexpr int kWarpRows = M >= 4 * N ? Warps : M >= N ? 2 : Warps / 2;
  static constexpr int kWarpM = M / kWarpRows, kWarpN = N * kWarpRows / Warps, kThreads = Warps * kWarp;
  static constexpr int kM = kWarpM / 16, kN = kWarpN / 8;  // products of a warp, [16, 8] each
  // Columns are dealt out by the addresses of ldmatrix, which are free along rows of b only.
  static constexpr int kRun = !KInner && How != Arithmetic::fma ? 2 : 8;
  static_assert(kWarpM % 16 == 0 && kWarpN % 32 == 0);

  C sums[kM][kN][4];

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / kWarp; }
  __device__ static int warp_row() { return warp() % kWarpRows * kWarpM; }
  __device__ static int warp_column() { return warp() / kWarpRows * kWarpN; }
  __device__ static int row(int i, int e) { return warp_row() + i * 16 + e / 2 * 8 + lane() / 4; }
  __device__ static int column(int j, int e) {
    const int c = j * 2 + e % 2;
    return warp_column() + c / kRun * 4 * kRun + lane() % 4 * kRun + c % kRun;
  }

  /// Where chunk `chunk` of row `r` lies, in bytes: of a and b in rows along k, of a row of W numbers across k.
  __device__ static int a_chunk(int r, int chunk) { return r * 64 + (chunk ^ (r >> 1 & 3)) * 16; }
  __device__ static int b_chunk(int r, int chunk) { return r * 64 + (chunk ^ (r / kRun & 3)) * 16; }
  template <int W> __device__ static int across(int k, int chunk) {
    constexpr int kChunks = W * static_cast<int>(sizeof(T)) / 16, kRowsOfBanks = kChunks < 8 ? 8 / kChunks : 1;
    if constexpr (How == Arithmetic::halves) chunk ^= k / kRowsOfBanks & ((kChunks < 8 ? kChunks : 8) - 1);
    if constexpr (How == Arithmetic::tf32) chunk ^= (k & 3) << 1;
    return (k * kChunks + chunk) * 16;
  }

  /// Adds the product of a stage.
  __device__ WEFT_INLINE void multiply(const unsigned char* a, const unsigned char* b) {
    if constexpr (How != Arithmetic::fma) multiply_matrices(a, b);
    else if constexpr (KInner) fma_inner(a, b);
    else fma_across(a, b);
  }

 private:
  using Left = uint32_t[kM][4];
  using Right = uint32_t[kN][2];

  __device__ WEFT_INLINE void multiply_matrices(const unsigned char* a, const unsigned char* b) {
    WEFT_UNROLL
    for (int step = 0; step < 2; ++step) {
      Left left;
      Right right;
      if constexpr (KInner) load_inner(left, right, a, b, step);
      else if constexpr (How == Arithmetic::halves) load_halves_across(left, right, a, b, step);
      else load_words_across(left, right, a, b, step);
      WEFT_UNROLL
      for (int i = 0; i < kM; ++i) {
        WEFT_UNROLL
        for (int j = 0; j < kN; ++j) {
          if constexpr (How == Arithmetic::halves) mma_16x8x16<T>(sums[i][j], left[i], right[j]);
          else mma_16x8x8_tf32(sums[i][j], left[i], right[j]);
        }
      }
    }
  }

  __device__ static WEFT_INLINE void load_inner(Left& left, Right& right, const unsigned char* a,
                                                const unsigned char* b, int step) {
    const int l = lane();
    WEFT_UNROLL
    for (int i = 0; i < kM; ++i) ldmatrix(left[i], a + a_chunk(warp_row() + i * 16 + l % 16, step * 2 + l / 16));
    WEFT_UNROLL
    for (int j = 0; j < kN; j += 2) {
      // Row r of the matrix of columns 8 j holds the column that lane 4 (r / 2) has at sums[.][j][r % 2].
      const int r = l % 8, c = (j + l / 16) * 2 + r % 2,
                at = warp_column() + j * 2 / kRun * 4 * kRun + r / 2 * kRun + c % kRun;
      uint32_t two[4];
      ldmatrix(two, b + b_chunk(at, step * 2 + l / 8 % 2));
      right[j][0] = two[0], right[j][1] = two[1], right[j + 1][0] = two[2], right[j + 1][1] = two[3];
    }
    if constexpr (How == Arithmetic::tf32) round(left, right);
  }

  __device__ static WEFT_INLINE void load_halves_across(Left& left, Right& right, const unsigned char* a,
                                                        const unsigned char* b, int step) {
    const int l = lane();
    WEFT_UNROLL
    for (int i = 0; i < kM; ++i)
      ldmatrix<true>(left[i], a + across<M>(step * 16 + l / 16 * 8 + l % 8, (warp_row() + i * 16) / 8 + l / 8 % 2));
    WEFT_UNROLL
    for (int j = 0; j < kN; j += 2) {
      uint32_t two[4];
      ldmatrix<true>(two, b + across<N>(step * 16 + l % 16, (warp_column() + j * 8) / 8 + l / 16));
      right[j][0] = two[0], right[j][1] = two[1], right[j + 1][0] = two[2], right[j + 1][1] = two[3];
    }
  }

  __device__ static WEFT_INLINE void load_words_across(Left& left, Right& right, const unsigned char* a,
                                                       const unsigned char* b, int step) {
    const int g = lane() / 4, t = lane() % 4;
    const auto word = [](const unsigned char* row, int at) {
      return *reinterpret_cast<const uint32_t*>(row + at % 4 * 4);
    };
    WEFT_UNROLL
    for (int i = 0; i < kM; ++i) {
      WEFT_UNROLL
      for (int r = 0; r < 4; ++r) {
        const int at = warp_row() + i * 16 + r % 2 * 8 + g;
        left[i][r] = word(a + across<M>(step * 8 + r / 2 * 4 + t, at / 4), at);
      }
    }
    WEFT_UNROLL
    for (int j = 0; j < kN; ++j) {
      WEFT_UNROLL
      for (int r = 0; r < 2; ++r) {
        const int at = warp_column() + j * 8 + g;
        right[j][r] = word(b + across<N>(step * 8 + r * 4 + t, at / 4), at);
      }
    }
    round(left, right);
  }

  __device__ static WEFT_INLINE void round(Left& left, Right& right) {
    WEFT_UNROLL
    for (int i = 0; i < kM; ++i) {
      WEFT_UNROLL
      for (int r = 0; r < 4; ++r) left[i][r] = to_tf32(left[i][r]);
    }
    WEFT_UNROLL
    for (int j = 0; j < kN; ++j) {
      WEFT_UNROLL
      for (int r = 0; r < 2; ++r) right[j][r] = to_tf32(right[j][r]);
    }
  }

  /// sums += a b for one k; a: 2 kM rows of this lane, b: 2 kN columns.
  template <class Row, class Column> __device__ WEFT_INLINE void add(const Row& a, const Column& b) {
    WEFT_UNROLL
    for (int i = 0; i < 2 * kM; ++i) {
      WEFT_UNROLL
      for (int j = 0; j < 2 * kN; ++j) {
        C& sum = sums[i / 2][j / 2][i % 2 * 2 + j % 2];
        sum = multiply_add(a(i), b(j), sum);
      }
    }
  }
  __device__ WEFT_INLINE void fma_inner(const unsigned char* a, const unsigned char* b) {
    constexpr int V = 16 / static_cast<int>(sizeof(T));
    using Chunk = Pack<T, V>;
    WEFT_UNROLL
    for (int chunk = 0; chunk < 4; ++chunk) {
      Chunk left[2 * kM], right[2 * kN];
      WEFT_UNROLL
      for (int i = 0; i < 2 * kM; ++i)
        left[i] = *reinterpret_cast<const Chunk*>(a + a_chunk(row(i / 2, i % 2 * 2), chunk));
      WEFT_UNROLL
      for (int j = 0; j < 2 * kN; ++j)
        right[j] = *reinterpret_cast<const Chunk*>(b + b_chunk(column(j / 2, j % 2), chunk));
      WEFT_UNROLL
      for (int v = 0; v < V; ++v) add([&](int i) { return left[i].v[v]; }, [&](int j) { return right[j].v[v]; });
    }
  }
  __device__ WEFT_INLINE void fma_across(const unsigned char* a, const unsigned char* b) {
    const auto *left = reinterpret_cast<const T*>(a), *right = reinterpret_cast<const T*>(b);
    WEFT_UNROLL
    for (int k = 0; k < kDepth; ++k) {
      T rows[2 * kM], columns[2 * kN];
      WEFT_UNROLL
      for (int i = 0; i < 2 * kM; ++i) rows[i] = left[k * M + row(i / 2, i % 2 * 2)];
      WEFT_UNROLL
      for (int j = 0; j < 2 * kN; ++j) columns[j] = right[k * N + column(j / 2, j % 2)];
      add([&](int i) { return rows[i]; }, [&](int j) { return columns[j]; });
    }
  }
};

}  // namespace weft::cuda
