// What the threads of a warp or a block do together: reductions and running totals of any type that is copied as bytes,
// in an order that never changes. Called by all threads of the block (or warp); the block has one dimension, of whole
// warps.
#pragma once

#include <cstring>

#include "weft/backends/cuda/launch.h"

namespace weft::cuda {

/// `move(word)` for every 32-bit word of v.
template <class T, class Move> __device__ WEFT_INLINE T move_words(const T& v, const Move& move) {
  static_assert(std::is_trivially_copyable_v<T>);
  constexpr int kWords = (sizeof(T) + 3) / 4;
  unsigned words[kWords] = {};
  memcpy(words, &v, sizeof v);
  WEFT_UNROLL
  for (int i = 0; i < kWords; ++i) words[i] = move(words[i]);
  T r;
  memcpy(&r, words, sizeof r);
  return r;
}
/// The value of the lane whose number differs in `bits`; of the lane `by` before (its own for the first ones); of
/// `lane`.
template <class T> __device__ WEFT_INLINE T from_xor(const T& v, int bits) {
  return move_words(v, [=](unsigned w) { return __shfl_xor_sync(kAllLanes, w, bits); });
}
template <class T> __device__ WEFT_INLINE T from_up(const T& v, unsigned by) {
  return move_words(v, [=](unsigned w) { return __shfl_up_sync(kAllLanes, w, by); });
}
template <class T> __device__ WEFT_INLINE T from_lane(const T& v, int lane) {
  return move_words(v, [=](unsigned w) { return __shfl_sync(kAllLanes, w, lane); });
}

/// merge of all values of `lanes` (a power of two up to 32) lanes side by side, in each of them. Lanes may differ in
/// the order of merge's arguments: the first lane's result counts where that matters.
template <class T, class Merge> __device__ WEFT_INLINE T warp_reduce(T v, const Merge& merge, int lanes = kWarp) {
  for (int w = lanes / 2; w > 0; w /= 2) v = merge(v, from_xor(v, w));
  return v;
}

/// merge of all threads' values, the same in every thread. `shared`: one per warp; free for anything once all have
/// returned, which the next barrier says. Has two barriers of its own.
template <class T, class Merge> __device__ WEFT_INLINE T block_reduce(T v, const Merge& merge, T* shared) {
  const int warps = static_cast<int>(blockDim.x) / kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  v = warp_reduce(v, merge);
  __syncthreads();  // shared may still be read from the last time
  if (threadIdx.x % kWarp == 0) shared[warp] = v;
  __syncthreads();
  T r = shared[0];
  for (int i = 1; i < warps; ++i) r = merge(r, shared[i]);
  return r;
}

/// merge over `count` threads (a power of two) of the block that are `stride` apart, as a tree; the first of them has
/// the result. `mine`: this thread's value in shared memory; wait for the block before it is used again.
template <class T, class Merge>
__device__ WEFT_INLINE T tree_reduce(T v, const Merge& merge, T* mine, int rank, int count, int stride) {
  *mine = v;
  for (int half = count / 2; half > 0; half /= 2) {
    __syncthreads();
    if (rank < half) *mine = v = merge(v, mine[half * stride]);
  }
  return v;
}

/// W values that are merged together: one wait for all of them.
template <class T, int W> struct Several { T v[W]; };
template <class Merge> struct MergeEach {
  Merge merge;
  template <class T, int W>
  __device__ WEFT_INLINE Several<T, W> operator()(const Several<T, W>& x, const Several<T, W>& y) const {
    Several<T, W> r;
    WEFT_UNROLL
    for (int i = 0; i < W; ++i) r.v[i] = merge(x.v[i], y.v[i]);
    return r;
  }
};

/// A warp, or a whole block of kBlock threads.
template <int Threads> struct ThreadGroup {
  static_assert(Threads == kWarp || Threads == kBlock);
  static constexpr int kPerBlock = kBlock / Threads;
  int rank, index;  // of this thread in the group, of the group in the block

  __device__ ThreadGroup()
      : rank(static_cast<int>(threadIdx.x) % Threads), index(static_cast<int>(threadIdx.x) / Threads) {}
  /// merge of all its threads' values, the same in each. `shared`: one per warp of the block.
  template <class T, class Merge> __device__ WEFT_INLINE T reduce(T v, const Merge& merge, T* shared) const {
    if constexpr (Threads == kWarp) return from_lane(warp_reduce(v, merge), 0);
    else return block_reduce(v, merge, shared);
  }
};

/// Running totals: thread i gets merge of the values of the threads before it, the first one `none`. `total`: of the
/// whole block. Barriers and `shared` as above.
template <class T, class Merge>
__device__ WEFT_INLINE T block_scan(T v, T none, const Merge& merge, T* shared, T& total) {
  const int warps = static_cast<int>(blockDim.x) / kWarp, warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int w = 1; w < kWarp; w *= 2) {
    const T before = from_up(v, static_cast<unsigned>(w));
    if (lane >= w) v = merge(before, v);
  }
  T mine = from_up(v, 1);
  if (lane == 0) mine = none;
  __syncthreads();
  if (lane == kWarp - 1) shared[warp] = v;
  __syncthreads();
  T all = none;
  for (int i = 0; i < warps; ++i) {
    if (i == warp) mine = merge(all, mine);
    all = merge(all, shared[i]);
  }
  total = all;
  return mine;
}

struct AddValues {
  template <class T> __device__ WEFT_INLINE T operator()(T a, T b) const { return a + b; }
};
/// A NaN stays where it is the first argument.
struct GreaterValue {
  template <class T> __device__ WEFT_INLINE T operator()(T a, T b) const { return b > a ? b : a; }
};

}  // namespace weft::cuda
