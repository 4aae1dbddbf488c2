#include "weft/backends/cpu/gemm.h"

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/put.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/backends/cpu/simd/tile.h"
#include "weft/core/fn/integer.h"
#include "weft/core/parallel.h"

// Blocks of a and b are packed into panels that the kernel reads in order; the tile of `kRows` x `kCols` results stays
// in registers (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
namespace weft::cpu::WEFT_ISA {
namespace {

constexpr int kRows = Tile<float>::kRows;
constexpr int64_t kDepth = 384, kBlockRows = 8 * kRows;
constexpr int64_t kSerialWork = 1 << 16;  // multiply-adds
constexpr int64_t kMostGroup = 128;       // rows of a symmetric result at once

template <class C, int Bytes> C sum_lanes(const C* v) {
  constexpr int lanes = Bytes / static_cast<int>(sizeof(C));
  if constexpr (Bytes <= 16) {
    C s = v[0];
    for (int i = 1; i < lanes; ++i) s += v[i];
    return s;
  } else {
    typedef C Half __attribute__((vector_size(Bytes / 2), aligned(sizeof(C))));
    const Half s = reinterpret_cast<const Half*>(v)[0] + reinterpret_cast<const Half*>(v)[1];
    return sum_lanes<C, Bytes / 2>(reinterpret_cast<const C*>(&s));
  }
}

// Products of rows with rows (x W^T): both run along k in memory, so that nothing is packed. For few rows of a.
template <class T> struct Dots {
  using V = VectorAt<T>;
  static constexpr int kLanes = kLanesOf<T>;
  static constexpr int kDown = kRegisters == 32 ? 4 : 2, kAcross = kRegisters == 32 ? 6 : 4;
  static constexpr int64_t kStretch = 32 * kLanes;  // of k whose sums are then added in f64: long ones lose digits

  static bool takes(const Gemm& g) {
    return g.a_col == 1 && g.b_row == 1 && g.k >= 4 * kLanes && g.m <= 64 && !g.accumulate;
  }

  template <int R> static void tile(const Gemm& g, const T* a, const T* b, T* out, int64_t row, int64_t col) {
    const T *x[R], *w[kAcross];
    // Beyond the edge the last row is read again, and the result dropped.
    for (int r = 0; r < R; ++r) x[r] = a + std::min<int64_t>(row + r, g.m - 1) * g.a_row;
    for (int c = 0; c < kAcross; ++c) w[c] = b + std::min<int64_t>(col + c, g.n - 1) * g.b_col;
    double totals[R][kAcross] = {};
    const int64_t whole = g.k / kLanes * kLanes;
    int64_t k = 0;
    do {
      V sums[R][kAcross] = {};
      for (const int64_t stop = std::min(whole, k + kStretch); k < stop; k += kLanes) {
        V xv[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) xv[r] = *reinterpret_cast<const V*>(x[r] + k);
#pragma GCC unroll 6
        for (int c = 0; c < kAcross; ++c) {
          const V wv = *reinterpret_cast<const V*>(w[c] + k);
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r) sums[r][c] += xv[r] * wv;
        }
      }
      for (int r = 0; r < R; ++r)
        for (int c = 0; c < kAcross; ++c)
          totals[r][c] += static_cast<double>(sum_lanes<T, kVectorBytes>(reinterpret_cast<const T*>(&sums[r][c])));
    } while (k < whole);
    for (int r = 0; r < R && row + r < g.m; ++r)
      for (int c = 0; c < kAcross && col + c < g.n; ++c) {
        T s = 0;
        for (int64_t i = k; i < g.k; ++i) s += x[r][i] * w[c][i];
        s = static_cast<T>(totals[r][c] + static_cast<double>(s));
        out[(row + r) * g.out_row + col + c] = g.bias ? s + static_cast<const T*>(g.bias)[col + c] : s;
      }
  }

  static void run(const Gemm& g) {
    const int64_t across = fn::ceil_div(g.n, kAcross);
    const int64_t grain = std::max<int64_t>(1, kSerialWork / (g.m * g.k * kAcross));
    parallel_for(g.batch * across, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t batch = i / across, col = i % across * kAcross;
        const T* a = static_cast<const T*>(g.a) + batch * g.a_batch;
        const T* b = static_cast<const T*>(g.b) + batch * g.b_batch;
        T* out = static_cast<T*>(g.out) + batch * g.out_batch;
        if (g.m == 1) tile<1>(g, a, b, out, 0, col);
        else
          for (int64_t row = 0; row < g.m; row += kDown) tile<kDown>(g, a, b, out, row, col);
      }
    });
  }
};

// sum = or += part, kCols wide.
template <class T> void add_block(T* sum, int64_t row, const T* part, int64_t rows, bool first) {
  constexpr int64_t kCols = Tile<T>::kCols;
  for (int64_t r = 0; r < rows; ++r, sum += row, part += kCols)
    for (int64_t c = 0; c < kCols; ++c) sum[c] = first ? part[c] : sum[c] + part[c];
}

