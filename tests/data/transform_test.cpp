// Pipelines: image, mask and boxes together, the same for a seed, errors with names and values, words.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "support/same_bits.h"
#include "support/says.h"
#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/data/transform.h"

using namespace weft;
using support::message_of;
using support::same_bits;
using support::says;

namespace transform_test {
namespace {

/// A picture whose channels say where each pixel comes from: its row, its column, 200.
data::View marked(int64_t h, int64_t w) {
  const Tensor rows = arange(h).reshape({h, 1}).expand({h, w}), columns = arange(w).reshape({1, w}).expand({h, w});
  data::View v;
  v.image = stack({rows, columns, full({h, w}, 200, Dtype::i64)}).to(Dtype::u8);
  v.mask = rows * 1000 + columns + 1;  // 0: not of the picture
  v.boxes = tensor({{2.0f, 3.0f, 9.0f, 8.0f}, {0.0f, 0.0f, float(w), float(h)}});
  return v;
}

/// Each pixel of the mask is the same pixel's place in the image.
bool together(const data::View& v) {
  const auto rows = v.image[0].to_vector<int64_t>(), columns = v.image[1].to_vector<int64_t>();
  const auto place = v.mask.to_vector<int64_t>();
  for (size_t i = 0; i < place.size(); ++i)
    if (place[i] != 0 && place[i] != rows[i] * 1000 + columns[i] + 1) return false;
  return true;
}

template <class T> data::View applied(const T& t, data::View v, uint64_t seed = 3) {
  Generator g(seed);
  t(v, g);
  return v;
}

template <class T> std::string refused(const T& t, data::View v) {
  return message_of<Error>([&] { applied(t, std::move(v)); });
}

}  // namespace

TEST_SUITE_BEGIN("transforms");

TEST_CASE("image and mask stay together through crops, padding, flips and nearest warps") {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    const data::View v = marked(20, 30);
    const data::View cropped = applied(data::RandomCrop{{8, 11}}, v, seed);
    CHECK_EQ(cropped.image.shape(), Shape{3, 8, 11});
    CHECK_EQ(cropped.mask.shape(), Shape{8, 11});
    CHECK(together(cropped));
    CHECK(together(applied(data::RandomCrop{.size = {40}, .pad_if_needed = true}, v, seed)));
    CHECK(together(applied(data::RandomCrop{.size = {18, 28}, .padding = 4, .padding_mode = "symmetric"},
                           {v.image, v.mask}, seed)));
    CHECK(together(applied(data::CenterCrop{{7, 25}}, v, seed)));
    const data::View padded = applied(data::RandomCrop{16, 2}, v, seed);  // a square, and padding, as in torchvision
    CHECK(padded.image.shape() == Shape{v.image.size(0), 16, 16});
    CHECK(together(applied(data::RandomHorizontalFlip{}, v, seed)));
    CHECK(together(applied(data::RandomVerticalFlip{}, v, seed)));
    CHECK(together(applied(data::RandomRotation{40}, v, seed)));
    CHECK(together(applied(data::RandomRotation{.degrees = 40, .expand = true}, v, seed)));
    CHECK(together(applied(
        data::RandomAffine{.degrees = 20, .translate = {0.2, 0.1}, .scale = {0.8, 1.3}, .shear = {5, 5}}, v, seed)));
    CHECK(together(
        applied(data::ElasticTransform{.alpha = {30, 30}, .sigma = {3, 3}, .interpolation = "nearest"}, v, seed)));
    const data::View resized = applied(data::RandomResizedCrop{.size = {16, 12}, .interpolation = "nearest"}, v, seed);
    CHECK_EQ(resized.image.shape(), Shape{3, 16, 12});
    CHECK(together(resized));
    CHECK(together(applied(
        data::ScaleJitter{.target_size = {20, 30}, .scale_range = {0.5, 2}, .interpolation = "nearest"}, v, seed)));
  }
}

