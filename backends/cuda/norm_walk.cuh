// Walking x [N, C, S...] channel by channel, whether channels lie innermost (rows of channels) or a channel's elements
// lie side by side (planes), and reducing each channel to three numbers in two stages of fixed shape.
//
// An Op says what is done: Op::Thread<V, P> is what a thread keeps, for V elements side by side that belong to P
// channels (V of them in rows, one in planes). It is made for (op, first statistic, first channel); add<K>(offsets)
// takes packs. Where Op::kReduces, part(v) gives what has come together in column v, Op::Merge adds two parts,
// op.finish(statistic, part) takes the whole.
#pragma once

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/elementwise.cuh"
#include "weft/core/fn/welford.h"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

/// Number of elements and what they add up to: mean and squared deviations, or two sums.
struct Part {
  double n, a, b;
};

/// Where an element lies in memory, and its row in rows.
struct Offset {
  int64_t at, row;
};

/// Statistics are per channel (groups = 1) or per sample and channel (groups = N).
struct NormShape {
  bool rows;
  int64_t groups, samples, C, S;

  NormShape(const TensorRef& x, int64_t statistics) {
    const int64_t N = x.size(0);
    C = x.size(1), S = 1;
    for (int i = 2; i < x.rank; ++i) S *= x.size(i);
    groups = C > 0 && statistics > C ? statistics / C : 1;
    samples = N / groups;
    rows = S == 1 || (C > 1 && x.stride(1) == 1);
  }
  /// M rows of C columns.
  NormShape(int64_t M, int64_t columns) : rows(true), groups(1), samples(1), C(columns), S(M) {}
  int64_t count() const { return samples * S; }
  int64_t statistics() const { return groups * C; }
  /// Elements that lie side by side.
  int64_t run() const { return rows ? C : S; }
};

/// t.add() of `left` offsets, four at a time so that their loads overlap.
template <class T, class Next> __device__ WEFT_INLINE void add_all(T& t, int64_t left, const Next& next) {
  for (; left >= 4; left -= 4) {
    Offset p[4];
    for (int k = 0; k < 4; ++k) p[k] = next();
    t.add(p);
  }
  for (; left > 0; --left) {
    const Offset p[1] = {next()};
    t.add(p);
  }
}

/// How the work is cut: `tasks` = statistics (rows: groups times tiles of columns) times pieces.
struct WalkGrid {
  int64_t groups, samples, C, S;
  int64_t tiles, pieces, tasks;
  int across;  // rows: threads side by side, a power of two
};

template <class Op>
__device__ WEFT_INLINE void store_part(const Op& op, Part* parts, int64_t i, const WalkGrid& g, int64_t piece,
                                       const Part& r) {
  if (g.pieces == 1) op.finish(i, r);
  else parts[i * g.pieces + piece] = r;
}

template <class Op, int V> __global__ void __launch_bounds__(kBlock) rows_kernel(Op op, WalkGrid g, Part* parts) {
  WEFT_SHARED(shared, Part[Op::kReduces ? kBlock : 1]);
  const int me = static_cast<int>(threadIdx.x), column = me % g.across, down = kBlock / g.across, row = me / g.across;
  const int64_t rows = g.samples * g.S;
  for (int64_t task = blockIdx.x; task < g.tasks; task += gridDim.x) {
    const int64_t piece = task % g.pieces, rest = task / g.pieces, group = rest / g.tiles;
    const int64_t c = (rest % g.tiles * g.across + column) * V;
    const bool active = c < g.C;
    const int64_t first = rows * piece / g.pieces + row, end = rows * (piece + 1) / g.pieces;
    typename Op::template Thread<V, V> t(op, group * g.C + (active ? c : 0), active ? c : 0);
    Offset at{(group * rows + first) * g.C + c, group * rows + first};
    add_all(t, active && first < end ? ceil_div(end - first, down) : 0, [&] {
      const Offset here = at;
      at.at += down * g.C;
      at.row += down;
      return here;
    });
    if constexpr (Op::kReduces) {
      for (int v = 0; v < V; ++v) {
        const Part r = tree_reduce(t.part(v), typename Op::Merge{}, shared + me, row, down, g.across);
        if (row == 0 && active) store_part(op, parts, group * g.C + c + v, g, piece, r);
        __syncthreads();
      }
    }
  }
}

