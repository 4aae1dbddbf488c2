#include "weft/nn/encoding.h"
#include "weft/nn/gram.h"
#include "weft/nn/op_layers.h"
#include "weft/nn/segmentation_loss.h"
#include "weft/nn/upsample_conv.h"

#include <cmath>

#include "support.h"
#include "support/here.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/layer/encoding.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/softmax.h"
#include "weft/core/backend.h"
#include "weft/core/generator.h"

using namespace weft;
using namespace weft::test;

namespace {
using Tensors = std::vector<Tensor>;
Tensor leaf(const Shape& shape) { return here::randn(shape, Dtype::f64).set_requires_grad(); }
}  // namespace

TEST_SUITE("encoding") {
  DEVICE_TEST_CASE("encode is its definition, and differentiable twice") {
    manual_seed(3);
    Tensor x = leaf({2, 7, 3}), c = leaf({4, 3}), s = leaf({4});
    // literally: every residual
    const Tensor r = x.unsqueeze(2) - c, a = softmax(sum(square(r), -1) * s, -1);
    CHECK(allclose(encode(x, c, s), sum(a.unsqueeze(-1) * r, 1), 1e-12, 1e-12));
    CHECK(allclose(scaled_l2(x, c, s), sum(square(r), -1) * s, 1e-12, 1e-12));
    auto f = [](const Tensors& in) { return Tensors{encode(in[0], in[1], in[2])}; };
    CHECK(gradcheck(f, {x, c, s}));
    CHECK(gradgradcheck(f, {x, c, s}));
  }

  DEVICE_TEST_CASE("far from the origin f32 keeps its digits") {
    manual_seed(4);
    const Tensor x = here::randn({1, 20, 5}, Dtype::f64) + 300, c = here::randn({3, 5}, Dtype::f64) + 300,
                 s = here::full({3}, -0.5, Dtype::f64);
    // inputs near 300 are rounded to 1.5e-5, which is what is left of the error
    CHECK(allclose(encode(x.to(Dtype::f32), c.to(Dtype::f32), s.to(Dtype::f32)).to(Dtype::f64), encode(x, c, s), 1e-3,
                   1e-3));
  }

  DEVICE_TEST_CASE("nothing of the size of all residuals") {
    const int64_t B = 2, N = 3000, K = 32, D = 64;
    Tensor x = here::randn({B, N, D}).set_requires_grad(), c = here::randn({K, D}).set_requires_grad(),
           s = here::full({K}, -0.1).set_requires_grad();
    reset_peak_memory_stats(support::device());
    const size_t before = memory_stats(support::device()).active;
    sum(square(encode(x, c, s))).backward();
    CHECK(memory_stats(support::device()).peak_active - before <
          static_cast<size_t>(B * N * K * D) * sizeof(float) / 3);  // all residuals: 49 MB
  }

  DEVICE_TEST_CASE("layouts of the input") {
    manual_seed(5);
    const auto layer = here::module(nn::Encoding(3, 4));
    const Tensor maps = here::randn({2, 3, 4, 5}), rows = maps.permute({0, 2, 3, 1}).reshape({2, 20, 3});
    CHECK(allclose(layer(maps), layer(rows)));
    CHECK(allclose(layer(rows), layer(rows.transpose(1, 2))));
    const Tensor square = here::randn({2, 3, 3});
    auto other = here::module(nn::Encoding(3, 4, {.layout = nn::EncodingLayout::bdn}));
    other.load_state_dict(layer.state_dict());
    CHECK(allclose(other(square), layer(square.transpose(1, 2))));
    CHECK(layer(here::zeros({2, 0, 3})).to_vector<float>() == std::vector<float>(24, 0));
    CHECK(layer(here::zeros({0, 3, 2, 2})).shape() == Shape{0, 4, 3});
    CHECK(printed(layer) == "Encoding(N x 3=>4x3)");
    CHECK(has(message<ShapeError>([&] { (void)layer(here::zeros({2, 5, 6})); }), {"Encoding", "D=3", "[2, 5, 6]"}));
    CHECK(has(message<ValueError>([] { nn::Encoding(0, 3); }), {"Encoding", "D=0"}));
  }

  DEVICE_TEST_CASE("Inspiration: the target is shared by copies and not in the state dict") {
    manual_seed(6);
    auto layer = here::module(nn::Inspiration(3));
    CHECK(layer.state_dict().size() == 1);
    const Tensor x = here::randn({2, 3, 4, 4});
    CHECK(allclose(layer(x), layer(x.contiguous(MemoryFormat::channels_last))));
    nn::Inspiration copy = layer;
    Tensor target = here::randn({1, 3, 3}).set_requires_grad();
    copy.set_target(gram_matrix(here::randn({1, 3, 5, 5})) + target);
    CHECK(allclose(layer(x), copy(x)));
    sum(layer(x)).backward();
    CHECK(target.grad().defined());
    CHECK(has(message<ShapeError>([&] { layer.set_target(here::zeros({4, 4})); }), {"Inspiration", "[4, 4]"}));
    layer.set_target(here::zeros({3, 3, 3}));
    CHECK(has(message<ShapeError>([&] { (void)layer(x); }), {"3 targets", "batch of 2"}));
  }

  DEVICE_TEST_CASE("UpsampleConv2d, EncodingDrop and losses") {
    const auto up = here::module(nn::UpsampleConv2d(16, 16, {.kernel_size = 3, .padding = 1, .scale_factor = 2}));
    CHECK(up(here::zeros({1, 16, 6, 6})).shape() == Shape{1, 16, 12, 12});
    CHECK(printed(up) == "UpsampleConv2d(16, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), scale_factor=2)");
    CHECK(has(message<ValueError>([] { nn::UpsampleConv2d(4, 3, {.kernel_size = 3, .groups = 2}); }), {"3 and 2"}));
    auto drop = here::module(nn::EncodingDrop(3, 4));
    const Tensor x = here::randn({2, 6, 3}), kept = drop.scale.clone();
    CHECK_FALSE(allclose(drop(x), drop(x)));
    drop.eval();
    CHECK(allclose(drop(x), drop(x)));
    CHECK(equal(drop.scale, kept));
    const nn::SegmentationLosses plain;
    const Tensor logits = here::randn({2, 5, 4, 4}), labels = here::randint(0, 5, {2, 4, 4});
    CHECK(plain(logits, labels).item<double>() == doctest::Approx(cross_entropy(logits, labels).item<double>()));
    CHECK(has(message<ValueError>([&] { (void)plain(logits, logits, labels); }), {"neither"}));
  }
}
