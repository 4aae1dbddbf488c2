// Winograd F(4x4, 3x3): transforms and the 36 products between them. Compiled with contraction: results are held
// against references by tolerance, not by bits.
#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/backends/cpu/simd/winograd_parts.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

using namespace wino;

constexpr int64_t kBlock = 48;  // tiles that are transformed together: a multiple of kRows

// packed[kd][xi][panel][c][kPanel]. Threads take runs of outputs, as they do in `run` where it splits them.
void pack(float* packed, const float* w, const WeightStrides& s, const Problem& p, bool rotate) {
  const int64_t plane = winograd::packed_size(p) / (36 * p.kd);
  const Filters filters(w, s, p, rotate);
  parallel_for(fn::ceil_div(p.o, kWidth) * p.c, 16, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at)
      for (int64_t kd = 0; kd < p.kd; ++kd) {
        const int64_t o = at / p.c * kWidth, c = at % p.c;
        Vec u[36];
        filters.transform(u, o, c, kd);
        float* to = packed + kd * 36 * plane + (o / kPanel * p.c + c) * kPanel + o % kPanel;
#pragma GCC unroll 36
        for (int xi = 0; xi < 36; ++xi) store(to + xi * plane, u[xi]);
      }
  });
}

// Into how many parts threads split the outputs, each with all tiles for itself. Every part transforms the input anew,
// but a core then keeps its part of the weights: lines of the cache that two cores write and read in turns cost more
// than products do. Weights that were packed before are only read.
int64_t output_parts(const Problem& p, int64_t tiles, bool fresh) {
  const int64_t threads = num_threads(), units = fn::ceil_div(p.o, kWidth);
  int64_t best = 1, least = INT64_MAX;
  for (int64_t parts = 1; parts <= std::min(threads, units); ++parts) {
    const int64_t sharing = fn::ceil_div(threads, parts), o = fn::ceil_div(units, parts) * kWidth;
    // Counted in products of one tile: a transform costs as much as 20, a line that comes from another core 48.
    const int64_t cost = fn::ceil_div(tiles, sharing) * (p.c * o + 20 * (p.c + o)) +
                         (fresh && sharing > 1 ? 48 * p.c * o * p.kd : 0);
    if (cost >= least) continue;
    least = cost;
    best = parts;
  }
  return best;
}

