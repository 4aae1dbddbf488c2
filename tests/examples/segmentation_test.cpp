// The parts of the segmentation example: scenes, batches, classes, the model's file.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>

#include "../../examples/segmentation/batches.h"
#include "../../examples/segmentation/model_file.h"
#include "../../examples/segmentation/scenes.h"
#include "example_test.h"

using namespace weft;

namespace {

/// Picture and mask with the place of each pixel in both.
data::Example places(int64_t h, int64_t w) {
  std::vector<int64_t> label;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x) label.push_back((y * w + x) % 8);
  const Tensor mask = tensor(label, Shape{h, w});
  return {stack({mask, mask, mask}).to(Dtype::u8), mask};
}

}  // namespace

TEST_CASE("segmentation: a scene's number is the scene, and all classes are drawn") {
  const data::Example a = draw_scene(7, 48, 64), b = draw_scene(7, 48, 64), c = draw_scene(8, 48, 64);
  CHECK(equal(a.data, b.data));
  CHECK(equal(a.target, b.target));
  CHECK(!equal(a.data, c.data));
  CHECK(a.data.shape() == Shape({3, 48, 64}));
  Tensor counts = zeros({12}, Dtype::i64);
  for (uint64_t i = 0; i < 60; ++i) counts = counts + bincount(draw_scene(i, 48, 64).target.reshape({-1}), {}, 12);
  const std::vector<int64_t> n = counts.to_vector<int64_t>();
  for (size_t k = 0; k < 11; ++k) CHECK_MESSAGE(n[k] > 60 * 48 * 64 / 2000, camvid_classes().names[k], " ", n[k]);
}

TEST_CASE("segmentation: picture and mask are cut and flipped alike, at one place for the batch") {
  manual_seed(3);
  const MakeBatch make({.classes = 8, .ignore_index = 255, .crop = {5, 7}});
  const data::Example e = places(9, 16);
  bool flipped = false, straight = false;
  for (int i = 0; i < 20; ++i) {
    const Batch b = make({e, e, e});
    REQUIRE(b.image.shape() == Shape({3, 3, 5, 7}));
    const Tensor grey = (b.image.select(1, 0) * kStd[0] + kMean[0]) * 255.0;
    CHECK(equal(round(grey).to(Dtype::i64), b.target));
    for (int64_t n = 1; n < 3; ++n) {
      const bool same = equal(b.target[n], b.target[0]), mirrored = equal(b.target[n], flip(b.target[0], {1}));
      CHECK((same || mirrored));
      flipped = flipped || mirrored;
      straight = straight || same;
    }
    for (int64_t c = 0; c < 8; ++c)
      CHECK((b.presence[0][c].item<float>() > 0) == eq(b.target[0], c).any().item<bool>());
  }
  CHECK(flipped);
  CHECK(straight);
}

TEST_CASE("segmentation: what lies around a picture that is smaller than the piece does not count") {
  const MakeBatch make({.classes = 8, .ignore_index = 255, .crop = {6, 8}, .flip = 0});
  const Batch b = make({places(4, 8)});
  CHECK(equal(b.target[0].narrow(0, 1, 4), places(4, 8).target));
  CHECK(b.target[0][0].min().item<int64_t>() == 255);
  CHECK(b.target[0][5].min().item<int64_t>() == 255);
}

TEST_CASE("segmentation: lists of classes") {
  const Classes c = parse_classes("# two\nroad 1 2 3\n\n sky\n", "list", 255);
  CHECK(c.names == std::vector<std::string>{"road", "sky"});
  CHECK(c.palette == io::Palette{{1, 2, 3}, {128, 0, 0}});
  CHECK(c.file_palette().size() == 256);
  CHECK(class_lines(c) == "road 1 2 3\nsky 128 0 0\n");
  CHECK(message([] { parse_classes("a\nb 1 300 2\n", "list", 255); }) ==
        "list: line 2 is no class and colour: 'b 1 300 2'");
  CHECK(message([] { parse_classes("a\na\n", "list", 255); }) == "list: line 2 names the class 'a' again");
  CHECK(message([] { parse_classes("a\nb c\n", "list", 255); }).find("line 2") != std::string::npos);
  CHECK(message([] { parse_classes("a\n", "list", 255); }) == "list: has 1 classes; 2 to 256 are possible");
}

TEST_CASE("segmentation: the model's file keeps classes, and weights to f16's digits") {
  const std::string path = scratch("segmentation_model.safetensors");
  const Model model{EncNetLite({.classes = 2, .codes = 4}), parse_classes("road 1 2 3\nsky\n", "list", 255), 144};
  save_model(model, path, true, "command");
  Model back = load_model(path, "cpu");
  CHECK(back.classes.names == model.classes.names);
  CHECK(back.classes.palette == model.classes.palette);
  CHECK(back.shorter_side == 144);
  for (const auto& [key, t] : model.net.state_dict()) {
    const double error = max(abs(back.net.get(key).to(Dtype::f64) - t.to(Dtype::f64))).item<double>();
    CHECK(error <= (t.rank() > 1 ? max(abs(t)).item<double>() / 2048 : 0));  // f16 has 11 bits
  }
  EncNetLite other({.classes = 5, .codes = 4});  // all but its heads
  start_from(other, path);
  CHECK(equal(other.get("stem.0.weight"), back.net.get("stem.0.weight")));
  io::save(ones({2}), path);
  CHECK(message([&] { load_model(path, "cpu"); }).starts_with(path + ": is no model of this program"));
  std::remove(path.c_str());
}
