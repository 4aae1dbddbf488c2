// What the three walks of Winograd's convolution share: transforms, the grid of tiles, products of a register tile.
// Everything here lives in the namespace of its instruction set.
#pragma once

#include <algorithm>
#include <utility>

#include "weft/backends/cpu/simd/tile.h"
#include "weft/backends/cpu/winograd.h"
#include "weft/core/fn/integer.h"

namespace weft::cpu::WEFT_ISA::wino {

using winograd::Problem;
using winograd::WeightStrides;

using Vec = Vector<float>;
using VecU = VectorAt<float>;
constexpr int kWidth = kLanesOf<float>, kRows = Tile<float>::kRows;

constexpr int kPanel = 32;                 // outputs of a packed panel
constexpr int kCols = Tile<float>::kCols;  // outputs of a register tile
// One cache line more between the 36 planes: a power of two would put all of them into one set of the cache.
constexpr int64_t kSkew = 16;

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

// The one-dimensional transforms, on any arithmetic type, for the points 0, +-2/3, +-3/2 and infinity. What belongs to
// a pair of points may be scaled in A if G is scaled against it: ones are where they spare most operations, forward
// (columns of A^T by 3/2 and 4/9) and in the weight gradient (none) each for itself.
template <class T> WEFT_INLINE void input_1d(const T* d, T* v) {  // B^T d
  v[0] = d[0] + d[4] - (97.0f / 36) * d[2];
  T a = d[4] - 2.25f * d[2], b = d[3] - 2.25f * d[1];
  v[1] = a + (2.0f / 3) * b;
  v[2] = a - (2.0f / 3) * b;
  T c = d[4] - (4.0f / 9) * d[2], e = d[3] - (4.0f / 9) * d[1];
  v[3] = c + 1.5f * e;
  v[4] = c - 1.5f * e;
  v[5] = d[1] + d[5] - (97.0f / 36) * d[3];
}
template <class T> WEFT_INLINE void output_1d(const T* m, T* y) {  // A^T m
  T a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  y[0] = m[0] + 1.5f * a + (4.0f / 9) * c;
  y[1] = b + (2.0f / 3) * d;
  y[2] = (2.0f / 3) * a + c;
  y[3] = (4.0f / 9) * b + 1.5f * d + m[5];
}
template <class T> WEFT_INLINE void filter_1d(const T* g, T* u) {  // G g
  u[0] = g[0];
  T a = (-27.0f / 65) * g[0] - (12.0f / 65) * g[2];
  u[1] = a - (18.0f / 65) * g[1];
  u[2] = a + (18.0f / 65) * g[1];
  T b = (18.0f / 65) * g[0] + (81.0f / 130) * g[2];
  u[3] = b + (27.0f / 65) * g[1];
  u[4] = b - (27.0f / 65) * g[1];
  u[5] = g[2];
}
template <class T> WEFT_INLINE void output_grad_1d(const T* y, T* m) {  // A y
  m[0] = y[0];
  T a = y[0] + (4.0f / 9) * y[2], b = y[1] + (4.0f / 9) * y[3];
  m[1] = a + (2.0f / 3) * b;
  m[2] = a - (2.0f / 3) * b;
  T c = y[0] + 2.25f * y[2], d = y[1] + 2.25f * y[3];
  m[3] = c + 1.5f * d;
  m[4] = c - 1.5f * d;
  m[5] = y[3];
}
template <class T> WEFT_INLINE void filter_grad_1d(const T* u, T* g) {  // G^T u
  T a = u[1] + u[2], b = u[2] - u[1], c = u[3] + u[4], d = u[3] - u[4];
  g[0] = u[0] - (81.0f / 130) * a + (8.0f / 65) * c;
  g[1] = (27.0f / 65) * b + (12.0f / 65) * d;
  g[2] = (18.0f / 65) * (c - a) + u[5];
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

// Exchanges the upper halves of a's runs of 2 S lanes with the lower ones of b's.
template <int S, int... I> WEFT_INLINE void exchange(Vec& a, Vec& b, std::integer_sequence<int, I...>) {
  const Vec low = __builtin_shufflevector(a, b, (I & S ? kWidth + I - S : I)...);
  b = __builtin_shufflevector(a, b, (I & S ? kWidth + I : I + S)...);
  a = low;
}
template <int S = 1> WEFT_INLINE void transpose(Vec* v) {
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i)
    if (!(i & S)) exchange<S>(v[i], v[i + S], std::make_integer_sequence<int, kWidth>());
  if constexpr (2 * S < kWidth) transpose<2 * S>(v);
}

// The windows of a weight [o, c, kd, 3, 3], transformed for kWidth outputs at a time.
struct Filters {
  const float* w;
  WeightStrides s;
  int64_t outputs, planes;
  bool rotate;
  int64_t last;  // of the weight's elements

