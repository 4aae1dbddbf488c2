// Convolution as a product whose operand of windows is read where it lies (implicit GEMM): three stages of shared
// memory are filled by asynchronous copies while the oldest is multiplied. Sums have a fixed order: where there are too
// few tiles for the card, parts of the summed axis go to memory of their own and are added one after the other.
#pragma once

#include <algorithm>
#include <cstring>

#include "weft/backends/cuda/conv_tile.cuh"
#include "weft/backends/cuda/conv_windows.cuh"
#include "weft/backends/cuda/walk.cuh"

namespace weft::cuda {

/// out[group] [m, n] = a[group] b[group] over k, in one of two forms:
///   KInner: a is windows [m, (tap, channel)], b weights [n, (any tap, channel)]; a row goes to its position of out.
///   else:   a is an image [k, m], b windows [k, n = (tap, channel)]; out has parts [part, group, m, n].
/// Images and weights are in units: 16 bytes, or Unit bytes where windows are concerned.
struct ConvProduct {
  Windows windows;
  const void* a;
  const void* b;
  void* out;
  const void* bias;  // [group, n], which the sums begin with; or null
  int32_t m, n, m_tiles, n_tiles;
  int32_t rows;                     // of windows
  int32_t stages, stages_per_part;  // of k
  fn::FastDivisor units;            // of a group, in the windows' image
  uint32_t taps, all_taps;          // of a window, of a weight
  uint32_t a_pitch, a_units;        // of a position of the image a, and of a group there
  int64_t out_pitch, out_group, out_part;
  bool parts;    // out is sums in the compute type, of each part
  bool aligned;  // columns of out may be stored 16 bytes at a time
};

inline constexpr int kConvStages = 3;

/// Axes of the images whose units have so many bytes: narrow units are for two.
template <int Unit> inline constexpr int kConvAxes = Unit == 8 ? 2 : 3;

/// One copy of Bytes to shared memory, or zeros.
template <int Bytes, bool Again = false>
__device__ WEFT_INLINE void copy_unit(unsigned char* to, const void* base, uint32_t unit, bool valid) {
  copy_async<Bytes, Again>(to, static_cast<const unsigned char*>(base) + size_t{valid ? unit : 0} * Bytes,
                           valid ? Bytes : 0);
}

/// Fills a stage with rows of windows and of weights. A thread copies one unit of every kPass-th row of both.
template <class Tile, int M, int N, int Unit> struct InnerLoader {
  static constexpr int kUnits = 64 / Unit, kPass = Tile::kThreads / kUnits;
  const ConvProduct& p;
  int32_t at[M / kPass][3], row, unit, columns;  // columns: left from this thread's first one on
  uint32_t from[M / kPass], weight;              // units to a row's first position, and to its weights

  __device__ WEFT_INLINE InnerLoader(const ConvProduct& product, int group, int m0, int n0) : p(product) {
    const Windows& w = p.windows;
    row = static_cast<int>(threadIdx.x) / kUnits, unit = static_cast<int>(threadIdx.x) % kUnits;
    columns = p.n - n0 - row;
    weight = static_cast<uint32_t>(group * p.n + n0 + row) * p.all_taps * p.units.divisor;
    WEFT_UNROLL
    for (int i = 0; i < M / kPass; ++i) {
      const int m = m0 + row + i * kPass;
      const WindowRow r(w, static_cast<uint32_t>(m));
      WEFT_UNROLL
      for (int k = 0; k < 3; ++k) at[i][k] = r.at[k] * w.row_step[k] + w.start[k];
      from[i] = r.n * w.image + offset_of(w, at[i]) + static_cast<uint32_t>(group) * p.units.divisor;
      if (m >= p.m) at[i][0] = -(1 << 30);  // no tap brings it back
    }
  }
  __device__ WEFT_INLINE void load(int stage, unsigned char* to) const {
    auto tap = static_cast<uint32_t>(stage * kUnits + unit);
    const auto channel = static_cast<uint32_t>(fn::take_digit(tap, p.units));
    const bool some = tap < p.taps;
    const WindowTap t(p.windows, tap);
    const uint32_t step = offset_of(p.windows, t.shift) + channel;
    const int chunk = unit * Unit / 16, within = unit * Unit % 16;
    WEFT_UNROLL
    for (int i = 0; i < M / kPass; ++i) {
      const int32_t v[] = {at[i][0] + t.shift[0], at[i][1] + t.shift[1], at[i][2] + t.shift[2]};
      copy_unit<Unit, true>(to + Tile::a_chunk(row + i * kPass, chunk) + within, p.a, from[i] + step,
                            some && is_inside<kConvAxes<Unit>>(p.windows, v));
    }
    const uint32_t first = weight + static_cast<uint32_t>(t.weight) * p.units.divisor + channel,
                   pass = kPass * p.all_taps * p.units.divisor;
    WEFT_UNROLL
    for (int i = 0; i < N / kPass; ++i)
      copy_unit<Unit>(to + Tile::kABytes + Tile::b_chunk(row + i * kPass, chunk) + within, p.b, first + i * pass,
                      some && i * kPass < columns);
  }
};

/// Fills a stage with rows of k: of the image a, and of windows. A thread copies the same unit of several rows.
template <class Tile, int M, int N, int Unit> struct OuterLoader {
  static constexpr int kRow = 64 / Tile::kDepth;  // bytes of a number
  static constexpr int kAUnits = M * kRow / 16, kBUnits = N * kRow / Unit;
  static constexpr int kAPass = Tile::kThreads / kAUnits, kBPass = Tile::kThreads / kBUnits;
  const ConvProduct& p;
  int32_t a_row, a_unit, b_row, b_unit, shift[3];
  uint32_t a_from, b_from;
  bool a_some, b_some;

  __device__ WEFT_INLINE OuterLoader(const ConvProduct& product, int group, int m0, int n0) : p(product) {
    const int thread = static_cast<int>(threadIdx.x);
    a_row = thread / kAUnits, a_unit = thread % kAUnits;
    b_row = thread / kBUnits, b_unit = thread % kBUnits;
    const auto m_unit = static_cast<uint32_t>(m0 * kRow / 16 + a_unit);
    a_some = m_unit < p.a_units;
    a_from = static_cast<uint32_t>(group) * p.a_units + m_unit;
    auto tap = static_cast<uint32_t>(n0 * kRow / Unit + b_unit);
    b_from = static_cast<uint32_t>(group) * p.units.divisor + static_cast<uint32_t>(fn::take_digit(tap, p.units));
    b_some = tap < p.taps;
    const WindowTap t(p.windows, tap);
    WEFT_UNROLL
    for (int i = 0; i < 3; ++i) shift[i] = t.shift[i] + p.windows.start[i];
  }
  __device__ WEFT_INLINE void load(int stage, unsigned char* to) const {
    const int first = stage * Tile::kDepth;
    WEFT_UNROLL
    for (int i = 0; i < Tile::kDepth / kAPass; ++i) {
      const int k = a_row + i * kAPass;
      copy_unit<16>(to + Tile::template across<M>(k, a_unit), p.a,
                    static_cast<uint32_t>(first + k) * p.a_pitch + a_from, a_some && first + k < p.rows);
    }
    const int chunk = b_unit * Unit / 16, within = b_unit * Unit % 16;
    WEFT_UNROLL
    for (int i = 0; i < Tile::kDepth / kBPass; ++i) {
      const int k = b_row + i * kBPass;
      const WindowRow r(p.windows, static_cast<uint32_t>(first + k));
      int32_t at[3];
      WEFT_UNROLL
      for (int a = 0; a < 3; ++a) at[a] = r.at[a] * p.windows.row_step[a] + shift[a];
      copy_unit<Unit, true>(to + Tile::kABytes + Tile::template across<N>(k, chunk) + within, p.b,
                            r.n * p.windows.image + offset_of(p.windows, at) + b_from,
                            b_some && first + k < p.rows && is_inside<kConvAxes<Unit>>(p.windows, at));
    }
  }
};

/// Stores the columns of a run that are there: `left` of them, whole vectors where `aligned`.
template <class R, int Run, class C>
__device__ WEFT_INLINE void store_run(R* to, const C (&run)[Run], int left, bool aligned) {
  constexpr int kMost = 16 / static_cast<int>(sizeof(R)), V = Run < kMost ? Run : kMost;
  WEFT_UNROLL
  for (int i = 0; i < Run; i += V) {
    Pack<R, V> pack;
    if constexpr (is_half_v<R>) {
      uint32_t pairs[V / 2];
      WEFT_UNROLL
      for (int k = 0; k < V / 2; ++k) pairs[k] = pair_of<R>(run[i + 2 * k], run[i + 2 * k + 1]);
      memcpy(&pack, pairs, sizeof pack);
    } else {
      WEFT_UNROLL
      for (int k = 0; k < V; ++k) pack.v[k] = run[i + k];
    }
    if (aligned) {
      if (i < left) *reinterpret_cast<Pack<R, V>*>(to + i) = pack;
    } else {
      WEFT_UNROLL
      for (int k = 0; k < V; ++k)
        if (i + k < left) to[i + k] = pack.v[k];
    }
  }
}

template <class T, Arithmetic How, int M, int N, int Unit, bool KInner>
using ConvTileOf = ConvTile<T, How, M, N, KInner, conv_warps(How, M, N, KInner, Unit)>;

template <class T, Arithmetic How, int M, int N, int Unit, bool KInner>
__global__ void __launch_bounds__(ConvTileOf<T, How, M, N, Unit, KInner>::kThreads) conv_kernel(const ConvProduct p) {
  using C = compute_t<T>;
  using Tile = ConvTileOf<T, How, M, N, Unit, KInner>;
  using Loader = std::conditional_t<KInner, InnerLoader<Tile, M, N, Unit>, OuterLoader<Tile, M, N, Unit>>;
  WEFT_DYN_SHARED(unsigned char, shared);
  const int tile = static_cast<int>(blockIdx.x), part = static_cast<int>(blockIdx.y), n0 = tile % p.n_tiles * N,
            m0 = tile / p.n_tiles % p.m_tiles * M, group = tile / p.n_tiles / p.m_tiles;
  const int first = part * p.stages_per_part,
            last = first + p.stages_per_part < p.stages ? first + p.stages_per_part : p.stages;
  const Loader loader(p, group, m0, n0);
  WEFT_UNROLL
  for (int i = 0; i < kConvStages - 1; ++i) {
    if (first + i < last) loader.load(first + i, shared + i * Tile::kBytes);
    commit_copies();
  }
  Tile product;
  WEFT_UNROLL
  for (int j = 0; j < Tile::kN; ++j) {
    WEFT_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int n = n0 + Tile::column(j, e);
      const bool biased = p.bias && part == 0 && n < p.n;
      const C start = biased ? static_cast<C>(static_cast<const T*>(p.bias)[group * p.n + n]) : C(0);
      WEFT_UNROLL
      for (int i = 0; i < Tile::kM; ++i) product.sums[i][j][e] = start;
    }
  }
  int oldest = 0, free = (kConvStages - 1) * Tile::kBytes;
  WEFT_NO_UNROLL
  for (int stage = first; stage < last; ++stage) {
    wait_for_copies<kConvStages - 2>();
    __syncthreads();  // all see the oldest stage, and have left the one before, which is filled anew
    if (stage + kConvStages - 1 < last) loader.load(stage + kConvStages - 1, shared + free);
    commit_copies();
    product.multiply(shared + oldest, shared + oldest + Tile::kABytes);
    free = oldest;
    oldest = oldest == (kConvStages - 1) * Tile::kBytes ? 0 : oldest + Tile::kBytes;
  }
  wait_for_copies<0>();