// One unit of work: a block of tiles for some outputs, walked through the output planes [z0, z1) with the transformed
// input planes in a ring. Two-dimensional problems count their tiles over all images.
void run(float* y, const float* x, const float* packed, const winograd::Finish& finish, const Problem& p, bool fresh) {
  const Grid grid(p);
  const bool flat = p.kd == 1 && p.d == 1;
  const int64_t tiles = flat ? grid.tiles() * p.n : grid.tiles();
  const int64_t images = flat ? 1 : p.n;
  const int64_t o_parts = output_parts(p, tiles * images * p.od, fresh), o_units = fn::ceil_div(p.o, kWidth);
  const int64_t threads = fn::ceil_div(num_threads(), o_parts);
  int64_t block = std::min(kBlock, fn::round_up(tiles, 12));
  if (flat && tiles > block) {  // a last short round would leave threads without work
    const int64_t rounds = fn::ceil_div(tiles, block * threads);
    block = std::min(kBlock, fn::round_up(fn::ceil_div(tiles, rounds * threads), 12));
  } else if (flat && threads > 1) {
    block = std::max<int64_t>(12, fn::round_up(fn::ceil_div(tiles, threads), 12));
  }
  const int64_t blocks = fn::ceil_div(tiles, block);
  int64_t pieces = 1;  // of the depth, when there are too few blocks
  if (!flat)
    while (images * blocks * pieces < 2 * threads && pieces * 2 <= p.od) pieces *= 2;
  const int64_t plane_u = winograd::packed_size(p) / (36 * p.kd);
  const int64_t c_pitch = fn::round_up(p.c, kWidth), o_pitch = fn::ceil_div(o_units, o_parts) * kWidth;
  const int64_t v_plane = block * c_pitch + kSkew, m_plane = block * o_pitch + kSkew;
  const int64_t v_size = 36 * v_plane, m_size = 36 * m_plane;

  const int64_t units = images * blocks * pieces;
  parallel_for(units * o_parts, 1, [&](int64_t begin, int64_t end) {
    Scratch room(static_cast<size_t>(v_size * p.kd + m_size) * sizeof(float));
    float* ring = room.as<float>();
    float* m = ring + v_size * p.kd;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t o_part = unit / units, within = unit % units;
      const Channels of{o_units * o_part / o_parts * kWidth, std::min(p.o, o_units * (o_part + 1) / o_parts * kWidth)};
      const int64_t piece = within % pieces, first = within / pieces % blocks * block, image = within / pieces / blocks;
      const int64_t count = std::min(block, tiles - first);
      const int64_t z0 = p.od * piece / pieces, z1 = p.od * (piece + 1) / pieces;
      const int64_t beyond = fn::round_up(count, kRows) - count;  // rows that are multiplied too
      for (int64_t plane = 0; plane < 36 * p.kd && beyond; ++plane)
        std::fill_n(ring + plane * v_plane + count * c_pitch, beyond * c_pitch, 0.0f);
      auto place = [&](int64_t t, Place& at) {
        const int64_t tile = first + t;
        at = grid.place(tile % grid.tiles());
        return flat ? tile / grid.tiles() : image;
      };
      auto fetch = [&](int64_t z) {  // transforms input plane z into its place of the ring
        transform_input(ring + (z + p.kd) % p.kd * v_size, c_pitch, v_plane, count, p, {0, p.c},
                        [&](int64_t t, Place& at) -> const float* {
                          const int64_t n = place(t, at);
                          return z < 0 || z >= p.d ? nullptr : x + (n * p.d + z) * p.h * p.w * p.c;
                        });
      };
      for (int64_t k = 0; k + 1 < p.kd; ++k) fetch(z0 - p.pad_d + k);
      for (int64_t z = z0; z < z1; ++z) {
        fetch(z - p.pad_d + p.kd - 1);
        for (int xi = 0; xi < 36; ++xi)
          for (int64_t o = of.begin, step = 0; o < of.end; o += step) {
            const bool wide = o % kCols == 0 && o + kWidth < of.end;
            step = wide ? kCols : kWidth;
            for (int64_t r = 0; r < count; r += kRows) {
              float* to = m + xi * m_plane + r * o_pitch + o - of.begin;
              for (int64_t k = 0; k < p.kd; ++k) {
                const float* v = ring + (z - p.pad_d + k + p.kd) % p.kd * v_size + xi * v_plane + r * c_pitch;
                const float* u = packed + (k * 36 + xi) * plane_u + o / kPanel * p.c * kPanel + o % kPanel;
                if (wide) multiply<2>(to, o_pitch, v, c_pitch, u, p.c, k > 0);
                else multiply<1>(to, o_pitch, v, c_pitch, u, p.c, k > 0);
              }
            }
          }
        transform_output(y, m, o_pitch, m_plane, count, p, of, finish, [&](int64_t t, Place& at) {
          const int64_t n = place(t, at);
          return n * p.od + z;
        });
      }
    }
  });
}

// v[xi][tile][o] (pitch floats between tiles) = A g A^T of the 4x4 gradients of `count` tiles; `source` as above.
template <class Source>
void transform_gradient(float* v, int64_t pitch, int64_t xi_pitch, int64_t count, const Problem& p, Channels of,
                        const Source& source) {
  for (int64_t t = 0; t < count; ++t) {
    Place at;
    const float* plane = source(t, at);
    const int64_t ny = fn::ceil_div(p.oh - at.y, p.step_h), nx = fn::ceil_div(p.ow - at.x, p.step_w);
    const float* corner = plane + (at.y * p.ow + at.x) * p.o;
    float* to = v + t * pitch - of.begin;
    for (int64_t next = of.begin; next < of.end; next += kWidth) {
      const int64_t o = of.start(next);
      const int lanes = static_cast<int>(std::min<int64_t>(kWidth, p.o - o));
      Vec in[16], out[36];
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
          const float* from = corner + (i * p.step_h * p.ow + j * p.step_w) * p.o + o;
          if (ny >= 4 && nx >= 4 && lanes == kWidth) in[i * 4 + j] = load(from);
          else in[i * 4 + j] = i >= ny || j >= nx ? Vec{} : lanes == kWidth ? load(from) : load_some(from, lanes);
        }
      both_axes<4, 6>(in, out, output_grad_1d<Vec>);
      for (int xi = 0; xi < 36; ++xi) store(to + xi * xi_pitch + o, out[xi]);
    }
  }
}

