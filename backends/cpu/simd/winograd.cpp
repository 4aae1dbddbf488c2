// Winograd F(4x4, 3x3): transforms and the 36 products between them. Compiled with contraction: results are held
// against references by tolerance, not by bits.
#include "weft/backends/cpu/winograd.h"

#include <algorithm>

#include "weft/backends/cpu/scratch.h"
#include "weft/backends/cpu/simd/register.h"
#include "weft/backends/cpu/simd/tile.h"
#include "weft/core/fn/integer.h"
#include "weft/core/parallel.h"

namespace weft::cpu::WEFT_ISA {
namespace {

using winograd::Problem;
using winograd::WeightStrides;

using Vec = Vector<float>;
using VecU = VectorAt<float>;
constexpr int kWidth = kLanesOf<float>, kRows = Tile<float>::kRows;

constexpr int kPanel = 32;                 // outputs of a packed panel
constexpr int kCols = Tile<float>::kCols;  // outputs of a register tile
// One cache line more between the 36 planes: a power of two would put all of them into one set of the cache.
constexpr int64_t kSkew = 16;
constexpr int64_t kBlock = 48;  // tiles that are transformed together: a multiple of kRows

WEFT_INLINE Vec load(const float* p) { return *reinterpret_cast<const VecU*>(p); }
WEFT_INLINE void store(float* p, Vec v) { *reinterpret_cast<VecU*>(p) = v; }
WEFT_INLINE Vec load_some(const float* p, int n) {
  Vec v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
WEFT_INLINE void store_some(float* p, Vec v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

// The one-dimensional transforms, on any arithmetic type.
template <class T> WEFT_INLINE void input_1d(const T* d, T* v) {  // B^T d
  v[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
  T a = d[4] - 4.0f * d[2], b = d[3] - 4.0f * d[1];
  v[1] = a + b;
  v[2] = a - b;
  T c = d[4] - d[2], e = 2.0f * (d[3] - d[1]);
  v[3] = c + e;
  v[4] = c - e;
  v[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}
template <class T> WEFT_INLINE void output_1d(const T* m, T* y) {  // A^T m
  T a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  y[0] = m[0] + a + c;
  y[1] = b + 2.0f * d;
  y[2] = a + 4.0f * c;
  y[3] = b + 8.0f * d + m[5];
}
template <class T> WEFT_INLINE void filter_1d(const T* g, T* u) {  // G g
  u[0] = 0.25f * g[0];
  T a = (-1.0f / 6) * (g[0] + g[2]), b = (-1.0f / 6) * g[1];
  u[1] = a + b;
  u[2] = a - b;
  T c = (1.0f / 24) * g[0] + (1.0f / 6) * g[2], d = (1.0f / 12) * g[1];
  u[3] = c + d;
  u[4] = c - d;
  u[5] = g[2];
}
template <class T> WEFT_INLINE void output_grad_1d(const T* y, T* m) {  // A y
  m[0] = y[0];
  T a = y[0] + y[2], b = y[1] + y[3];
  m[1] = a + b;
  m[2] = a - b;
  T c = y[0] + 4.0f * y[2], d = 2.0f * y[1] + 8.0f * y[3];
  m[3] = c + d;
  m[4] = c - d;
  m[5] = y[3];
}
template <class T> WEFT_INLINE void filter_grad_1d(const T* u, T* g) {  // G^T u
  T a = u[1] + u[2], b = u[2] - u[1], c = u[3] + u[4], d = u[3] - u[4];
  g[0] = 0.25f * u[0] - (1.0f / 6) * a + (1.0f / 24) * c;
  g[1] = (1.0f / 6) * b + (1.0f / 12) * d;
  g[2] = (1.0f / 6) * (c - a) + u[5];
}

// Applies a transform of In to Out values to both axes of a square.
template <int In, int Out, class F> WEFT_INLINE void both_axes(const Vec* in, Vec* out, const F& f) {
  Vec half[Out * In];
  for (int j = 0; j < In; ++j) {
    Vec column[In], result[Out];
    for (int i = 0; i < In; ++i) column[i] = in[i * In + j];
    f(column, result);
    for (int i = 0; i < Out; ++i) half[i * In + j] = result[i];
  }
  for (int i = 0; i < Out; ++i) f(half + i * In, out + i * Out);
}

// packed[kd][xi][panel][c][kPanel]
void pack(float* packed, const float* w, const WeightStrides& s, const Problem& p, bool rotate) {
  const int64_t panels = fn::ceil_div(p.o, kPanel);
  const int64_t plane = panels * p.c * kPanel;
  parallel_for(panels * p.c, std::max<int64_t>(1, 4096 / (36 * kPanel)), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t panel = at / p.c, c = at % p.c;
      for (int64_t kd = 0; kd < p.kd; ++kd) {
        for (int part = 0; part < kPanel / kWidth; ++part) {
          Vec g[9];
          const int64_t o0 = panel * kPanel + part * kWidth;
          for (int l = 0; l < kWidth; ++l) {
            const int64_t o = o0 + l;
            const float* f = w + o * s.o + c * s.c + (rotate ? p.kd - 1 - kd : kd) * s.kd;
            for (int i = 0; i < 3; ++i)
              for (int j = 0; j < 3; ++j)
                g[(rotate ? 2 - i : i) * 3 + (rotate ? 2 - j : j)][l] = o < p.o ? f[i * s.kh + j * s.kw] : 0.0f;
          }
          Vec u[36];
          both_axes<3, 6>(g, u, filter_1d<Vec>);
          float* to = packed + kd * 36 * plane + (panel * p.c + c) * kPanel + part * kWidth;
          for (int xi = 0; xi < 36; ++xi) store(to + xi * plane, u[xi]);
        }
      }
    }
  });
}

// A grid of 4x4 output tiles over planes; a block is a run of tiles.
struct Grid {
  int64_t rows, cols;
  explicit Grid(const Problem& p) : rows((p.oh + 3) / 4), cols((p.ow + 3) / 4) {}
  int64_t tiles() const { return rows * cols; }
};

// v[xi][tile][c] (pitch floats between tiles) = B^T d B of the 6x6 inputs of tiles [first, first + count). `source(t)`
// gives a tile's input plane (null: outside, zeros) and `place(t)` its row and column.
template <class Source>
void transform_input(float* v, int64_t pitch, int64_t xi_pitch, int64_t count, const Problem& p, const Source& source) {
  for (int64_t t = 0; t < count; ++t) {
    int64_t row, col;
    const float* plane = source(t, row, col);
    const int64_t y0 = row * 4 - p.pad_h, x0 = col * 4 - p.pad_w;
    const bool inside = plane && y0 >= 0 && x0 >= 0 && y0 + 6 <= p.h && x0 + 6 <= p.w;
    float* to = v + t * pitch;
    for (int64_t c = 0; c < p.c; c += kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(kWidth, p.c - c));
      Vec d[36];
      if (inside && lanes == kWidth) {
        const float* from = plane + (y0 * p.w + x0) * p.c + c;
        for (int i = 0; i < 6; ++i)
          for (int j = 0; j < 6; ++j) d[i * 6 + j] = load(from + (i * p.w + j) * p.c);
      } else {
        for (int i = 0; i < 6; ++i)
          for (int j = 0; j < 6; ++j) {
            const int64_t y = y0 + i, x = x0 + j;
            const bool in = plane && y >= 0 && x >= 0 && y < p.h && x < p.w;
            const float* from = in ? plane + (y * p.w + x) * p.c + c : nullptr;
            d[i * 6 + j] = !in ? Vec{} : lanes == kWidth ? load(from) : load_some(from, lanes);
          }
      }
      Vec u[36];
      both_axes<6, 6>(d, u, input_1d<Vec>);
      for (int xi = 0; xi < 36; ++xi) store(to + xi * xi_pitch + c, u[xi]);
    }
  }
}

// m[rows][kCols at col] (+)= v[rows][depth] * u[depth][kPanel], kRows rows.
template <bool Add>
WEFT_INLINE void multiply(float* m, int64_t m_pitch, const float* v, int64_t v_pitch, const float* u, int64_t depth) {
  Vec acc[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    acc[r][0] = Add ? load(m + r * m_pitch) : Vec{};
    acc[r][1] = Add ? load(m + r * m_pitch + kWidth) : Vec{};
  }
  for (int64_t k = 0; k < depth; ++k) {
    const Vec u0 = load(u + k * kPanel), u1 = load(u + k * kPanel + kWidth);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const float s = v[r * v_pitch + k];
      acc[r][0] += s * u0;
      acc[r][1] += s * u1;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    store(m + r * m_pitch, acc[r][0]);
    store(m + r * m_pitch + kWidth, acc[r][1]);
  }
}

// y of tiles [first, first + count) of a plane = A^T m A + bias.
template <class Target>
void transform_output(float* m, int64_t pitch, int64_t xi_pitch, int64_t count, const Problem& p, const float* bias,
                      const Target& target) {
  for (int64_t t = 0; t < count; ++t) {
    int64_t row, col;
    float* plane = target(t, row, col);
    const int64_t y0 = row * 4, x0 = col * 4;
    const int64_t ny = std::min<int64_t>(4, p.oh - y0), nx = std::min<int64_t>(4, p.ow - x0);
    for (int64_t o = 0; o < p.o; o += kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(kWidth, p.o - o));
      Vec in[36], out[16];
      const float* from = m + t * pitch + o;
      for (int xi = 0; xi < 36; ++xi) in[xi] = load(from + xi * xi_pitch);
      both_axes<6, 4>(in, out, output_1d<Vec>);
      const Vec b = !bias ? Vec{} : lanes == kWidth ? load(bias + o) : load_some(bias + o, lanes);
      for (int64_t i = 0; i < ny; ++i)
        for (int64_t j = 0; j < nx; ++j) {
          const Vec r = out[i * 4 + j] + b;
          float* to = plane + ((y0 + i) * p.ow + x0 + j) * p.o + o;
          if (lanes == kWidth) store(to, r);
          else store_some(to, r, lanes);
        }
    }
  }
}

// One unit of work: a block of tiles, walked through the output planes [z0, z1) with the transformed input planes in a
// ring. Two-dimensional problems count their tiles over all images.
void run(float* y, const float* x, const float* packed, const float* bias, const Problem& p) {
  const Grid grid(p);
  const bool flat = p.kd == 1 && p.d == 1;
  const int64_t tiles = flat ? grid.tiles() * p.n : grid.tiles();
  const int64_t images = flat ? 1 : p.n;
  int64_t block = std::min(kBlock, fn::round_up(tiles, 12));
  const int64_t threads = num_threads();
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
  const int64_t panels = fn::ceil_div(p.o, kPanel), plane_u = panels * p.c * kPanel;
  const int64_t c_pitch = fn::round_up(p.c, kWidth), o_pitch = panels * kPanel;
  const int64_t v_plane = block * c_pitch + kSkew, m_plane = block * o_pitch + kSkew;
  const int64_t v_size = 36 * v_plane, m_size = 36 * m_plane;

  parallel_for(images * blocks * pieces, 1, [&](int64_t begin, int64_t end) {
    Scratch room(static_cast<size_t>(v_size * p.kd + m_size) * sizeof(float));
    float* ring = room.as<float>();
    float* m = ring + v_size * p.kd;
    std::fill_n(ring, v_size * p.kd, 0.0f);  // rows beyond the last tile are multiplied too
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t piece = unit % pieces, first = unit / pieces % blocks * block, image = unit / pieces / blocks;
      const int64_t count = std::min(block, tiles - first);
      const int64_t z0 = p.od * piece / pieces, z1 = p.od * (piece + 1) / pieces;
      auto place = [&](int64_t t, int64_t& row, int64_t& col) {
        int64_t tile = first + t, in_image = tile % grid.tiles();
        row = in_image / grid.cols;
        col = in_image % grid.cols;
        return flat ? tile / grid.tiles() : image;
      };
      auto fetch = [&](int64_t z) {  // transforms input plane z into its place of the ring
        transform_input(ring + (z + p.kd) % p.kd * v_size, c_pitch, v_plane, count, p,
                        [&](int64_t t, int64_t& row, int64_t& col) -> const float* {
                          int64_t n = place(t, row, col);
                          return z < 0 || z >= p.d ? nullptr : x + (n * p.d + z) * p.h * p.w * p.c;
                        });
      };
      for (int64_t k = 0; k + 1 < p.kd; ++k) fetch(z0 - p.pad_d + k);
      for (int64_t z = z0; z < z1; ++z) {
        fetch(z - p.pad_d + p.kd - 1);
        for (int xi = 0; xi < 36; ++xi)
          for (int64_t panel = 0; panel < panels; ++panel)
            for (int part = 0; part < kPanel; part += kCols)
              for (int64_t r = 0; r < count; r += kRows) {
                float* to = m + xi * m_plane + r * o_pitch + panel * kPanel + part;
                for (int64_t k = 0; k < p.kd; ++k) {
                  const float* v = ring + (z - p.pad_d + k + p.kd) % p.kd * v_size + xi * v_plane + r * c_pitch;
                  const float* u = packed + (k * 36 + xi) * plane_u + panel * p.c * kPanel + part;
                  if (k == 0) multiply<false>(to, o_pitch, v, c_pitch, u, p.c);
                  else multiply<true>(to, o_pitch, v, c_pitch, u, p.c);
                }
              }
        transform_output(m, o_pitch, m_plane, count, p, bias, [&](int64_t t, int64_t& row, int64_t& col) {
          int64_t n = place(t, row, col);
          return y + (n * p.od + z) * p.oh * p.ow * p.o;
        });
      }
    }
  });
}

// acc[kRows of c][kCols of o] += sum over tiles of v[tile][c] * g[tile][o].
WEFT_INLINE void multiply_transposed(float* acc, int64_t acc_pitch, const float* v, int64_t v_pitch, const float* g,
                                     int64_t g_pitch, int64_t tiles, bool fresh) {
  Vec sum[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    sum[r][0] = fresh ? Vec{} : load(acc + r * acc_pitch);
    sum[r][1] = fresh ? Vec{} : load(acc + r * acc_pitch + kWidth);
  }
  for (int64_t t = 0; t < tiles; ++t) {
    const Vec g0 = load(g + t * g_pitch), g1 = load(g + t * g_pitch + kWidth);
    const float* s = v + t * v_pitch;
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] += s[r] * g0;
      sum[r][1] += s[r] * g1;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    store(acc + r * acc_pitch, sum[r][0]);
    store(acc + r * acc_pitch + kWidth, sum[r][1]);
  }
}

