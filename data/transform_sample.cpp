// Planes and volumes looked up at given points. Loops of their own: a point's place and weights serve all channels.
#include <algorithm>
#include <array>
#include <cmath>

#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/data/transform_detail.h"

namespace weft::data::detail {
namespace {

/// x: [planes, space...] and y: [planes, points], contiguous; fill: one for each plane, if there is one.
struct Sampling {
  int64_t planes, points;
  std::array<int64_t, 3> n;
};

/// The place of a point, whose coordinates are those of grid_sample (the fastest axis first), in pixels. False outside
/// of -1 < place < n, and for NaN.
template <int D, class G> bool find(const G* point, const std::array<int64_t, 3>& n, G* at) {
  bool inside = true;
  for (int a = 0; a < D; ++a) {
    const auto size = static_cast<G>(n[static_cast<size_t>(a)]);
    at[a] = ((point[D - 1 - a] + 1) * size - 1) / 2;
    inside = inside && at[a] > -1 && at[a] < size;
  }
  return inside;
}

template <int D, class T, class G>
void sample_nearest(const T* x, const G* grid, const T* fill, T* y, const Sampling& s) {
  int64_t size = 1;
  for (int a = 0; a < D; ++a) size *= s.n[static_cast<size_t>(a)];
  weft::parallel_for(s.points, std::max(kSerialBelow / s.planes, int64_t{1}), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      G at[D];
      bool inside = find<D>(grid + i * D, s.n, at);
      int64_t from = 0;
      for (int a = 0; a < D && inside; ++a) {
        const int64_t n = s.n[static_cast<size_t>(a)], k = std::llrint(at[a]);
        inside = k >= 0 && k < n;
        from = from * n + k;
      }
      for (int64_t p = 0; p < s.planes; ++p) y[p * s.points + i] = inside ? x[p * size + from] : fill ? fill[p] : T(0);
    }
  });
}

template <int D, class T, class G>
void sample_linear(const T* x, const G* grid, const G* fill, T* y, const Sampling& s) {
  int64_t size = 1;
  for (int a = 0; a < D; ++a) size *= s.n[static_cast<size_t>(a)];
  weft::parallel_for(s.points, std::max(kSerialBelow / (4 * s.planes), int64_t{1}), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      G at[D], weight[1 << D] = {}, sum = 0;
      int64_t from[1 << D] = {};
      int corners = 0;
      const bool inside = find<D>(grid + i * D, s.n, at);
      for (int c = 0; c < 1 << D && inside; ++c) {
        G w = 1;
        int64_t o = 0;
        bool here = true;
        for (int a = 0; a < D; ++a) {
          const int far = c >> (D - 1 - a) & 1;
          const G low = std::floor(at[a]);
          const int64_t n = s.n[static_cast<size_t>(a)], k = static_cast<int64_t>(low) + far;
          here = here && k >= 0 && k < n;
          w *= far ? at[a] - low : 1 - (at[a] - low);
          o = o * n + k;
        }
        if (!here) continue;
        from[corners] = o, weight[corners] = w, ++corners;
        sum += w;
      }
      for (int64_t p = 0; p < s.planes; ++p) {
        G v = 0;
        for (int c = 0; c < corners; ++c) v += weight[c] * static_cast<G>(x[p * size + from[c]]);
        if (fill) v = (v - fill[p]) * sum + fill[p];
        if constexpr (std::is_same_v<T, uint8_t>) v = std::clamp(std::nearbyint(v), G(0), G(255));
        y[p * s.points + i] = static_cast<T>(v);
      }
    }
  });
}

template <int D, class G>
void sample_any(const Tensor& x, const Tensor& grid, const Tensor& fill, Tensor& y, const Sampling& s, bool nearest) {
  const G* at = grid.data<G>();
  if (!nearest) {
    const G* f = fill.defined() ? fill.data<G>() : nullptr;
    if (x.dtype() == Dtype::u8) sample_linear<D>(x.data<uint8_t>(), at, f, y.mut_data<uint8_t>(), s);
    else sample_linear<D>(x.data<G>(), at, f, y.mut_data<G>(), s);
    return;
  }
  // copies: elements of one width are alike
  const auto copy = [&]<class T>(T) {
    sample_nearest<D>(static_cast<const T*>(x.raw_data()), at,
                      fill.defined() ? static_cast<const T*>(fill.raw_data()) : nullptr,
                      static_cast<T*>(y.mut_raw_data()), s);
  };
  switch (x.element_size()) {
    case 1: copy(uint8_t{}); break;
    case 2: copy(uint16_t{}); break;
    case 4: copy(uint32_t{}); break;
    default: copy(uint64_t{});
  }
}

}  // namespace

Tensor warp(const char* op, const Tensor& x, const Tensor& grid, Interpolation mode, const Fill& fill) {
  check_sampling(op, mode);
  const bool nearest = mode == Interpolation::nearest;
  const int space = grid.rank() - 2;
  WEFT_CHECK(x.rank() >= space && x.numel() > 0, ShapeError, op, ": expected ", space, " axes of pixels, got ",
             x.shape());
  WEFT_CHECK(x.is_cpu(), NotSupported, op, ": only for the CPU, got ", x.device());
  const Dtype d = x.dtype();
  if (!nearest && d != Dtype::u8 && d != grid.dtype()) {
    const Tensor y = warp(op, x.detach().to(grid.dtype()), grid, mode, fill);
    return (x.is_floating() ? y : round(y)).to(d);
  }
  Sampling s{1, 1, {1, 1, 1}};
  Shape shape = x.shape();
  for (int a = 0; a < space; ++a) {
    s.n[static_cast<size_t>(a)] = x.size(a - space);
    s.points *= grid.size(1 + a);
    shape[x.rank() - space + a] = grid.size(1 + a);
  }
  for (int i = 0; i < x.rank() - space; ++i) s.planes *= x.size(i);
  Tensor values;
  if (!fill.empty()) {
    const int64_t channels = x.rank() == space ? 1 : x.size(-space - 1);
    values = fill_tensor(op, fill, channels, 0, {nearest ? d : grid.dtype(), Device()});
    values = values.expand({s.planes / channels, channels}).contiguous();
  }
  const Tensor from = x.detach().contiguous(), points = grid.contiguous();
  Tensor y = empty(shape, d);
  const auto run = [&]<class G>(G) {
    if (space == 2) sample_any<2, G>(from, points, values, y, s, nearest);
    else sample_any<3, G>(from, points, values, y, s, nearest);
  };
  if (grid.dtype() == Dtype::f64) run(double{});
  else run(float{});
  return y;
}

}  // namespace weft::data::detail