// acc[kRows of c][Vectors of o] (+)= sum over tiles of v[tile][c] * g[tile][o].
template <int Vectors>
WEFT_INLINE void multiply_transposed(float* acc, int64_t acc_pitch, const float* v, int64_t v_pitch, const float* g,
                                     int64_t g_pitch, int64_t tiles, bool add) {
  Vec sum[kRows][Vectors] = {};
  for (int64_t t = 0; t < tiles; ++t) {
    Vec column[Vectors];
    for (int i = 0; i < Vectors; ++i) column[i] = load(g + t * g_pitch + i * kWidth);
    const float* s = v + t * v_pitch;
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r)
      for (int i = 0; i < Vectors; ++i) sum[r][i] += s[r] * column[i];
  }
  put(acc, acc_pitch, sum, add);
}

// A part of the weight gradient: some inputs and some outputs of it.
struct Part {
  Channels c, o;
};

// dw[o][c][kd][3][3] = G^T m G of a part's sums m[kd][xi][c][o].
void transform_weight_grad(float* dw, const float* m, int64_t o_pitch, int64_t xi_pitch, const Problem& p,
                           const Part& part) {
  for (int64_t o = part.o.begin; o < part.o.end; o += kWidth)
    for (int64_t c = part.c.begin; c < part.c.end; ++c)
      for (int64_t k = 0; k < p.kd; ++k) {
        const float* from = m + k * 36 * xi_pitch + (c - part.c.begin) * o_pitch + o - part.o.begin;
        Vec in[36], out[9];
        for (int xi = 0; xi < 36; ++xi) in[xi] = load(from + xi * xi_pitch);
        both_axes<6, 3>(in, out, filter_grad_1d<Vec>);
        float values[9 * kWidth];
        for (int tap = 0; tap < 9; ++tap) store(values + tap * kWidth, out[tap]);
        float* to = dw + ((o * p.c + c) * p.kd + k) * 9;
        for (int64_t l = 0; l < std::min<int64_t>(kWidth, part.o.end - o); ++l, to += p.c * p.kd * 9)
          for (int tap = 0; tap < 9; ++tap) to[tap] = values[tap * kWidth + l];
      }
}

