// Sums over sources that are sorted by their destination, in an order that never changes: short runs of one destination
// by one thread, in the order of the sources; long ones in pieces, which are added afterwards.
#pragma once

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/sort.cuh"

namespace weft::cuda {

/// Which runs of equal destinations are long: those that reach over the first items of two chunks of 2^bits items or
/// more. Destinations from `none` on are bad.
struct LongRuns {
  const WideItem* items;
  int64_t sources, chunks, none;
  int bits;

  LongRuns(const WideItem* sorted, int64_t count, int64_t bad) : items(sorted), sources(count), none(bad), bits(6) {
    while (int64_t{8} << 2 * bits < sources) ++bits;  // a thread has about as many items as then pieces
    chunks = ceil_div(sources, int64_t{1} << bits);
  }
  __device__ WEFT_INLINE int64_t destination(int64_t item) const { return static_cast<int64_t>(items[item].key()); }
  __device__ WEFT_INLINE bool has_run(int64_t item) const { return destination(item) < none; }
  /// The chunk is there, and its first item goes to `to`.
  __device__ WEFT_INLINE bool starts(int64_t chunk, int64_t to) const {
    return chunk >= 0 && chunk < chunks && destination(chunk << bits) == to;
  }
  /// The run that begins at the item is long.
  __device__ WEFT_INLINE bool begins_long(int64_t item) const {
    return starts(((item + (int64_t{1} << bits) - 1) >> bits) + 1, destination(item));
  }
  /// The first item in [begin, end) that goes to `to` or behind it.
  __device__ WEFT_INLINE int64_t find(int64_t begin, int64_t end, int64_t to) const {
    while (begin < end) {
      const int64_t half = begin + (end - begin) / 2;
      if (destination(half) < to) begin = half + 1;
      else end = half;
    }
    return begin;
  }
};

/// The thread of the first of a run adds all of it, unless it is long; that of the last one stores.
template <bool Add, class T, class Source> struct PutRuns {
  T* x;
  const T* src;
  LongRuns runs;
  fn::Divisor per_source;
  fn::FastAxes<2> rest;  // x, src
  Source source;         // where the source of an item is in src
  template <class I> __device__ void operator()(I number) const {
    const int64_t p = per_source.divide(number);
    if (!runs.has_run(p)) return;
    const WideItem* const items = runs.items;
    const WideItem me = items[p];
    int64_t at[2];
    rest.offsets(static_cast<I>(number - p * per_source.d), at);
    T* to = x + static_cast<int64_t>(me.key()) + at[0];
    if constexpr (!Add) {
      if (p + 1 < runs.sources && items[p + 1].key() == me.key()) return;
      *to = src[at[1] + source(me.position)];
    } else {
      if ((p > 0 && items[p - 1].key() == me.key()) || runs.begins_long(p)) return;
      T sum = *to;
      for (int64_t k = p; k < runs.sources && items[k].key() == me.key(); ++k)
        sum = fn::add(sum, src[at[1] + source(items[k].position)]);
      *to = sum;
    }
  }
};

/// What a chunk adds to long runs: pieces [chunk, 0, rest] to that of its first item, [chunk, 1, rest] to one that
/// begins behind that item.
template <class T, class Source> struct AddPiece {
  T* pieces;
  const T* src;
  LongRuns runs;
  fn::Divisor per_source;
  fn::FastAxes<2> rest;  // x, src
  Source source;
  template <class I> __device__ void operator()(I number) const {
    const int64_t piece = per_source.divide(number), chunk = piece / 2;
    int64_t k = chunk << runs.bits, end = (chunk + 1) << runs.bits;
    if (end > runs.sources) end = runs.sources;
    const int64_t first = runs.destination(k), last = runs.destination(end - 1);
    if (piece % 2 == 0) {
      if (first >= runs.none || !(runs.starts(chunk - 1, first) || runs.starts(chunk + 1, first))) return;
      end = runs.find(k, end, first + 1);
    } else {
      if (first == last || last >= runs.none || !runs.starts(chunk + 1, last) || !runs.starts(chunk + 2, last)) return;
      k = runs.find(k, end, last);
    }
    int64_t at[2];
    rest.offsets(static_cast<I>(number - piece * per_source.d), at);
    T sum = src[at[1] + source(runs.items[k].position)];
    for (++k; k < end; ++k) sum = fn::add(sum, src[at[1] + source(runs.items[k].position)]);
    pieces[number] = sum;
  }
};

struct AddWrapping {
  template <class T> __device__ WEFT_INLINE T operator()(T a, T b) const { return fn::add(a, b); }
};
/// Adds the pieces of each long run. `width` columns (a power of two up to a warp) of the rest share a block.
template <class T>
__global__ void __launch_bounds__(kBlock)
    add_pieces_kernel(T* x, const T* pieces, LongRuns runs, fn::FastAxes<2> rest, int64_t per_source, int width) {
  WEFT_SHARED(shared, T[kBlock]);
  const int thread = static_cast<int>(threadIdx.x), height = kBlock / width, rank = thread / width;
  const int64_t tiles = ceil_div(per_source, int64_t{width});
  for (int64_t block = blockIdx.x; block < runs.chunks * tiles; block += gridDim.x) {
    const int64_t chunk = block / tiles, item = chunk << runs.bits, to = runs.destination(item),
                  column = (block - chunk * tiles) * width + thread % width;
    if (to >= runs.none || runs.starts(chunk - 1, to) || !runs.starts(chunk + 1, to)) continue;
    T sum = 0;
    if (column < per_source) {
      if (rank == 0 && item > 0 && runs.destination(item - 1) == to)
        sum = pieces[(2 * chunk - 1) * per_source + column];
      for (int64_t c = chunk + rank; runs.starts(c, to); c += height)
        sum = fn::add(sum, pieces[2 * c * per_source + column]);
    }
    sum = tree_reduce(sum, AddWrapping(), shared + thread, rank, height, width);
    if (rank == 0 && column < per_source) {
      int64_t at[2];
      rest.offsets(column, at);
      x[to + at[0]] = fn::add(x[to + at[0]], sum);
    }
    __syncthreads();
  }
}

/// x[destination + rest] = or += src[source + rest], of sorted items; `per_source` elements of the rest.
template <bool Add, class T, class Source>
void put_runs(T* x, const T* src, const LongRuns& runs, int64_t per_source, const fn::FastAxes<2>& rest,
              const Source& source) {
  const int64_t n = runs.sources * per_source, pieces = Add && runs.chunks > 1 ? 2 * runs.chunks * per_source : 0;
  for_each_number(n, PutRuns<Add, T, Source>{x, src, runs, {per_source, n}, rest, source});
  if constexpr (Add) {
    if (pieces == 0) return;
    Scratch memory(static_cast<size_t>(pieces) * sizeof(T));
    for_each_number(pieces, AddPiece<T, Source>{memory.as<T>(), src, runs, {per_source, pieces}, rest, source});
    int width = 1;
    while (width < kWarp && width < per_source) width *= 2;
    launch(add_pieces_kernel<T>, grid_for(runs.chunks * ceil_div(per_source, int64_t{width}), 1), kBlock, 0, x,
           memory.as<T>(), runs, rest, per_source, width);
  }
}

}  // namespace weft::cuda