TEST_CASE("boxes follow the pixels") {
  const data::View v = marked(20, 30);
  const auto box = [](const data::View& w) { return w.boxes.to_vector<float>(); };
  CHECK_EQ(box(applied(data::RandomHorizontalFlip{1}, v)), std::vector<float>{21, 3, 28, 8, 0, 0, 30, 20});
  CHECK_EQ(box(applied(data::RandomVerticalFlip{1}, v)), std::vector<float>{2, 12, 9, 17, 0, 0, 30, 20});
  CHECK_EQ(box(applied(data::CenterCrop{{10, 20}}, v)), std::vector<float>{0, 0, 4, 3, 0, 0, 20, 10});
  CHECK_EQ(box(applied(data::Pad{{1, 2}}, v)), std::vector<float>{3, 5, 10, 10, 1, 2, 31, 22});
  CHECK_EQ(box(applied(data::Resize{{40, 15}}, v)), std::vector<float>{1, 6, 4.5, 16, 0, 0, 15, 40});
  // by the picture: the first box's corner pixels, rows 3..7 and columns 2..8, lie inside after any crop
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const data::View c = applied(data::RandomCrop{{12, 15}}, v, seed);
    const auto b = box(c);
    const int64_t top = c.image[0][0][0].item<int64_t>(), left = c.image[1][0][0].item<int64_t>();
    CHECK_EQ(b[0], std::clamp(2.0f - float(left), 0.0f, 15.0f));
    CHECK_EQ(b[3], std::clamp(8.0f - float(top), 0.0f, 12.0f));
  }
}

TEST_CASE("a seed decides: the same again, another otherwise, and the image alone as with a mask") {
  const data::Compose all(data::RandomResizedCrop{.size = {16, 16}}, data::RandomHorizontalFlip{},
                          data::RandomAffine{.degrees = 10, .translate = {0.1, 0.1}}, data::ElasticTransform{},
                          data::ColorJitter{0.4, 0.4, 0.4, 0.1}, data::GaussianBlur{{3}}, data::GaussianNoise{},
                          data::ToFloat{}, data::RandomGamma{}, data::Normalize{{0.5}, {0.25}});
  const data::View v = marked(20, 30), a = applied(all, v, 7), b = applied(all, v, 7), c = applied(all, v, 8);
  CHECK(same_bits(a.image, b.image));
  CHECK(same_bits(a.mask, b.mask));
  CHECK(same_bits(a.boxes, b.boxes));
  CHECK_FALSE(same_bits(a.image, c.image));
  CHECK(same_bits(applied(all, {v.image}, 7).image, a.image));
  CHECK_EQ(a.image.dtype(), Dtype::f32);
  CHECK_EQ(a.mask.dtype(), Dtype::i64);
  CHECK(same_bits(v.image, marked(20, 30).image));  // the caller's picture is as it was
}

TEST_CASE("probabilities are kept") {
  Generator g(1);
  int flipped = 0, applied_once = 0, second = 0;
  const Tensor x = tensor({0, 1}, {1, 1, 2}, Dtype::u8);
  for (int i = 0; i < 2000; ++i) {
    data::View v{x};
    data::RandomHorizontalFlip{0.3}(v, g);
    flipped += v.image.to_vector<int>()[0];
    v.image = x;
    data::RandomApply(data::Pad{1}, 0.75)(v, g);
    applied_once += v.image.size(1) == 3;
    v.image = x;
    data::RandomChoice({data::Pad{1}, data::Pad{2}}, {1, 3})(v, g);
    second += v.image.size(1) == 5;
  }
  // three standard deviations of a share: at most 0.034
  CHECK(std::abs(flipped / 2000.0 - 0.3) < 0.034);
  CHECK(std::abs(applied_once / 2000.0 - 0.75) < 0.034);
  CHECK(std::abs(second / 2000.0 - 0.75) < 0.034);
}

TEST_CASE("noise, normalise and dtypes") {
  const data::View grey{full({3, 50, 60}, 100, Dtype::u8)};
  const Tensor noisy = applied(data::GaussianNoise{.sigma = 0.05}, grey).image.to(Dtype::f64);
  CHECK(mean(noisy).item<double>() == doctest::Approx(100).epsilon(0.005));  // 12.75 / sqrt(9000) = 0.13
  CHECK(mean(square(noisy - 100)).sqrt().item<double>() == doctest::Approx(12.75).epsilon(0.05));
  const Tensor dark = applied(data::GaussianNoise{.sigma = 1}, {zeros({1, 20, 20})}).image;
  CHECK_EQ(min(dark).item<float>(), 0.0f);
  CHECK(max(dark).item<float>() <= 1.0f);

  data::View v = applied(data::Compose(data::ToFloat{}, data::Normalize{{0.5, 0.25, 0}, {0.5, 1, 2}}), grey);
  const auto x = v.image.to_vector<double>();
  CHECK(x[0] == doctest::Approx((100 / 255.0 - 0.5) / 0.5));
  CHECK(x[3000] == doctest::Approx(100 / 255.0 - 0.25));
  CHECK(x[6000] == doctest::Approx(100 / 255.0 / 2));
  CHECK_EQ(applied(data::ToDtype{Dtype::i16, true}, grey).image.to_vector<int>()[0], 100 << 7);
}