template <class Op, int V, int Threads>
__global__ void __launch_bounds__(kBlock) planes_kernel(Op op, WalkGrid g, Part* parts) {
  WEFT_SHARED(shared, Part[Op::kReduces ? kBlock / kWarp : 1]);
  const ThreadGroup<Threads> threads;
  const int64_t plane = g.S / V, packs = g.samples * plane;
  // one step of the group, in samples and packs
  const int64_t step_sample = plane > 0 ? Threads / plane : 0, step = plane > 0 ? Threads % plane : 0;
  for (int64_t task = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; task < g.tasks;
       task += int64_t{gridDim.x} * threads.kPerBlock) {
    const int64_t piece = task % g.pieces, i = task / g.pieces, group = i / g.C, c = i % g.C;
    const int64_t first = packs * piece / g.pieces + threads.rank, end = packs * (piece + 1) / g.pieces;
    typename Op::template Thread<V, 1> t(op, i, c);
    int64_t sample = plane > 0 ? first / plane : 0, at = plane > 0 ? first % plane : 0;
    add_all(t, first < end ? ceil_div(end - first, Threads) : 0, [&] {
      const Offset here{((group * g.samples + sample) * g.C + c) * g.S + at * V, 0};
      sample += step_sample;
      at += step;
      if (at >= plane) at -= plane, ++sample;
      return here;
    });
    if constexpr (Op::kReduces) {
      Part r = t.part(0);
      for (int v = 1; v < V; ++v) r = typename Op::Merge{}(r, t.part(v));
      r = threads.reduce(r, typename Op::Merge{}, shared);
      if (threads.rank == 0) store_part(op, parts, i, g, piece, r);
    }
  }
}

/// The second stage: a warp for each statistic.
template <class Op>
__global__ void __launch_bounds__(kBlock) finish_kernel(Op op, const Part* parts, int64_t statistics, int64_t pieces) {
  WEFT_SHARED(shared, Part[kBlock / kWarp]);
  const ThreadGroup<kWarp> threads;
  for (int64_t i = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; i < statistics;
       i += int64_t{gridDim.x} * threads.kPerBlock) {
    Part r{0, 0, 0};
    for (int64_t p = threads.rank; p < pieces; p += kWarp) r = typename Op::Merge{}(r, parts[i * pieces + p]);
    r = threads.reduce(r, typename Op::Merge{}, shared);
    if (threads.rank == 0) op.finish(i, r);
  }
}

/// True where every pointer (null: none) allows 16-byte steps over runs of `run` elements.
template <class T> bool packs_fit(int64_t run, std::initializer_list<const void*> pointers) {
  uintptr_t all = 0;
  for (const void* p : pointers) all |= reinterpret_cast<uintptr_t>(p);
  return run % (16 / static_cast<int64_t>(sizeof(T))) == 0 && all % 16 == 0;
}

template <class Op, int V> void walk_packs(const NormShape& k, const Op& op) {
  // Pieces depend on sizes alone, never on the card: the same sums everywhere.
  constexpr int64_t kPerThread = Op::kReduces ? 32 : 8, kMostPieces = Op::kReduces ? 512 : int64_t{1} << 20,
                    kMostTasks = Op::kReduces ? 4096 : int64_t{1} << 16, kMostBlocks = int64_t{1} << 20;
  const auto clamp = [](int64_t v, int64_t most) { return v < 1 ? int64_t{1} : (v > most ? most : v); };
  WalkGrid g{k.groups, k.samples, k.C, k.S, 1, 1, 0, 1};
  int64_t lanes = kBlock, per_block = 1;
  if (k.rows) {
    while (g.across < kWarp && g.across * V < k.C) g.across *= 2;
    g.tiles = ceil_div(k.C, int64_t{g.across} * V);
    g.pieces = k.count() / (kBlock / g.across * kPerThread);
    g.tasks = k.groups * g.tiles;
  } else {
    const int64_t packs = k.count() / V;
    if (packs <= 32 * kWarp) lanes = kWarp, per_block = kBlock / kWarp;
    g.pieces = packs / (lanes * kPerThread);
    g.tasks = k.statistics();
  }
  g.pieces = clamp(g.pieces, clamp(kMostTasks / g.tasks, kMostPieces));
  if (Op::kReduces && lanes == kWarp) g.pieces = 1;
  g.tasks *= g.pieces;
  const Scratch memory(Op::kReduces && g.pieces > 1 ? static_cast<size_t>(k.statistics() * g.pieces) * sizeof(Part)
                                                    : 0);
  const auto blocks = static_cast<unsigned>(clamp(ceil_div(g.tasks, per_block), kMostBlocks));
  const auto start = [&](auto kernel) { launch(kernel, blocks, kBlock, 0, op, g, memory.as<Part>()); };
  if (k.rows) start(rows_kernel<Op, V>);
  else if (lanes == kWarp) start(planes_kernel<Op, V, kWarp>);
  else start(planes_kernel<Op, V, kBlock>);
  if constexpr (Op::kReduces)
    if (g.pieces > 1)
      launch(finish_kernel<Op>, static_cast<unsigned>(clamp(ceil_div(k.statistics(), kBlock / kWarp), kMostBlocks)),
             kBlock, 0, op, memory.as<Part>(), k.statistics(), g.pieces);
}

