// What the files of the transforms share. Not for users.
#pragma once

#include <ostream>
#include <sstream>
#include <string>

#include "weft/data/transform_functional.h"
#include "weft/data/transform_pipeline.h"

namespace weft::data::detail {

/// x sampled at `grid` ([1, H', W', 2] or [1, D', H', W', 3], f32 or f64, as grid_sample's) with zeros or `fill`
/// outside. x: [..., H, W] or [..., D, H, W] of any dtype; fill goes along the axis before these. Integers are rounded;
/// nearest keeps all bits of them.
Tensor warp(const char* op, const Tensor& x, const Tensor& grid, Interpolation mode, const Fill& fill);

/// x resampled along one axis by nearest, any dtype; exact: the element under the centre.
Tensor nearest_axis(const Tensor& x, int64_t axis, int64_t size, bool exact);
/// x resampled along one axis with the kernel of `mode` (without antialias: bilinear or bicubic). u8 or f32, CPU only.
Tensor resample_axis(const Tensor& x, int64_t axis, int64_t size, Interpolation mode, bool antialias);
/// A rectangle of a picture.
struct Part {
  int64_t top, left;
  Size size;
};
/// That part of the picture x [C, H, W] resized to `to`, the same bytes; the rest is not computed. u8, CPU, no nearest.
Tensor resize_part(const Tensor& x, Size to, const Part& part, Interpolation mode, bool antialias);

/// Points along an axis mirrored or repeated: the source of i, which may lie outside of [0, n).
int64_t mirrored(int64_t i, int64_t n, PaddingMode mode);
/// x with `lo` and `hi` elements more at the ends of an axis; not constant.
Tensor pad_axis(const Tensor& x, int64_t axis, int64_t lo, int64_t hi, PaddingMode mode);
/// `fill` as [C, 1, 1, ...] (`space` ones) of x's dtype, or one number. Error in the name of `op`.
Tensor fill_tensor(const char* op, const Fill& fill, int64_t channels, int64_t space, const TensorOptions& o);
/// Gaussian weights, which add up to 1.
Tensor gaussian_window(int64_t kernel_size, double sigma, Dtype dtype);
/// x: [..., axis, ...] of floats, blurred along an axis with reflected edges.
Tensor blur_axis(const Tensor& x, int64_t axis, int64_t kernel_size, double sigma);

/// Neighbours of a pipeline that cost less together, with the same values. False, and nothing done or drawn, for others.
bool resize_and_crop(const AnyTransform& first, const AnyTransform& second, View& v, Generator& g);
bool to_float_and_normalize(const AnyTransform& first, const AnyTransform& second, View& v);

/// Where a crop of the middle begins: half to even; in zeros, half down.
int64_t middle(int64_t have, int64_t want);

/// The picture's size; errors in the name of `op` unless image, mask and boxes belong together.
Size check_view(const char* op, const View& v);
/// Same for volumes: [D, H, W].
std::array<int64_t, 3> check_volume(const char* op, const View& v);
/// A warp's interpolation: nearest or bilinear.
void check_sampling(const char* op, Interpolation mode);
void check_spacing(const char* op, const std::array<double, 3>& spacing);
/// The fill of a mask; none for 0.
Fill mask_values(int64_t fill);
void check_probability(const char* op, double p);
void check_range(const char* op, const char* what, const Range& r, double lowest, double highest);

inline void put(std::ostream& s, bool v) { s << (v ? "true" : "false"); }
template <class T>
requires std::is_arithmetic_v<T>
void put(std::ostream& s, T v) { s << v; }
inline void put(std::ostream& s, const std::string& v) { s << v; }
template <class E> void put(std::ostream& s, const Choice<E>& v) { s << v.text(); }
inline void put(std::ostream& s, const Size& v) {
  s << '[' << v.height;
  if (v.width) s << ", " << v.width;
  s << ']';
}
inline void put(std::ostream& s, const Padding& v) {
  s << '[' << v.left << ", " << v.top << ", " << v.right << ", " << v.bottom << ']';
}
inline void put(std::ostream& s, const Range& v) { s << '[' << v.low << ", " << v.high << ']'; }
template <class List>
requires requires(const List& v) {
  v.begin();
  v.size();
}
void put(std::ostream& s, const List& v) {
  const char* between = "[";
  for (const auto& e : v) s << between << e, between = ", ";
  s << (v.size() ? "]" : "[]");
}

/// "Name(key=value, ...)" of keys and values in turns.
template <class... A> std::string described(const char* name, const A&... parts) {
  std::ostringstream s;
  s << name << '(';
  int i = 0;
  const auto part = [&](const auto& p) {
    if constexpr (std::is_convertible_v<decltype(p), const char*>) s << (i ? ", " : "") << p << '=';
    else put(s, p);
    ++i;
  };
  (part(parts), ...);
  s << ')';
  return std::move(s).str();
}

}  // namespace weft::data::detail
