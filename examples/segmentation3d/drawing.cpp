#include "drawing.h"

#include <algorithm>

using namespace weft;

namespace {

using Colour = std::array<float, 3>;
constexpr Colour kOrange = {255, 140, 0}, kGreen = {60, 210, 90}, kBlue = {60, 130, 255}, kRed = {255, 60, 50};
constexpr int64_t kGap = 6;

/// The picture f32 [H, W, 3] moved towards a colour by `strength` f32 [H, W] of 0..1.
Tensor tint(const Tensor& picture, const Tensor& strength, const Colour& colour) {
  const Tensor s = strength.unsqueeze(2);
  return picture * (1 - s) + tensor(std::vector<float>(colour.begin(), colour.end()), Shape{3}) * s;
}

Tensor rounded(const Tensor& x) { return clamp(round(x), 0, 255).to(Dtype::u8); }

Tensor joined(const std::vector<Tensor>& pictures, int64_t axis) {
  std::vector<Tensor> all;
  for (const Tensor& p : pictures) {
    Shape gap = p.shape();
    gap[static_cast<int>(axis)] = kGap;
    if (!all.empty()) all.push_back(full(gap, 255, Dtype::u8));
    all.push_back(p);
  }
  return cat(all, axis);
}

}  // namespace

Tensor grey_picture(const Tensor& slice, double mean, double std) {
  const Tensor grey = (slice - mean) * (60 / std) + 125;
  return rounded(grey).unsqueeze(2).expand({slice.size(0), slice.size(1), 3}).contiguous();
}

Tensor draw_membranes(const Tensor& picture, const Tensor& probability) {
  // sharper than the probability, so that what is improbable leaves the picture as it is
  const Tensor strength = clamp((probability - 0.3) / 0.4, 0, 1) * 0.75;
  return rounded(tint(picture.to(Dtype::f32), strength, kOrange));
}

Tensor draw_agreement(const Tensor& picture, const Tensor& probability, const Tensor& truth) {
  const Tensor found = (probability > 0.5).to(Dtype::f32), there = truth.to(Dtype::f32);
  Tensor x = tint(picture.to(Dtype::f32), found * there * 0.6, kGreen);
  x = tint(x, (1 - found) * there * 0.7, kBlue);
  return rounded(tint(x, found * (1 - there) * 0.7, kRed));
}

Tensor beside(const std::vector<Tensor>& pictures) { return joined(pictures, 1); }
Tensor below(const std::vector<Tensor>& pictures) { return joined(pictures, 0); }

Tensor middle_of(const Tensor& x, int64_t most) {
  const int64_t h = std::min(most, x.size(0)), w = std::min(most, x.size(1));
  return x.narrow(0, (x.size(0) - h) / 2, h).narrow(1, (x.size(1) - w) / 2, w).contiguous();
}
