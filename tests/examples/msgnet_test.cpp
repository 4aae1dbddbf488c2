// The network against PyTorch's, its file, and painting in tiles.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>

#include "../../examples/style_transfer/msgnet_apply.h"
#include "example_test.h"

using namespace weft;

namespace {

/// A picture with structure at several sizes.
Tensor picture(int64_t h, int64_t w) {
  std::vector<uint8_t> v;
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x)
      for (int c = 0; c < 3; ++c)
        v.push_back(static_cast<uint8_t>(
            127 + 90 * std::sin(0.11 * static_cast<double>(x) + c) * std::cos(0.07 * static_cast<double>(y)) +
            30 * std::sin(0.9 * static_cast<double>(x + 2 * y))));
  return tensor(v, Shape{h, w, 3});
}

}  // namespace

TEST_CASE("keys, outputs and gradients are those of PyTorch's network") {
  const StateDict file = golden("msgnet_golden.npz");
  MsgNet net(2, 1);
  net.to(Dtype::f64);
  CHECK(lines(keys_of(net)) == golden_keys(file));
  {
    NoGrad guard;
    int k = 0;
    for (auto& [name, p] : net.named_parameters()) {
      const double fan = p.rank() > 1 ? static_cast<double>(p[0].numel()) : 16;
      p.copy_(value(k++, p.shape(), 1.5 / std::sqrt(fan)));
    }
  }
  Tensor x = value(90, {2, 3, 16, 20}, 120) + 127;
  x.set_requires_grad();
  net.set_target(net.gram(value(91, {1, 3, 20, 12}, 120) + 127));
  const Tensor y = net(x);
  sum(y * value(92, y.shape(), 1)).backward();
  // f64 through some twenty norms over as few as 20 values: rounding grows to 1e-12 of the largest value
  auto close = [&](const std::string& name, const Tensor& got) {
    CAPTURE(name);
    const Tensor& want = file.at(name);
    CHECK(largest_difference(got, want) < 1e-9 * (1 + max(abs(want)).item<double>()));
  };
  close("y", y);
  close("x.grad", x.grad());
  for (const auto& [name, p] : net.named_parameters())
    if (file.contains(name)) close(name, p.grad());
}

TEST_CASE("the demo's first values: colours in range, CoMatch near a multiple of the identity") {
  manual_seed(3);
  MsgNet net(4, 1);
  auto style = [](int64_t h, int64_t w) { return flip(io::image_to_batch(picture(h, w)), {1}); };
  const std::vector<Tensor> styles = {style(48, 64), 255 - style(40, 40)};
  init_for_training(net, styles);
  NoGrad guard;
  for (const Tensor& s : styles) {
    const Tensor P = matmul(net.ins.weight, net.gram(s))[0] * 4.0;  // sqrt(C)
    const double trace = sum(P.diagonal()).item<double>(), all = sum(square(P)).item<double>();
    // of rank 1: trace^2 / |P|^2 <= 1
    CHECK(trace * trace / all > 3);
    net.set_target(net.gram(s));
    const Tensor y = net(styles[0]);
    CHECK(std::abs(mean(y).item<double>() - 115) < 60);
    CHECK(mean(square(y - mean(y))).item<double>() > 100);
  }
}

TEST_CASE("a model file: half the size, the same picture, the styles inside") {
  manual_seed(4);
  StyleModel model{MsgNet(4, 2), {"one", "two"}, {}};
  NoGrad guard;
  for (int i = 0; i < 2; ++i) model.grams.push_back(model.net.gram(value(i, {1, 3, 16, 16}, 100).to(Dtype::f32)));
  const std::string path = scratch("msgnet_file.safetensors");
  save_style_model(model, path, "the command");
  CHECK(io::load(path).metadata.at("command") == "the command");
  StyleModel back = StyleModel::load(path, "cpu");
  CHECK(back.names == model.names);
  CHECK(back.net.ngf == 4);
  CHECK(back.net.blocks == 2);
  CHECK(largest_difference(back.grams[1], model.grams[1]) == 0);
  for (const auto& [key, t] : model.net.state_dict())  // f16 has 11 bits
    CHECK(largest_difference(back.net.get(key), t) <= max(abs(t)).item<double>() / 2048);

  StateDict file = io::load(path);
  file.set("model.0.0.conv2d.bias", zeros({64}));
  io::save(file, path);
  CHECK(message([&] { StyleModel::load(path, "cpu"); }).find("model1.0.conv2d.bias and model.0.0.conv2d.bias") !=
        std::string::npos);
  file.erase("ins.weight");
  io::save(file, path);
  CHECK(message([&] { StyleModel::load(path, "cpu"); }) == path + ": is no style model: it has no ins.weight");
  std::remove(path.c_str());
}

