// The 3-D U-Net against PyTorch's, its file, volumes in tiles, drawn cells. unet3d_golden.npz: make_unet3d_golden.py.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "../../examples/segmentation3d/cells.h"
#include "../../examples/segmentation3d/evaluate.h"
#include "example_test.h"

using namespace weft;

namespace {

/// Grey values with structure at several sizes.
Tensor volume(int64_t d, int64_t h, int64_t w) {
  std::vector<uint8_t> v;
  for (int64_t z = 0; z < d; ++z)
    for (int64_t y = 0; y < h; ++y)
      for (int64_t x = 0; x < w; ++x) {
        const auto a = static_cast<double>(x), b = static_cast<double>(y), c = static_cast<double>(z);
        v.push_back(static_cast<uint8_t>(125 + 80 * std::sin(0.11 * a + 0.5 * c) * std::cos(0.07 * b) +
                                         40 * std::sin(0.9 * (a + 2 * b + 3 * c))));
      }
  return tensor(v, Shape{d, h, w});
}

Tensor probabilities(Model& model, const Tensor& v, const TileOptions& o) {
  std::vector<Tensor> slabs;
  int64_t next = 0;
  predict_volume(model, Stack(v), o, [&](int64_t z, const Tensor& p) {
    CHECK(z == next);
    next += p.size(0);
    slabs.push_back(p.clone());
    return true;
  });
  CHECK(next == v.size(0));
  return cat(slabs, 0);
}

/// Random weights whose probabilities differ from voxel to voxel.
Model lively_model() {
  manual_seed(3);
  Model model{UNet3d(4)};
  NoGrad guard;
  model.net.head.weight.mul_(4);
  return model;
}

}  // namespace

TEST_CASE("keys, outputs and gradients are those of PyTorch's network") {
  const StateDict file = golden("unet3d_golden.npz");
  UNet3d net(4);
  net.to(Dtype::f64);
  std::vector<std::string> keys = keys_of(net);
  std::sort(keys.begin(), keys.end());
  CHECK(lines(keys) == golden_keys(file));
  {
    NoGrad guard;
    int k = 0;
    for (auto& [name, p] : net.named_parameters()) {
      const double fan = p.rank() > 1 ? static_cast<double>(p[0].numel()) : 4;
      p.copy_(value(k++, p.shape(), 1.5 / std::sqrt(fan)));
    }
  }
  for (const bool checkpointed : {false, true}) {
    CAPTURE(checkpointed);
    net.checkpoint_activations = checkpointed;
    net.zero_grad();
    Tensor x = value(90, {2, 1, 3, 12, 16}, 1.5);
    x.set_requires_grad();
    const Tensor y = net(x);
    sum(y * value(92, y.shape(), 1)).backward();
    // f64 through ten norms over 12 values and more
    const auto close = [&](const std::string& name, const Tensor& got) {
      CAPTURE(name);
      const Tensor& want = file.at(name);
      CHECK(largest_difference(got, want) < 1e-9 * (1 + max(abs(want)).item<double>()));
    };
    close("y", y);
    close("x.grad", x.grad());
    for (const auto& [name, p] : net.named_parameters())
      if (file.contains(name)) close(name, p.grad());
  }
}

TEST_CASE("tiles that overlap enough are the whole volume's result, at borders too") {
  Model model = lively_model();
  const Tensor v = volume(40, 127, 150);  // no multiples of 4
  TileOptions o;
  o.memory = int64_t{1} << 40;
  const Tensor whole = probabilities(model, v, o);
  CHECK(whole.shape() == v.shape());
  CHECK(max(whole).item<double>() - min(whole).item<double>() > 0.2);
  o.tile = {24, 88, 96};
  // one f32 path against another through ten norms; a seam would be a hundred times that
  CHECK(largest_difference(probabilities(model, v, o), whole) < 1e-4);
  // a smaller overlap shows, but blending keeps it small
  o.overlap = {4, 8, 8};
  const double near = largest_difference(probabilities(model, v, o), whole);
  CHECK(near > 1e-3);
  o.overlap = {0, 0, 0};
  CHECK(largest_difference(probabilities(model, v, o), whole) > near);
  // statistics of a part of the volume: near the whole's
  o = {.memory = bytes_per_voxel(model.net) * 400000};
  CHECK(mean(abs(probabilities(model, v, o) - whole)).item<double>() < 0.02);
}

TEST_CASE("weights of tiles add up to one") {
  for (const auto& [n, tile, overlap] :
       {std::array<int64_t, 3>{100, 32, 14}, {100, 100, 14}, {33, 32, 14}, {61, 20, 19}, {64, 16, 0}, {5, 100, 14}}) {
    CAPTURE(n);
    const TileAxis axis(n, tile, overlap, 6, 1);
    Tensor total = zeros({n});
    for (int64_t i = 0; i < axis.count(); ++i) total.narrow(0, axis.begin(i), axis.size()).add_(axis.weights(i));
    CHECK(largest_difference(total, ones({n})) < 1e-6);
    CHECK(axis.begin(axis.count() - 1) + axis.size() == n);
  }
  CHECK(message([] { TileAxis(100, 16, 16, 6, 1); }) ==
        "tiles of 16 cannot overlap by 16; larger tiles or a smaller overlap can");
}

