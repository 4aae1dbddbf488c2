// Sorting along an axis, the most frequent element of a line, places in sorted lines. Sorting: long lines by the bytes
// of their keys; others in tiles by a bitonic network in shared memory, after which runs are merged pairwise, every
// element finding its place by a binary search in the other run. The position is part of the order: it is total, and
// the sort stable.
#pragma once

#include "weft/backends/cuda/lines.cuh"
#include "weft/backends/cuda/radix.cuh"
#include "weft/backends/cuda/walk.cuh"
#include "weft/core/fn/search.h"
#include "weft/core/fn/sort.h"

namespace weft::cuda {

using fn::NarrowItem;
using fn::WideItem;

inline constexpr int kSortTile = 1024;

/// Sorts tiles of `tile` items (a power of two <= kSortTile) of lines of n; a block has kSortTile of them.
template <class Item>
__global__ void __launch_bounds__(kBlock)
    sort_tiles_kernel(Item* items, int64_t n, int64_t tiles_per_line, int64_t tiles, int tile) {
  WEFT_SHARED(s, Item[kSortTile]);
  const int per_block = kSortTile / tile;
  for (int64_t group = blockIdx.x; group * per_block < tiles; group += gridDim.x) {
    const auto place = [&](int i, int64_t& at) {
      const int64_t t = group * per_block + i / tile, within = t % tiles_per_line * tile + i % tile;
      at = t / tiles_per_line * n + within;
      return t < tiles && within < n;
    };
    for (int i = threadIdx.x; i < kSortTile; i += kBlock) {
      int64_t at;
      s[i] = place(i, at) ? items[at] : Item::last();
    }
    for (int size = 2; size <= tile; size *= 2) {
      for (int step = size / 2; step > 0; step /= 2) {
        __syncthreads();
        for (int k = threadIdx.x; k < kSortTile / 2; k += kBlock) {
          const int low = k / step * step * 2 + k % step, high = low + step;
          const bool rising = (low & (tile - 1) & size) == 0;
          const Item a = s[low], b = s[high];
          if (rising ? b < a : a < b) {
            s[low] = b;
            s[high] = a;
          }
        }
      }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < kSortTile; i += kBlock) {
      int64_t at;
      if (place(i, at)) items[at] = s[i];
    }
    __syncthreads();
  }
}

/// Merges neighbouring sorted runs of 2^bits.
template <class Item> struct MergeItem {
  const Item* from;
  Item* to;
  fn::Divisor n;
  int bits;
  template <class I> __device__ void operator()(I number) const {
    const int64_t line = n.divide(number) * n.d, at = static_cast<int64_t>(number) - line, width = int64_t{1} << bits;
    const int64_t begin = at >> (bits + 1) << (bits + 1), middle = begin + width < n.d ? begin + width : n.d,
                  end = begin + 2 * width < n.d ? begin + 2 * width : n.d;
    const bool left = at < middle;
    const Item me = from[number];
    int64_t low = left ? middle : begin, high = left ? end : middle;
    const int64_t other = low;
    while (low < high) {  // how many of the other run stand before me
      const int64_t half = low + (high - low) / 2;
      if (from[line + half] < me) low = half + 1;
      else high = half;
    }
    to[line + begin + (at - (left ? begin : middle)) + (low - other)] = me;
  }
};

/// The bytes of the keys of T by which they can be sorted, a bit for each: all but those that no two of them differ in,
/// or that the others decide.
template <class T> constexpr unsigned key_bytes() {
  if constexpr (sizeof(T) == 8) return 0b1111'1111;
  else if constexpr (sizeof(T) == 4) return 0b1111;
  else if constexpr (std::is_same_v<T, bf16>) return 0b1100;
  else if constexpr (std::is_same_v<T, f16>) return 0b1110;  // 10 of the 23 bits of f32's mantissa
  else return (1u << sizeof(T)) - 1 + (std::is_signed_v<T> ? 0b1000 : 0);
}

/// Sorts `lines` lines of n items each, which stand in the order of their positions, by these bytes of their keys; the
/// result lies in `items` or in `spare`.
template <class Item> Item* sort_items(Item* items, Item* spare, int64_t lines, int64_t n, unsigned bytes) {
  if (n < 2 || lines == 0) return items;
  // A byte takes the time of about one turn of merging.
  if (n > int64_t{kSortTile} << std::popcount(bytes) && n < int64_t{1} << 31)
    return radix_sort(items, spare, lines, n, bytes);
  int bits = 1;
  while (1 << bits < n && 1 << bits < kSortTile) ++bits;
  const int tile = 1 << bits;
  const int64_t per_line = ceil_div(n, tile), tiles = per_line * lines;
  launch(sort_tiles_kernel<Item>, grid_for(tiles * tile, kSortTile), kBlock, 0, items, n, per_line, tiles, tile);
  for (; int64_t{1} << bits < n; ++bits) {
    for_each_number(lines * n, MergeItem<Item>{items, spare, {n, lines * n}, bits});
    Item* t = items;
    items = spare;
    spare = t;
  }
  return items;
}

template <class T, class Item> struct LoadItem {
  Item* items;
  const T* x;
  fn::FastAxes<1> walk;  // lines, then the axis
  fn::Divisor n;
  bool descending;
  template <class I> __device__ void operator()(I number) const {
    int64_t at[1];
    walk.offsets(number, at);
    items[number] = fn::sort_item<Item>(static_cast<compute_t<T>>(x[at[0]]),
                                        static_cast<int64_t>(number) - n.divide(number) * n.d, descending);
  }
};
template <class Item> struct StorePosition {
  int64_t* out;
  const Item* items;
  fn::FastAxes<2> walk;  // out, items
  template <class I> __device__ void operator()(I number) const {
    int64_t at[2];
    walk.offsets(number, at);
    out[at[0]] = items[at[1]].at();
  }
};

/// The sorted items of x's lines, line behind line in row-major order. `memory`: of 2 x.numel items.
template <class T, class Item>
const Item* sorted_lines(const Scratch& memory, const TensorRef& x, int dim, bool descending) {
  const int64_t n = x.shape[dim];
  fn::Axes<1> load;
  for (int i = 0; i < x.rank; ++i)
    if (i != dim) load.append(x.shape[i], {x.strides[i]});
  load.append(n, {x.strides[dim]});
  Item* items = memory.as<Item>();
  for_each_number(x.numel, LoadItem<T, Item>{items, x.as<T>(), load, {n, x.numel}, descending});
  return sort_items(items, items + x.numel, x.numel / n, n, key_bytes<T>());
}
/// f.operator()<Item>() with the narrowest items for lines of n elements of T.
template <class T, class F> void with_item(int64_t n, const F& f) {
  if constexpr (sizeof(T) <= 4)
    if (n < int64_t{UINT32_MAX}) return f.template operator()<NarrowItem>();
  f.template operator()<WideItem>();
}

template <class T> void sort_indices(const MutTensorRef& out, const TensorRef& x, int dim, bool descending) {
  if (out.numel == 0) return;
  with_item<T>(x.shape[dim], [&]<class Item> {
    const Scratch memory(static_cast<size_t>(2 * x.numel) * sizeof(Item));
    const Item* items = sorted_lines<T, Item>(memory, x, dim, descending);
    fn::Axes<2> store;
    int64_t line = x.numel;
    for (int i = 0; i < x.rank; ++i) {
      if (i == dim) continue;
      line /= x.shape[i];
      store.append(x.shape[i], {out.strides[i], line});
    }
    store.append(out.shape[dim], {out.strides[dim], 1});
    for_each_number(out.numel, StorePosition<Item>{out.as_mut<int64_t>(), items, store});
  });
}

/// Equal items of a sorted line: how many there are up to `end`, and where that is.
struct RunOfEquals {
  int64_t length, end;
};
/// The longer of two, of equally long ones the first.
struct LongerRun {
  __device__ WEFT_INLINE RunOfEquals operator()(const RunOfEquals& a, const RunOfEquals& b) const {
    return b.length > a.length || (b.length == a.length && b.end < a.end) ? b : a;
  }
};
/// out: the position of the last item of each line's longest run.
template <class T, class Item>
__global__ void __launch_bounds__(kBlock)
    mode_kernel(int64_t* out, fn::FastAxes<1> walk, const Item* items, int64_t lines, int64_t n, LineThreads share) {
  WEFT_SHARED(shared, RunOfEquals[kBlock]);
  for (int64_t first = int64_t{blockIdx.x} * share.per_block(); first < lines;
       first += int64_t{gridDim.x} * share.per_block()) {
    const int64_t line = first + share.line();
    const Item* s = items + line * n;
    RunOfEquals best{0, 0};
    for (int64_t i = share.rank(); line < lines && i < n; i += share.size) {
      const auto key = s[i].key();
      int64_t begin = i;  // a NaN equals nothing
      if (!fn::is_nan_key<compute_t<T>>(key)) {
        const Item least = Item::make(key, 0);
        for (int64_t low = 0; low < begin;) {
          const int64_t half = low + (begin - low) / 2;
          if (s[half] < least) low = half + 1;
          else begin = half;
        }
      }
      best = LongerRun()(best, {i - begin + 1, i});
    }
    best = share.reduce(best, LongerRun(), shared);
    if (line < lines && share.rank() == 0) {
      int64_t at[1];
      walk.offsets(line, at);
      out[at[0]] = s[best.end].at();
    }
  }
}
template <class T> void run_mode(const MutTensorRef& out, const TensorRef& x, int dim) {
  if (out.numel == 0) return;
  const int64_t n = x.shape[dim], lines = out.numel;
  with_item<T>(n, [&]<class Item> {
    const Scratch memory(static_cast<size_t>(2 * x.numel) * sizeof(Item));
    const Item* items = sorted_lines<T, Item>(memory, x, dim, false);
    fn::Axes<1> walk;
    for (int i = 0; i < x.rank; ++i)
      if (i != dim) walk.append(x.shape[i], {out.strides[i]});
    const LineThreads share = LineThreads::of(n, false);
    launch(mode_kernel<T, Item>, grid_for(lines, share.per_block()), kBlock, 0, out.as_mut<int64_t>(),
           fn::FastAxes<1>(walk), items, lines, n, share);
  });
}

template <class T, class Out, bool Right> struct FindPlace {
  Out* out;
  const T *line, *values;
  int64_t n;
  fn::Divisor per_line;
  template <class I> __device__ void operator()(I number) const {
    const compute_t<T> v[1] = {static_cast<compute_t<T>>(values[number])};
    int64_t at[1];
    fn::places<Right>(at, line + per_line.divide(number) * n, n, v);
    out[number] = static_cast<Out>(at[0]);
  }
};
template <class T>
void search_sorted(const MutTensorRef& out, const TensorRef& line, const TensorRef& values, bool right) {
  const int64_t n = line.size(-1), per_line = line.rank == 1 ? values.numel : values.size(-1);
  dispatch_index(out.dtype, "searchsorted", [&]<class Out> {
    const auto run = [&]<bool Right> {
      for_each_number(values.numel, FindPlace<T, Out, Right>{
                                        out.as_mut<Out>(), line.as<T>(), values.as<T>(), n, {per_line, values.numel}});
    };
    right ? run.template operator()<true>() : run.template operator()<false>();
  });
}

}  // namespace weft::cuda
