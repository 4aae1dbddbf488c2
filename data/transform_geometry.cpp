#include "weft/data/transform_geometry.h"

#include <algorithm>
#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/data/transform_detail.h"

namespace weft::data {

namespace {

constexpr double kAny = 1e9;

void check_size(const char* op, Size s, bool one_number) {
  WEFT_CHECK(s.height > 0 && (s.width > 0 || (one_number && s.width == 0)), ValueError, op, ": size is [", s.height,
             ", ", s.width, "]; expected positive numbers");
}

Size square(Size s) { return {s.height, s.width ? s.width : s.height}; }

void resize_view(View& v, Size from, Size to, Choice<Interpolation> interpolation, bool antialias) {
  if (v.image.defined())
    v.image = functional::resize(v.image, to, {.interpolation = interpolation, .antialias = antialias});
  if (v.mask.defined()) v.mask = functional::resize(v.mask, to, {.interpolation = Interpolation::nearest});
  if (v.boxes.defined()) v.boxes = functional::resize_boxes(v.boxes, from, to);
}

void crop_view(View& v, int64_t top, int64_t left, Size s) {
  if (v.image.defined()) v.image = functional::crop(v.image, top, left, s.height, s.width);
  if (v.mask.defined()) v.mask = functional::crop(v.mask, top, left, s.height, s.width);
  if (v.boxes.defined()) v.boxes = functional::crop_boxes(v.boxes, top, left, s.height, s.width);
}

void pad_view(const char* op, View& v, Size from, const Padding& padding, const Fill& fill, int64_t mask_fill,
              Choice<PaddingMode> mode) {
  WEFT_CHECK(!v.boxes.defined() || mode == PaddingMode::constant, NotSupported, op, ": padding_mode ", mode.text(),
             " would show objects that have no box; expected constant");
  if (v.image.defined()) v.image = functional::pad(v.image, padding, fill, mode);
  if (v.mask.defined()) v.mask = functional::pad(v.mask, padding, {static_cast<double>(mask_fill)}, mode);
  if (v.boxes.defined()) v.boxes = functional::pad_boxes(v.boxes, padding, from);
}

}  // namespace

void Resize::check() const {
  check_size("Resize", size, true);
  WEFT_CHECK(!max_size || size.width == 0, ValueError, "Resize: max_size ", max_size.value_or(0),
             " is for one number, the shorter side, but the size is [", size.height, ", ", size.width, "]");
}
void Resize::operator()(View& v, Generator&) const {
  check();
  const OpName name("Resize");
  const Size from = detail::check_view("Resize", v);
  resize_view(v, from, functional::resized(from, size, max_size), interpolation, antialias);
}
std::string Resize::str() const {
  return detail::described("Resize", "size", size, "interpolation", interpolation, "antialias", antialias);
}

void ScaleJitter::check() const {
  check_size("ScaleJitter", target_size, false);
  detail::check_range("ScaleJitter", "scale_range", scale_range, 1e-6, 1e6);
}
void ScaleJitter::operator()(View& v, Generator& g) const {
  check();
  const OpName name("ScaleJitter");
  const Size from = detail::check_view("ScaleJitter", v);
  const auto w = static_cast<double>(from.width), h = static_cast<double>(from.height);
  const double r = std::min(static_cast<double>(target_size.height) / h, static_cast<double>(target_size.width) / w) *
                   scale_range.draw(g);
  const Size to{std::max(static_cast<int64_t>(h * r), int64_t{1}), std::max(static_cast<int64_t>(w * r), int64_t{1})};
  resize_view(v, from, to, interpolation, antialias);
}
std::string ScaleJitter::str() const {
  return detail::described("ScaleJitter", "target_size", target_size, "scale_range", scale_range, "interpolation",
                           interpolation, "antialias", antialias);
}

void RandomResizedCrop::check() const {
  check_size("RandomResizedCrop", size, true);
  detail::check_range("RandomResizedCrop", "scale", scale, 1e-9, 1);
  detail::check_range("RandomResizedCrop", "ratio", ratio, 1e-6, 1e6);
}
void RandomResizedCrop::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomResizedCrop");
  const Size from = detail::check_view("RandomResizedCrop", v);
  const auto width = static_cast<double>(from.width), height = static_cast<double>(from.height);
  const Range log_ratio{std::log(ratio.low), std::log(ratio.high)};
  Size s;
  int64_t top = -1, left = -1;
  for (int i = 0; i < 10 && top < 0; ++i) {
    const double area = width * height * scale.draw(g), aspect = std::exp(log_ratio.draw(g));
    s = {std::llrint(std::sqrt(area / aspect)), std::llrint(std::sqrt(area * aspect))};
    if (s.height < 1 || s.height > from.height || s.width < 1 || s.width > from.width) continue;
    top = static_cast<int64_t>(g.below(static_cast<uint64_t>(from.height - s.height + 1)));
    left = static_cast<int64_t>(g.below(static_cast<uint64_t>(from.width - s.width + 1)));
  }
  if (top < 0) {
    s = from;
    if (width / height < ratio.low) s.height = std::max(std::llrint(width / ratio.low), 1LL);
    else if (width / height > ratio.high) s.width = std::max(std::llrint(height * ratio.high), 1LL);
    top = (from.height - s.height) / 2, left = (from.width - s.width) / 2;
  }
  crop_view(v, top, left, s);
  resize_view(v, s, square(size), interpolation, antialias);
}
std::string RandomResizedCrop::str() const {
  return detail::described("RandomResizedCrop", "size", size, "scale", scale, "ratio", ratio, "interpolation",
                           interpolation, "antialias", antialias);
}

