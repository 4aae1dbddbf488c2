// Resizing of features and sampling them at given points.
#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/tensor.h"

namespace weft {

/// How interpolate reads between elements.
enum class InterpolateMode : uint8_t {
  nearest,        ///< source floor(i scale), computed in f32 as PyTorch does
  nearest_exact,  ///< source floor((i + 0.5) scale)
  linear,         ///< 1 spatial axis
  bilinear,       ///< 2
  trilinear,      ///< 3
  bicubic,        ///< 2; Keys' kernel with A = -0.75
  area,           ///< adaptive average pooling
};
constexpr auto mode_words(InterpolateMode) {
  return make_words("interpolate: mode", "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic",
                    "area");
}
/// "nearest", "nearest-exact", "linear", ...; ValueError for anything else.
WEFT_API InterpolateMode interpolate_mode(std::string_view name);

/// One factor for all spatial axes or one for each; empty: not given.
class ScaleFactor {
 public:
  ScaleFactor() = default;
  /// One factor, or one for each spatial axis.
  ScaleFactor(double all) : v_{all} {}
  ScaleFactor(std::initializer_list<double> v) : v_(v) {}
  ScaleFactor(const std::vector<double>& v) : v_(v) {}
  /// Not given?
  bool empty() const { return v_.empty(); }
  /// Number of factors: 1 stands for all axes.
  size_t size() const { return v_.size(); }
  /// The factor of spatial axis `axis`.
  double operator[](int axis) const { return v_[v_.size() == 1 ? 0 : static_cast<size_t>(axis)]; }

 private:
  std::vector<double> v_;
};

/// Options of interpolate: either size or scale_factor.
struct InterpolateOptions {
  Shape size = {};                ///< of the result, one for all axes or one for each; either this or scale_factor
  ScaleFactor scale_factor = {};  ///< size floor(in factor); sources are scaled by 1 / factor
  Choice<InterpolateMode> mode = InterpolateMode::nearest;  ///< how it reads between elements
  std::optional<Only<bool>> align_corners =
      std::nullopt;                     ///< corners' centres fall on one another; only for linear ... bicubic
  bool recompute_scale_factor = false;  ///< scale by in / out instead
  bool antialias = false;  ///< bilinear and bicubic (with A = -0.5): shrinking widens the kernel, as in Pillow
};
/// Resizes the spatial axes of x [N, C, spatial...]; the result is stored channels-last. Errors: ValueError for size
/// and scale_factor both or neither, ShapeError for a mode that does not fit the rank.
WEFT_API Tensor interpolate(const Tensor& x, const InterpolateOptions& o);

/// The points that grid_sample takes for an affine map: grid[n, i...] = theta[n] (x, y[, z], 1)^T, where (x, y[, z]) is
/// the centre of element i in [-1, 1] (align_corners: the corners' centres are -1 and 1). theta: [N, 2, 3] and size [N,
/// C, H, W] -> [N, H, W, 2], or [N, 3, 4] and [N, C, D, H, W] -> [N, D, H, W, 3].
WEFT_API Tensor affine_grid(const Tensor& theta, const Shape& size, Only<bool> align_corners = false);

/// Options of grid_sample: how it reads between elements, and outside of x; whether -1 and 1 are the corners' centres.
struct GridSampleOptions {
  /// How grid_sample reads between elements.
  enum class Mode : uint8_t { bilinear, nearest, bicubic };
  /// What it reads outside of x: 0, the edge, or x mirrored at its edges.
  enum class Padding : uint8_t { zeros, border, reflection };
  Choice<Mode> mode = Mode::bilinear;
  Choice<Padding> padding_mode = Padding::zeros;
  bool align_corners = false;
};
constexpr auto mode_words(GridSampleOptions::Mode) {
  return make_words("grid_sample: mode", "bilinear", "nearest", "bicubic");
}
constexpr auto mode_words(GridSampleOptions::Padding) {
  return make_words("grid_sample: padding_mode", "zeros", "border", "reflection");
}
/// y[n, :, i...] = x[n] at the point grid[n, i...], whose coordinates (x, y[, z]) run over [-1, 1].
/// x: [N, C, H, W], grid: [N, H', W', 2] -> [N, C, H', W'], or [N, C, D, H, W] with [N, D', H', W', 3] (no bicubic).
/// A point that is not finite gives NaN in every mode, and x gets no gradient from there (PyTorch differs from mode to
/// mode and reads outside of x).
WEFT_API Tensor grid_sample(const Tensor& x, const Tensor& grid, const GridSampleOptions& o = {});

}  // namespace weft
