// Walking x [N, C, S...] channel by channel, whether channels lie innermost (rows of channels) or a channel's elements
// lie side by side (planes), and reducing each channel to a few numbers in two stages of fixed shape.
//
// An Op says what is done: Op::Thread<V, P> is what a thread keeps, for V elements side by side that belong to P
// channels (V of them in rows, one in planes); its add<K>(offsets) takes up to kAtOnce packs. What loops need of a
// channel are kCoefficients numbers, which op.coefficients(numbers, statistic, channel) works out once; Thread is made
// of (op, them). Where Op::kReduces, part(p) gives what has come together in column p, Op::Merge adds two parts,
// op.finish(statistic, part) takes the whole.
#pragma once

#include <algorithm>

#include "weft/backends/cuda/block.cuh"
#include "weft/backends/cuda/column_sums.cuh"
#include "weft/core/tensor_ref.h"

namespace weft::cuda {

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

/// t.add() of next() for the numbers i, i + step, ... below `end`, AtOnce at a time so that their loads overlap.
template <int AtOnce, class T, class Next>
__device__ WEFT_INLINE void add_all(T& t, int64_t i, int64_t end, int64_t step, const Next& next) {
  for (; i + (AtOnce - 1) * step < end; i += AtOnce * step) {
    Offset p[AtOnce];
    WEFT_UNROLL
    for (int k = 0; k < AtOnce; ++k) p[k] = next();
    t.add(p);
  }
  WEFT_NO_UNROLL
  for (; i < end; i += step) {
    const Offset p[1] = {next()};
    t.add(p);
  }
}

/// How the work is cut: `tasks` = statistics (rows: groups times tiles of columns) times pieces.
struct WalkGrid {
  int64_t C, S, samples, count;  // samples of a group; elements of a statistic (in planes: packs)
  int64_t per_piece = 0, tasks = 0;
  fn::Divisor pieces, tiles;  // tiles: of a group; in planes its channels
  fn::Divisor plane;          // packs of a plane
  int across_bits = 0;        // rows: 2^across_bits threads side by side
};

template <class Op>
__device__ WEFT_INLINE void store_part(const Op& op, typename Op::Part* parts, int64_t i, const WalkGrid& g,
                                       int64_t piece, const typename Op::Part& r) {
  if (g.pieces.d == 1) op.finish(i, r);
  else parts[i * g.pieces.d + piece] = r;
}

template <class Op, int V>
__global__ void __launch_bounds__(kBlock, 2) rows_kernel(Op op, WalkGrid g, typename Op::Part* parts) {
  using A = compute_t<typename Op::Element>;
  constexpr int N = Op::kCoefficients, kKept = N < 1 ? 1 : N, W = V < 4 ? V : 4;
  using Reduced = Several<typename Op::Part, W>;
  WEFT_SHARED(shared, Reduced[Op::kReduces ? kBlock : 1]);
  WEFT_SHARED(coefficients, Pack<A, V>[kKept][kWarp]);
  const int me = static_cast<int>(threadIdx.x), across = 1 << g.across_bits, column = me & (across - 1),
            down = kBlock >> g.across_bits, row = me >> g.across_bits;
  for (int64_t task = blockIdx.x; task < g.tasks; task += gridDim.x) {
    const int64_t rest = g.pieces.divide(task), piece = task - rest * g.pieces.d, group = g.tiles.divide(rest);
    const int64_t tile = (rest - group * g.tiles.d) * across * V, c = tile + column * V;
    if constexpr (N > 0) {
      __syncthreads();  // they may still be read for the last task
      if (const int64_t mine = tile + me; me < across * V && mine < g.C) {
        A k[N];
        op.coefficients(k, group * g.C + mine, mine);
        WEFT_UNROLL
        for (int i = 0; i < N; ++i) coefficients[i][me / V].v[me % V] = k[i];
      }
      __syncthreads();
    }
    Pack<A, V> k[kKept];
    WEFT_UNROLL
    for (int i = 0; i < N; ++i) k[i] = coefficients[i][column];
    typename Op::template Thread<V, V> t(op, k);
    const bool active = c < g.C;
    const int64_t begin = piece * g.per_piece, first = begin + row,
                  end = begin + g.per_piece < g.count ? begin + g.per_piece : g.count;
    Offset at{(group * g.count + first) * g.C + c, group * g.count + first};
    add_all<Op::kAtOnce>(t, active ? first : end, end, down, [&] {
      const Offset here = at;
      at.at += down * g.C;
      at.row += down;
      return here;
    });
    if constexpr (Op::kReduces) {
      WEFT_UNROLL
      for (int v = 0; v < V; v += W) {
        Reduced r;
        WEFT_UNROLL
        for (int i = 0; i < W; ++i) r.v[i] = t.part(v + i);
        r = tree_reduce(r, MergeEach<typename Op::Merge>{}, shared + me, row, down, across);
        if (row == 0 && active) {
          WEFT_UNROLL
          for (int i = 0; i < W; ++i) store_part(op, parts, group * g.C + c + v + i, g, piece, r.v[i]);
        }
        __syncthreads();
      }
    }
  }
}

template <class Op, int V, int Threads>
__global__ void __launch_bounds__(kBlock, 2) planes_kernel(Op op, WalkGrid g, typename Op::Part* parts) {
  using A = compute_t<typename Op::Element>;
  constexpr int N = Op::kCoefficients, kKept = N < 1 ? 1 : N;
  WEFT_SHARED(shared, typename Op::Part[Op::kReduces ? kBlock / kWarp : 1]);
  const ThreadGroup<Threads> threads;
  const int64_t plane = g.plane.d;
  // one step of the group, in samples and packs
  const int64_t step_sample = g.plane.divide(Threads), step = Threads - step_sample * plane;
  for (int64_t task = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; task < g.tasks;
       task += int64_t{gridDim.x} * threads.kPerBlock) {
    const int64_t i = g.pieces.divide(task), piece = task - i * g.pieces.d, group = g.tiles.divide(i),
                  c = i - group * g.C;
    A one[kKept];
    Pack<A, 1> k[kKept];
    if constexpr (N > 0) op.coefficients(one, i, c);
    WEFT_UNROLL
    for (int n = 0; n < N; ++n) k[n].v[0] = one[n];
    typename Op::template Thread<V, 1> t(op, k);
    const int64_t begin = piece * g.per_piece, first = begin + threads.rank,
                  end = begin + g.per_piece < g.count ? begin + g.per_piece : g.count;
    int64_t sample = g.plane.divide(first), pack = first - sample * plane;
    const int64_t to_next = (g.C - 1) * g.S;  // from the end of a plane to the start of the next sample's
    int64_t at = (group * g.samples * g.C + c) * g.S + sample * g.C * g.S + pack * V;
    add_all<Op::kAtOnce>(t, first, end, Threads, [&] {
      const Offset here{at, 0};
      pack += step;
      at += step * V + step_sample * g.C * g.S;
      if (pack >= plane) pack -= plane, at += to_next;
      return here;
    });
    if constexpr (Op::kReduces) {
      const typename Op::Part r = threads.reduce(t.part(0), typename Op::Merge{}, shared);
      if (threads.rank == 0) store_part(op, parts, i, g, piece, r);
    }
  }
}

/// The second stage: a warp for each statistic.
template <class Op>
__global__ void __launch_bounds__(kBlock)
    finish_kernel(Op op, const typename Op::Part* parts, int64_t statistics, int64_t pieces) {
  WEFT_SHARED(shared, typename Op::Part[kBlock / kWarp]);
  const ThreadGroup<kWarp> threads;
  for (int64_t i = int64_t{blockIdx.x} * threads.kPerBlock + threads.index; i < statistics;
       i += int64_t{gridDim.x} * threads.kPerBlock) {
    typename Op::Part r;
    for (int64_t p = threads.rank; p < pieces; p += kWarp) r = typename Op::Merge{}(r, parts[i * pieces + p]);
    r = threads.reduce(r, typename Op::Merge{}, shared);
    if (threads.rank == 0) op.finish(i, r);
  }
}

template <bool Planes, class Op, int V> void walk_packs(const NormShape& k, const Op& op) {
  using Part = typename Op::Part;
  // Pieces depend on sizes alone, never on the card: the same sums everywhere.
  constexpr int64_t kPerThread = Op::kReduces ? 32 : 8, kMostPieces = Op::kReduces ? 512 : int64_t{1} << 20,
                    kMostTasks = Op::kReduces ? 4096 : int64_t{1} << 16, kMostBlocks = int64_t{1} << 20;
  const auto clamp = [](int64_t v, int64_t most) { return v < 1 ? int64_t{1} : (v > most ? most : v); };
  WalkGrid g{.C = k.C, .S = k.S, .samples = k.samples, .count = k.rows ? k.count() : k.count() / V};
  int64_t lanes = kBlock, per_block = 1, tiles = k.C, pieces;
  if (k.rows) {
    while (1 << g.across_bits < kWarp && int64_t{V} << g.across_bits < k.C) ++g.across_bits;
    tiles = ceil_div(k.C, int64_t{V} << g.across_bits);
    pieces = g.count / ((kBlock >> g.across_bits) * kPerThread);
  } else {
    if (g.count <= 32 * kWarp) lanes = kWarp, per_block = kBlock / kWarp;
    pieces = g.count / (lanes * kPerThread);
  }
  g.tasks = k.groups * tiles;
  pieces = clamp(pieces, clamp(kMostTasks / g.tasks, kMostPieces));
  if (Op::kReduces && lanes == kWarp) pieces = 1;
  g.per_piece = ceil_div(g.count, pieces);
  g.tasks *= pieces;
  g.pieces = fn::Divisor(pieces, g.tasks);
  g.tiles = fn::Divisor(tiles, g.tasks);
  g.plane = fn::Divisor(std::max<int64_t>(1, k.S / V), std::max<int64_t>(g.count + kBlock, kBlock));
  const Scratch memory(Op::kReduces && pieces > 1 ? static_cast<size_t>(k.statistics() * pieces) * sizeof(Part) : 0);
  const auto blocks = static_cast<unsigned>(clamp(ceil_div(g.tasks, per_block), kMostBlocks));
  const auto start = [&](auto kernel) { launch(kernel, blocks, kBlock, 0, op, g, memory.as<Part>()); };
  if (k.rows) start(rows_kernel<Op, V>);
  if constexpr (Planes)
    if (!k.rows) lanes == kWarp ? start(planes_kernel<Op, V, kWarp>) : start(planes_kernel<Op, V, kBlock>);
  if constexpr (Op::kReduces)
    if (pieces > 1)
      launch(finish_kernel<Op>, static_cast<unsigned>(clamp(ceil_div(k.statistics(), kBlock / kWarp), kMostBlocks)),
             kBlock, 0, op, memory.as<Part>(), k.statistics(), pieces);
}

/// Starts op over the whole of x. Planes: for shapes that are not rows, too.
template <bool Planes = true, class Op> void walk(const NormShape& k, const Op& op) {
  using T = typename Op::Element;
  if (k.statistics() == 0) return;
  if (op.packed(k.run())) walk_packs<Planes, Op, 16 / sizeof(T)>(k, op);
  else walk_packs<Planes, Op, 1>(k, op);
}

}  // namespace weft::cuda