// m[kd][xi][c][o] is summed over blocks of tiles, tile by tile, then transformed.
void weight_grad_part(float* dw, const float* x, const float* g, const Problem& p, const Part& part) {
  const Grid grid(p);
  const bool flat = p.kd == 1 && p.d == 1;
  const int64_t tiles = flat ? grid.tiles() * p.n : grid.tiles();
  const int64_t images = flat ? 1 : p.n;
  const int64_t c_rows = fn::round_up(part.c.end - part.c.begin, kRows), c_pitch = fn::round_up(c_rows, kWidth);
  const int64_t o_pitch = fn::round_up(part.o.end - part.o.begin, kWidth);
  // Small blocks stay in the caches between their transform and the products, large ones spare reads of the sums: twice
  // the size of these, from 1 to 6 MiB.
  // By the whole gradient, so that the order of the sums is the same for any parts.
  const int64_t per_tile = 36 * 4 * (p.c * p.kd + p.o), sums = int64_t{36} * 4 * p.kd * p.c * p.o;
  const int64_t bytes = std::clamp<int64_t>(2 * sums, int64_t{1} << 20, int64_t{6} << 20);
  const int64_t blocks = fn::ceil_div(tiles, std::max<int64_t>(16, bytes / per_tile));
  const int64_t block = fn::ceil_div(tiles, blocks);
  const int64_t v_plane = block * c_pitch + kSkew, g_plane = block * o_pitch + kSkew,
                m_plane = c_rows * o_pitch + kSkew;
  const int64_t v_size = 36 * v_plane, g_size = 36 * g_plane;
  Scratch room(static_cast<size_t>(v_size * p.kd + g_size + 36 * p.kd * m_plane) * sizeof(float));
  float *ring = room.as<float>(), *gt = ring + v_size * p.kd, *m = gt + g_size;
  // Rows of sums that nobody reads are multiplied too.
  const int64_t written = std::min(c_rows, fn::round_up(part.c.end - part.c.begin, kWidth));
  for (int64_t row = 0; row < 36 * p.kd * block && written < c_rows; ++row)
    std::fill_n(ring + row / block * v_plane + row % block * c_pitch + written, c_rows - written, 0.0f);
  bool add = false;

  for (int64_t image = 0; image < images; ++image)
    for (int64_t first = 0; first < tiles; first += block) {
      const int64_t count = std::min(block, tiles - first);
      auto place = [&](int64_t t, Place& at) {
        const int64_t tile = first + t;
        at = grid.place(tile % grid.tiles());
        return flat ? tile / grid.tiles() : image;
      };
      auto fetch = [&](int64_t z) {  // input plane z into its place of the ring
        transform_input(ring + (z + p.kd) % p.kd * v_size, c_pitch, v_plane, count, p, part.c,
                        [&](int64_t t, Place& at) -> const float* {
                          const int64_t n = place(t, at);
                          return z < 0 || z >= p.d ? nullptr : x + (n * p.d + z) * p.h * p.w * p.c;
                        });
      };
      for (int64_t k = 0; k + 1 < p.kd; ++k) fetch(k - p.pad_d);
      for (int64_t z = 0; z < p.od; ++z) {
        fetch(z - p.pad_d + p.kd - 1);
        transform_gradient(gt, o_pitch, g_plane, count, p, part.o, [&](int64_t t, Place& at) {
          const int64_t n = place(t, at);
          return g + (n * p.od + z) * p.oh * p.ow * p.o;
        });
        for (int64_t product = 0; product < 36 * p.kd; ++product) {
          const int64_t k = product / 36, xi = product % 36;
          const float* v = ring + (z - p.pad_d + k + p.kd) % p.kd * v_size + xi * v_plane;
          for (int64_t o = 0; o < o_pitch; o += kCols)
            for (int64_t c = 0; c < c_rows; c += kRows) {
              float* to = m + product * m_plane + c * o_pitch + o;
              const float* from = gt + xi * g_plane + o;
              if (o + kCols <= o_pitch) multiply_transposed<2>(to, o_pitch, v + c, c_pitch, from, o_pitch, count, add);
              else multiply_transposed<1>(to, o_pitch, v + c, c_pitch, from, o_pitch, count, add);
            }
        }
        add = true;
      }
    }
  transform_weight_grad(dw, m, o_pitch, m_plane, p, part);
}

// Each thread makes a part of the weight's gradient alone, transforms of what that part needs included: lines of the
// cache that two cores write and read in turns cost more than transforming twice. A sum does not depend on the parts.
void weight_grad(float* dw, const float* x, const float* g, const Problem& p) {
  const int64_t c_units = fn::ceil_div(p.c, kRows), o_units = fn::ceil_div(p.o, kCols), threads = num_threads();
  int64_t c_parts = 1, o_parts = 1, least = INT64_MAX;
  for (int64_t of_o = 1; of_o <= std::min(threads, o_units); ++of_o) {
    const int64_t of_c = std::min(c_units, fn::ceil_div(threads, of_o));
    const int64_t c = fn::ceil_div(c_units, of_c) * kRows, o = fn::ceil_div(o_units, of_o) * kCols;
    const int64_t cost = c * o + 20 * (c + o);  // products; a transform costs as much as 20 of them
    if (cost >= least) continue;
    least = cost;
    c_parts = of_c;
    o_parts = of_o;
  }
  parallel_for(c_parts * o_parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t i = at / o_parts, j = at % o_parts;
      const auto edge = [](int64_t k, int64_t parts, int64_t units, int64_t unit, int64_t all) {
        return std::min(all, units * k / parts * unit);
      };
      weight_grad_part(dw, x, g, p,
                       {{edge(i, c_parts, c_units, kRows, p.c), edge(i + 1, c_parts, c_units, kRows, p.c)},
                        {edge(j, o_parts, o_units, kCols, p.o), edge(j + 1, o_parts, o_units, kCols, p.o)}});
    }
  });
}

}  // namespace

void register_winograd() {
  winograd::kernels.pack = pack;
  winograd::kernels.run = run;
  winograd::kernels.weight_grad = weight_grad;
}

}  // namespace weft::cpu::WEFT_ISA
