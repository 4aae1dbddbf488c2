// Gradients of attention. Scores are computed again, once for the queries' gradient and once for the keys' and values':
// a block owns its rows and adds what it walks over in order, so that the bits are the same every time.
#pragma once

#include "weft/backends/cuda/attention_scores.cuh"

namespace weft::cuda {

/// Which gradients a kernel computes. Its rows are queries for the first, keys for the others.
enum class Wanted { query, key, value, key_and_value };

/// Rows of a block and of a tile, by the bytes of a row: 48 KB of shared memory hold two of each.
template <class Products> struct BackwardTile {
  static constexpr int kBytes = Products::kFeatures * static_cast<int>(sizeof(typename Products::Element));
  static constexpr int kPerWarp = kBytes <= 128 ? 32 : 16, kWarps = kBytes <= 256 ? 4 : kBytes <= 512 ? 2 : 1;
  static constexpr int kRows = kPerWarp * kWarps, kCols = kBytes <= 256 ? 32 : kBytes <= 512 ? 16 : 8;
  static constexpr int kThreads = kWarps * kWarp, kStages = kBytes <= 128 ? 2 : 1;
};

template <class T> struct AttentionGradCall {
  Heads<const T> q, k, v, g;
  Heads<T> q_grad, k_grad, v_grad;
  const float *lse, *delta;
  Scores scores;
  int heads_per_key;
  float scale;
};

/// delta[row] = g[row] . y[row]. A warp for each row.
template <class T>
__global__ void __launch_bounds__(kBlock)
    attention_delta_kernel(float* delta, Heads<const T> g, Heads<const T> y, int64_t heads, int64_t count) {
  constexpr int kAtOnce = kBlock / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t i = int64_t{blockIdx.x} * kAtOnce + threadIdx.x / kWarp; i < count; i += int64_t{gridDim.x} * kAtOnce) {
    const int64_t row = i % g.rows.count, head = i / g.rows.count;
    const T* const left = g.at(head / heads, head % heads).data + row * g.rows.stride;
    const T* const right = y.at(head / heads, head % heads).data + row * y.rows.stride;
    float sum = 0;
    for (int e = lane; e < g.rows.width; e += kWarp)
      sum = fn::f32::fma(static_cast<float>(left[e]), static_cast<float>(right[e]), sum);
    sum = warp_reduce(sum, AddValues());
    if (lane == 0) delta[i] = sum;
  }
}