// x^T x: the tiles that touch the diagonal or lie above it; the others are their mirror image. Rows of x are cut into
// pieces whose sums are added in order, whatever the number of threads, and those of a few hundred rows before: sums of
// many rows would lose digits.
template <class T> void run_symmetric(const Gemm& g) {
  constexpr int64_t kCols = Tile<T>::kCols, kMostBytes = 4 << 20, kCacheBytes = 128 << 10;
  const int64_t n = g.n, bytes = n * n * static_cast<int64_t>(sizeof(T));
  const int64_t pieces = std::clamp<int64_t>(std::min(g.k / 1024, kMostBytes / bytes), 1, 16);
  const int64_t group = n <= kMostGroup ? n : 4 * kRows, groups = fn::ceil_div(n, group);  // of rows of the result
  const int64_t depth = std::clamp<int64_t>(kCacheBytes / n / static_cast<int64_t>(sizeof(T)), 64, 512);
  const Scratch sums(static_cast<size_t>(g.batch * pieces * bytes));
  parallel_for(g.batch * pieces * groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t piece = u / groups % pieces, batch = u / groups / pieces, half = u % groups / 2;
      const int64_t first = (u % groups % 2 ? groups - 1 - half : half) * group;  // long ones and short ones in turns
      const T* x = static_cast<const T*>(g.a) + batch * g.a_batch;
      T* sum = sums.as<T>() + u / groups * n * n;
      const int64_t k0 = g.k * piece / pieces, k1 = g.k * (piece + 1) / pieces;
      alignas(64) T one[kMostGroup * Tile<T>::kCols];
      for (int64_t k = k0; k < k1; k += depth) {
        const T* rows = x + k * g.a_col;
        for (int64_t c = first / kCols * kCols; c < n; c += kCols) {
          const int64_t height = std::min(std::min(group, n - first), c + kCols - first);
          Tile<T>::multiply_all(height, kCols, std::min(depth, k1 - k), rows + first, g.a_col, rows + c, g.a_col, one,
                                kCols, false);
          add_block(sum + first * n + c, n, one, height, k == k0);
        }
      }
    }
  });
  for (int64_t batch = 0; batch < g.batch; ++batch) {
    T* out = static_cast<T*>(g.out) + batch * g.out_batch;
    const T* from = sums.as<T>() + batch * pieces * n * n;
    for (int64_t r = 0; r < n; ++r)
      for (int64_t c = r; c < n; ++c) {
        T s = from[r * n + c];
        for (int64_t p = 1; p < pieces; ++p) s += from[p * n * n + r * n + c];
        out[r * g.out_row + c] = out[c * g.out_row + r] = s;
      }
  }
}

// panel[i][0..width) = src[i * along + j * across] for j < count, zeros beyond.
template <class T, class C>
void pack(C* panel, int width, const T* src, int64_t depth, int64_t along, int64_t count, int64_t across) {
  if (count < width)
    for (int64_t i = 0; i < depth; ++i)
      for (int64_t j = count; j < width; ++j) panel[i * width + j] = C(0);
  if (across == 1) {
    for (int64_t i = 0; i < depth; ++i) {
      const T* s = src + i * along;
      C* d = panel + i * width;
      if (count == width)
        for (int j = 0; j < width; ++j) d[j] = static_cast<C>(s[j]);
      else
        for (int64_t j = 0; j < count; ++j) d[j] = static_cast<C>(s[j]);
    }
  } else {
    // Few source rows at a time, so that their lines and the panel's stay in L1.
    for (int64_t i0 = 0; i0 < depth; i0 += 16) {
      const int64_t i1 = std::min<int64_t>(depth, i0 + 16);
      for (int64_t j = 0; j < count; ++j) {
        const T* s = src + j * across;
        for (int64_t i = i0; i < i1; ++i) panel[i * width + j] = static_cast<C>(s[i * along]);
      }
    }
  }
}

template <class T, class C>
void write_tile(const Gemm& g, const C* t, int64_t batch, int64_t row, int64_t col, int64_t rows, int64_t cols) {
  constexpr int width = Tile<C>::kCols;
  const T* bias = g.bias ? static_cast<const T*>(g.bias) + col : nullptr;
  for (int64_t r = 0; r < rows; ++r) {
    T* out = static_cast<T*>(g.out) + batch * g.out_batch + (row + r) * g.out_row + col;
    const C* s = t + r * width;
    if (g.accumulate)
      for (int64_t j = 0; j < cols; ++j)
        put(out[j], static_cast<C>(out[j]) + s[j] + (bias ? static_cast<C>(bias[j]) : C(0)));
    else if (bias)
      for (int64_t j = 0; j < cols; ++j) put(out[j], s[j] + static_cast<C>(bias[j]));
    else
      for (int64_t j = 0; j < cols; ++j) put(out[j], s[j]);
  }
}

/// sum = or += part, a tile; `last` takes the sum back.
template <class S, class C> void add_tile(S* sum, C* part, bool first, bool last) {
  constexpr int kSize = kRows * Tile<C>::kCols;
  for (int i = 0; i < kSize; ++i)
    sum[i] = first ? static_cast<S>(part[i]) : static_cast<S>(sum[i] + static_cast<S>(part[i]));
  for (int i = 0; last && i < kSize; ++i) part[i] = static_cast<C>(sum[i]);
}

