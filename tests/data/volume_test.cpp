// Patches of volumes: where the grid lies, what random ones hold.
#include "weft/data/volume.h"

#include <set>

#include "io/io_test.h"
#include "support/ops.h"
#include "support/throws.h"

using namespace io_test;
using support::message_of;

static_assert(data::RandomDataset<data::VolumePatches>);

TEST_SUITE_BEGIN("volume patches");

TEST_CASE("VolumePatches: a grid covers the volume, its last patches end with it") {
  const Tensor volume = arange(5 * 6 * 7).reshape({5, 6, 7}), labels = (volume % 3).to(Dtype::u8);
  const data::VolumePatches grid(volume, labels, {.size = {2, 6, 3}});
  CHECK_EQ(grid.size(), 3 * 1 * 3);
  Generator g(1);
  Tensor seen = zeros({5, 6, 7}, Dtype::i64);
  for (int64_t i = 0; i < grid.size(); ++i) {
    const Shape at = grid.start(i);
    const data::Example e = grid.get(i, g);
    auto cut = [&](const Tensor& x) { return x.narrow(0, at[0], 2).narrow(1, at[1], 6).narrow(2, at[2], 3); };
    CHECK(identical(e.data, cut(volume).unsqueeze(0)));
    CHECK(identical(e.target, cut(labels).to(Dtype::i64)));
    CHECK(e.data.is_contiguous());
    cut(seen).fill_(1);
  }
  CHECK_EQ(seen.sum().item<int64_t>(), seen.numel());
  CHECK_EQ(g.state(), Generator(1).state());
  CHECK_EQ(grid.start(8), Shape{3, 0, 4});
  CHECK_EQ(grid.get(8, g).name, "patch at [3, 0, 4]");
  // Half of a window apart
  const data::VolumePatches dense(zeros({2, 1, 1, 150}), {}, {.size = {1, 1, 64}, .stride = {1, 1, 48}});
  CHECK_EQ(dense.size(), 3);
  CHECK_EQ(dense.start(1), Shape{0, 0, 48});
  CHECK_EQ(dense.start(2), Shape{0, 0, 86});
  CHECK_EQ(dense.get(2, g).data.shape(), Shape{2, 1, 1, 64});
  CHECK_FALSE(dense.get(2, g).target.defined());
}

TEST_CASE("VolumePatches: random ones reach every place, the same for the same numbers") {
  const Tensor volume = arange(3 * 4).reshape({1, 3, 4});
  const data::VolumePatches patches(volume, {}, {.size = {1, 2, 2}, .count = 100});
  std::set<int64_t> corners;
  Generator g(7), h(7);
  for (int64_t i = 0; i < patches.size(); ++i) {
    const Tensor x = patches.get(i, g).data;
    CHECK(identical(x, patches.get(i, h).data));
    corners.insert(x.to_vector<int64_t>()[0]);
  }
  CHECK_EQ(corners, std::set<int64_t>{0, 1, 2, 4, 5, 6});
  CHECK_THROWS_AS((void)patches.start(0), ValueError);
  CHECK_THROWS_AS((void)patches.get(100, g), ValueError);
}

TEST_CASE("VolumePatches: around classes in turn, each of their voxels as often") {
  Tensor labels = zeros({4, 9, 9}, Dtype::u8);
  labels.select(0, 1).select(0, 4).select(0, 4).fill_(2);
  labels.select(0, 2).select(0, 0).select(0, 8).fill_(2);
  const Tensor volume = arange(labels.numel()).reshape(labels.shape());
  const data::VolumePatches patches(volume, labels, {.size = {1, 3, 3}, .count = 400, .around = {2, -1}});
  Generator g(3);
  int middle = 0, edge = 0, anywhere = 0;
  for (int64_t i = 0; i < patches.size(); ++i) {
    const data::Example e = patches.get(i, g);
    const bool has = e.target.eq(2).any().item<bool>();
    if (i % 2 == 1) anywhere += has;
    else {
      CHECK(has);
      (e.target.select(0, 0).select(0, 1).select(0, 1).item<int64_t>() == 2 ? middle : edge) += 1;
    }
  }
  // Binomial, 200 draws of 1/2: 3.5 standard deviations are 25. Of 4 * 49 places 10 see a voxel: 200 draws give 10.
  CHECK_EQ(middle + edge, 200);
  CHECK_LE(std::abs(middle - edge), 50);
  CHECK_LE(anywhere, 30);
}

TEST_CASE("VolumePatches: what does not fit is refused") {
  const Tensor volume = zeros({2, 3, 4}), labels = zeros({2, 3, 4}, Dtype::i64);
  auto make = [&](const Tensor& x, const Tensor& y, const data::VolumePatchesOptions& o) {
    return [=] { (void)data::VolumePatches(x, y, o); };
  };
  CHECK_EQ(message_of<ShapeError>(make(volume, labels, {.size = {1, 4, 4}})),
           "VolumePatches: patches of [1, 4, 4] do not fit the volume [2, 3, 4]");
  CHECK_EQ(message_of<ShapeError>(make(volume, labels.narrow(0, 0, 1), {.size = {1, 1, 1}})),
           "VolumePatches: labels [1, 3, 4] of the volume [2, 3, 4]");
  CHECK_EQ(message_of<ValueError>(make(volume, labels, {.size = {1, 1, 1}, .count = 2, .around = {1}})),
           "VolumePatches: no voxel has the class 1 of `around`");
  CHECK_THROWS_AS(make(volume, {}, {.size = {1, 1, 1}, .count = 2, .around = {1}})(), ValueError);
  CHECK_THROWS_AS(make(volume, labels, {.size = {1, 1}})(), ShapeError);
  CHECK_THROWS_AS(make(volume, labels, {.size = {1, 1, 1}, .stride = {1, 0, 1}})(), ValueError);
  CHECK_THROWS_AS(make(volume, volume, {.size = {1, 1, 1}})(), DtypeError);
  CHECK_THROWS_AS(make(zeros({3, 4}), {}, {.size = {1, 1, 1}})(), ShapeError);
}

TEST_SUITE_END();