  constexpr int kRun = Tile::kRun;
  const int64_t to_tile = part * p.out_part + group * p.out_group;
  WEFT_UNROLL
  for (int i = 0; i < Tile::kM; ++i) {
    WEFT_UNROLL
    for (int e = 0; e < 4; e += 2) {
      const int m = m0 + Tile::row(i, e);
      if (m >= p.m) continue;
      const int64_t position = KInner ? WindowRow(p.windows, static_cast<uint32_t>(m)).to(p.windows) : m;
      WEFT_UNROLL
      for (int j = 0; j < Tile::kN; j += kRun / 2) {
        const int n = n0 + Tile::column(j, 0);
        C run[kRun];
        WEFT_UNROLL
        for (int c = 0; c < kRun; ++c) run[c] = product.sums[i][j + c / 2][e + c % 2];
        const int64_t to = to_tile + position * p.out_pitch + n;
        if (!KInner || p.parts) store_run(static_cast<C*>(p.out) + to, run, p.n - n, true);
        else store_run(static_cast<T*>(p.out) + to, run, p.n - n, p.aligned);
      }
    }
  }
}

/// A shape of tile, in how many parts k is summed, and how many images a launch has; 0: as the rules below have it.
/// Tests ask for others.
struct ConvPlan {
  int m = 0, n = 0;
  int64_t parts = 0, images = 0;
};