void RandomCrop::check() const {
  check_size("RandomCrop", size, true);
  WEFT_CHECK(fill.size() <= 1 || padding_mode == PaddingMode::constant, ValueError, "RandomCrop: ", fill.size(),
             " fill values are for constant, not for ", padding_mode.text());
}
void RandomCrop::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomCrop");
  const Size from = detail::check_view("RandomCrop", v), to = square(size);
  Padding p = padding;
  Size all{from.height + p.top + p.bottom, from.width + p.left + p.right};
  if (const int64_t missing = to.height - all.height; pad_if_needed && missing > 0)
    p.top += missing, p.bottom += missing, all.height += 2 * missing;
  if (const int64_t missing = to.width - all.width; pad_if_needed && missing > 0)
    p.left += missing, p.right += missing, all.width += 2 * missing;
  WEFT_CHECK(all.height >= to.height && all.width >= to.width, ValueError, "RandomCrop: size [", to.height, ", ",
             to.width, "] is larger than the picture with its padding, [", all.height, ", ", all.width,
             "]; set pad_if_needed");
  if (p.left || p.top || p.right || p.bottom) pad_view("RandomCrop", v, from, p, fill, mask_fill, padding_mode);
  const auto top = static_cast<int64_t>(g.below(static_cast<uint64_t>(all.height - to.height + 1)));
  const auto left = static_cast<int64_t>(g.below(static_cast<uint64_t>(all.width - to.width + 1)));
  if (all != to) crop_view(v, top, left, to);
}
std::string RandomCrop::str() const {
  return detail::described("RandomCrop", "size", size, "padding", padding, "pad_if_needed", pad_if_needed,
                           "padding_mode", padding_mode);
}

