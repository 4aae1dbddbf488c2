// Winograd's convolution of few tiles by a large weight, which is transformed as it is needed: outputs of a panel and a
// block of channels at a time, in the caches. Compiled with contraction: results are held against references by
// tolerance, not by bits.
#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/backends/cpu/simd/winograd_parts.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

using namespace wino;

constexpr int64_t kChannels = 128;  // of a block

// The transformed inputs of all tiles, v[block of channels][xi][tile][c]: what a product reads lies together.
struct Inputs {
  int64_t block, tiles, rows, plane;
  explicit Inputs(const Grid& grid, const Problem& p)
      : block(std::min(kChannels, fn::round_up<int64_t>(p.c, kWidth))),
        tiles(grid.tiles() * p.n),
        rows(fn::round_up<int64_t>(tiles, kRows)),  // those behind the last tile are zeros
        plane(rows * block + kSkew) {}
  int64_t size(const Problem& p) const { return fn::ceil_div(p.c, block) * 36 * plane; }

  void transform(float* v, const float* x, const Grid& grid, const Problem& p) const {
    parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
      float* to = v;
      for (int64_t c = 0; c < p.c; c += block, to += 36 * plane) {
        transform_input(to + begin * block, block, plane, std::min(end, tiles) - begin, p,
                        {c, std::min(p.c, c + block)}, [&](int64_t t, Place& at) {
                          const int64_t tile = begin + t;
                          at = grid.place(tile % grid.tiles());
                          return x + tile / grid.tiles() * p.h * p.w * p.c;
                        });
        for (int64_t row = std::max(begin, tiles); row < end; ++row)
          for (int xi = 0; xi < 36; ++xi) std::fill_n(to + xi * plane + row * block, block, 0.0f);
      }
    });
  }
};

void run_streamed(float* y, const float* x, const float* w, const float* scale, const WeightStrides& s, bool rotate,
                  const winograd::Finish& finish, const Problem& p) {
  const Grid grid(p);
  const Filters filters(w, s, p, rotate);
  const Inputs inputs(grid, p);
  Scratch transformed(static_cast<size_t>(inputs.size(p)) * sizeof(float));
  float* const v = transformed.as<float>();
  inputs.transform(v, x, grid, p);

  // Threads take panels of outputs; where there are more threads, some of the tiles too.
  const int64_t panels = fn::ceil_div<int64_t>(p.o, kPanel), groups = inputs.rows / kRows, block = inputs.block;
  const int64_t parts = std::min(groups, fn::ceil_div(num_threads(), panels));
  parallel_for(panels * parts, 1, [&](int64_t begin, int64_t end) {
    const int64_t most = fn::ceil_div(groups, parts) * kRows;
    const int64_t u_plane = block * kPanel + kSkew, m_plane = most * kPanel + kSkew;
    Scratch room(static_cast<size_t>(36 * (u_plane + m_plane)) * sizeof(float));
    float *u = room.as<float>(), *m = u + 36 * u_plane;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t part = unit % parts, o = unit / parts * kPanel, o_end = std::min(p.o, o + kPanel);
      const int64_t first = groups * part / parts * kRows, last = groups * (part + 1) / parts * kRows;
      for (int64_t c = 0; c < p.c; c += block) {
        const int64_t channels = std::min(block, p.c - c);
        for (int64_t lanes = o; lanes < o_end; lanes += kWidth) {
          const Vec factors = scale ? filters.factors(scale, lanes) : Vec{};
          for (int64_t k = 0; k < channels; ++k) {
            Vec values[36];
            filters.transform(values, lanes, c + k, 0, scale ? &factors : nullptr);
#pragma GCC unroll 36
            for (int xi = 0; xi < 36; ++xi) store(u + xi * u_plane + k * kPanel + lanes - o, values[xi]);
          }
        }
        for (int xi = 0; xi < 36; ++xi)
          for (int64_t row = first; row < last; row += kRows)
            for (int64_t at = 0; at < o_end - o; at += kCols) {
              float* to = m + xi * m_plane + (row - first) * kPanel + at;
              const float *from = v + (c / block * 36 + xi) * inputs.plane + row * block, *with = u + xi * u_plane + at;
              if (at + kWidth < o_end - o) multiply<2>(to, kPanel, from, block, with, channels, c > 0);
              else multiply<1>(to, kPanel, from, block, with, channels, c > 0);
            }
      }
      transform_output(y, m, kPanel, m_plane, std::min(last, inputs.tiles) - first, p, {o, o_end}, finish,
                       [&](int64_t t, Place& at) {
                         const int64_t tile = first + t;
                         at = grid.place(tile % grid.tiles());
                         return tile / grid.tiles();
                       });
    }
  });
}

}  // namespace

void register_winograd_streamed() { winograd::kernels.run_streamed = run_streamed; }

}  // namespace weft::cpu::WEFT_ISA
