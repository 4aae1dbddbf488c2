// Sorting long lines by their keys' bytes, the lowest first: for each of them, tiles count their digits, the counts are
// added up, and every item goes to its place behind those of smaller digits and those of its own that stood before it.
// So the sort is stable.
#pragma once

#include <bit>

#include "weft/backends/cuda/block.cuh"
#include "weft/core/fn/sort.h"

namespace weft::cuda {

inline constexpr int kDigits = 256, kRadixItems = 8,
                     kRadixTile = kRadixItems * kBlock;  // items of a thread, of a block
static_assert(kDigits == kBlock, "a thread has a digit");

template <class Item> __device__ WEFT_INLINE uint32_t digit_of(const Item& item, int shift) {
  return static_cast<uint32_t>(item.key() >> shift) % kDigits;
}

/// counts [line, digit, tile]: items of each tile of kRadixTile.
template <class Item>
__global__ void __launch_bounds__(kBlock)
    count_digits_kernel(uint32_t* counts, const Item* items, int64_t n, int64_t per_line, int64_t tiles, int shift) {
  WEFT_SHARED(count, uint32_t[kDigits]);
  const auto thread = static_cast<int>(threadIdx.x);
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t line = tile / per_line, here = tile - line * per_line, first = here * kRadixTile;
    count[thread] = 0;
    __syncthreads();
    for (int k = 0; k < kRadixItems; ++k)
      if (const int64_t at = first + k * kBlock + thread; at < n)
        atomicAdd(&count[digit_of(items[line * n + at], shift)], 1u);
    __syncthreads();
    counts[(line * kDigits + thread) * per_line + here] = count[thread];
    __syncthreads();
  }
}

/// Each row of counts becomes the sums of what stands before; totals: of the rows.
template <class Count>
__global__ void __launch_bounds__(kBlock)
    add_counts_kernel(Count* counts, Count* totals, int64_t per_line, int64_t rows) {
  WEFT_SHARED(shared, Count[kBlock / kWarp]);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    Count before = 0;
    for (int64_t first = 0; first < per_line; first += kBlock) {
      const int64_t at = first + threadIdx.x;
      Count* const mine = counts + row * per_line + at;
      Count total;
      const Count sum = block_scan(at < per_line ? *mine : Count(0), Count(0), AddValues(), shared, total);
      if (at < per_line) *mine = before + sum;
      before += total;
    }
    if (threadIdx.x == 0) totals[row] = before;
  }
}

template <class Item>
__global__ void __launch_bounds__(kBlock)
    move_items_kernel(Item* to, const Item* from, const uint32_t* counts, const uint32_t* totals, int64_t n,
                      int64_t per_line, int64_t tiles, int shift) {
  constexpr int kWarps = kBlock / kWarp;
  WEFT_SHARED(places, uint32_t[kWarps][kDigits]);  // how many a warp has of a digit; then where its first one goes
  WEFT_SHARED(shared, uint32_t[kWarps]);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp, lane = thread % kWarp;
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t line = tile / per_line, here = tile - line * per_line,
                  first = here * kRadixTile + warp * kRadixItems * kWarp + lane;
    WEFT_UNROLL
    for (int w = 0; w < kWarps; ++w) places[w][thread] = 0;
    __syncthreads();
    Item mine[kRadixItems];
    uint32_t rank[kRadixItems];  // among the warp's items of the same digit
    WEFT_UNROLL
    for (int k = 0; k < kRadixItems; ++k) {
      const bool there = first + k * kWarp < n;
      mine[k] = there ? from[line * n + first + k * kWarp] : Item::last();
      const uint32_t digit = digit_of(mine[k], shift);
      unsigned same = __ballot_sync(kAllLanes, there);
      WEFT_UNROLL
      for (int bit = 0; bit < 8; ++bit) {
        const bool one = (digit >> bit & 1) != 0;
        const unsigned ones = __ballot_sync(kAllLanes, one);
        same &= one ? ones : ~ones;
      }
      const uint32_t before = places[warp][digit];
      const unsigned lower = same & ((1u << lane) - 1);
      rank[k] = before + static_cast<uint32_t>(__popc(lower));
      __syncwarp();
      if (there && lower == 0) places[warp][digit] = before + static_cast<uint32_t>(__popc(same));
      __syncwarp();
    }
    uint32_t all;
    const uint32_t smaller = block_scan(totals[line * kDigits + thread], 0u, AddValues(), shared, all);
    uint32_t next = smaller + counts[(line * kDigits + thread) * per_line + here];
    __syncthreads();
    WEFT_UNROLL
    for (int w = 0; w < kWarps; ++w) {
      const uint32_t count = places[w][thread];
      places[w][thread] = next;
      next += count;
    }
    __syncthreads();
    WEFT_UNROLL
    for (int k = 0; k < kRadixItems; ++k)
      if (first + k * kWarp < n) to[line * n + places[warp][digit_of(mine[k], shift)] + rank[k]] = mine[k];
    __syncthreads();
  }
}

/// Sorts `lines` lines of n < 2^31 items each by the bytes of their keys that `bytes` has a bit for: items of equal
/// ones keep their order. The result lies in `items` or in `spare`.
template <class Item> Item* radix_sort(Item* items, Item* spare, int64_t lines, int64_t n, unsigned bytes) {
  const int64_t per_line = ceil_div(n, kRadixTile), tiles = per_line * lines, rows = lines * kDigits;
  Scratch memory(static_cast<size_t>(rows * (per_line + 1)) * sizeof(uint32_t));
  uint32_t *counts = memory.as<uint32_t>(), *totals = counts + rows * per_line;
  for (; bytes; bytes &= bytes - 1) {
    const int shift = std::countr_zero(bytes) * 8;
    launch(count_digits_kernel<Item>, grid_for(tiles, 1), kBlock, 0, counts, items, n, per_line, tiles, shift);
    launch(add_counts_kernel<uint32_t>, grid_for(rows, 1), kBlock, 0, counts, totals, per_line, rows);
    launch(move_items_kernel<Item>, grid_for(tiles, 1), kBlock, 0, spare, items, counts, totals, n, per_line, tiles,
           shift);
    std::swap(items, spare);
  }
  return items;
}

}  // namespace weft::cuda
