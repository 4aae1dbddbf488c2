#include <array>
#include <limits>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/layer/resize.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

using GridPadding = GridSampleOptions::Padding;
using GridMode = GridSampleOptions::Mode;

/// c mirrored into [low / 2, high / 2]; piecewise linear, so the slope is taken as a constant.
Tensor reflect(const Tensor& c, double twice_low, double twice_high) {
  if (twice_low == twice_high) return c * 0;
  const double low = twice_low / 2, span = (twice_high - twice_low) / 2;
  Tensor slope, offset;
  {
    NoGrad guard;
    const Tensor at = c.detach(), away = abs(at - low), side = where(lt(at, low), -1.0, 1.0).to(c.dtype());
    const Tensor flips = floor(away / span), even = eq(remainder(flips, 2), 0);
    const Tensor extra = away - flips * span;
    slope = where(even, side, neg(side));
    offset = where(even, extra, span - extra) + low - slope * at;
  }
  return slope * c + offset;
}

/// Applies the padding mode to coordinates along an axis of `size`.
Tensor padded(const Tensor& c, int64_t size, const GridSampleOptions& o) {
  if (o.padding_mode == GridPadding::zeros) return c;
  const double last = static_cast<double>(size - 1);
  if (o.padding_mode == GridPadding::border) return clamp(c, 0, last);
  const Tensor r = o.align_corners ? reflect(c, 0, 2 * last) : reflect(c, -1, 2 * last + 1);
  return clamp(r, 0, last);
}

/// One sample along one axis: whole-numbered position (may lie outside) and weight.
struct Tap {
  Tensor at, weight;  // weight undefined: 1
};

std::vector<Tap> axis_taps(const Tensor& coordinate, int64_t size, const GridSampleOptions& o) {
  const double n = static_cast<double>(size);
  const Tensor c = o.align_corners ? (coordinate + 1) * ((n - 1) / 2) : (coordinate + 1) * (n / 2) - 0.5;
  if (o.mode == GridMode::nearest) {
    const Tensor at = round(padded(c, size, o));
    // The grid's gradient is zero, not missing.
    return {{at.detach(), grad_enabled() && at.requires_grad() ? at * 0 + 1 : Tensor()}};
  }
  if (o.mode == GridMode::bilinear) {
    const Tensor p = padded(c, size, o), low = floor(p.detach()), t = p - low;
    return {{low, 1 - t}, {low + 1, t}};
  }
  // bicubic: the taps, not the point, are padded
  const Tensor low = floor(c.detach()), t = c - low;
  constexpr double a = -0.75;
  const auto near = [&](const Tensor& x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [&](const Tensor& x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  const std::array<Tensor, 4> weights{far(t + 1), near(t), near(1 - t), far(2 - t)};
  std::vector<Tap> taps;
  for (int k = 0; k < 4; ++k)
    taps.push_back({padded(low + (k - 1), size, o).detach(), weights[static_cast<size_t>(k)]});
  return taps;
}

}  // namespace

Tensor grid_sample(const Tensor& x, const Tensor& grid, const GridSampleOptions& o) {
  const OpName op("grid_sample");
  const int D = x.rank() - 2;
  WEFT_CHECK(D == 2 || D == 3, ShapeError, "input ", x.shape(), " must be [N, C, H, W] or [N, C, D, H, W]");
  WEFT_CHECK(grid.rank() == x.rank() && grid.size(0) == x.size(0) && grid.size(-1) == D, ShapeError, "grid ",
             grid.shape(), " does not fit input ", x.shape(), "; expected [", x.size(0), ", spatial..., ", D, "]");
  WEFT_CHECK(x.is_floating() && grid.dtype() == x.dtype(), DtypeError, "input is ", x.dtype(), " and grid ",
             grid.dtype(), "; expected one floating dtype");
  WEFT_CHECK(o.mode != GridMode::bicubic || D == 2, NotSupported, "bicubic is for 2 spatial axes only");
  const int64_t N = x.size(0), C = x.size(1);
  const Shape spatial = x.shape().slice(2), out = grid.shape().slice(1, D);
  const int64_t points = out.numel();
  WEFT_CHECK(spatial.numel() > 0, ShapeError, "input ", x.shape(), " has an empty spatial axis");

  std::vector<std::vector<Tap>> taps;  // slowest axis first; grid's last axis is (x, y[, z])
  for (int i = 0; i < D; ++i)
    taps.push_back(axis_taps(grid.select(-1, D - 1 - i).reshape({N, 1, points}), spatial[i], o));
  const Tensor flat = x.reshape({N, C, spatial.numel()});
  const Tensor finite = all(isfinite(grid), -1).reshape({N, 1, points});
  const size_t each = taps[0].size();
  size_t corners = 1;
  for (int i = 0; i < D; ++i) corners *= each;

  Tensor y;
  for (size_t corner = 0; corner < corners; ++corner) {
    Tensor position, inside = finite, weight;
    size_t rest = corner;
    for (int i = 0; i < D; ++i, rest /= each) {
      const Tap& tap = taps[static_cast<size_t>(i)][rest % each];
      const double last = static_cast<double>(spatial[i] - 1);
      const Tensor in = logical_and(ge(tap.at, 0), le(tap.at, last));  // false for NaN
      const Tensor index = where(in, tap.at, 0).to(Dtype::i64);
      position = position.defined() ? position * spatial[i] + index : index;
      inside = logical_and(inside, in);
      if (tap.weight.defined()) weight = weight.defined() ? weight * tap.weight : tap.weight;
    }
    Tensor v = gather(flat, 2, position.expand({N, C, points}));
    if (weight.defined()) v = v * where(inside, weight, 0);  // outside no NaN is a factor of x's gradient
    v = where(inside, v, 0);
    y = y.defined() ? y + v : v;
  }
  y = where(finite, y, std::numeric_limits<double>::quiet_NaN());
  Shape shape{N, C};
  for (int64_t s : out) shape.push_back(s);
  return y.reshape(shape);
}

Tensor affine_grid(const Tensor& theta, const Shape& size, Only<bool> align_corners) {
  const OpName op("affine_grid");
  const int D = size.size() - 2;
  WEFT_CHECK((D == 2 || D == 3) && size.slice(1).numel() > 0, ShapeError,
             "size must be [N, C, H, W] or [N, C, D, H, W] without an empty axis, got ", size);
  WEFT_CHECK(theta.is_floating(), DtypeError, "theta is ", theta.dtype(), "; expected a floating dtype");
  WEFT_CHECK((theta.shape() == Shape{size[0], D, D + 1}), ShapeError, "theta ", theta.shape(), " must be ",
             Shape{size[0], D, D + 1}, " for size ", size);
  const Shape spatial = size.slice(2);
  std::vector<Tensor> points;  // x first
  for (int i = D - 1; i >= 0; --i) {
    const int64_t n = spatial[i];
    const double reach = n == 1 ? 0 : align_corners ? 1 : static_cast<double>(n - 1) / static_cast<double>(n);
    Shape view = Shape::filled(D, 1);
    view[i] = n;
    points.push_back(linspace(-reach, reach, n, theta.options()).reshape(view).expand(spatial));
  }
  points.push_back(ones(spatial, theta.options()));
  Shape shape{size[0]};
  for (int64_t s : spatial) shape.push_back(s);
  shape.push_back(D);
  return matmul(stack(points, -1).reshape({spatial.numel(), D + 1}), theta.transpose(1, 2)).reshape(shape);
}

}  // namespace weft