/// The tiles that are compiled.
template <class T, int Unit, bool KInner> constexpr bool has_tile(int m, int n) {
  if (Unit == 8) return m == (KInner ? 128 : 64) && n == 64;
  if (m == 64 && n == 64) return true;
  if (m == 128 && n == 128) return is_half_v<T>;
  if (m == 256 && n == 64) return is_half_v<T> && KInner;
  if (m == 128 && n == 64) return !std::is_same_v<T, double> && KInner;
  if (m == 64 && n == 128) return !std::is_same_v<T, double> && !KInner;
  return m == 128 && n == 32 && KInner;
}

/// The tile, and the parts if there may be several, with the least time by this count of a multiprocessor's cycles. A
/// stage takes the more of what a warp takes (tensor cores 403 for [64, 64], 6.3 for 16 x 8 x 16, as an H100 has it, or
/// the instructions that it has in compiled code), times every fourth warp, and of shared memory (128 bytes each). A
/// block takes a few stages more to begin and to end; four warps alone wait half as long again; parts go to memory and
/// back at 15 bytes a cycle. Tests' wishes are kept.
template <class T, int Unit, bool KInner>
ConvPlan choose_plan(const ConvPlan& wish, const ConvProduct& p, int64_t groups, bool may_part,
                     int64_t processors = multiprocessors()) {
  struct Tile {
    int m, n, warps, warp_cycles, shared_cycles;
  };
  constexpr Tile kTiles[] = {{128, 128, 4, 403, 384}, {256, 64, 4, 403, 416}, {128, 64, 2, 403, 224},
                             {64, 128, 2, 451, 224},  {64, 64, 2, 250, 160},  {128, 32, 2, 280, 176}};
  constexpr int64_t kLeastStages = 8, kEnds = 4, kMostBlocks = 8, kBytesPerCycle = 15;
  const int64_t sums = groups * int64_t{p.m} * p.n * int64_t{sizeof(compute_t<T>)};
  ConvPlan best;
  int64_t least = -1;
  for (const Tile& tile : kTiles) {
    if (!has_tile<T, Unit, KInner>(tile.m, tile.n)) continue;
    if (wish.m && Unit != 8 && (tile.m != wish.m || tile.n != wish.n)) continue;
    const int64_t tiles = std::max<int64_t>(groups * ceil_div(p.m, tile.m) * ceil_div(p.n, tile.n), 1);
    for (int64_t filled = 1; filled <= kMostBlocks; ++filled) {  // blocks of a multiprocessor
      const int64_t most = may_part ? p.stages / kLeastStages : 1,
                    parts = may_part && wish.parts ? wish.parts
                                                   : std::max<int64_t>(std::min(filled * processors / tiles, most), 1),
                    stages = ceil_div(int64_t{p.stages}, parts), blocks = ceil_div(tiles * parts, processors);
      const int64_t warps = blocks * tile.warps;
      int64_t cycles = (stages + kEnds) * std::max(ceil_div(warps, 4) * tile.warp_cycles, blocks * tile.shared_cycles);
      if (warps <= 4) cycles += cycles / 2;
      if (parts > 1 || !KInner) cycles += 2 * parts * sums / (kBytesPerCycle * processors);
      if (least < 0 || cycles < least) least = cycles, best = {tile.m, tile.n, parts};
      if (most <= 1 || wish.parts || tiles >= kMostBlocks * processors) break;
    }
  }
  return best;
}