TEST_CASE("a pipeline has the values of its transforms one by one, though some are done together") {
  Generator numbers(3);
  for (const data::Size from : {data::Size{37, 53}, data::Size{64, 21}, data::Size{12, 12}, data::Size{150, 31}})
    for (const int64_t channels : {1, 3, 4})
      for (const bool pixels : {false, true})
        for (const char* mode : {"bilinear", "bicubic", "box", "lanczos", "nearest"})
          for (const data::AnyTransform& crop :
               {data::AnyTransform(data::RandomCrop{{9, 10}}), data::AnyTransform(data::CenterCrop{{10, 9}}),
                data::AnyTransform(data::RandomCrop{{9, 10}, 2}), data::AnyTransform(data::CenterCrop{{14, 14}})}) {
            const Tensor image = randint(0, 256, {channels, from.height, from.width}, Dtype::i64, &numbers)
                                     .to(Dtype::u8);
            data::View together{pixels ? image.permute({1, 2, 0}).contiguous().permute({2, 0, 1}) : image,
                                randint(0, 5, {from.height, from.width}, Dtype::i64, &numbers),
                                tensor({{2.0f, 3.0f, 9.0f, 8.0f}})};
            data::View apart = together;
            const data::Compose all(data::Resize{{12}, mode}, crop, data::ToFloat{}, data::Normalize{{0.4}, {0.3}});
            Generator g(5), h(5);
            all(together, g);
            for (const data::AnyTransform& t : all.transforms()) t(apart, h);
            INFO(mode, " ", channels, " channels of ", from.height, " x ", from.width, crop.str());
            CHECK(same_bits(together.image, apart.image));
            CHECK(same_bits(together.mask, apart.mask));
            CHECK(same_bits(together.boxes, apart.boxes));
            CHECK(g.state() == h.state());
          }
}

TEST_CASE("functions of any kind are transforms") {
  const data::Compose all([](const Tensor& x) { return x + 1; }, [](data::View& v) { v.mask = v.mask * 2; },
                          [](data::View& v, Generator& g) { v.boxes = v.boxes + g.uniform(); },
                          data::AnyTransform("halves", [](const Tensor& x) { return x.to(Dtype::f16); }));
  const data::View v = marked(4, 5), w = applied(all, v);
  CHECK_EQ(w.image.dtype(), Dtype::f16);
  CHECK_EQ(w.image.to_vector<int>()[0], 1);
  CHECK_EQ(w.mask.to_vector<int>()[0], 2);
  CHECK(w.boxes.to_vector<float>()[0] >= 2);
  CHECK_EQ(all.str(), "Compose(\n  function,\n  function,\n  function,\n  halves\n)");
}

TEST_CASE("an example's target is the mask, the boxes or neither") {
  const data::Compose flip(data::RandomHorizontalFlip{1});
  const data::View v = marked(6, 8);
  Generator g(1);
  CHECK_EQ(flip(data::Example{v.image, v.mask}, g).target.to_vector<int>()[0], 8);
  CHECK_EQ(flip(data::Example{v.image, v.boxes}, g).target.to_vector<float>()[0], -1.0f);
  CHECK_EQ(flip(data::Example{v.image, scalar(int64_t(4))}, g).target.item<int64_t>(), 4);
  CHECK_EQ(flip(data::Example{v.image, tensor({1, 2, 3})}, g).target.to_vector<int>(), std::vector<int>{1, 2, 3});
  CHECK_FALSE(flip(data::Example{v.image}, g).target.defined());
  const std::string said = message_of<ShapeError>([&] {
    flip(data::Example{v.image, zeros({6, 7}, Dtype::i64), "street/7.png"}, g);
  });
  CHECK_EQ(said, "Compose: the mask is [6, 7] but the image [3, 6, 8]; boxes are f32 (in street/7.png)");
}