void CenterCrop::check() const { check_size("CenterCrop", size, true); }
void CenterCrop::operator()(View& v, Generator&) const {
  check();
  const OpName name("CenterCrop");
  const Size from = detail::check_view("CenterCrop", v), to = square(size);
  crop_view(v, detail::middle(from.height, to.height), detail::middle(from.width, to.width), to);
}
bool detail::resize_and_crop(const AnyTransform& first, const AnyTransform& second, View& v, Generator& g) {
  const Resize* resize = first.as<Resize>();
  if (!resize || !v.image.defined() || v.image.rank() != 3 || v.image.dtype() != Dtype::u8 || !v.image.is_cpu())
    return false;
  const Interpolation mode = resize->interpolation;
  if (mode == Interpolation::nearest || mode == Interpolation::nearest_exact) return false;
  if (!resize->antialias && mode != Interpolation::bilinear && mode != Interpolation::bicubic) return false;
  const Size from = check_view("Resize", v), to = functional::resized(from, resize->size, resize->max_size);
  if (to.height < 1 || to.width < 1) return false;  // Resize says so
  const auto* random = second.as<RandomCrop>();
  const auto* middle_crop = second.as<CenterCrop>();
  if (random) {
    const Padding& p = random->padding;
    if (p.left || p.top || p.right || p.bottom) return false;
  } else if (!middle_crop) {
    return false;
  }
  Part part{0, 0, square(random ? random->size : middle_crop->size)};
  if (part.size.height > to.height || part.size.width > to.width) return false;
  if (random) {
    part.top = static_cast<int64_t>(g.below(static_cast<uint64_t>(to.height - part.size.height + 1)));
    part.left = static_cast<int64_t>(g.below(static_cast<uint64_t>(to.width - part.size.width + 1)));
  } else {
    part.top = middle(to.height, part.size.height), part.left = middle(to.width, part.size.width);
  }
  View rest{{}, v.mask, v.boxes};
  resize_view(rest, from, to, mode, resize->antialias);
  crop_view(rest, part.top, part.left, part.size);
  v = {resize_part(v.image.detach(), to, part, mode, resize->antialias), rest.mask, rest.boxes};
  return true;
}
std::string CenterCrop::str() const { return detail::described("CenterCrop", "size", size); }

void Pad::check() const {
  WEFT_CHECK(padding.left >= 0 && padding.top >= 0 && padding.right >= 0 && padding.bottom >= 0, ValueError,
             "Pad: padding [", padding.left, ", ", padding.top, ", ", padding.right, ", ", padding.bottom,
             "] is negative");
  WEFT_CHECK(fill.size() <= 1 || padding_mode == PaddingMode::constant, ValueError, "Pad: ", fill.size(),
             " fill values are for constant, not for ", padding_mode.text());
}
void Pad::operator()(View& v, Generator&) const {
  check();
  const OpName name("Pad");
  pad_view("Pad", v, detail::check_view("Pad", v), padding, fill, mask_fill, padding_mode);
}
std::string Pad::str() const {
  return detail::described("Pad", "padding", padding, "fill", fill, "mask_fill", mask_fill, "padding_mode",
                           padding_mode);
}

void RandomHorizontalFlip::check() const { detail::check_probability("RandomHorizontalFlip", p); }
void RandomHorizontalFlip::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomHorizontalFlip");
  const Size from = detail::check_view("RandomHorizontalFlip", v);
  if (g.uniform() >= p) return;
  if (v.image.defined()) v.image = functional::horizontal_flip(v.image);
  if (v.mask.defined()) v.mask = functional::horizontal_flip(v.mask);
  if (v.boxes.defined()) v.boxes = functional::hflip_boxes(v.boxes, from);
}
std::string RandomHorizontalFlip::str() const { return detail::described("RandomHorizontalFlip", "p", p); }

void RandomVerticalFlip::check() const { detail::check_probability("RandomVerticalFlip", p); }
void RandomVerticalFlip::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomVerticalFlip");
  const Size from = detail::check_view("RandomVerticalFlip", v);
  if (g.uniform() >= p) return;
  if (v.image.defined()) v.image = functional::vertical_flip(v.image);
  if (v.mask.defined()) v.mask = functional::vertical_flip(v.mask);
  if (v.boxes.defined()) v.boxes = functional::vflip_boxes(v.boxes, from);
}
std::string RandomVerticalFlip::str() const { return detail::described("RandomVerticalFlip", "p", p); }

void RandomRotation::check() const {
  detail::check_range("RandomRotation", "degrees", degrees, -kAny, kAny);
  detail::check_sampling("RandomRotation", interpolation);
}
void RandomRotation::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomRotation");
  const Size from = detail::check_view("RandomRotation", v);
  const double angle = degrees.draw(g);
  functional::RotateOptions o{.interpolation = interpolation, .expand = expand, .center = center, .fill = fill};
  if (v.boxes.defined()) v.boxes = functional::rotate_boxes(v.boxes, angle, from, o);
  if (v.image.defined()) v.image = functional::rotate(v.image, angle, o);
  o.interpolation = Interpolation::nearest;
  o.fill = detail::mask_values(mask_fill);
  if (v.mask.defined()) v.mask = functional::rotate(v.mask, angle, o);
}
std::string RandomRotation::str() const {
  return detail::described("RandomRotation", "degrees", degrees, "interpolation", interpolation, "expand", expand,
                           "fill", fill, "mask_fill", mask_fill);
}