template <class T> void run(const Gemm& g) {
  using C = compute_t<T>;
  using S = std::conditional_t<std::is_floating_point_v<C>, double, C>;  // sums of more than kDepth products
  if constexpr (std::is_floating_point_v<T>) {
    if (symmetric_product(g)) return run_symmetric<T>(g);
    if (Dots<T>::takes(g)) return Dots<T>::run(g);
  }
  constexpr int cols = Tile<C>::kCols;
  int64_t block_rows = std::min(kBlockRows, fn::round_up(g.m, kRows)),
          block_cols = std::min<int64_t>(8 * cols, fn::round_up(g.n, cols));
  const int64_t threads = g.batch * g.m * g.n * g.k < kSerialWork ? 1 : num_threads();
  auto count = [&] { return g.batch * fn::ceil_div(g.m, block_rows) * fn::ceil_div(g.n, block_cols); };
  while (count() < threads && block_cols > cols) block_cols = fn::round_up(block_cols / 2, cols);
  while (count() < threads && block_rows > kRows) block_rows = fn::round_up(block_rows / 2, kRows);
  const int64_t down = fn::ceil_div(g.m, block_rows), across = fn::ceil_div(g.n, block_cols),
                tiles = g.batch * down * across;
  const int64_t pieces = std::min(threads, tiles), depth = std::min(g.k, kDepth);
  const bool single = g.k <= kDepth;
  const int64_t a_size = fn::round_up(block_rows * depth, 64), b_size = fn::round_up(block_cols * depth, 64),
                t_size = single ? 0 : block_rows * block_cols * static_cast<int64_t>(sizeof(S) / sizeof(C));
  const int64_t per_piece = fn::round_up(a_size + b_size + t_size, 64);
  constexpr int64_t kOnStack = 8192;
  alignas(64) char small[kOnStack];
  const bool fits = pieces == 1 && per_piece * static_cast<int64_t>(sizeof(C)) <= kOnStack;
  Scratch large(fits ? 0 : static_cast<size_t>(pieces * per_piece) * sizeof(C));
  C* memory = fits ? reinterpret_cast<C*>(small) : large.as<C>();

  auto piece = [&](int64_t p) {
    C* pa = memory + p * per_piece;
    C* pb = pa + a_size;
    S* sums = reinterpret_cast<S*>(pb + b_size);
    alignas(64) C one[kRows * cols];
    for (int64_t tile = tiles * p / pieces; tile < tiles * (p + 1) / pieces; ++tile) {
      const int64_t batch = tile / (down * across), r0 = tile / across % down * block_rows,
                    c0 = tile % across * block_cols;
      const int64_t rows = std::min(block_rows, g.m - r0), width = std::min(block_cols, g.n - c0);
      const T* a = static_cast<const T*>(g.a) + batch * g.a_batch + r0 * g.a_row;
      const T* b = static_cast<const T*>(g.b) + batch * g.b_batch + c0 * g.b_col;
      for (int64_t k0 = 0; k0 < g.k; k0 += kDepth) {
        const int64_t kn = std::min(kDepth, g.k - k0);
        for (int64_t r = 0; r < rows; r += kRows)
          pack<T, C>(pa + r * kn, kRows, a + r * g.a_row + k0 * g.a_col, kn, g.a_col,
                     std::min<int64_t>(kRows, rows - r), g.a_row);
        for (int64_t c = 0; c < width; c += cols)
          pack<T, C>(pb + c * kn, cols, b + c * g.b_col + k0 * g.b_row, kn, g.b_row, std::min<int64_t>(cols, width - c),
                     g.b_col);
        const bool last = k0 + kn == g.k;
        for (int64_t c = 0; c < width; c += cols)
          for (int64_t r = 0; r < rows; r += kRows) {
            Tile<C>::template multiply<kRows>(kn, pa + r * kn, kRows, pb + c * kn, cols, one, cols, false);
            if (!single)
              add_tile(sums + (c / cols * fn::ceil_div(block_rows, kRows) + r / kRows) * kRows * cols, one, k0 == 0,
                       last);
            if (last)
              write_tile<T, C>(g, one, batch, r0 + r, c0 + c, std::min<int64_t>(kRows, rows - r),
                               std::min<int64_t>(cols, width - c));
          }
      }
    }
  };
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) piece(p);
  });
}

void gemm_kernel(const Gemm& g) {
  switch (g.dtype) {
    case Dtype::f32: return run<float>(g);
    case Dtype::f64: return run<double>(g);
    case Dtype::bf16: return run<bf16>(g);
    case Dtype::f16: return run<f16>(g);
    case Dtype::i64: return run<int64_t>(g);
    case Dtype::i32: return run<int32_t>(g);
    default: return run<uint8_t>(g);
  }
}

}  // namespace

void register_gemm() { gemm_own = gemm_kernel; }

}  // namespace weft::cpu::WEFT_ISA