TEST_CASE("bad input and bad parameters are told by name and value") {
  const data::View v = marked(20, 30);
  says(refused(data::RandomCrop{{21, 30}}, v),
       "RandomCrop: size [21, 30] is larger than the picture with its padding, [20, 30]; set pad_if_needed");
  says(refused(data::Resize{{10, 10}}, {v.image, zeros({20, 29}, Dtype::i64)}),
       "Resize: the mask is [20, 29] but the image [3, 20, 30]");
  says(refused(data::Resize{{10, 10}}, {v.image, zeros({20, 30})}), "Resize: the mask is f32; expected integers");
  says(refused(data::Resize{{10, 10}}, {v.image, {}, zeros({2, 3})}),
       "Resize: expected boxes [n, 4] of f32, got [2, 3]");
  says(refused(data::CenterCrop{{10}}, {zeros({20, 30})}), "CenterCrop: expected an image [C, H, W]");
  says(refused(data::CenterCrop{{10}}, {}), "CenterCrop: the view has neither image nor mask");
  says(refused(data::Normalize{{0.5}, {0.5}}, v), "Normalize: expected floats, got u8; put ToFloat before it");
  says(refused(data::Normalize{{0.5, 0.5}, {0.5}}, {zeros({3, 4, 4})}), "Normalize: 2 values of mean for 3 channels");
  says(refused(data::ColorJitter{.hue = 0.1}, {zeros({2, 4, 4})}), "ColorJitter: expected 1 or 3 channels, got 2");
  says(refused(data::GaussianBlur{{9}}, {zeros({1, 4, 4})}), "GaussianBlur: kernel_size [9, 9] is too wide");
  says(refused(data::Pad{.padding = 3, .padding_mode = "edge"}, v), "Pad: padding_mode edge");
  says(refused(data::Pad{.padding = {0, 30}, .padding_mode = "reflect"}, {v.image}), "Pad: reflect by 30 and 30");

  const auto at_once = [](auto make) { return message_of<ValueError>(make); };
  says(at_once([] { data::Compose(data::RandomHorizontalFlip{1.5}); }), "RandomHorizontalFlip: p is 1.5");
  says(at_once([] { data::Compose(data::Normalize{{0.5}, {0}}); }), "Normalize: a std is 0");
  says(at_once([] { data::Compose(data::RandomCrop{}); }), "RandomCrop: size is [0, 0]; expected positive numbers");
  says(at_once([] { data::Compose(data::GaussianBlur{{4}}); }), "GaussianBlur: kernel_size is [4, 0]");
  says(at_once([] { data::Compose(data::ColorJitter{.hue = 0.6}); }), "ColorJitter: hue is [-0.6, 0.6]");
  says(at_once([] { data::Compose(data::RandomAffine{.degrees = 5, .scale = {1.2, 0.8}}); }), "RandomAffine: scale is");
  says(at_once([] { data::Compose(data::RandomRotation{.degrees = 5, .interpolation = "bicubic"}); }),
       "RandomRotation: interpolation is bicubic; expected nearest or bilinear");
  says(at_once([] { data::RandomApply(data::ToFloat{}, -0.1); }), "RandomApply: p is -0.1");
  says(at_once([] { data::RandomChoice({data::ToFloat{}}, {1, 2}); }), "RandomChoice: 2 weights for 1 transforms");
  says(message_of<ValueError>([&] { (void)data::functional::adjust_hue(v.image, 0.7); }),
       "adjust_hue: the factor is 0.7");
}

TEST_CASE("a pipeline in words") {
  std::ostringstream s;
  s << data::Compose(data::RandomCrop{{112, 144}}, data::RandomApply(data::GaussianBlur{{5}}, 0.3),
                     data::RandomHorizontalFlip{0.5}, data::ToFloat{}, data::Normalize{{0.41, 0.42}, {0.3, 0.31}});
  CHECK_EQ(s.str(),
           "Compose(\n"
           "  RandomCrop(size=[112, 144], padding=[0, 0, 0, 0], pad_if_needed=false, padding_mode=constant),\n"
           "  RandomApply(\n"
           "    GaussianBlur(kernel_size=[5, 0], sigma=[0.1, 2]),\n"
           "    p=0.3\n"
           "  ),\n"
           "  RandomHorizontalFlip(p=0.5),\n"
           "  ToFloat(),\n"
           "  Normalize(mean=[0.41, 0.42], std=[0.3, 0.31])\n"
           ")");
}

TEST_SUITE_END();

}  // namespace transform_test
