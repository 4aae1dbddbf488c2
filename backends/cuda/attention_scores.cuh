// What is known of attention's scores besides their factors: masks, causality, dropout; and where a kernel's operands
// lie.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/attention_tile.cuh"
#include "weft/backends/cuda/copy.cuh"
#include "weft/core/backend.h"
#include "weft/core/dense_copy.h"
#include "weft/core/fn/philox.h"
#include "weft/core/kernels/attention.h"

namespace weft::cuda {

inline constexpr DtypeSet kAttentionDtypes(Dtype::f32, Dtype::bf16, Dtype::f16);
inline constexpr float kLog2E = 1.44269504088896341f, kLn2 = 0.693147180559945309f;

/// A matrix for each sample and head.
template <class T> struct Heads {
  Rows<T> rows;
  int64_t batch, head;  // strides
  __device__ WEFT_INLINE Rows<T> at(int64_t b, int64_t h) const {
    Rows<T> r = rows;
    r.data += b * batch + h * head;
    return r;
  }
};

/// The block's tile of rows, and whose it is; `reverse`: the last rows first.
struct BlockPlace {
  int batch, head, first;
  __device__ WEFT_INLINE BlockPlace(int64_t block, int64_t heads, int rows, int count, bool reverse) {
    const int64_t tiles = ceil_div(count, rows), tile = block % tiles, rest = block / tiles;
    first = static_cast<int>(reverse ? tiles - 1 - tile : tile) * rows;
    head = static_cast<int>(rest % heads);
    batch = static_cast<int>(rest / heads);
  }
};

/// Of all samples and heads; of one, after `at`.
struct Scores {
  const char* mask = nullptr;  // [B, H, L, S]; null: none
  Dtype dtype = Dtype::boolean;
  int64_t batch = 0, head = 0, row = 0, col = 0;  // the mask's strides
  int64_t heads = 1;
  int queries = 0, keys = 0;
  bool causal = false, drops = false;
  float scale = 1, keep_scale = 1;  // products to exponents of 2; 1 / keep
  uint32_t last_kept = 0;           // see fn::Keep
  Generator::State from;
  uint64_t first_weight = 0;  // number of weight [b, h, 0, 0]

  __device__ WEFT_INLINE Scores at(int64_t b, int64_t h) const {
    Scores s = *this;
    const int64_t size = dtype == Dtype::boolean ? 1 : dtype == Dtype::f32 ? 4 : 2;
    if (mask) s.mask += (b * batch + h * head) * size;
    s.first_weight = static_cast<uint64_t>(b * heads + h) * static_cast<uint64_t>(queries) *
                     static_cast<uint64_t>(keys);
    return s;
  }
  /// What products are multiplied with in the exponent, after `masked`.
  __device__ WEFT_INLINE float factor() const { return mask && dtype != Dtype::boolean ? 1.f : scale; }