template <class T, Arithmetic How, int Unit, bool KInner>
void start_product(ConvProduct p, int64_t groups, const ConvPlan& plan) {
  p.stages_per_part = static_cast<int32_t>(ceil_div(int64_t{p.stages}, plan.parts));
  bool started = false;
  const auto try_tile = [&]<int M, int N>() {
    if constexpr (has_tile<T, Unit, KInner>(M, N)) {
      using Tile = ConvTileOf<T, How, M, N, Unit, KInner>;
      if (plan.m != M || plan.n != N) return;
      p.m_tiles = ceil_div(p.m, M), p.n_tiles = ceil_div(p.n, N);
      const int64_t tiles = groups * p.m_tiles * p.n_tiles;
      WEFT_CHECK(tiles < int64_t{1} << 31, NotSupported, "conv: ", tiles, " tiles of ", M, " x ", N);
      launch(conv_kernel<T, How, M, N, Unit, KInner>,
             dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(plan.parts)), Tile::kThreads,
             kConvStages * Tile::kBytes, p);
      started = true;
    }
  };
  try_tile.template operator()<128, 128>();
  try_tile.template operator()<256, 64>();
  try_tile.template operator()<128, 64>();
  try_tile.template operator()<64, 128>();
  try_tile.template operator()<64, 64>();
  try_tile.template operator()<128, 32>();
  WEFT_CHECK(started, NotSupported, "conv: no tile of ", plan.m, " x ", plan.n);
}

}  // namespace weft::cuda
