// Attention without its scores in memory (Dao et al. 2022, "FlashAttention"): a block keeps some queries in shared
// memory and walks the keys a tile at a time; maxima, sums and the result stay in registers. Scores and weights are
// f32.
#pragma once

#include "weft/backends/cuda/attention_scores.cuh"

namespace weft::cuda {

/// Queries of a block and keys of a tile, by the bytes of a row: 48 KB of shared memory hold them.
template <class Products> struct ForwardTile {
  static constexpr int kBytes = Products::kFeatures * static_cast<int>(sizeof(typename Products::Element));
  static constexpr int kPerWarp = kBytes <= 256 ? 32 : 16, kWarps = kBytes <= 256 ? 4 : kBytes <= 512 ? 2 : 1;
  static constexpr int kRows = kPerWarp * kWarps, kCols = kBytes <= 128 ? 64 : kBytes <= 512 ? 32 : 16;
  static constexpr int kThreads = kWarps * kWarp;
};

template <class T> struct AttentionCall {
  Heads<const T> q, k, v;
  Heads<T> y;
  float* lse;
  Scores scores;
  int heads_per_key;
};

// One block at least: left to itself the compiler keeps some sums in memory to let one more in.
template <class Products>
__global__ void __launch_bounds__(ForwardTile<Products>::kThreads, 1)
    attention_kernel(AttentionCall<typename Products::Element> a, int64_t first_block) {
  using T = typename Products::Element;
  using Tile = ForwardTile<Products>;
  constexpr int D = Products::kFeatures, M = Tile::kPerWarp / 16, N = Tile::kCols / 8, kThreads = Tile::kThreads;
  using Shared = SharedRows<T, D>;
  WEFT_SHARED(q_memory, Chunk<T>[Tile::kRows * Shared::kChunks]);
  WEFT_SHARED(k_memory, Chunk<T>[Tile::kCols * Shared::kChunks]);
  WEFT_SHARED(v_memory, Chunk<T>[Tile::kCols * Shared::kChunks]);
  const Shared q(q_memory), k(k_memory), v(v_memory);
  const BlockPlace place(first_block + blockIdx.x, a.scores.heads, Tile::kRows, a.scores.queries, a.scores.causal);
  const Rows<const T> keys = a.k.at(place.batch, place.head / a.heads_per_key),
                      values = a.v.at(place.batch, place.head / a.heads_per_key);
  const Scores& scores = a.scores;
  const int warp_row = static_cast<int>(threadIdx.x) / kWarp * Tile::kPerWarp;
  const int end = scores.causal ? std::min(place.first + Tile::kRows, scores.keys) : scores.keys;
  const float factor = scores.factor();

  load_rows<Tile::kRows, kThreads>(q, a.q.at(place.batch, place.head), place.first);
  load_rows<Tile::kCols, kThreads>(k, keys, 0);
  commit_copies();
  float sums[M][D / 8][4] = {}, top[M][2], total[M][2] = {};
  for (int m = 0; m < M; ++m) top[m][0] = top[m][1] = -INFINITY;
  unsigned seen = scores.mask ? 0 : ~0u;  // bit 2 m + half: the row has seen a key, as all have without a mask
  for (int first = 0; first < end; first += Tile::kCols) {
    wait_for_copies<0>();
    __syncthreads();  // k has come, and v has been read
    load_rows<Tile::kCols, kThreads>(v, values, first);
    commit_copies();
    float w[M][N][4] = {};
    Products::rows_by_rows(w, q, warp_row, k, keys.width);
    const ScoreTile<false, M, N> tile{scores, place.batch, place.head, place.first + warp_row, first};
    if (tile.special()) {
      const auto bits = tile.mask(w);
      for_each_score<M, N>([&](int m, int n, int i) { seen |= unsigned{tile.has(bits, m, n, i)} << (2 * m + i / 2); });
    }
    WEFT_UNROLL
    for (int m = 0; m < M; ++m) {
      WEFT_UNROLL
      for (int half = 0; half < 2; ++half) {
        float most = top[m][half], sum = 0;
        WEFT_UNROLL
        for (int n = 0; n < N; ++n)
          most = GreaterValue()(GreaterValue()(most, w[m][n][2 * half]), w[m][n][2 * half + 1]);
        most = warp_reduce(most, GreaterValue(), 4);
        // a row that has seen nothing yet has weights of 0, not NaN
        const float shift = most == -INFINITY ? 0.f : most * factor, fade = exp2_near(top[m][half] * factor - shift);
        WEFT_UNROLL
        for (int n = 0; n < N; ++n) {
          WEFT_UNROLL
          for (int j = 0; j < 2; ++j) {
            float& x = w[m][n][2 * half + j];
            x = exp2_near(fn::f32::fma(x, factor, -shift));
            sum += x;
          }
        }
        top[m][half] = most;
        total[m][half] = fn::f32::fma(total[m][half], fade, sum);
        WEFT_UNROLL
        for (int n = 0; n < D / 8; ++n) {
          WEFT_UNROLL
          for (int j = 0; j < 2; ++j) sums[m][n][2 * half + j] *= fade;
        }
      }
    }
    if (scores.drops) {
      const auto kept = tile.kept();
      for_each_score<M, N>([&](int m, int n, int i) {
        if (!tile.has(kept, m, n, i)) w[m][n][i] = 0;
      });
    }
    wait_for_copies<0>();
    __syncthreads();  // v has come, and k has been read
    if (first + Tile::kCols < end) {
      load_rows<Tile::kCols, kThreads>(k, keys, first + Tile::kCols);
      commit_copies();
    }
    Products::weights_by_rows(sums, w, v, values.width);
  }

  seen = warp_reduce(
      seen, [](unsigned x, unsigned y) { return x | y; }, 4);
  float* const lse = a.lse + (place.batch * scores.heads + place.head) * scores.queries;
  WEFT_UNROLL
  for (int m = 0; m < M; ++m) {
    WEFT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float sum = warp_reduce(total[m][half], AddValues(), 4), share = scores.keep_scale / sum;
      const bool sees = seen >> (2 * m + half) & 1;
      WEFT_UNROLL
      for (int n = 0; n < D / 8; ++n) {
        WEFT_UNROLL
        for (int j = 0; j < 2; ++j) {
          float& x = sums[m][n][2 * half + j];
          x = sees ? x * share : 0.f;
        }
      }
      const int row = place.first + warp_row + m * 16 + half * 8 + static_cast<int>(threadIdx.x) % kWarp / 4;
      if (threadIdx.x % 4 == 0 && row < scores.queries)
        lse[row] = sees ? top[m][half] * factor * kLn2 + fn::log(sum) : INFINITY;
    }
  }
  store_rows(a.y.at(place.batch, place.head), sums, place.first + warp_row);
}

inline void attention(const MutTensorRef& y, const MutTensorRef& lse, const TensorRef& q, const TensorRef& k,
                      const TensorRef& v, const TensorRef& mask, const AttentionParams& p) {
  dispatch_products(q.dtype, std::max(q.shape[3], v.shape[3]), [&]<class Products> {
    using T = typename Products::Element;
    Scratch copies[3];
    const AttentionCall<T> call{heads_of<T>(q, copies[0]),
                                heads_of<T>(k, copies[1]),
                                heads_of<T>(v, copies[2]),
                                heads_of<T>(y),
                                lse.as_mut<float>(),
                                scores_of(q, k, mask, p),
                                static_cast<int>(q.shape[1] / k.shape[1])};
    launch_tiles(attention_kernel<Products>, q, ForwardTile<Products>::kRows, ForwardTile<Products>::kThreads, call);
  });
}

}  // namespace weft::cuda
