// Volumes: image and mask together, axes, spacing.
#include <doctest/doctest.h>

#include <cmath>

#include "support/same_bits.h"
#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/ops/shape/stack.h"
#include "weft/data/transform.h"

using namespace weft;
using support::message_of;
using support::same_bits;

namespace transform_volume_test {
namespace {

namespace F = data::functional;

/// A volume that holds each voxel's place, and the same as its mask. 0: outside.
data::View marked(int64_t d, int64_t h, int64_t w) {
  const Tensor place = arange(1, d * h * w + 1).reshape({d, h, w});
  return {place.to(Dtype::f32).unsqueeze(0), place};
}
bool together(const data::View& v) { return same_bits(v.image[0].to(Dtype::i64), v.mask); }

template <class T> data::View applied(const T& t, data::View v, uint64_t seed = 3) {
  Generator g(seed);
  t(v, g);
  return v;
}

double most_apart(const Tensor& a, const Tensor& b) { return max(abs(a - b)).item<double>(); }

/// Smooth, of two channels.
Tensor waves(int64_t d, int64_t h, int64_t w) {
  const Tensor z = arange(d).to(Dtype::f32).reshape({d, 1, 1}), y = arange(h).to(Dtype::f32).reshape({1, h, 1}),
               x = arange(w).to(Dtype::f32).reshape({1, 1, w});
  return stack({sin(z * 0.5 + y * 0.3) + cos(x * 0.4), sin(x * 0.2) * cos(y * 0.5) + z * 0.1});
}

}  // namespace

TEST_SUITE_BEGIN("transforms of volumes");

TEST_CASE("image and mask stay together") {
  const data::View v = marked(6, 10, 10);
  for (uint64_t seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    const data::View c = applied(data::RandomCrop3d{{4, 5, 7}}, v, seed);
    CHECK_EQ(c.image.shape(), Shape{1, 4, 5, 7});
    CHECK(together(c));
    const data::View p = applied(data::RandomCrop3d{.size = {9, 5, 12}, .pad_if_needed = true}, v, seed);
    CHECK_EQ(p.mask.shape(), Shape{9, 5, 12});
    CHECK(together(p));
    CHECK(together(applied(data::CenterCrop3d{{3, 12, 10}}, v, seed)));
    CHECK(together(applied(data::Pad3d{.before = {1, 2, 3}, .behind = {0, 1, 2}, .padding_mode = "reflect"}, v, seed)));
    CHECK(together(applied(data::RandomFlip3d{}, v, seed)));
    for (const int axis : {0, 1, 2}) CHECK(together(applied(data::RandomQuarterTurns{axis}, v, seed)));
    CHECK(together(applied(data::RandomAffine3d{.degrees = {20, 10, 10},
                                                .translate = {2, 1, 1},
                                                .scale = {0.8, 1.25},
                                                .spacing = {3, 1, 1},
                                                .interpolation = "nearest"},
                           v, seed)));
    CHECK(together(applied(
        data::ElasticTransform3d{
            .alpha = {8, 8, 8}, .sigma = {2, 2, 2}, .spacing = {2, 1, 1}, .interpolation = "nearest"},
        v, seed)));
    CHECK(together(applied(data::Resize3d{.size = {9, 5, 13}, .interpolation = "nearest"}, v, seed)));
    // those of pictures take the slices alike
    CHECK(together(applied(data::RandomRotation{30}, v, seed)));
    CHECK(together(applied(data::RandomCrop{{4, 6}}, v, seed)));
    CHECK(together(applied(data::RandomHorizontalFlip{}, v, seed)));
  }
}

TEST_CASE("flips and quarter turns by axis") {
  const data::View v = marked(2, 3, 4);
  CHECK(same_bits(applied(data::RandomFlip3d{{1, 0, 0}}, v).mask, flip(v.mask, {0})));
  CHECK(same_bits(applied(data::RandomFlip3d{{0, 1, 1}}, v).mask, flip(v.mask, {1, 2})));
  CHECK(same_bits(applied(data::RandomFlip3d{{0, 0, 0}}, v).image, v.image));
  // a quarter turn of affine3d is rot90 of the plane of the other axes
  const Tensor cube = waves(5, 5, 5);
  const int64_t planes[3][2] = {{2, 3}, {1, 3}, {1, 2}};
  for (size_t axis = 0; axis < 3; ++axis) {
    CAPTURE(axis);
    F::Affine3dOptions o;
    o.degrees[axis] = 90;
    // places are known to 1e-6 voxels of slope 0.5
    CHECK(most_apart(F::affine3d(cube, o), rot90(cube, 1, {planes[axis][0], planes[axis][1]})) < 1e-5);
  }
}

TEST_CASE("about D a volume turns as its slices do") {
  const Tensor x = waves(4, 9, 12);
  F::Affine3dOptions o{.degrees = {30, 0, 0}};
  CHECK(most_apart(F::affine3d(x, o), F::rotate(x, 30, {.interpolation = "bilinear"})) < 1e-5);
}

TEST_CASE("spacing decides how far a voxel is") {
  const Tensor x = waves(6, 9, 12);
  // 4 units are one slice, and two rows
  F::Affine3dOptions o{.translate = {4, -4, 0}, .spacing = {4, 2, 1}};
  const Tensor moved = F::affine3d(x, o);
  CHECK(most_apart(moved.narrow(1, 1, 5).narrow(2, 0, 7), x.narrow(1, 0, 5).narrow(2, 2, 7)) < 1e-5);
  CHECK(max(abs(moved.narrow(1, 0, 1))).item<double>() < 1e-5);
  // one picture, sampled with twice the distance along D: a turn about W is the same in space
  const Tensor fine = sin(arange(17).to(Dtype::f32).reshape({1, 17, 1, 1}) * 0.2) +
                      cos(arange(17).to(Dtype::f32).reshape({1, 1, 17, 1}) * 0.2) + zeros({1, 17, 17, 3});
  const Tensor coarse = fine.slice(1, {}, {}, 2);
  F::Affine3dOptions turn{.degrees = {0, 0, 20}};
  const Tensor of_fine = F::affine3d(fine, turn).slice(1, {}, {}, 2);
  turn.spacing = {2, 1, 1};
  const Tensor of_coarse = F::affine3d(coarse, turn);
  // linear interpolation of curvature 0.04: 0.04 2^2 / 8 along D of one, 0.04 / 8 of the other and along H
  CHECK(most_apart(of_fine.narrow(1, 3, 3).narrow(2, 5, 7), of_coarse.narrow(1, 3, 3).narrow(2, 5, 7)) < 0.031);

  // a spacing of 3, 1, 1 becomes 1: three times the slices
  CHECK_EQ(applied(data::Resize3d{.spacing = {3, 1, 1}}, marked(4, 5, 6)).image.shape(), Shape{1, 12, 5, 6});
  CHECK_EQ(applied(data::Resize3d{.spacing = {3, 1, 1}}, marked(4, 5, 6)).mask.shape(), Shape{12, 5, 6});
  // sigma 2 in units of 4 is half a voxel along D
  const Tensor impulse = F::pad3d(ones({1, 1, 1, 1}), {8, 8, 8}, {8, 8, 8});
  const Tensor blurred = F::gaussian_blur3d(impulse, {2, 2, 0}, {4, 1, 1});
  const Tensor along_d = sum(blurred, {0, 2, 3}), along_h = sum(blurred, {0, 1, 3});
  const Tensor at = square(arange(17).to(Dtype::f32) - 8);
  CHECK(sum(along_h * at).item<double>() == doctest::Approx(4).epsilon(0.01));       // cut at 4 sigma
  CHECK(sum(along_d * at).item<double>() == doctest::Approx(0.2150).epsilon(0.01));  // of exp(-2 k^2), sampled
  // the window reaches the border, whose reflection adds 1e-4
  CHECK(sum(blurred).item<double>() == doctest::Approx(1).epsilon(1e-3));
}

TEST_CASE("resize3d is separable, and of one slice resize") {
  const Tensor x = waves(5, 12, 14);
  const Tensor y = F::resize3d(x, {5, 7, 9});
  CHECK(most_apart(y, F::resize(x, {7, 9})) < 1e-5);
  const Tensor up = F::resize3d(x, {10, 12, 14});
  CHECK(most_apart(up.narrow(1, 1, 1), x.narrow(1, 0, 1) * 0.75 + x.narrow(1, 1, 1) * 0.25) < 1e-5);
  const Tensor bytes = F::to_dtype(x * 0.2 + 0.5, Dtype::u8, true);
  CHECK(same_bits(F::resize3d(bytes, {5, 7, 9}), F::resize(bytes, {7, 9})));
}

TEST_CASE("values: gamma, noise and normalise take all channels") {
  const data::View v{rand({2, 3, 4, 5})};
  CHECK(most_apart(applied(data::RandomGamma{{2, 2}}, v).image, square(v.image)) < 1e-6);
  CHECK(most_apart(applied(data::Normalize{{0.5, 0.25}, {2, 4}}, v).image[1], (v.image[1] - 0.25) / 4) < 1e-6);
  CHECK_EQ(applied(data::GaussianNoise{}, v).image.shape(), v.image.shape());
  CHECK_EQ(applied(data::GaussianBlur3d{1}, v).image.shape(), v.image.shape());
}

TEST_CASE("bad input is told by name and value") {
  const data::View v = marked(6, 10, 10);
  const auto refused = [&](const auto& t, const data::View& w) { return message_of<Error>([&] { applied(t, w); }); };
  CHECK_EQ(refused(data::RandomCrop3d{{7, 5, 5}}, v),
           "RandomCrop3d: size [7, 5, 5] is larger than the volume, [6, 10, 10]; set pad_if_needed");
  CHECK_EQ(refused(data::RandomFlip3d{{0.5, 2, 0.5}}, v), "RandomFlip3d: p is 2; expected a probability in [0, 1]");
  CHECK_EQ(refused(data::RandomFlip3d{}, {v.image, zeros({6, 10, 9}, Dtype::i64)}),
           "RandomFlip3d: the mask is [6, 10, 9] but the image [1, 6, 10, 10]");
  CHECK_EQ(refused(data::RandomFlip3d{}, {zeros({3, 4, 4})}),
           "RandomFlip3d: expected an image [C, D, H, W], got [3, 4, 4]");
  CHECK_EQ(refused(data::RandomAffine3d{.spacing = {1, 0, 1}}, v),
           "RandomAffine3d: spacing is [1, 0, 1]; expected positive numbers");
  CHECK_EQ(refused(data::RandomQuarterTurns{3}, v), "RandomQuarterTurns: axis is 3; expected 0 (D), 1 (H) or 2 (W)");
}

TEST_SUITE_END();

}  // namespace transform_volume_test