TEST_CASE("tiles are the whole picture's, away from borders and at them") {
  manual_seed(5);
  MsgNet net(4, 1);
  NoGrad guard;
  init_for_training(net, {flip(io::image_to_batch(picture(64, 64)), {1})});
  const Tensor G = net.gram(flip(io::image_to_batch(picture(64, 64)), {1}));
  const Tensor photo = picture(150, 203);  // no multiples of 4
  const Tensor whole = paint(net, G, photo, int64_t{1} << 30);
  CHECK(whole.shape() == photo.shape());
  // Memory for a fifth of it: tiles of at least 32 pixels, statistics of a sample
  const Tensor tiled = paint(net, G, photo, bytes_per_pixel(net) * photo.numel() / 15);
  CHECK(tiled.shape() == photo.shape());
  // With the same statistics a tile's inside does not depend on how the picture is cut
  auto crop = [&](int64_t y, int64_t x, int64_t h, int64_t w) {
    net.norms().from = NormStatistics::From::kept;
    const Tensor out = net(flip(io::image_to_batch(photo.narrow(0, y, h).narrow(1, x, w).contiguous()), {1}));
    net.norms().from = NormStatistics::From::picture;
    return out;
  };
  const Tensor large = crop(0, 0, 148, 200), small = crop(40, 60, 64, 72);
  const int64_t m = net.reach();
  CHECK(largest_difference(small.narrow(2, m, 64 - 2 * m).narrow(3, m, 72 - 2 * m),
                           large.narrow(2, 40 + m, 64 - 2 * m).narrow(3, 60 + m, 72 - 2 * m)) < 2e-2);  // of 255, f32
  // and it does see as far as `reach` says, nearly: a smaller margin shows
  CHECK(largest_difference(small.narrow(2, 4, 56).narrow(3, 4, 64), large.narrow(2, 44, 56).narrow(3, 64, 64)) > 0.1);
}

TEST_CASE("any size") {
  MsgNet net(2, 1);
  for (const Shape& s : {Shape{1, 1}, Shape{3, 50}, Shape{17, 5}, Shape{8, 8}, Shape{33, 30}}) {
    const Tensor p = paint(net, eye(8).unsqueeze(0), picture(s[0], s[1]), int64_t{1} << 30);
    CHECK(p.shape() == Shape({s[0], s[1], 3}));
    const Tensor t = paint(net, eye(8).unsqueeze(0), picture(s[0], s[1]), 1000);
    CHECK(t.shape() == p.shape());
  }
}

TEST_CASE("lattice: the share of the differences that the place modulo 4 explains") {
  manual_seed(1);
  const Tensor noise = randint(0, 256, {641, 641, 3}).to(Dtype::u8);
  // 16 of a window's 4096 frequencies have that pitch; the tolerance is four standard deviations of 100 windows' mean
  CHECK(std::abs(lattice(noise) - 16.0 / 4096) < 5e-4);
  CHECK(lattice(picture(130, 200)) < 0.02);  // waves of other lengths
  const Tensor cell = randint(0, 256, {4, 4, 3}).to(Dtype::u8);
  const Tensor tiles = cat({cat({cell, cell}, 0), cat({cell, cell}, 0)}, 1);
  Tensor wall = tiles;
  for (int i = 0; i < 4; ++i) wall = cat({cat({wall, wall}, 0), cat({wall, wall}, 0)}, 1);
  CHECK(std::abs(lattice(wall) - 1) < 1e-5);
  CHECK_THROWS_AS((void)lattice(picture(64, 200)), ShapeError);
}