  Filters(const float* weight, const WeightStrides& strides, const Problem& p, bool turned)
      : w(weight),
        s(strides),
        outputs(p.o),
        planes(p.kd),
        rotate(turned),
        last((p.o - 1) * s.o + (p.c - 1) * s.c + (p.kd - 1) * s.kd + 2 * (s.kh + s.kw)) {}

  // The factors of the outputs from o on.
  Vec factors(const float* scale, int64_t o) const {
    Vec v;
    for (int l = 0; l < kWidth; ++l) v[l] = scale[std::min(o + l, outputs - 1)];
    return v;
  }
  // u[36] of the outputs from o on, times their factors (null: 1); those beyond the last repeat it.
  WEFT_INLINE void transform(Vec* u, int64_t o, int64_t c, int64_t kd, const Vec* scale = nullptr) const {
    const int64_t from = c * s.c + (rotate ? planes - 1 - kd : kd) * s.kd;
    int64_t lanes[kWidth];
    for (int l = 0; l < kWidth; ++l) lanes[l] = from + std::min(o + l, outputs - 1) * s.o;
    // Runs of kWidth taps, the last of which may read beyond the window, but not beyond the weight.
    constexpr int kWhole = kWidth > 9 ? kWidth : 9 / kWidth * kWidth;
    Vec g[kWhole > 9 ? kWhole : 9];
    int tap = 0;
    if (s.kw == 1 && s.kh == 3 && lanes[kWidth - 1] + kWhole - 1 <= last)
      for (; tap < kWhole; tap += kWidth) {
        for (int l = 0; l < kWidth; ++l) g[tap + l] = load(w + lanes[l] + tap);
        for (int l = 0; l < kWidth; ++l) __builtin_prefetch(w + lanes[l] + 128);
        transpose(g + tap);
      }
    for (; tap < 9; ++tap)
      for (int l = 0; l < kWidth; ++l) g[tap][l] = w[lanes[l] + tap / 3 * s.kh + tap % 3 * s.kw];
    if (rotate)
      for (int i = 0; i < 4; ++i) std::swap(g[i], g[8 - i]);
    if (scale)
      for (int i = 0; i < 9; ++i) g[i] *= *scale;
    both_axes<3, 6>(g, u, filter_1d<Vec>);
  }
};

// Where a tile's first output lies. Its 4x4 outputs and 6x6 inputs are step_h rows and step_w columns apart.
struct Place {
  int64_t y, x;
};

// The 4x4 output tiles of a plane, those of one phase of the dilation after those of another; a block is a run of tiles.
struct Grid {
  int64_t rows, cols, step_h, step_w;
  explicit Grid(const Problem& p)
      : rows(fn::ceil_div(fn::ceil_div(p.oh, p.step_h), 4)),
        cols(fn::ceil_div(fn::ceil_div(p.ow, p.step_w), 4)),
        step_h(p.step_h),
        step_w(p.step_w) {}
  int64_t tiles() const { return rows * cols * step_h * step_w; }
  Place place(int64_t tile) const {
    const int64_t phase = tile / (rows * cols), in_phase = tile % (rows * cols);
    return {phase / step_w + 4 * step_h * (in_phase / cols), phase % step_w + 4 * step_w * (in_phase % cols)};
  }
};

// Channels [begin, end) of those that a pixel has. The last whole vector of them overlaps the one before it.
struct Channels {
  int64_t begin, end;
  int64_t start(int64_t at) const { return std::max(begin, std::min(at, end - kWidth)); }
};

// v[xi][tile][c] (pitch floats between tiles) = B^T d B of the 6x6 inputs of `count` tiles, c from `of.begin` on.
// `source(t, at)` gives a tile's input plane (null: outside, zeros) and its place.
template <class Source>
void transform_input(float* v, int64_t pitch, int64_t xi_pitch, int64_t count, const Problem& p, Channels of,
                     const Source& source) {
  for (int64_t t = 0; t < count; ++t) {
    Place at;
    const float* plane = source(t, at);
    const int64_t y0 = at.y - p.pad_h, x0 = at.x - p.pad_w;
    const bool inside = plane && y0 >= 0 && x0 >= 0 && y0 + 5 * p.step_h < p.h && x0 + 5 * p.step_w < p.w;
    float* to = v + t * pitch - of.begin;
    for (int64_t next = of.begin; next < of.end; next += kWidth) {
      const int64_t c = of.start(next);
      const int lanes = static_cast<int>(std::min<int64_t>(kWidth, p.c - c));
      Vec d[36];
      if (inside && lanes == kWidth) {
        const float* from = plane + (y0 * p.w + x0) * p.c + c;
        for (int i = 0; i < 6; ++i)
          for (int j = 0; j < 6; ++j) d[i * 6 + j] = load(from + (i * p.step_h * p.w + j * p.step_w) * p.c);
      } else {
        for (int i = 0; i < 6; ++i)
          for (int j = 0; j < 6; ++j) {
            const int64_t y = y0 + i * p.step_h, x = x0 + j * p.step_w;
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

// A register tile of sums: acc = sum, or acc += sum. Sums of their own that are added at the end leave smaller rounding
// errors than sums that go on from acc.
template <int Vectors> WEFT_INLINE void put(float* acc, int64_t pitch, const Vec (&sum)[kRows][Vectors], bool add) {
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
    for (int i = 0; i < Vectors; ++i) {
      float* to = acc + r * pitch + i * kWidth;
      store(to, add ? load(to) + sum[r][i] : sum[r][i]);
    }
}

// m[kRows][Vectors of outputs] (+)= v[kRows][depth] * u[depth][kPanel].
template <int Vectors>
WEFT_INLINE void multiply(float* m, int64_t m_pitch, const float* v, int64_t v_pitch, const float* u, int64_t depth,
                          bool add) {
  Vec sum[kRows][Vectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vec row[Vectors];
    for (int i = 0; i < Vectors; ++i) row[i] = load(u + k * kPanel + i * kWidth);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r)
      for (int i = 0; i < Vectors; ++i) sum[r][i] += v[r * v_pitch + k] * row[i];
  }
  put(m, m_pitch, sum, add);
}

// y of `count` tiles = A^T m A, finished. `target(t, at)` gives the number of a tile's output plane and its place.
template <class Target>
void transform_output(float* y, const float* m, int64_t pitch, int64_t xi_pitch, int64_t count, const Problem& p,
                      Channels of, const winograd::Finish& f, const Target& target) {
  for (int64_t t = 0; t < count; ++t) {
    Place at;
    const int64_t plane = target(t, at) * p.oh * p.ow * p.o;
    const int64_t ny = std::min<int64_t>(4, fn::ceil_div(p.oh - at.y, p.step_h));
    const int64_t nx = std::min<int64_t>(4, fn::ceil_div(p.ow - at.x, p.step_w));
    for (int64_t next = of.begin; next < of.end; next += kWidth) {
      const int64_t o = of.start(next);
      const int lanes = static_cast<int>(std::min<int64_t>(kWidth, of.end - o));
      Vec in[36], out[16];
      const float* from = m + t * pitch + o - of.begin;
      for (int xi = 0; xi < 36; ++xi) in[xi] = load(from + xi * xi_pitch);
      both_axes<6, 4>(in, out, output_1d<Vec>);
      const Vec b = !f.bias ? Vec{} : lanes == kWidth ? load(f.bias + o) : load_some(f.bias + o, lanes);
      for (int64_t i = 0; i < ny; ++i)
        for (int64_t j = 0; j < nx; ++j) {
          Vec r = out[i * 4 + j] + b;
          const int64_t to_at = plane + ((at.y + i * p.step_h) * p.ow + at.x + j * p.step_w) * p.o + o;
          if (f.residual) r += lanes == kWidth ? load(f.residual + to_at) : load_some(f.residual + to_at, lanes);
          if (f.activation == Activation::relu) r = r <= 0 ? Vec{} : r;
          else if (f.activation == Activation::leaky_relu) r = r > 0 ? r : r * f.slope;
          float* to = y + to_at;
          if (lanes == kWidth) store(to, r);
          else store_some(to, r, lanes);
        }
    }
  }
}

}  // namespace weft::cpu::WEFT_ISA::wino
