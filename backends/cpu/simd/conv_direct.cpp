// Compiled with contraction: results are held against references by tolerance, not by bits.
#include "weft/backends/cpu/conv_direct.h"

#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/backends/cpu/simd/tile.h"
#include "weft/core/fn/integer.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

using T = Tile<float>;
using Vec = VectorAt<float>;

constexpr int64_t kChunk = 4 * T::kRows;  // input channels that are worked on together
constexpr int64_t kTiles = 4;             // the same of outputs, in tiles
constexpr int64_t kPixels = 128;          // outputs of a block: packed, it stays in the first cache

/// A rectangle of output pixels and the input pixels that one tap sees there; steps in floats.
struct Block {
  int64_t rows, cols;
  int64_t x_row, x_col;
};

/// out[r][c] += sum over the block's pixels of x[r] g[c], for r < R and c < kCols. The block's sum comes first: so the
/// error grows with the number of blocks and not of pixels.
template <int R> void add_products(float* out, int64_t out_row, const float* x, const float* g, const Block& b) {
  Vec sum[R][2] = {};
  for (int64_t row = 0; row < b.rows; ++row) {
    const float* xs = x + row * b.x_row;
    for (int64_t col = 0; col < b.cols; ++col, xs += b.x_col, g += T::kCols) {
      const Vec g0 = *reinterpret_cast<const Vec*>(g), g1 = *reinterpret_cast<const Vec*>(g + T::kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const float s = xs[r];
        sum[r][0] += s * g0;
        sum[r][1] += s * g1;
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < 2; ++v) *reinterpret_cast<Vec*>(out + r * out_row + v * T::kLanes) += sum[r][v];
}

/// Part of a problem: `channels` inputs from c, `tiles` tiles of outputs from o, the taps [first, last) of the plane.
struct Unit {
  int64_t c, channels, o, tiles, first, last;
};

/// How a problem is cut up. Blocks of the output and the input beneath them are packed.
struct Plan {
  int64_t height, width;  // of a block
  int64_t rows, cols;     // of the input beneath it
  int64_t plane_taps;     // of the window, in one plane
  int64_t chunk, chunks;  // of the input channels
  int64_t tiles, groups;  // of the outputs
  int64_t runs;           // of the taps

  explicit Plan(const ConvWindows& p)
      : height(std::clamp<int64_t>(kPixels / p.out[2], 1, p.out[1])),
        width(std::min(kPixels, p.out[2])),
        rows((height - 1) * p.stride[1] + (p.kernel[1] - 1) * p.dilation[1] + 1),
        cols((width - 1) * p.stride[2] + (p.kernel[2] - 1) * p.dilation[2] + 1),
        plane_taps(p.kernel[1] * p.kernel[2]),
        chunk(std::min(kChunk, p.c)),
        chunks(fn::ceil_div(p.c, chunk)) {
    const int64_t all = fn::ceil_div<int64_t>(p.o, T::kCols), threads = num_threads();
    tiles = std::min(kTiles, all);
    while (tiles > 1 && fn::ceil_div(all, tiles) * chunks < 2 * threads) --tiles;
    groups = fn::ceil_div(all, tiles);
    runs = groups * chunks >= threads ? 1 : std::min(plane_taps, fn::ceil_div(2 * threads, groups * chunks));
  }
  int64_t units() const { return chunks * groups * runs; }
  Unit unit(int64_t i, const ConvWindows& p) const {
    const int64_t run = i % runs, group = i / runs % groups, c = i / runs / groups * chunk;
    return {c,
            std::min(chunk, p.c - c),
            group * tiles * T::kCols,
            std::min(tiles, fn::ceil_div<int64_t>(p.o, T::kCols) - group * tiles),
            run * plane_taps / runs,
            (run + 1) * plane_taps / runs};
  }
  // Floats of the packed input, of a packed tile of gradients, of a tap's sums, of all sums.
  int64_t x_size() const { return rows * cols * chunk + T::kRows; }
  int64_t tile_size() const { return height * width * T::kCols; }
  int64_t tap_size() const { return fn::round_up<int64_t>(chunk, T::kRows) * tiles * T::kCols; }
  int64_t sums_size(const ConvWindows& p) const { return p.kernel[0] * plane_taps * tap_size(); }
};

/// to[tile][pixel][kCols] = g of the block that begins at `g`; zero beyond the last output.
void pack_gradient(float* to, int64_t tile_size, const float* g, const Block& b, const Unit& u, const ConvWindows& p) {
  for (int64_t t = 0; t < u.tiles; ++t) {
    const int64_t o = u.o + t * T::kCols, count = std::min<int64_t>(T::kCols, p.o - o);
    float* out = to + t * tile_size;
    for (int64_t row = 0; row < b.rows; ++row)
      for (int64_t col = 0; col < b.cols; ++col, out += T::kCols) {
        if (count < T::kCols) std::fill_n(out + count, T::kCols - count, 0.0f);
        std::copy_n(g + (row * p.out[2] + col) * p.o + o, count, out);
      }
  }
}

/// to[row][col][channels] = the plane's input from (y, x) on; zero outside of it.
void pack_input(float* to, const float* plane, int64_t y, int64_t x, const Unit& u, const Plan& plan,
                const ConvWindows& p) {
  const int64_t cols = plan.cols, left = std::clamp<int64_t>(-x, 0, cols),
                right = std::clamp<int64_t>(p.in[2] - x, left, cols);
  for (int64_t row = 0; row < plan.rows; ++row, to += cols * u.channels) {
    if (y + row < 0 || y + row >= p.in[1]) {
      std::fill_n(to, cols * u.channels, 0.0f);
      continue;
    }
    const float* from = plane + (y + row) * p.in[2] * p.c + u.c;
    std::fill(to, to + left * u.channels, 0.0f);
    for (int64_t col = left; col < right; ++col) std::copy_n(from + (x + col) * p.c, u.channels, to + col * u.channels);
    std::fill(to + right * u.channels, to + cols * u.channels, 0.0f);
  }
}

/// sums[tap][channel][output] of the unit += those of a block, whose input and gradients are packed.
void add_block(float* sums, const float* x, const float* g, const Block& b, const Unit& u, const Plan& plan,
               const ConvWindows& p) {
  const int64_t pitch = plan.tiles * T::kCols;
  for (int64_t tile = 0; tile < u.tiles; ++tile)
    for (int64_t c = 0, rows = 0; c < u.channels; c += rows) {
      const int64_t left = u.channels - c;
      rows = left > 2 * T::kFewRows ? T::kRows : left > T::kFewRows ? 2 * T::kFewRows : T::kFewRows;
      for (int64_t tap = u.first; tap < u.last; ++tap) {
        const int64_t iy = tap / p.kernel[2] * p.dilation[1], ix = tap % p.kernel[2] * p.dilation[2];
        const float *xs = x + (iy * plan.cols + ix) * u.channels + c, *gs = g + tile * plan.tile_size();
        float* to = sums + tap * plan.tap_size() + c * pitch + tile * T::kCols;
        if (rows == T::kRows) add_products<T::kRows>(to, pitch, xs, gs, b);
        else if (rows == T::kFewRows) add_products<T::kFewRows>(to, pitch, xs, gs, b);
        else add_products<2 * T::kFewRows>(to, pitch, xs, gs, b);
      }
    }
}

/// The same over all pixels; x_room and g_room are for what is packed.
void add_pixels(float* sums, float* x_room, float* g_room, const float* x, const float* g, const Unit& u,
                const Plan& plan, const ConvWindows& p) {
  for (int64_t image = 0; image < p.n; ++image)
    for (int64_t z = 0; z < p.out[0]; ++z)
      for (int64_t y = 0; y < p.out[1]; y += plan.height)
        for (int64_t left = 0; left < p.out[2]; left += plan.width) {
          const Block b{std::min(plan.height, p.out[1] - y), std::min(plan.width, p.out[2] - left),
                        p.stride[1] * plan.cols * u.channels, p.stride[2] * u.channels};
          pack_gradient(g_room, plan.tile_size(), g + (((image * p.out[0] + z) * p.out[1] + y) * p.out[2] + left) * p.o,
                        b, u, p);
          for (int64_t kz = 0; kz < p.kernel[0]; ++kz) {
            const int64_t iz = z * p.stride[0] + kz * p.dilation[0] - p.lo[0];
            if (iz < 0 || iz >= p.in[0]) continue;
            pack_input(x_room, x + (image * p.in[0] + iz) * p.in[1] * p.in[2] * p.c, y * p.stride[1] - p.lo[1],
                       left * p.stride[2] - p.lo[2], u, plan, p);
            add_block(sums + kz * plan.plane_taps * plan.tap_size(), x_room, g_room, b, u, plan, p);
          }
        }
}

/// The unit's part of dw [o, c, taps].
void store(float* dw, const float* sums, const Unit& u, const Plan& plan, const ConvWindows& p) {
  const int64_t pitch = plan.tiles * T::kCols, last = std::min(p.o, u.o + u.tiles * T::kCols);
  for (int64_t o = u.o; o < last; ++o)
    for (int64_t c = 0; c < u.channels; ++c)
      for (int64_t kz = 0; kz < p.kernel[0]; ++kz)
        for (int64_t tap = kz * plan.plane_taps + u.first; tap < kz * plan.plane_taps + u.last; ++tap)
          dw[(o * p.c + u.c + c) * p.taps() + tap] = sums[tap * plan.tap_size() + c * pitch + o - u.o];
}

void weight_grad(float* dw, const float* x, const float* g, const ConvWindows& p) {
  const Plan plan(p);
  parallel_for(plan.units(), 1, [&](int64_t begin, int64_t end) {
    const int64_t sums_size = plan.sums_size(p), x_size = plan.x_size();
    Scratch room(static_cast<size_t>(sums_size + x_size + plan.tiles * plan.tile_size()) * sizeof(float));
    float *sums = room.as<float>(), *x_room = sums + sums_size, *g_room = x_room + x_size;
    std::fill_n(x_room, x_size, 0.0f);  // rows beyond the last channel are multiplied too
    for (int64_t i = begin; i < end; ++i) {
      const Unit u = plan.unit(i, p);
      std::fill_n(sums, sums_size, 0.0f);
      add_pixels(sums, x_room, g_room, x, g, u, plan, p);
      store(dw, sums, u, plan, p);
    }
  });
}

}  // namespace

void register_conv_direct() { direct::kernel = {T::kLanes, weight_grad}; }

}  // namespace weft::cpu::WEFT_ISA
