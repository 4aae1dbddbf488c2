// The functional forms against torchvision 0.29 and Pillow: the tensors of tests/golden/make_transforms.py.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "support/test_data.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/state_dict.h"
#include "weft/data/transform.h"
#include "weft/io/safetensors.h"

using namespace weft;

namespace transform_golden {
namespace {

namespace F = data::functional;
using data::Interpolation;
using data::PaddingMode;

const StateDict& golden() {
  static const StateDict all = io::load(test::data_file("golden/data/transforms/transforms.safetensors"));
  return all;
}
Tensor picture() { return golden().at("in.picture"); }
Tensor real() { return golden().at("to_float"); }
Tensor mask() { return golden().at("in.mask"); }
Tensor boxes() { return golden().at("in.boxes"); }
Tensor displacement() { return golden().at("in.displacement"); }

/// Same dtype and shape; floats within `tolerance`; integers equal, but for `off_by_one` elements.
void check(const std::string& name, const Tensor& got, double tolerance = 0, int64_t off_by_one = 0) {
  CAPTURE(name);
  const Tensor& expected = golden().at(name);
  REQUIRE_EQ(got.dtype(), expected.dtype());
  REQUIRE_EQ(got.shape(), expected.shape());
  const auto g = got.to_vector<double>(), e = expected.to_vector<double>();
  double most = 0;
  int64_t differ = 0;
  for (size_t i = 0; i < g.size(); ++i) {
    most = std::max(most, std::fabs(g[i] - e[i]));
    differ += g[i] != e[i];
  }
  if (got.is_floating()) CHECK(most <= tolerance);
  else {
    CHECK(differ <= off_by_one);
    CHECK(most <= (off_by_one ? 1 : 0));
  }
}

}  // namespace

TEST_SUITE_BEGIN("transforms golden");

// Bytes have the same fixed-point arithmetic: equal. Floats of [0, 1]: sums of up to 12 products in f32.
TEST_CASE("resize has torchvision's values, and box Pillow's") {
  const Tensor x = picture();
  check("resize_bilinear_12x17", F::resize(x, {12, 17}));
  check("resize_bilinear_31x50", F::resize(x, {31, 50}));
  check("resize_bilinear_24x11", F::resize(x, {24, 11}));
  check("resize_bilinear_9x35", F::resize(x, {9, 35}));
  check("resize_shorter_16", F::resize(x, {16}));
  check("resize_shorter_16_max_20", F::resize(x, {16}, {.max_size = 20}));
  check("resize_plain", F::resize(x, {10, 15}, {.antialias = false}));
  check("resize_nearest", F::resize(x, {12, 17}, {.interpolation = "nearest"}));
  check("resize_nearest-exact", F::resize(x, {12, 17}, {.interpolation = "nearest-exact"}));
  check("resize_bicubic", F::resize(x, {12, 17}, {.interpolation = "bicubic"}));
  check("resize_bicubic_plain", F::resize(x, {31, 50}, {.interpolation = "bicubic", .antialias = false}));
  check("resize_lanczos", F::resize(x, {12, 17}, {.interpolation = "lanczos"}));
  check("resize_box", F::resize(x, {9, 17}, {.interpolation = "box"}));
  check("real_resize_bilinear", F::resize(real(), {12, 17}), 1e-6);
  check("real_resize_bicubic", F::resize(real(), {13, 50}, {.interpolation = "bicubic"}), 1e-6);
  check("mask_resize", F::resize(mask(), {10, 50}, {.interpolation = "nearest"}));
  check("boxes_resize", F::resize_boxes(boxes(), {24, 35}, {12, 50}), 1e-5);
}

TEST_CASE("a picture stored pixel by pixel, and a batch, are resized as any other") {
  const Tensor x = picture().permute({1, 2, 0}).contiguous().permute({2, 0, 1});
  check("resize_bilinear_12x17", F::resize(x, {12, 17}));
  check("resize_bicubic", F::resize(x, {12, 17}, {.interpolation = "bicubic"}));
  const Tensor two = F::resize(picture().unsqueeze(0).expand({2, 3, 24, 35}), {12, 17});
  check("resize_bilinear_12x17", two[1]);
}

TEST_CASE("crops, padding and flips have torchvision's values") {
  const Tensor x = picture();
  check("crop", F::crop(x, 3, 5, 10, 12));
  check("crop_beyond", F::crop(x, -2, 30, 8, 9));
  check("center_crop", F::center_crop(x, {11, 14}));
  check("center_crop_larger", F::center_crop(x, {29, 20}));
  check("resized_crop", F::resized_crop(x, 3, 5, 15, 20, {8, 9}));
  check("pad_fill", F::pad(x, {1, 2, 3, 4}, {9, 8, 7}));
  check("pad_edge", F::pad(x, {4, 3, 2, 5}, {}, PaddingMode::edge));
  check("pad_reflect", F::pad(x, {4, 3, 2, 5}, {}, "reflect"));
  check("pad_symmetric", F::pad(x, {4, 3, 2, 5}, {}, "symmetric"));
  check("mask_pad", F::pad(mask(), {1, 2}, {7}));
  check("hflip", F::hflip(x));
  check("vflip", F::vflip(x));
  // f32 coordinates below 64
  check("boxes_crop", F::crop_boxes(boxes(), 3, 5, 10, 20), 1e-5);
  check("boxes_pad", F::pad_boxes(boxes(), {1, 2, 3, 4}, {24, 35}), 1e-5);
  check("boxes_hflip", F::hflip_boxes(boxes(), {24, 35}), 1e-5);
  check("boxes_vflip", F::vflip_boxes(boxes(), {24, 35}), 1e-5);
}

// Coordinates are rounded to f32 after other sums: an error of 2e-6 pixels, which moves floats by as much, and a byte
// only where its value lies within 1e-3 of a tie (one in a thousand at most).
TEST_CASE("warps have torchvision's values") {
  const Tensor x = picture();
  check("rotate_nearest", F::rotate(x, 31.7));
  check("rotate_bilinear", F::rotate(x, -58.3, {.interpolation = "bilinear"}), 0, 2);
  check("rotate_expand", F::rotate(x, 20.5, {.interpolation = "bilinear", .expand = true, .fill = {40, 80, 120}}), 0,
        4);
  check("rotate_center", F::rotate(x, 77.1, {.center = {{4.5, 6.5}}, .fill = {99}}));
  check("rotate_90", F::rotate(x, 90, {.expand = true}));
  check("rotate_180", F::rotate(x, -180));
  check("mask_rotate", F::rotate(mask(), 31.7, {.fill = {255}}));
  F::AffineOptions o{.angle = 13.3, .translate = {3, -2}, .scale = 1.27, .shear = {7.5, -4.25}};
  check("affine_nearest", F::affine(x, o));
  o.interpolation = Interpolation::bilinear;
  o.fill = {0.25, 0.5, 0.75};
  check("real_affine", F::affine(real(), o), 1e-5);
  o.fill = {};
  o.center = {{10, 20}};
  check("affine_bilinear", F::affine(x, o), 0, 2);
  check("boxes_affine", F::affine_boxes(boxes(), {24, 35}, o), 1e-4);
  check("elastic", F::elastic(x, displacement()), 0, 2);
  check("real_elastic", F::elastic(real(), displacement(), {.fill = {0.5}}), 1e-5);
  check("mask_elastic", F::elastic(mask(), displacement(), {.interpolation = "nearest"}));
  check("boxes_rotate", F::rotate_boxes(boxes(), 31.7, {24, 35}), 1e-4);
  check("boxes_rotate_expand", F::rotate_boxes(boxes(), 20.5, {24, 35}, {.expand = true}), 1e-4);
  check("boxes_elastic", F::elastic_boxes(boxes(), displacement()), 1e-4);
}

// Bytes are cut after the same roundings: equal. Floats of [0, 1] see other orders of sums.
TEST_CASE("colours have torchvision's values") {
  for (const std::string kind : {"", "real_"}) {
    const Tensor x = kind.empty() ? picture() : real();
    const double t = 1e-6;
    check(kind + "brightness_down", F::adjust_brightness(x, 0.6), t);
    check(kind + "brightness_up", F::adjust_brightness(x, 1.7), t);
    check(kind + "contrast_down", F::adjust_contrast(x, 0.45), t);
    check(kind + "contrast_up", F::adjust_contrast(x, 1.6), t);
    check(kind + "saturation_down", F::adjust_saturation(x, 0.3), t);
    check(kind + "saturation_up", F::adjust_saturation(x, 2.1), t);
    check(kind + "hue_up", F::adjust_hue(x, 0.2), t);
    check(kind + "hue_down", F::adjust_hue(x, -0.35), t);
    check(kind + "gamma_down", F::adjust_gamma(x, 0.7), t);
    check(kind + "gamma_up", F::adjust_gamma(x, 2.2, 1.1), t);
    check(kind + "grayscale", F::rgb_to_grayscale(x), t);
  }
  check("contrast_grey", F::adjust_contrast(picture().narrow(0, 0, 1), 1.6));
}

// A byte of the blur may differ where the sum of 49 products lies within 1e-5 of a tie: one in ten thousand.
TEST_CASE("blur, normalise and dtypes have torchvision's values") {
  check("blur", F::gaussian_blur(picture(), {5, 3}, {1.2, 0.8}), 0, 1);
  check("blur_7", F::gaussian_blur(picture(), 7), 0, 1);
  check("real_blur", F::gaussian_blur(real(), {5, 3}, {1.2, 0.8}), 2e-6);
  check("real_blur_7", F::gaussian_blur(real(), 7), 2e-6);
  check("normalize", F::normalize(real(), {0.4, 0.45, 0.5}, {0.3, 0.25, 0.2}), 1e-6);
  check("to_float", F::to_dtype(picture(), Dtype::f32, true), 6e-8);
  check("to_u8", F::to_dtype(pow(real(), 1.5), Dtype::u8, true), 0, 1);
}

// Values up to 300, of points that are known to 1e-6 voxels.
TEST_CASE("an affine map of a volume with spacing has grid_sample's values") {
  F::Affine3dOptions o{
      .degrees = {17, -8, 25}, .translate = {4, -1, 2}, .scale = {1.1, 0.9, 1.2}, .spacing = {4, 1, 1.5}};
  check("volume_affine", F::affine3d(golden().at("in.volume"), o), 1e-3);
  o.interpolation = "nearest";
  check("volume_affine_nearest", F::affine3d(golden().at("in.volume"), o), 0);
}

TEST_SUITE_END();

}  // namespace transform_golden