// m[kd][xi][c][o] is summed over blocks of tiles, then dw = G^T m G. All threads share one m: first they transform a
// block's inputs and gradients, then each takes some of the kd * 36 products. The order of the sums does not depend on
// threads.
void weight_grad(float* dw, const WeightStrides& s, const float* x, const float* g, const Problem& p) {
  const Grid grid(p);
  const bool flat = p.kd == 1 && p.d == 1;
  const int64_t tiles = flat ? grid.tiles() * p.n : grid.tiles();
  const int64_t images = flat ? 1 : p.n;
  const int64_t c_pitch = fn::round_up(p.c, 12 * kWidth / 4), o_pitch = fn::round_up(p.o, kCols);
  const int64_t c_rows = fn::round_up(p.c, kRows);
  // Small blocks stay in the caches between their transform and the products, large ones spare reads of the sums: twice
  // the size of these, from 1.5 to 6 MiB.
  const int64_t per_tile = 36 * 4 * (c_pitch * p.kd + o_pitch), sums = int64_t{36} * 4 * p.kd * c_rows * o_pitch;
  const int64_t bytes = std::clamp<int64_t>(2 * sums, int64_t{3} << 19, int64_t{6} << 20);
  const int64_t block = std::clamp<int64_t>(bytes / per_tile / 8 * 8, 16,
                                            std::max<int64_t>(16, fn::round_up(tiles, 8)));
  const int64_t v_plane = block * c_pitch + kSkew, g_plane = block * o_pitch + kSkew,
                m_plane = c_rows * o_pitch + kSkew;
  const int64_t v_size = 36 * v_plane, g_size = 36 * g_plane;
  Scratch room(static_cast<size_t>(v_size * p.kd + g_size + 36 * p.kd * m_plane) * sizeof(float));
  float *ring = room.as<float>(), *gt = ring + v_size * p.kd, *m = gt + g_size;
  std::fill_n(ring, v_size * p.kd + g_size, 0.0f);
  bool fresh = true;

  for (int64_t image = 0; image < images; ++image)
    for (int64_t first = 0; first < tiles; first += block) {
      const int64_t count = std::min(block, tiles - first);
      auto place = [&](int64_t t, int64_t& row, int64_t& col) {
        int64_t tile = first + t, in_image = tile % grid.tiles();
        row = in_image / grid.cols;
        col = in_image % grid.cols;
        return flat ? tile / grid.tiles() : image;
      };
      auto fetch = [&](int64_t z) {
        parallel_for(count, 4, [&](int64_t a, int64_t b) {
          transform_input(ring + (z + p.kd) % p.kd * v_size + a * c_pitch, c_pitch, v_plane, b - a, p,
                          [&](int64_t t, int64_t& row, int64_t& col) -> const float* {
                            int64_t n = place(a + t, row, col);
                            return z < 0 || z >= p.d ? nullptr : x + (n * p.d + z) * p.h * p.w * p.c;
                          });
        });
      };
      auto fetch_gradient = [&](int64_t z) {
        parallel_for(count, 4, [&](int64_t a, int64_t b) {
          for (int64_t t = a; t < b; ++t) {
            int64_t row, col;
            const int64_t n = place(t, row, col);
            const float* plane = g + (n * p.od + z) * p.oh * p.ow * p.o;
            for (int64_t o = 0; o < p.o; o += kWidth) {
              const int lanes = static_cast<int>(std::min<int64_t>(kWidth, p.o - o));
              Vec in[16], out[36];
              for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) {
                  const int64_t yy = row * 4 + i, xx = col * 4 + j;
                  const bool inside = yy < p.oh && xx < p.ow;
                  const float* from = inside ? plane + (yy * p.ow + xx) * p.o + o : nullptr;
                  in[i * 4 + j] = !inside ? Vec{} : lanes == kWidth ? load(from) : load_some(from, lanes);
                }
              both_axes<4, 6>(in, out, output_grad_1d<Vec>);
              for (int xi = 0; xi < 36; ++xi) store(gt + xi * g_plane + t * o_pitch + o, out[xi]);
            }
          }
        });
      };
      for (int64_t k = 0; k + 1 < p.kd; ++k) fetch(k - p.pad_d);
      for (int64_t z = 0; z < p.od; ++z) {
        fetch(z - p.pad_d + p.kd - 1);
        fetch_gradient(z);
        parallel_for(36 * p.kd, 1, [&](int64_t a, int64_t b) {
          for (int64_t product = a; product < b; ++product) {
            const int64_t k = product / 36, xi = product % 36;
            const float* v = ring + (z - p.pad_d + k + p.kd) % p.kd * v_size + xi * v_plane;
            for (int64_t o = 0; o < o_pitch; o += kCols)
              for (int64_t c = 0; c < c_rows; c += kRows)
                multiply_transposed(m + product * m_plane + c * o_pitch + o, o_pitch, v + c, c_pitch,
                                    gt + xi * g_plane + o, o_pitch, count, fresh);
          }
        });
        fresh = false;
      }
    }

  parallel_for(p.c * p.kd, std::max<int64_t>(1, 512 / p.o), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t c = at / p.kd, k = at % p.kd;
      for (int64_t o = 0; o < p.o; o += kWidth) {
        Vec in[36], out[9];
        for (int xi = 0; xi < 36; ++xi) in[xi] = load(m + (k * 36 + xi) * m_plane + c * o_pitch + o);
        both_axes<6, 3>(in, out, filter_grad_1d<Vec>);
        const int lanes = static_cast<int>(std::min<int64_t>(kWidth, p.o - o));
        for (int l = 0; l < lanes; ++l)
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j)
              dw[(o + l) * s.o + c * s.c + k * s.kd + i * s.kh + j * s.kw] = out[i * 3 + j][l];
      }
    }
  });
}

}  // namespace

void register_winograd() { winograd::kernels = {pack, run, weight_grad}; }

}  // namespace weft::cpu::WEFT_ISA