/// Starts op over the whole of x.
template <class Op> void walk(const NormShape& k, const Op& op) {
  using T = typename Op::Element;
  if (k.statistics() == 0) return;
  if (op.packed(k.run())) walk_packs<Op, 16 / sizeof(T)>(k, op);
  else walk_packs<Op, 1>(k, op);
}

// What several Ops keep in a thread -----------------------------------------------------------------------------------

template <int V, class T> __device__ WEFT_INLINE Pack<T, V> load(const T* p, int64_t at) {
  return *reinterpret_cast<const Pack<T, V>*>(p + at);
}

/// Mean and squared deviations of V columns: four elements at a time, in the compute type for some 32, from there on in
/// f64. What is far from zero loses nothing: of those 32 the first is taken off.
template <class T, int V> struct ColumnMoments {
  using A = compute_t<T>;
  A n = 0, base[V], mean[V], m2[V];
  double all = 0, all_mean[V], all_m2[V];

  __device__ ColumnMoments() {
    for (int v = 0; v < V; ++v) base[v] = mean[v] = m2[v] = A(0), all_mean[v] = all_m2[v] = 0;
  }
  template <int K> __device__ WEFT_INLINE void add(const Pack<T, V> (&x)[K]) {
    if (n == A(0))
      for (int v = 0; v < V; ++v) base[v] = A(x[0].v[v]);
    const A total = n + A(K), share = A(K) / total, weight = n * share;
    for (int v = 0; v < V; ++v) {
      A d[K], sum = 0, squares = 0;
      for (int k = 0; k < K; ++k) sum += d[k] = A(x[k].v[v]) - base[v];
      const A here = sum * (A(1) / A(K)), delta = here - mean[v];
      for (int k = 0; k < K; ++k) squares += (d[k] - here) * (d[k] - here);
      mean[v] += delta * share;
      m2[v] += squares + delta * delta * weight;
    }
    n = total;
    if (n >= A(32)) flush();
  }
  __device__ WEFT_INLINE void flush() {
    if (n == A(0)) return;
    const double more = static_cast<double>(n), total = all + more, share = more / total, weight = all * share;
    for (int v = 0; v < V; ++v) {
      const double delta = static_cast<double>(base[v]) + static_cast<double>(mean[v]) - all_mean[v];
      all_mean[v] += delta * share;
      all_m2[v] += static_cast<double>(m2[v]) + delta * delta * weight;
      mean[v] = m2[v] = A(0);
    }
    all = total;
    n = 0;
  }
  __device__ Part part(int v) {
    flush();
    return {all, all_mean[v], all_m2[v]};
  }
};

/// Two sums per column, in the compute type for some 32 elements, from there on in f64.
template <class A, int V> struct ColumnSums {
  int pending = 0;
  A a[V], b[V];
  double all_a[V], all_b[V];

  __device__ ColumnSums() {
    for (int v = 0; v < V; ++v) a[v] = b[v] = A(0), all_a[v] = all_b[v] = 0;
  }
  /// Says that K elements were added to a and b.
  template <int K> __device__ WEFT_INLINE void added() {
    if ((pending += K) >= 32) flush();
  }
  __device__ WEFT_INLINE void flush() {
    for (int v = 0; v < V; ++v) {
      all_a[v] += static_cast<double>(a[v]);
      all_b[v] += static_cast<double>(b[v]);
      a[v] = b[v] = A(0);
    }
    pending = 0;
  }
  __device__ Part part(int v) {
    flush();
    return {0, all_a[v], all_b[v]};
  }
};
struct MergeSums {
  __device__ Part operator()(const Part& x, const Part& y) const { return {x.n, x.a + y.a, x.b + y.b}; }
};
struct MergeMoments {
  __device__ Part operator()(const Part& x, const Part& y) const {
    fn::Moments m;
    m.n = x.n, m.mean = x.a, m.m2 = x.b;
    m.merge(y.n, y.a, y.b);
    return {m.n, m.mean, m.m2};
  }
};

}  // namespace weft::cuda