TEST_CASE("a model's file: half the size, the same result") {
  Model model = lively_model();
  model.mean = 100;
  model.std = 33.5;
  const std::string path = scratch("unet3d_model.safetensors");
  model.save(path, "the command");
  CHECK(io::load(path).metadata.at("command") == "the command");
  Model back = Model::load(path, "cpu");
  CHECK(back.net.width == 4);
  CHECK(back.mean == 100);
  CHECK(back.std == 33.5);
  for (const auto& [key, t] : model.net.state_dict())  // f16 has 11 bits
    CHECK(largest_difference(back.net.get(key), t) <= max(abs(t)).item<double>() / 2048);
  StateDict file = io::load(path);
  file.metadata.erase("std");
  io::save(file, path);
  CHECK(message([&] { Model::load(path, "cpu"); }) == path + ": is no model of this program: it has no 'std'");
  std::remove(path.c_str());
}

TEST_CASE("a stack reads the same blocks from every kind of file") {
  const Tensor v = volume(6, 20, 24);
  const std::string folder = scratch("unet3d_slices"), npy = scratch("unet3d_stack.npy");
  std::filesystem::create_directories(folder);
  for (int64_t z = 0; z < 6; ++z)  // numbers decide, not letters
    io::write_image(v.select(0, z).contiguous(), folder + "/s" + std::to_string(z + 7) + ".png");
  NpyWriter writer(npy, v.shape());
  writer.write(v.narrow(0, 0, 4));
  writer.write(v.narrow(0, 4, 2));
  writer.finish();
  CHECK(equal(io::load_npy(npy), v));
  const Tensor block = v.narrow(0, 2, 3).narrow(1, 4, 10).narrow(2, 1, 20).to(Dtype::f32);
  for (const std::string& path : {folder, npy}) {
    CAPTURE(path);
    const Stack stack = Stack::open(path);
    CHECK(stack.shape() == v.shape());
    CHECK(equal(stack.read({2, 4, 1}, {3, 10, 20}), block));
    CHECK(equal(stack.read({0, 0, 0}, v.shape()), v.to(Dtype::f32)));
  }
  const Tensor labels = read_membranes(npy, MembraneRule::parse("<128"), Stack::open(folder));
  CHECK(equal(labels.to(Dtype::i64), (v.to(Dtype::i64) < 128).to(Dtype::i64)));
  CHECK(message([&] {
          read_membranes(npy, MembraneRule::parse(">300"), Stack::open(folder));
        }).starts_with(npy + ": no voxel is membrane by the rule >300"));
  CHECK(message([&] { read_membranes(npy, MembraneRule(), Stack(v.narrow(0, 0, 5), "em")); }) ==
        npy + ": labels [6, 20, 24] of the volume em [5, 20, 24]");
  CHECK(message([] { MembraneRule::parse("dark"); }) == "'dark' says no labels; write <128, >0 or =1");
  io::write_image(v.select(0, 0).narrow(0, 0, 10).contiguous(), folder + "/s9.png");
  const Stack other = Stack::open(folder);
  CHECK(message([&] { other.read({0, 0, 0}, v.shape()); }) == folder + "/s9.png: is 10 x 24, the first slice 20 x 24");
  std::filesystem::remove_all(folder);
  std::remove(npy.c_str());
}

TEST_CASE("drawn cells: the same for a seed, membranes dark and of a fair share") {
  const Cells a = draw_cells({4, 64, 72}, 5), b = draw_cells({4, 64, 72}, 5), c = draw_cells({4, 64, 72}, 6);
  CHECK(a.image.shape() == Shape({4, 64, 72}));
  CHECK(equal(a.image, b.image));
  CHECK(equal(a.membrane, b.membrane));
  CHECK(!equal(a.image, c.image));
  for (const Cells& cells : {a, c}) {
    const Tensor m = cells.membrane.to(Dtype::f32), grey = cells.image.to(Dtype::f32);
    const double share = mean(m).item<double>();
    CHECK(share > 0.08);
    CHECK(share < 0.45);
    const double dark = sum(grey * m).item<double>() / sum(m).item<double>();
    const double light = sum(grey * (1 - m)).item<double>() / sum(1 - m).item<double>();
    CHECK(light - dark > 40);
  }
}

TEST_CASE("an evaluation counts every voxel, in tiles too, and stops when told to") {
  Model model = lively_model();
  const Cells cells = draw_cells({20, 64, 72}, 5);
  TileOptions o;
  const Evaluation whole = evaluate(model, Stack(cells.image), cells.membrane, o);
  CHECK(whole.matrix.counts().sum().item<int64_t>() == 20 * 64 * 72);
  CHECK(whole.picture.shape() == Shape({2 * 64 + 6, 3 * 72 + 2 * 6, 3}));
  o.tile = {16, 64, 72};
  const Evaluation tiled = evaluate(model, Stack(cells.image), cells.membrane, o);
  // few voxels lie within rounding of 0.5
  CHECK(std::abs(tiled.matrix.accuracy() - whole.matrix.accuracy()) < 1e-3);
  const Evaluation stopped = evaluate(model, Stack(cells.image), cells.membrane, o, [] { return false; });
  CHECK(stopped.matrix.counts().sum().item<int64_t>() == 2 * 64 * 72);  // tiles begin every two slices
}
