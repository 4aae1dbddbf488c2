// Crops, padding and flips, and what they do to boxes.
#include <algorithm>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/select.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/shape/pad.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/data/transform_detail.h"

namespace weft::data {
namespace detail {

int64_t mirrored(int64_t i, int64_t n, PaddingMode mode) {
  if (mode == PaddingMode::edge) return std::clamp(i, int64_t{0}, n - 1);
  const int64_t edge = mode == PaddingMode::symmetric ? 1 : 0, period = std::max(2 * (n - 1 + edge), int64_t{1});
  int64_t at = i % period;
  if (at < 0) at += period;
  return at < n ? at : period - edge - at;
}

Tensor pad_axis(const Tensor& x, int64_t axis, int64_t lo, int64_t hi, PaddingMode mode) {
  if (lo == 0 && hi == 0) return x;
  const int64_t n = x.size(axis);
  WEFT_CHECK(mode != PaddingMode::reflect || (lo < n && hi < n), ValueError, "pad: reflect by ", lo, " and ", hi,
             " needs an axis that is longer, got ", n);
  std::vector<int64_t> from;
  for (int64_t i = -lo; i < n + hi; ++i) from.push_back(mirrored(i, n, mode));
  return index_select(x, axis, tensor(from).to(x.device()));
}

Tensor fill_tensor(const char* op, const Fill& fill, int64_t channels, int64_t space, const TensorOptions& o) {
  const auto n = static_cast<int64_t>(fill.size());
  WEFT_CHECK(n == 1 || n == channels, ValueError, op, ": ", n, " fill values for ", channels, " channels");
  Shape shape{n};
  for (int64_t i = 0; i < space; ++i) shape.push_back(1);
  return tensor(fill, shape, Dtype::f64).to(o);
}

int64_t middle(int64_t have, int64_t want) {
  if (want > have) return -((want - have) / 2);
  const int64_t half = (have - want) / 2;
  return half + ((have - want) % 2 && half % 2);
}

namespace {

/// f(corners of each box) of [n, 4]. On the CPU: a handful of numbers.
template <class F> Tensor each_box(const char* op, const Tensor& boxes, const F& f) {
  WEFT_CHECK(boxes.rank() == 2 && boxes.size(1) == 4 && boxes.is_floating(), ShapeError, op,
             ": expected boxes [n, 4] of floats, got ", boxes.shape(), " of ", boxes.dtype());
  std::vector<float> v = boxes.to_vector<float>();
  for (size_t i = 0; i < v.size(); i += 4) f(v.data() + i);
  return tensor(v, boxes.shape()).to(boxes.options());
}

void clamp_box(float* box, Size to) {
  for (const int i : {0, 1, 2, 3}) box[i] = std::clamp(box[i], 0.0f, static_cast<float>(i % 2 ? to.height : to.width));
}

}  // namespace
}  // namespace detail

namespace functional {

Tensor resize_boxes(const Tensor& boxes, Size from, Size to) {
  const auto w = static_cast<float>(static_cast<double>(to.width) / static_cast<double>(from.width));
  const auto h = static_cast<float>(static_cast<double>(to.height) / static_cast<double>(from.height));
  return detail::each_box("resize_boxes", boxes, [&](float* b) {
    for (const int i : {0, 2}) b[i] *= w, b[i + 1] *= h;
  });
}

Tensor crop(const Tensor& x, int64_t top, int64_t left, int64_t height, int64_t width) {
  WEFT_CHECK(x.rank() >= 2, ShapeError, "crop: expected [..., H, W], got ", x.shape());
  WEFT_CHECK(height > 0 && width > 0, ValueError, "crop: cannot cut ", height, " x ", width, " pixels");
  const int64_t h = x.size(-2), w = x.size(-1), y0 = std::clamp(top, int64_t{0}, h),
                x0 = std::clamp(left, int64_t{0}, w);
  const int64_t y1 = std::clamp(top + height, y0, h), x1 = std::clamp(left + width, x0, w);
  const Tensor inside = x.narrow(-2, y0, y1 - y0).narrow(-1, x0, x1 - x0);
  if (y1 - y0 == height && x1 - x0 == width) return inside;
  if (inside.numel() == 0) {
    Shape shape = x.shape();
    shape[x.rank() - 2] = height;
    shape[x.rank() - 1] = width;
    return zeros(shape, x.options());
  }
  return weft::pad(inside, {x0 - left, left + width - x1, y0 - top, top + height - y1});
}

Tensor crop_boxes(const Tensor& boxes, int64_t top, int64_t left, int64_t height, int64_t width) {
  return detail::each_box("crop_boxes", boxes, [&](float* b) {
    for (const int i : {0, 2}) b[i] -= static_cast<float>(left), b[i + 1] -= static_cast<float>(top);
    detail::clamp_box(b, {height, width});
  });
}

Tensor center_crop(const Tensor& x, Size size) {
  WEFT_CHECK(x.rank() >= 2, ShapeError, "center_crop: expected [..., H, W], got ", x.shape());
  const int64_t width = size.width ? size.width : size.height;
  return crop(x, detail::middle(x.size(-2), size.height), detail::middle(x.size(-1), width), size.height, width);
}

Tensor resized_crop(const Tensor& x, int64_t top, int64_t left, int64_t height, int64_t width, Size size,
                    const ResizeOptions& o) {
  return resize(crop(x, top, left, height, width), size, o);
}

Tensor pad(const Tensor& x, const Padding& p, const Fill& fill, Choice<PaddingMode> mode) {
  WEFT_CHECK(x.rank() >= 2, ShapeError, "pad: expected [..., H, W], got ", x.shape());
  WEFT_CHECK(p.left >= 0 && p.top >= 0 && p.right >= 0 && p.bottom >= 0, ValueError, "pad: padding [", p.left, ", ",
             p.top, ", ", p.right, ", ", p.bottom, "] is negative; crop instead");
  if (mode != PaddingMode::constant) {
    WEFT_CHECK(fill.size() <= 1, ValueError, "pad: ", fill.size(), " fill values are for constant, not for ",
               mode.text());
    return detail::pad_axis(detail::pad_axis(x, x.rank() - 1, p.left, p.right, mode), x.rank() - 2, p.top, p.bottom,
                            mode);
  }
  const Shape pads{p.left, p.right, p.top, p.bottom};
  if (fill.size() <= 1) return weft::pad(x, pads, PadMode::constant, fill.empty() ? 0 : fill[0]);
  const Tensor values = detail::fill_tensor("pad", fill, x.rank() == 2 ? 1 : x.size(-3), 2, x.options());
  const Tensor inside = weft::pad(ones({x.size(-2), x.size(-1)}, x.options()), pads) != 0;
  return where(inside, weft::pad(x, pads), values);
}

Tensor pad_boxes(const Tensor& boxes, const Padding& p, Size from) {
  return detail::each_box("pad_boxes", boxes, [&](float* b) {
    for (const int i : {0, 2}) b[i] += static_cast<float>(p.left), b[i + 1] += static_cast<float>(p.top);
    detail::clamp_box(b, {from.height + p.top + p.bottom, from.width + p.left + p.right});
  });
}

Tensor horizontal_flip(const Tensor& x) { return flip(x, {-1}); }
Tensor vertical_flip(const Tensor& x) { return flip(x, {-2}); }

Tensor hflip_boxes(const Tensor& boxes, Size from) {
  const auto w = static_cast<float>(from.width);
  return detail::each_box("hflip_boxes", boxes, [&](float* b) {
    const float left = w - b[2];
    b[2] = w - b[0];
    b[0] = left;
  });
}
Tensor vflip_boxes(const Tensor& boxes, Size from) {
  const auto h = static_cast<float>(from.height);
  return detail::each_box("vflip_boxes", boxes, [&](float* b) {
    const float top = h - b[3];
    b[3] = h - b[1];
    b[1] = top;
  });
}

}  // namespace functional
}  // namespace weft::data