void RandomAffine::check() const {
  detail::check_range("RandomAffine", "degrees", degrees, -kAny, kAny);
  detail::check_range("RandomAffine", "scale", scale.about_one(), 1e-6, 1e6);
  for (const double t : translate)
    WEFT_CHECK(t >= 0 && t <= 1, ValueError, "RandomAffine: translate is ", t,
               "; expected parts of the side in [0, 1]");
  for (const Range& s : shear) detail::check_range("RandomAffine", "shear", s, -89, 89);
  detail::check_sampling("RandomAffine", interpolation);
}
void RandomAffine::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomAffine");
  const Size from = detail::check_view("RandomAffine", v);
  const auto pixels = [&](double part, int64_t n) {
    const double most = part * static_cast<double>(n);
    return std::nearbyint(Range(-most, most).draw(g));
  };
  functional::AffineOptions o{.interpolation = interpolation, .fill = fill, .center = center};
  o.angle = degrees.draw(g);
  o.translate = {pixels(translate[0], from.width), pixels(translate[1], from.height)};
  o.scale = scale.about_one().draw(g);
  o.shear = {shear[0].draw(g), shear[1].draw(g)};
  if (v.boxes.defined()) v.boxes = functional::affine_boxes(v.boxes, from, o);
  if (v.image.defined()) v.image = functional::affine(v.image, o);
  o.interpolation = Interpolation::nearest;
  o.fill = detail::mask_values(mask_fill);
  if (v.mask.defined()) v.mask = functional::affine(v.mask, o);
}
std::string RandomAffine::str() const {
  std::ostringstream angles;
  detail::put(angles, shear[0]), angles << ", ", detail::put(angles, shear[1]);
  return detail::described("RandomAffine", "degrees", degrees, "translate", translate, "scale", scale.about_one(),
                           "shear", angles.str(), "interpolation", interpolation, "fill", fill, "mask_fill", mask_fill);
}

void ElasticTransform::check() const {
  for (const double s : sigma)
    WEFT_CHECK(s >= 0 && s < 1e4, ValueError, "ElasticTransform: sigma is ", s, "; expected pixels, not negative");
  detail::check_sampling("ElasticTransform", interpolation);
}
void ElasticTransform::operator()(View& v, Generator& g) const {
  check();
  const OpName name("ElasticTransform");
  const Size s = detail::check_view("ElasticTransform", v);
  const auto noise = [&](double a, double window_sigma, int64_t side) {
    Tensor d = rand({1, 1, s.height, s.width}, Dtype::f32, &g) * 2 - 1;
    // odd, and no wider than reflection allows
    const auto window = [&](int64_t n) { return std::min(static_cast<int64_t>(8 * window_sigma + 1) | 1, 2 * n - 1); };
    if (window_sigma > 0) {
      if (sigma[1] > 0) d = detail::blur_axis(d, 2, window(s.height), sigma[1]);
      if (sigma[0] > 0) d = detail::blur_axis(d, 3, window(s.width), sigma[0]);
    }
    return (d * (a / static_cast<double>(side))).reshape({1, s.height, s.width});
  };
  const Tensor dx = noise(alpha[0], sigma[0], s.width), dy = noise(alpha[1], sigma[1], s.height);
  const Tensor displacement = stack({dx, dy}, -1);
  if (v.boxes.defined()) v.boxes = functional::elastic_boxes(v.boxes, displacement);
  if (v.image.defined())
    v.image = functional::elastic(v.image, displacement, {.interpolation = interpolation, .fill = fill});
  const functional::ElasticOptions o{.interpolation = Interpolation::nearest, .fill = detail::mask_values(mask_fill)};
  if (v.mask.defined()) v.mask = functional::elastic(v.mask, displacement, o);
}
std::string ElasticTransform::str() const {
  return detail::described("ElasticTransform", "alpha", alpha, "sigma", sigma, "interpolation", interpolation, "fill",
                           fill, "mask_fill", mask_fill);
}

}  // namespace weft::data
