#include "weft/data/transform_volume.h"

#include <algorithm>
#include <cmath>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/ops/shape/stack.h"
#include "weft/core/factory.h"
#include "weft/data/transform_detail.h"

namespace weft::data {

namespace {

void check_block(const char* op, const Size3d& s, int64_t least) {
  for (const int64_t n : s)
    WEFT_CHECK(n >= least, ValueError, op, ": size is [", s[0], ", ", s[1], ", ", s[2], "]; expected ", least,
               " or more");
}

/// f(tensor) of image and mask.
template <class F> void both(View& v, const F& f) {
  if (v.image.defined()) v.image = f(v.image);
  if (v.mask.defined()) v.mask = f(v.mask);
}

void pad_both(View& v, const Size3d& before, const Size3d& behind, double fill, int64_t mask_fill,
              Choice<PaddingMode> mode) {
  if (v.image.defined()) v.image = functional::pad3d(v.image, before, behind, fill, mode);
  if (v.mask.defined()) v.mask = functional::pad3d(v.mask, before, behind, static_cast<double>(mask_fill), mode);
}

}  // namespace

void Resize3d::check() const {
  check_block("Resize3d", size, 0);
  detail::check_spacing("Resize3d", spacing);
  detail::check_spacing("Resize3d", to);
}
void Resize3d::operator()(View& v, Generator&) const {
  check();
  const OpName name("Resize3d");
  const Size3d from = detail::check_volume("Resize3d", v);
  Size3d wanted = size;
  for (size_t a = 0; a < 3; ++a)
    if (size[a] == 0) wanted[a] = std::max<int64_t>(std::llrint(static_cast<double>(from[a]) * spacing[a] / to[a]), 1);
  if (v.image.defined()) v.image = functional::resize3d(v.image, wanted, interpolation, antialias);
  if (v.mask.defined()) v.mask = functional::resize3d(v.mask, wanted, Interpolation::nearest);
}
std::string Resize3d::str() const {
  return detail::described("Resize3d", "size", size, "spacing", spacing, "to", to, "interpolation", interpolation,
                           "antialias", antialias);
}

void RandomCrop3d::check() const { check_block("RandomCrop3d", size, 1); }
void RandomCrop3d::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomCrop3d");
  const Size3d from = detail::check_volume("RandomCrop3d", v);
  Size3d before{}, behind{}, start{};
  for (size_t a = 0; a < 3; ++a) {
    const int64_t missing = std::max(size[a] - from[a], int64_t{0});
    WEFT_CHECK(pad_if_needed || missing == 0, ValueError, "RandomCrop3d: size [", size[0], ", ", size[1], ", ", size[2],
               "] is larger than the volume, [", from[0], ", ", from[1], ", ", from[2], "]; set pad_if_needed");
    before[a] = missing / 2, behind[a] = missing - missing / 2;
    start[a] = static_cast<int64_t>(g.below(static_cast<uint64_t>(from[a] + missing - size[a] + 1)));
  }
  if (behind != Size3d{}) pad_both(v, before, behind, fill, mask_fill, padding_mode);
  both(v, [&](const Tensor& x) { return functional::crop3d(x, start, size); });
}
std::string RandomCrop3d::str() const {
  return detail::described("RandomCrop3d", "size", size, "pad_if_needed", pad_if_needed, "padding_mode", padding_mode);
}

void CenterCrop3d::check() const { check_block("CenterCrop3d", size, 1); }
void CenterCrop3d::operator()(View& v, Generator&) const {
  check();
  const OpName name("CenterCrop3d");
  const Size3d from = detail::check_volume("CenterCrop3d", v);
  Size3d start{};
  for (size_t a = 0; a < 3; ++a) start[a] = detail::middle(from[a], size[a]);
  both(v, [&](const Tensor& x) { return functional::crop3d(x, start, size); });
}
std::string CenterCrop3d::str() const { return detail::described("CenterCrop3d", "size", size); }

void Pad3d::check() const {
  check_block("Pad3d", before, 0);
  check_block("Pad3d", behind, 0);
}
void Pad3d::operator()(View& v, Generator&) const {
  check();
  const OpName name("Pad3d");
  detail::check_volume("Pad3d", v);
  pad_both(v, before, behind, fill, mask_fill, padding_mode);
}
std::string Pad3d::str() const {
  return detail::described("Pad3d", "before", before, "behind", behind, "fill", fill, "mask_fill", mask_fill,
                           "padding_mode", padding_mode);
}

void RandomFlip3d::check() const {
  for (const double each : p) detail::check_probability("RandomFlip3d", each);
}
void RandomFlip3d::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomFlip3d");
  detail::check_volume("RandomFlip3d", v);
  Shape axes;
  for (size_t a = 0; a < 3; ++a)
    if (g.uniform() < p[a]) axes.push_back(static_cast<int64_t>(a) - 3);
  if (!axes.empty()) both(v, [&](const Tensor& x) { return flip(x, axes); });
}
std::string RandomFlip3d::str() const { return detail::described("RandomFlip3d", "p", p); }