// One block at least: see attention_kernel.
template <class Products, Wanted kWanted>
__global__ void __launch_bounds__(BackwardTile<Products>::kThreads, 1)
    attention_grad_kernel(AttentionGradCall<typename Products::Element> a, int64_t first_block) {
  using T = typename Products::Element;
  using Tile = BackwardTile<Products>;
  using Shared = SharedRows<T, Products::kFeatures>;
  constexpr bool kByKeys = kWanted != Wanted::query,
                 kValue = kWanted == Wanted::value || kWanted == Wanted::key_and_value,
                 kScore = kWanted != Wanted::value;
  constexpr int M = Tile::kPerWarp / 16, N = Tile::kCols / 8, kThreads = Tile::kThreads, kStages = Tile::kStages,
                kColChunks = Tile::kCols * Shared::kChunks;
  // rows and columns of the product that gives scores, and of the one that gives their gradients
  WEFT_SHARED(row_memory, Chunk<T>[Tile::kRows * Shared::kChunks]);
  WEFT_SHARED(row_grad_memory, Chunk<T>[kScore ? Tile::kRows * Shared::kChunks : 1]);
  WEFT_SHARED(col_memory, Chunk<T>[kStages * kColChunks]);
  WEFT_SHARED(col_grad_memory, Chunk<T>[kStages * kColChunks]);
  const Shared rows(row_memory), row_grads(row_grad_memory);

  const int row_count = kByKeys ? a.scores.keys : a.scores.queries;
  const int heads_here = kByKeys ? a.heads_per_key : 1;
  const BlockPlace place(first_block + blockIdx.x, a.scores.heads / heads_here, Tile::kRows, row_count,
                         a.scores.causal && !kByKeys);
  const int warp_row = static_cast<int>(threadIdx.x) / kWarp * Tile::kPerWarp;
  int begin = 0, end = kByKeys ? a.scores.queries : a.scores.keys;  // of the columns
  if (a.scores.causal && kByKeys) begin = place.first / Tile::kCols * Tile::kCols;
  else if (a.scores.causal) end = std::min(place.first + Tile::kRows, end);
  const int tiles = begin < end ? ceil_div(end - begin, Tile::kCols) : 0;
  const int steps = heads_here * tiles;
  // Columns that a step walks over: of a query's head, from `first` on.
  struct Cols {
    int head, first;
  };
  const auto after = [&](Cols c) {
    c.first += Tile::kCols;
    if (c.first >= end) c = {c.head + 1, begin};
    return c;
  };
  const auto load = [&](Cols c, int step) {
    const int key = place.head / (kByKeys ? 1 : a.heads_per_key);
    const Shared to(col_memory + step % kStages * kColChunks), to_grads(col_grad_memory + step % kStages * kColChunks);
    load_rows<Tile::kCols, kThreads>(to, kByKeys ? a.q.at(place.batch, c.head) : a.k.at(place.batch, key), c.first);
    load_rows<Tile::kCols, kThreads>(to_grads, kByKeys ? a.g.at(place.batch, c.head) : a.v.at(place.batch, key),
                                     c.first);
    commit_copies();
  };

  load_rows<Tile::kRows, kThreads>(rows, (kByKeys ? a.k : a.q).at(place.batch, place.head), place.first);
  if constexpr (kScore)
    load_rows<Tile::kRows, kThreads>(row_grads, (kByKeys ? a.v : a.g).at(place.batch, place.head), place.first);
  commit_copies();
  Cols now{kByKeys ? place.head * a.heads_per_key : place.head, begin};
  if (steps > 0) load(now, 0);
  const float factor = a.scores.factor();
  float score_sums[M][Products::kFeatures / 8][4] = {}, value_sums[M][Products::kFeatures / 8][4] = {};
  for (int step = 0; step < steps; ++step, now = after(now)) {
    if (kStages == 2 && step + 1 < steps) {
      load(after(now), step + 1);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    const Shared cols(col_memory + step % kStages * kColChunks),
        col_grads(col_grad_memory + step % kStages * kColChunks);
    const ScoreTile<kByKeys, M, N> tile{a.scores, place.batch, now.head, place.first + warp_row, now.first};
    // of a query: of the row or of the column
    const int64_t first_query = (place.batch * a.scores.heads + now.head) * a.scores.queries;
    const auto of_query = [&](const float* from, int m, int n, int i) {
      const int query = kByKeys ? tile.col(n, i) : tile.row(m, i);
      return from[first_query + std::min(query, a.scores.queries - 1)];  // of those behind nothing comes through
    };

    float w[M][N][4] = {};
    Products::rows_by_rows(w, rows, warp_row, cols, a.q.rows.width);
    const auto seen = tile.special() ? tile.mask(w) : tile.kAll;
    for_each_score<M, N>([&](int m, int n, int i) {
      w[m][n][i] = exp2_near(fn::f32::fma(w[m][n][i], factor, of_query(a.lse, m, n, i) * -kLog2E));
    });
    const auto kept = a.scores.drops ? seen & tile.kept() : seen;
    if constexpr (kValue) {
      float left[M][N][4];
      for_each_score<M, N>([&](int m, int n, int i) { left[m][n][i] = tile.has(kept, m, n, i) ? w[m][n][i] : 0.f; });
      Products::weights_by_rows(value_sums, left, col_grads, a.v.rows.width);
    }
    if constexpr (kScore) {
      float d[M][N][4] = {};
      Products::rows_by_rows(d, row_grads, warp_row, col_grads, a.v.rows.width);
      for_each_score<M, N>([&](int m, int n, int i) {
        const float g = tile.has(kept, m, n, i) ? d[m][n][i] * a.scores.keep_scale : 0.f;
        d[m][n][i] = w[m][n][i] * (g - of_query(a.delta, m, n, i));
      });
      if (seen != tile.kAll)  // what is hidden takes no NaN from the other factors
        for_each_score<M, N>([&](int m, int n, int i) { d[m][n][i] = tile.has(seen, m, n, i) ? d[m][n][i] : 0.f; });
      Products::weights_by_rows(score_sums, d, cols, a.q.rows.width);
    }
    __syncthreads();
    if (kStages == 1 && step + 1 < steps) load(after(now), step + 1);
  }
  if (steps == 0) wait_for_copies<0>();  // of the rows, which nothing has read
  if constexpr (kScore) {
    for_each_score<M, Products::kFeatures / 8>([&](int m, int n, int i) { score_sums[m][n][i] *= a.scale; });
    store_rows((kByKeys ? a.k_grad : a.q_grad).at(place.batch, place.head), score_sums, place.first + warp_row);
  }
  if constexpr (kValue) {
    for_each_score<M, Products::kFeatures / 8>(
        [&](int m, int n, int i) { value_sums[m][n][i] *= a.scores.keep_scale; });
    store_rows(a.v_grad.at(place.batch, place.head), value_sums, place.first + warp_row);
  }
}

inline void attention_backward(const MutTensorRef& q_grad, const MutTensorRef& k_grad, const MutTensorRef& v_grad,
                               const TensorRef& g, const TensorRef& y, const TensorRef& lse, const TensorRef& q,
                               const TensorRef& k, const TensorRef& v, const TensorRef& mask,
                               const AttentionParams& p) {
  const int64_t heads = q.shape[1], count = q.shape[0] * heads * q.shape[2];
  Scratch delta(static_cast<size_t>(count) * sizeof(float));
  dispatch_products(q.dtype, std::max(q.shape[3], v.shape[3]), [&]<class Products> {
    using T = typename Products::Element;
    using Tile = BackwardTile<Products>;
    Scratch copies[5];
    AttentionGradCall<T> call{};
    call.q = heads_of<T>(q, copies[0]), call.k = heads_of<T>(k, copies[1]), call.v = heads_of<T>(v, copies[2]);
    call.g = heads_of<T>(g, copies[3]);
    const auto result = [](const MutTensorRef& x) { return x.defined() ? heads_of<T>(x) : Heads<T>(); };
    call.q_grad = result(q_grad), call.k_grad = result(k_grad), call.v_grad = result(v_grad);
    call.lse = lse.as<float>(), call.delta = delta.as<float>();
    call.scores = scores_of(q, k, mask, p);
    call.heads_per_key = static_cast<int>(heads / k.shape[1]);
    call.scale = static_cast<float>(p.scale);
    const auto run = [&]<Wanted kWanted>(const TensorRef& rows) {
      launch_tiles(attention_grad_kernel<Products, kWanted>, rows, Tile::kRows, Tile::kThreads, call);
    };
    if (q_grad.defined() || k_grad.defined())
      launch(attention_delta_kernel<T>, grid_for(count, kBlock / kWarp), kBlock, 0, delta.as<float>(), call.g,
             heads_of<T>(y, copies[4]), heads, count);
    if (q_grad.defined()) run.template operator()<Wanted::query>(q);
    if constexpr (Products::kFeatures <= 128) {  // the sums of both fit the registers
      if (k_grad.defined() && v_grad.defined()) return run.template operator()<Wanted::key_and_value>(k);
    }
    if (k_grad.defined()) run.template operator()<Wanted::key>(k);
    if (v_grad.defined()) run.template operator()<Wanted::value>(k);
  });
}

}  // namespace weft::cuda
