// Rotation, affine maps and elastic deformation: points of the result are looked up in the picture.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/shape/stack.h"
#include "weft/core/factory.h"
#include "weft/data/transform_detail.h"

namespace weft::data {
namespace functional {
namespace {

/// Rows of [a b c; d e f] that takes a point of the result to one of the picture (or the other way round), both
/// counted in pixels from `center`, which counts from the middle.
std::array<double, 6> affine_matrix(const char* op, const AffineOptions& o, std::array<double, 2> center,
                                    bool inverse) {
  WEFT_CHECK(o.scale > 0, ValueError, op, ": scale is ", o.scale, "; expected a positive number");
  constexpr double kDegree = std::numbers::pi / 180;
  const double rot = o.angle * kDegree, sx = o.shear[0] * kDegree, sy = o.shear[1] * kDegree;
  const double a = std::cos(rot - sy) / std::cos(sy), b = -(a * std::tan(sx) + std::sin(rot));
  const double c = std::sin(rot - sy) / std::cos(sy), d = std::cos(rot) - c * std::tan(sx);
  const auto [cx, cy] = center;
  const double tx = cx + o.translate[0], ty = cy + o.translate[1];
  if (!inverse) {
    const double p = a * o.scale, q = b * o.scale, r = c * o.scale, s = d * o.scale;
    return {p, q, tx - p * cx - q * cy, r, s, ty - r * cx - s * cy};
  }
  const double p = d / o.scale, q = -b / o.scale, r = -c / o.scale, s = a / o.scale;  // the determinant is 1
  return {p, q, cx - p * tx - q * ty, r, s, cy - r * tx - s * ty};
}

std::array<double, 2> from_middle(const std::optional<std::array<double, 2>>& center, Size s) {
  if (!center) return {0, 0};
  return {(*center)[0] - 0.5 * static_cast<double>(s.width), (*center)[1] - 0.5 * static_cast<double>(s.height)};
}

Dtype grid_dtype(const Tensor& x) { return x.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32; }

/// Points as grid_sample's, [1, to.height, to.width, 2] in a picture of size `from`.
Tensor affine_points(const std::array<double, 6>& m, Size from, Size to, const Tensor& x) {
  Tensor grid = empty({1, to.height, to.width, 2}, Dtype::f64);
  auto* p = grid.mut_data<double>();
  const double half_w = 0.5 * static_cast<double>(from.width), half_h = 0.5 * static_cast<double>(from.height);
  for (int64_t i = 0; i < to.height; ++i)
    for (int64_t j = 0; j < to.width; ++j) {
      const double u = static_cast<double>(2 * j + 1 - to.width) / 2,
                   v = static_cast<double>(2 * i + 1 - to.height) / 2;
      *p++ = (m[0] * u + m[1] * v + m[2]) / half_w;
      *p++ = (m[3] * u + m[4] * v + m[5]) / half_h;
    }
  return grid.to(grid_dtype(x));
}

/// The size of a turned picture.
Size expanded(const std::array<double, 6>& m, Size from) {
  const double w = 0.5 * static_cast<double>(from.width), h = 0.5 * static_cast<double>(from.height);
  const auto extent = [&](double a, double b, double c, double half) {
    const double reach = std::abs(a) * w + std::abs(b) * h;
    // 1e-4 of a pixel is no pixel
    const auto cut = [](double at) { return std::trunc(at * 1e4) * 1e-4; };
    return static_cast<int64_t>(std::ceil(cut(half + c + reach)) - std::floor(cut(half + c - reach)));
  };
  return {extent(m[3], m[4], m[5], h), extent(m[0], m[1], m[2], w)};
}

/// f(x, y) of each corner, and what holds them all.
template <class F> Tensor around_corners(const char* op, const Tensor& boxes, const F& f) {
  WEFT_CHECK(boxes.rank() == 2 && boxes.size(1) == 4 && boxes.is_floating(), ShapeError, op,
             ": expected boxes [n, 4] of floats, got ", boxes.shape(), " of ", boxes.dtype());
  std::vector<double> v = boxes.to_vector<double>();
  for (size_t i = 0; i < v.size(); i += 4) {
    const double corner[4][2] = {{v[i], v[i + 1]}, {v[i + 2], v[i + 1]}, {v[i + 2], v[i + 3]}, {v[i], v[i + 3]}};
    for (const auto& c : corner) {
      const auto [x, y] = f(c[0], c[1]);
      const bool first = &c == corner;
      v[i] = first ? x : std::min(v[i], x), v[i + 1] = first ? y : std::min(v[i + 1], y);
      v[i + 2] = first ? x : std::max(v[i + 2], x), v[i + 3] = first ? y : std::max(v[i + 3], y);
    }
  }
  return tensor(v, boxes.shape()).to(boxes.options());
}

Tensor moved_boxes(const char* op, const Tensor& boxes, Size from, const AffineOptions& o, bool expand) {
  const double w = static_cast<double>(from.width), h = static_cast<double>(from.height);
  const auto center = o.center.value_or(std::array<double, 2>{0.5 * w, 0.5 * h});
  const std::array<double, 6> m = affine_matrix(op, o, center, false);
  const auto move = [&](double x, double y) {
    return std::array<double, 2>{m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]};
  };
  double left = 0, top = 0;
  Size to = from;
  if (expand) {
    left = m[2] + std::min(m[0] * w, 0.0) + std::min(m[1] * h, 0.0);
    top = m[5] + std::min(m[3] * w, 0.0) + std::min(m[4] * h, 0.0);
    to = expanded(affine_matrix(op, o, from_middle(o.center, from), true), from);
  }
  return around_corners(op, boxes, [&](double x, double y) {
    const auto [u, v] = move(x, y);
    return std::array<double, 2>{std::clamp(u - left, 0.0, static_cast<double>(to.width)),
                                 std::clamp(v - top, 0.0, static_cast<double>(to.height))};
  });
}

}  // namespace

Tensor rotate(const Tensor& x, double angle, const RotateOptions& o) {
  WEFT_CHECK(x.rank() >= 2 && x.numel() > 0, ShapeError, "rotate: expected [..., H, W], got ", x.shape());
  double turn = std::fmod(angle, 360);
  if (turn < 0) turn += 360;
  if (!o.center && std::fmod(turn, 90) == 0 && (std::fmod(turn, 180) == 0 || o.expand || x.size(-1) == x.size(-2)))
    return rot90(x, static_cast<int64_t>(turn) / 90, {-2, -1});
  const Size from{x.size(-2), x.size(-1)};
  const auto m = affine_matrix("rotate", {.angle = -turn}, from_middle(o.center, from), true);
  const Tensor grid = affine_points(m, from, o.expand ? expanded(m, from) : from, x);
  return detail::warp("rotate", x, grid, o.interpolation, o.fill);
}

Tensor rotate_boxes(const Tensor& boxes, double angle, Size from, const RotateOptions& o) {
  return moved_boxes("rotate_boxes", boxes, from, {.angle = -angle, .center = o.center}, o.expand);
}

Tensor affine(const Tensor& x, const AffineOptions& o) {
  WEFT_CHECK(x.rank() >= 2 && x.numel() > 0, ShapeError, "affine: expected [..., H, W], got ", x.shape());
  const Size from{x.size(-2), x.size(-1)};
  const auto m = affine_matrix("affine", o, from_middle(o.center, from), true);
  return detail::warp("affine", x, affine_points(m, from, from, x), o.interpolation, o.fill);
}

Tensor affine_boxes(const Tensor& boxes, Size from, const AffineOptions& o) {
  return moved_boxes("affine_boxes", boxes, from, o, false);
}

namespace {
void check_displacement(const char* op, const Tensor& displacement, Size s) {
  WEFT_CHECK(displacement.shape() == (Shape{1, s.height, s.width, 2}), ShapeError, op, ": the displacement is ",
             displacement.shape(), "; expected ", Shape{1, s.height, s.width, 2});
}
}  // namespace

Tensor elastic(const Tensor& x, const Tensor& displacement, const ElasticOptions& o) {
  WEFT_CHECK(x.rank() >= 2 && x.numel() > 0, ShapeError, "elastic: expected [..., H, W], got ", x.shape());
  const Size s{x.size(-2), x.size(-1)};
  check_displacement("elastic", displacement, s);
  const Tensor grid = affine_points({1, 0, 0, 0, 1, 0}, s, s, x) + displacement.cpu().to(grid_dtype(x));
  return detail::warp("elastic", x, grid, o.interpolation, o.fill);
}

Tensor elastic_boxes(const Tensor& boxes, const Tensor& displacement) {
  WEFT_CHECK(displacement.rank() == 4, ShapeError, "elastic_boxes: the displacement is ", displacement.shape(),
             "; expected [1, H, W, 2]");
  const Size s{displacement.size(1), displacement.size(2)};
  check_displacement("elastic_boxes", displacement, s);
  const std::vector<float> by = displacement.to_vector<float>();
  return around_corners("elastic_boxes", boxes, [&](double x, double y) {
    const auto place = [](double at, int64_t n) {
      return std::clamp(static_cast<int64_t>(std::ceil(at)), int64_t{0}, n - 1);
    };
    const int64_t j = place(x, s.width), i = place(y, s.height);
    const auto at = static_cast<size_t>(2 * (i * s.width + j));
    const auto moved = [](int64_t k, int64_t n, double d) {
      return std::clamp(static_cast<double>(k) - 0.5 * static_cast<double>(n) * d, 0.0, static_cast<double>(n));
    };
    return std::array<double, 2>{moved(j, s.width, by[at]), moved(i, s.height, by[at + 1])};
  });
}

}  // namespace functional
}  // namespace weft::data