void RandomQuarterTurns::check() const {
  WEFT_CHECK(axis >= 0 && axis <= 2, ValueError, "RandomQuarterTurns: axis is ", axis,
             "; expected 0 (D), 1 (H) or 2 (W)");
}
void RandomQuarterTurns::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomQuarterTurns");
  const Size3d n = detail::check_volume("RandomQuarterTurns", v);
  const int row = axis == 0 ? 1 : 0, column = axis == 2 ? 1 : 2;
  auto turns = static_cast<int64_t>(g.below(4));
  if (n[static_cast<size_t>(row)] != n[static_cast<size_t>(column)]) turns &= 2;
  if (turns) both(v, [&](const Tensor& x) { return rot90(x, turns, {row - 3, column - 3}); });
}
std::string RandomQuarterTurns::str() const { return detail::described("RandomQuarterTurns", "axis", axis); }

void RandomAffine3d::check() const {
  for (const Range& d : degrees) detail::check_range("RandomAffine3d", "degrees", d, -1e9, 1e9);
  for (const double t : translate)
    WEFT_CHECK(t >= 0, ValueError, "RandomAffine3d: translate is ", t, "; expected 0 or more");
  detail::check_range("RandomAffine3d", "scale", scale.about_one(), 1e-6, 1e6);
  detail::check_spacing("RandomAffine3d", spacing);
  detail::check_sampling("RandomAffine3d", interpolation);
}
void RandomAffine3d::operator()(View& v, Generator& g) const {
  check();
  const OpName name("RandomAffine3d");
  detail::check_volume("RandomAffine3d", v);
  functional::Affine3dOptions o{.spacing = spacing, .interpolation = interpolation, .fill = fill};
  for (size_t a = 0; a < 3; ++a) o.degrees[a] = degrees[a].draw(g), o.translate[a] = Range(translate[a]).draw(g);
  o.scale.fill(scale.about_one().draw(g));
  if (v.image.defined()) v.image = functional::affine3d(v.image, o);
  o.interpolation = Interpolation::nearest;
  o.fill = detail::mask_values(mask_fill);
  if (v.mask.defined()) v.mask = functional::affine3d(v.mask, o);
}
std::string RandomAffine3d::str() const {
  std::ostringstream angles;
  for (size_t a = 0; a < 3; ++a) angles << (a ? ", " : "["), detail::put(angles, degrees[a]);
  return detail::described("RandomAffine3d", "degrees", angles.str() + "]", "translate", translate, "scale",
                           scale.about_one(), "spacing", spacing, "interpolation", interpolation, "fill", fill,
                           "mask_fill", mask_fill);
}

void ElasticTransform3d::check() const {
  for (const double s : sigma)
    WEFT_CHECK(s >= 0, ValueError, "ElasticTransform3d: sigma is ", s, "; expected 0 or more");
  detail::check_spacing("ElasticTransform3d", spacing);
  detail::check_sampling("ElasticTransform3d", interpolation);
}
void ElasticTransform3d::operator()(View& v, Generator& g) const {
  check();
  const OpName name("ElasticTransform3d");
  const Size3d n = detail::check_volume("ElasticTransform3d", v);
  std::vector<Tensor> along;  // x, y, z
  for (const size_t a : {2, 1, 0}) {
    const Tensor noise = rand({1, n[0], n[1], n[2]}, Dtype::f32, &g) * 2 - 1;
    along.push_back(functional::gaussian_blur3d(noise, sigma, spacing) *
                    (alpha[a] / (spacing[a] * static_cast<double>(n[a]))));
  }
  const Tensor displacement = stack(along, -1);
  if (v.image.defined())
    v.image = functional::elastic3d(v.image, displacement, {.interpolation = interpolation, .fill = fill});
  const functional::ElasticOptions o{.interpolation = Interpolation::nearest, .fill = detail::mask_values(mask_fill)};
  if (v.mask.defined()) v.mask = functional::elastic3d(v.mask, displacement, o);
}
std::string ElasticTransform3d::str() const {
  return detail::described("ElasticTransform3d", "alpha", alpha, "sigma", sigma, "spacing", spacing, "interpolation",
                           interpolation, "fill", fill, "mask_fill", mask_fill);
}

void GaussianBlur3d::check() const {
  detail::check_range("GaussianBlur3d", "sigma", {sigma.around ? sigma.high : sigma.low, sigma.high}, 0, 1e6);
  detail::check_spacing("GaussianBlur3d", spacing);
}
void GaussianBlur3d::operator()(View& v, Generator& g) const {
  check();
  if (!v.image.defined()) return;
  const OpName name("GaussianBlur3d");
  detail::check_volume("GaussianBlur3d", v);
  const double drawn = Range(sigma.around ? sigma.high : sigma.low, sigma.high).draw(g);
  v.image = functional::gaussian_blur3d(v.image, {drawn, drawn, drawn}, spacing);
}
std::string GaussianBlur3d::str() const {
  const Range drawn(sigma.around ? sigma.high : sigma.low, sigma.high);
  return detail::described("GaussianBlur3d", "sigma", drawn, "spacing", spacing);
}

}  // namespace weft::data