  /// The exponent of a product, but for the factor; -infinity where the query does not see the key. `seen`: set where
  /// it does.
  __device__ WEFT_INLINE float masked(float product, int query, int key, bool& seen) const {
    seen = false;
    if (query >= queries || key >= keys || (causal && key > query)) return -INFINITY;
    if (mask) {
      const int64_t i = query * row + key * col;
      if (dtype == Dtype::boolean) {
        if (!reinterpret_cast<const bool*>(mask)[i]) return -INFINITY;
      } else {
        const float bias = dtype == Dtype::f32    ? reinterpret_cast<const float*>(mask)[i]
                           : dtype == Dtype::bf16 ? static_cast<float>(reinterpret_cast<const bf16*>(mask)[i])
                                                  : static_cast<float>(reinterpret_cast<const f16*>(mask)[i]);
        if (bias == -INFINITY) return bias;
        product = fn::f32::fma(product, scale, bias * kLog2E);
      }
    }
    seen = true;
    return product;
  }
  /// Random words of the weight of (query, key) and of the next key's.
  __device__ WEFT_INLINE void words(int query, int key, uint32_t (&w)[2]) const {
    const uint64_t i = first_weight + static_cast<uint64_t>(query) * static_cast<uint64_t>(keys) +
                       static_cast<uint64_t>(key);
    const fn::PhiloxBlock b = fn::philox(from.seed, from.offset + i / 4);
    const auto at = static_cast<uint32_t>(i % 4);
    w[0] = at == 0 ? b.w0 : at == 1 ? b.w1 : at == 2 ? b.w2 : b.w3;
    w[1] = at == 0 ? b.w1 : at == 1 ? b.w2 : b.w3;
    if (at == 3) w[1] = fn::philox(from.seed, from.offset + i / 4 + 1).w0;
  }
};

/// Calls f(m, n, i) for each of a thread's M N 4 scores.
template <int M, int N, class F> __device__ WEFT_INLINE void for_each_score(const F& f) {
  WEFT_UNROLL
  for (int m = 0; m < M; ++m) {
    WEFT_UNROLL
    for (int n = 0; n < N; ++n) {
      WEFT_UNROLL
      for (int i = 0; i < 4; ++i) f(m, n, i);
    }
  }
}

/// A warp's scores as it holds them, of one sample and head, the first of them at (first_row, first_col); rows are
/// queries and columns keys, or the other way round.
template <bool RowsAreKeys, int M, int N> struct ScoreTile {
  const Scores& all;
  int batch, head;
  int first_row, first_col;
  static constexpr int kRows = 16 * M, kCols = 8 * N;

  __device__ WEFT_INLINE int row(int m, int i) const { return first_row + m * 16 + i / 2 * 8 + this_lane() / 4; }
  __device__ WEFT_INLINE int col(int n, int i) const { return first_col + n * 8 + 2 * (this_lane() % 4) + i % 2; }
  /// May a score be one that `masked` changes?
  __device__ WEFT_INLINE bool special() const {
    const int query = RowsAreKeys ? first_col : first_row, key = RowsAreKeys ? first_row : first_col;
    const int queries = RowsAreKeys ? kCols : kRows, keys = RowsAreKeys ? kRows : kCols;
    return all.mask || query + queries > all.queries || key + keys > all.keys || (all.causal && key + keys - 1 > query);
  }
  /// A bit for each of a thread's scores.
  using Bits = std::conditional_t<(M * N * 4 > 32), uint64_t, uint32_t>;
  static constexpr Bits kAll = ~Bits{0};
  static __device__ WEFT_INLINE bool has(Bits bits, int m, int n, int i) { return bits >> ((m * N + n) * 4 + i) & 1; }
  static __device__ WEFT_INLINE Bits bit(bool set, int m, int n, int i) { return Bits{set} << ((m * N + n) * 4 + i); }

  /// Masks products; the bits of those that are seen.
  __device__ WEFT_INLINE Bits mask(float (&w)[M][N][4]) const {
    static_assert(M * N * 4 <= 64);
    const Scores scores = all.at(batch, head);
    Bits bits = 0;
    for_each_score<M, N>([&](int m, int n, int i) {
      const int r = row(m, i), c = col(n, i);
      bool seen;
      w[m][n][i] = scores.masked(w[m][n][i], RowsAreKeys ? c : r, RowsAreKeys ? r : c, seen);
      bits |= bit(seen, m, n, i);
    });
    return bits;
  }
  /// The bits of weights that dropout leaves.
  __device__ WEFT_INLINE Bits kept() const {
    static_assert(M * N * 4 <= 64);
    const Scores scores = all.at(batch, head);
    Bits bits = 0;
    WEFT_UNROLL
    for (int m = 0; m < M; ++m) {
      WEFT_UNROLL
      for (int n = 0; n < N; ++n) {
        WEFT_UNROLL
        for (int i = 0; i < 4; i += 2) {
          uint32_t w[2], other[2];
          if constexpr (RowsAreKeys) {
            scores.words(col(n, i), row(m, i), w);
            scores.words(col(n, i) + 1, row(m, i), other);
            w[1] = other[0];
          } else {
            scores.words(row(m, i), col(n, i), w);
          }
          for (int j = 0; j < 2; ++j) bits |= bit(w[j] <= scores.last_kept, m, n, i + j);
        }
      }
    }
    return bits;
  }
};

// ---- The host's side.

inline Scores scores_of(const TensorRef& q, const TensorRef& k, const TensorRef& mask, const AttentionParams& p) {
  Scores s;
  if (mask.defined()) {
    s.mask = mask.as<char>();
    s.dtype = mask.dtype;
    s.batch = mask.strides[0], s.head = mask.strides[1], s.row = mask.strides[2], s.col = mask.strides[3];
  }
  s.heads = q.shape[1];
  s.queries = static_cast<int>(q.shape[2]), s.keys = static_cast<int>(k.shape[2]);
  s.causal = p.causal;
  s.scale = static_cast<float>(p.scale) * kLog2E;
  const fn::Keep keep(p.keep);
  s.drops = p.keep < 1;
  if (s.drops) refuse_capture("random numbers");
  s.keep_scale = keep.none ? 0.f : static_cast<float>(1 / p.keep);
  s.last_kept = keep.last;
  s.from = p.from;
  return s;
}

/// x [B, H, n, width]; a last stride that is not 1 takes a copy.
template <class T> Heads<const T> heads_of(const TensorRef& x, Scratch& scratch) {
  const bool dense = x.stride(-1) == 1 || x.size(-1) == 1;
  Heads<const T> h;
  h.rows.data = dense ? x.as<T>() : static_cast<const T*>(dense_contiguous(x, x.dtype, scratch, move));
  h.rows.count = static_cast<int>(x.shape[2]), h.rows.width = static_cast<int>(x.shape[3]);
  h.rows.stride = dense ? x.strides[2] : x.shape[3];
  h.head = dense ? x.strides[1] : x.shape[2] * x.shape[3];
  h.batch = dense ? x.strides[0] : x.shape[1] * h.head;
  const auto whole = [](int64_t n) { return n % kChunk<T> == 0; };
  h.rows.wide = whole(h.rows.width) && whole(h.rows.stride) && whole(h.head) && whole(h.batch) &&
                reinterpret_cast<uintptr_t>(h.rows.data) % 16 == 0;
  return h;
}
template <class T> Heads<T> heads_of(const MutTensorRef& x) {
  Heads<T> h;
  h.rows = {x.as_mut<T>(), x.strides[2], static_cast<int>(x.shape[2]), static_cast<int>(x.shape[3]), false};
  h.batch = x.strides[0], h.head = x.strides[1];
  h.rows.wide = (h.rows.stride | h.head | h.batch) % 2 == 0 &&
                reinterpret_cast<uintptr_t>(x.mut) % (2 * sizeof(T)) == 0;
  return h;
}

/// Starts one block for each tile of `rows` rows of x.
template <class Call>
void launch_tiles(void (*kernel)(Call, int64_t), const TensorRef& x, int rows, int threads, const Call& call) {
  constexpr int64_t most = (int64_t{1} << 31) - 1;
  const int64_t blocks = x.shape[0] * x.shape[1] * ceil_div(x.shape[2], rows);
  for (int64_t first = 0; first < blocks; first += most)
    launch(kernel, static_cast<unsigned>(std::min(most, blocks - first)), threads, 0, call, first);
}

/// f<Products>() for the dtype and the features of a head.
template <class F> void dispatch_products(Dtype dtype, int64_t features, const F& f) {
  const auto by_size = [&]<template <int> class P> {
    if (features <= 64) f.template operator()<P<64>>();
    else if (features <= 128) f.template operator()<P<128>>();
    else f.template operator()<P<256>>();
  };
  if (dtype == Dtype::bf16) by_size.template operator()<Bf16Products>();
  else if (dtype == Dtype::f16) by_size.template operator()<F16Products>();
  else if (tf32_allowed()) by_size.template operator()<Tf32Products>();
  else by_size.template operator()<FmaProducts>();
}

}  // namespace weft::cuda
