// Volumes without chance.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/shape/pad.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/data/transform_detail.h"
#include "weft/data/transform_volume.h"

namespace weft::data::functional {
namespace {

using Matrix = std::array<std::array<double, 3>, 3>;

std::array<int64_t, 3> space(const char* op, const Tensor& x) {
  WEFT_CHECK(x.rank() >= 3 && x.numel() > 0, ShapeError, op, ": expected [..., D, H, W], got ", x.shape());
  return {x.size(-3), x.size(-2), x.size(-1)};
}

/// Turns about W, then H, then D.
Matrix rotation(const std::array<double, 3>& degrees) {
  Matrix m{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (const size_t axis : {2, 1, 0}) {
    const double a = degrees[axis] * std::numbers::pi / 180, c = std::cos(a), s = std::sin(a);
    const size_t row = axis == 0 ? 1 : 0, column = axis == 2 ? 1 : 2;
    for (size_t k = 0; k < 3; ++k) {
      const double r = m[row][k], q = m[column][k];
      m[row][k] = c * r - s * q;
      m[column][k] = s * r + c * q;
    }
  }
  return m;
}

/// grid_sample's points [1, D, H, W, 3]: place i (from the middle, in steps) looks at `m` i + `shift`.
Tensor points(const std::array<int64_t, 3>& n, const Matrix& m, const std::array<double, 3>& shift, const Tensor& x) {
  Tensor grid = empty({1, n[0], n[1], n[2], 3}, x.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32);
  const auto middle = [](int64_t i, int64_t size) { return static_cast<double>(2 * i + 1 - size) / 2; };
  const auto fill = [&]<class T>(T* to) {
    weft::parallel_for(n[0] * n[1], std::max(kSerialBelow / n[2], int64_t{1}), [&](int64_t b, int64_t e) {
      for (int64_t r = b; r < e; ++r)
        for (int64_t k = 0; k < n[2]; ++k) {
          const double at[3] = {middle(r / n[1], n[0]), middle(r % n[1], n[1]), middle(k, n[2])};
          for (size_t a = 0; a < 3; ++a) {
            const double v = m[a][0] * at[0] + m[a][1] * at[1] + m[a][2] * at[2] + shift[a];
            to[(r * n[2] + k) * 3 + 2 - static_cast<int64_t>(a)] = static_cast<T>(2 * v / static_cast<double>(n[a]));
          }
        }
    });
  };
  if (grid.dtype() == Dtype::f64) fill(grid.mut_data<double>());
  else fill(grid.mut_data<float>());
  return grid;
}

}  // namespace

Tensor resize3d(const Tensor& x, Size3d size, Choice<Interpolation> mode, Only<bool> antialias) {
  const auto n = space("resize3d", x);
  WEFT_CHECK(size[0] > 0 && size[1] > 0 && size[2] > 0, ValueError, "resize3d: cannot make ", size[0], " x ", size[1],
             " x ", size[2], " voxels");
  if (size == n) return x;
  const Dtype d = x.dtype();
  if (mode == Interpolation::nearest || mode == Interpolation::nearest_exact) {
    Tensor y = x;
    for (const int a : {0, 1, 2})
      y = detail::nearest_axis(y, x.rank() - 3 + a, size[static_cast<size_t>(a)], mode == Interpolation::nearest_exact);
    return y;
  }
  WEFT_CHECK(antialias || mode == Interpolation::bilinear || mode == Interpolation::bicubic, ValueError,
             "resize3d: ", mode.text(), " has no form without antialias");
  WEFT_CHECK(x.is_cpu(), NotSupported, "resize3d: only for the CPU, got ", x.device());
  const NoGrad no_grad;
  Tensor y = x.detach();
  if (d != Dtype::u8) y = y.to(Dtype::f32);
  for (const int a : {2, 1, 0})
    y = detail::resample_axis(y, x.rank() - 3 + a, size[static_cast<size_t>(a)], mode, antialias);
  return (y.dtype() == d || x.is_floating() ? y : round(y)).to(d);
}

Tensor crop3d(const Tensor& x, Size3d start, Size3d size) {
  const auto n = space("crop3d", x);
  Tensor y = x;
  Shape pads;
  bool outside = false;
  for (const size_t a : {2, 1, 0}) {
    WEFT_CHECK(size[a] > 0, ValueError, "crop3d: cannot cut ", size[0], " x ", size[1], " x ", size[2], " voxels");
    const int64_t b = std::clamp(start[a], int64_t{0}, n[a]), e = std::clamp(start[a] + size[a], b, n[a]);
    y = y.narrow(static_cast<int64_t>(a) - 3, b, e - b);
    const int64_t before = std::min(b - start[a], size[a]);
    pads.push_back(before);
    pads.push_back(size[a] - (e - b) - before);
    outside = outside || e - b != size[a];
  }
  if (!outside) return y;
  if (y.numel() > 0) return weft::pad(y, pads);
  Shape shape = x.shape();
  for (int a = 0; a < 3; ++a) shape[x.rank() - 3 + a] = size[static_cast<size_t>(a)];
  return zeros(shape, x.options());
}

Tensor pad3d(const Tensor& x, Size3d before, Size3d behind, double fill, Choice<PaddingMode> mode) {
  space("pad3d", x);
  for (size_t a = 0; a < 3; ++a)
    WEFT_CHECK(before[a] >= 0 && behind[a] >= 0, ValueError, "pad3d: padding ", before[a], " and ", behind[a],
               " of an axis is negative; crop3d instead");
  if (mode == PaddingMode::constant)
    return weft::pad(x, {before[2], behind[2], before[1], behind[1], before[0], behind[0]}, PadMode::constant, fill);
  Tensor y = x;
  for (size_t a = 0; a < 3; ++a)
    y = detail::pad_axis(y, x.rank() - 3 + static_cast<int64_t>(a), before[a], behind[a], mode);
  return y;
}

Tensor affine3d(const Tensor& x, const Affine3dOptions& o) {
  const auto n = space("affine3d", x);
  detail::check_spacing("affine3d", o.spacing);
  for (const double s : o.scale) WEFT_CHECK(s > 0, ValueError, "affine3d: scale is ", s, "; expected positive numbers");
  // the inverse, from steps of the result to steps of x: 1/spacing 1/scale rotation^T (spacing i - translate)
  const Matrix turn = rotation(o.degrees);
  Matrix m{};
  std::array<double, 3> shift{};
  for (size_t a = 0; a < 3; ++a)
    for (size_t b = 0; b < 3; ++b) {
      const double v = turn[b][a] / (o.scale[a] * o.spacing[a]);
      m[a][b] = v * o.spacing[b];
      shift[a] -= v * o.translate[b];
    }
  return detail::warp("affine3d", x, points(n, m, shift, x), o.interpolation, o.fill);
}

Tensor elastic3d(const Tensor& x, const Tensor& displacement, const ElasticOptions& o) {
  const auto n = space("elastic3d", x);
  const Shape expected{1, n[0], n[1], n[2], 3};
  WEFT_CHECK(displacement.shape() == expected, ShapeError, "elastic3d: the displacement is ", displacement.shape(),
             "; expected ", expected);
  const Tensor grid = points(n, {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}, {}, x);
  return detail::warp("elastic3d", x, grid + displacement.to(grid), o.interpolation, o.fill);
}

Tensor gaussian_blur3d(const Tensor& x, std::array<double, 3> sigma, Spacing spacing) {
  const auto n = space("gaussian_blur3d", x);
  detail::check_spacing("gaussian_blur3d", spacing);
  const bool real = x.dtype() == Dtype::f32 || x.dtype() == Dtype::f64;
  Tensor y = real ? x : x.to(Dtype::f32);
  for (const size_t a : {0, 1, 2}) {
    WEFT_CHECK(sigma[a] >= 0, ValueError, "gaussian_blur3d: sigma is ", sigma[a], "; expected 0 or more");
    const double voxels = sigma[a] / spacing[a];
    const int64_t half = std::min(static_cast<int64_t>(std::ceil(4 * voxels)), n[a] - 1);
    if (half > 0) y = detail::blur_axis(y, x.rank() - 3 + static_cast<int64_t>(a), 2 * half + 1, voxels);
  }
  return real ? y : (x.is_floating() ? y : round(y)).to(x.dtype());
}

}  // namespace weft::data::functional
