// Unit-scaled layers: printing, state, first values, tags, errors, and what they are for: a deep network whose
// activations and gradients all keep variance 1.
#include "nn/support.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/nn/conv.h"
#include "weft/nn/unit_scaled/unit_scaled.h"

using namespace weft;
using namespace weft::test;
namespace us = weft::unit_scaled;
using support::message_of;
using us::Constraint;
using us::MupType;

namespace {
bool tagged(const Tensor& p, MupType type, std::optional<int64_t> depth = {}) {
  const us::MupInfo info = us::mup_info(p);
  return info.type == type && info.depth == depth;
}
double rms(const Tensor& x) { return std::sqrt(mean(square(x.detach().to(Dtype::f64))).item<double>()); }
}  // namespace

TEST_SUITE_BEGIN("unit scaled");

TEST_CASE("unit-scaled layers print as the plain ones") {
  CHECK(printed(us::Conv1d(4, 8, {.kernel_size = 3, .padding = 1})) ==
        "Conv1d(4, 8, kernel_size=(3,), stride=(1,), padding=(1,), bias=False)");
  CHECK(printed(us::Conv2d(
            4, 8, {.kernel_size = 3, .bias = true, .padding_mode = "circular", .constraint = Constraint::gmean})) ==
        "Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), padding_mode=circular, constraint=gmean)");
  CHECK(printed(us::Conv3d(4, 8, {.kernel_size = 1, .bias = true, .constraint = Constraint::none})) ==
        "Conv3d(4, 8, kernel_size=(1, 1, 1), stride=(1, 1, 1), constraint=None)");
  CHECK(printed(us::ConvTranspose2d(4, 8, {.kernel_size = 3, .stride = 2, .output_padding = 1})) ==
        "ConvTranspose2d(4, 8, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1), bias=False)");
  CHECK(printed(us::Linear(4, 5)) == "Linear(in_features=4, out_features=5, bias=False)");
  CHECK(printed(us::LinearReadout(4, 5)) == "LinearReadout(in_features=4, out_features=5, bias=False)");
  CHECK(printed(us::GELU({.approximate = Approximate::tanh})) == "GELU(approximate='tanh')");
  CHECK(printed(us::SiLU()) == "SiLU()");
  CHECK(printed(us::Softmax(-1)) == "Softmax(dim=-1)");
  CHECK(printed(us::Dropout(0.25)) == "Dropout(p=0.25, inplace=False)");
  CHECK(printed(us::LayerNorm(4)) == "LayerNorm((4,), eps=1e-05, elementwise_affine=False, bias=False)");
  CHECK(printed(us::RMSNorm(Shape{2, 4})) == "RMSNorm((2, 4), eps=1e-05, elementwise_affine=False)");
  CHECK(printed(us::Embedding(7, 4)) == "Embedding(7, 4)");
  CHECK(printed(us::CrossEntropyLoss()) == "CrossEntropyLoss()");
  CHECK(printed(us::DepthSequential(us::SiLU(), us::SiLU())) == "DepthSequential(\n  (0): SiLU()\n  (1): SiLU()\n)");
}

DEVICE_TEST_CASE("unit-scaled layers: state, first values, tags") {
  manual_seed(3);
  const auto conv = here::module(us::Conv2d(16, 32, {.kernel_size = 3, .bias = true}));
  CHECK(keys(conv) == "weight [32, 16, 3, 3], bias [32]");
  check_normal(conv.weight, 1);
  CHECK(conv.bias.to_vector<float>() == std::vector<float>(32, 0));
  CHECK(tagged(conv.weight, MupType::weight));
  CHECK(tagged(conv.bias, MupType::bias));
  CHECK(keys(us::ConvTranspose1d(4, 6, {.kernel_size = 3, .groups = 2})) == "weight [4, 3, 3]");
  const auto fc = here::module(us::Linear(64, 32, {.bias = true, .weight_mup_type = MupType::output}));
  check_normal(fc.weight, 1);
  CHECK(tagged(fc.weight, MupType::output));
  CHECK(tagged(fc.bias, MupType::bias));
  const us::LinearReadout readout(4, 2, {.bias = true});
  CHECK(tagged(readout.weight, MupType::output));
  CHECK(readout.constraint == Constraint::none);
  CHECK(tagged(us::Embedding(4, 2).weight, MupType::weight));
  CHECK(us::LayerNorm(4).parameters().empty());
  const us::LayerNorm norm(4, {.elementwise_affine = true});
  CHECK(keys(norm) == "weight [4], bias [4]");
  CHECK(tagged(norm.weight, MupType::norm));
  CHECK(tagged(norm.bias, MupType::bias));
  CHECK(tagged(us::RMSNorm(4, {.elementwise_affine = true}).weight, MupType::norm));
  CHECK(tagged(nn::Linear(2, 2).weight, MupType::none));
}

TEST_CASE("u-muP's tags survive copies, clones and moves") {
  us::DepthSequential stack(us::Linear(4, 4, {.bias = true}), us::GELU(), us::Linear(4, 4));
  nn::Sequential net(us::Linear(2, 4), stack, us::LinearReadout(4, 3));
  const nn::Sequential copy = net, cloned = clone(net);
  for (const nn::Sequential& n : {net, copy, cloned}) {
    CHECK(tagged(n.get("0.weight"), MupType::weight));
    CHECK(tagged(n.get("1.0.weight"), MupType::weight, 3));
    CHECK(tagged(n.get("1.0.bias"), MupType::bias, 3));
    CHECK(tagged(n.get("1.2.weight"), MupType::weight, 3));
    CHECK(tagged(n.get("2.weight"), MupType::output));
  }
  CHECK_FALSE(cloned.get("0.weight").is_same(net.get("0.weight")));
  net.to(Dtype::f64);
  CHECK(tagged(net.get("1.0.bias"), MupType::bias, 3));
  us::set_mup_info(net.get("0.weight"), {MupType::norm});
  CHECK(tagged(cloned.get("0.weight"), MupType::weight));
}

TEST_CASE("depth: the number of layers, once") {
  const us::DepthSequential many(std::vector<us::Linear>(5, us::Linear(3, 3)));
  CHECK(many.size() == 5);
  CHECK(tagged(many.get("0.weight"), MupType::weight, 5));
  const us::DepthModuleList list(us::Linear(2, 2), us::Linear(2, 2));
  CHECK(tagged(list.get("1.weight"), MupType::weight, 2));
  CHECK(printed(list) == "DepthModuleList(\n  (0-1): 2 x Linear(in_features=2, out_features=2, bias=False)\n)");
  CHECK(has(message_of<ValueError>([&] { us::DepthSequential(us::SiLU(), many); }), {"1.0.weight", "depth", "5"}));
  const us::Linear fresh(2, 2);
  CHECK(has(message_of<ValueError>([&] { us::DepthSequential(fresh, nn::Linear(2, 2)); }), {"1.weight", "mup"}));
  CHECK(tagged(fresh.weight, MupType::weight));  // nothing was changed
}

TEST_CASE("errors at construction") {
  using C = us::ConvLayerOptions<1>;
  auto conv = [](const C& o) { return message_of<ValueError>([&] { us::Conv1d(4, 4, o); }); };
  for (const char* word : {"same", "valid"}) CHECK(has(conv({.kernel_size = 3, .padding = word}), {"padding", word}));
  CHECK(
      has(conv({.kernel_size = 3, .constraint = Constraint::to_right_grad_scale}), {"Conv1d", "to_right_grad_scale"}));
  CHECK(has(conv({.kernel_size = 3, .weight_mup_type = MupType::none}), {"weight_mup_type"}));
  CHECK(has(conv({.kernel_size = 3, .groups = 3}), {"in_channels", "groups"}));
  CHECK(has(message_of<ValueError>([] { us::Conv1d(4, 4, {.kernel_size = 3, .padding_mode = "mirror"}); }),
            {"padding_mode", "mirror"}));
  CHECK(has(message_of<ValueError>([] { us::ConvTranspose1d(4, 4, {.kernel_size = 3, .padding = "same"}); }),
            {"padding"}));
  CHECK(has(message_of<ValueError>([] { us::Linear(4, 4, {.constraint = Constraint::to_left_grad_scale}); }),
            {"Linear", "constraint"}));
  CHECK(has(message_of<ValueError>([] { us::GELU({.constraint = Constraint::to_left_grad_scale}); }), {"GELU"}));
  CHECK(has(message_of<ValueError>([] { us::GELU({.mult = -1}); }), {"GELU", "mult"}));
  CHECK(has(message_of<ValueError>([] { us::SiLU({.constraint = Constraint::to_left_grad_scale}); }), {"SiLU"}));
  CHECK(
      has(message_of<ValueError>([] { us::Softmax(0, {.constraint = Constraint::to_left_grad_scale}); }), {"Softmax"}));
  CHECK(has(message_of<ValueError>([] { us::CrossEntropyLoss({.label_smoothing = 0.1}); }), {"label_smoothing"}));
  CHECK(has(message_of<ValueError>([] { us::CrossEntropyLoss({.weight = ones({3})}); }), {"weight"}));
  CHECK(has(message_of<ValueError>([] { us::Dropout(1.5); }), {"p", "1.5"}));
  CHECK(has(message_of<ValueError>([] { us::mup_type("wieght"); }), {"mup_type", "wieght"}));
}

DEVICE_TEST_CASE("a layer is its op, padding modes pad once, output_size") {
  manual_seed(4);
  const Tensor x = here::randn({2, 4, 7});
  const auto plain = here::module(
      us::Conv1d(4, 6, {.kernel_size = 3, .padding = 2, .bias = true, .constraint = Constraint::hmean}));
  CHECK(allclose(plain(x), us::conv1d(x, plain.weight, plain.bias, {.padding = 2, .constraint = Constraint::hmean})));
  CHECK(plain(x[0]).shape() == Shape{6, 9});
  const auto circular = here::module(us::Conv1d(4, 6, {.kernel_size = 3, .padding = 2, .padding_mode = "circular"}));
  CHECK(allclose(circular(x), us::conv1d(pad(x, {2, 2}, PadMode::circular), circular.weight)));
  const auto up = here::module(us::ConvTranspose1d(4, 6, {.kernel_size = 3, .stride = 2, .output_padding = 1}));
  CHECK(allclose(up(x), us::conv_transpose1d(x, up.weight, {}, {.stride = 2, .output_padding = 1})));
  CHECK(up(x, Shape{15}).shape() == Shape{2, 6, 15});
  CHECK(allclose(up(x, Shape{2, 6, 16}), up(x)));
  CHECK(has(message_of<ValueError>([&] { up(x, Shape{20}); }), {"output size", "20"}));
}

DEVICE_TEST_CASE("ten convolutions, activations and norms deep, everything has variance 1 in both directions") {
  // Circular padding: no edges with fewer taps. 27648 numbers per tensor, 24 * 216 random weights per layer: each layer
  // moves the size by some percent, gradients multiply ten such factors; gelu's output of a normal input is 15 % larger
  // (its mean is not 0).
  manual_seed(7);
  constexpr int64_t kChannels = 24, kSize = 12;
  struct Run {
    std::vector<Tensor> values, weights;
  };
  auto run = [&](auto make_conv, auto activation, auto norm) {
    Run r;
    Tensor h = here::randn({8, kChannels, kSize, kSize}).set_requires_grad();
    r.values.push_back(h);
    for (int i = 0; i < 10; ++i) {
      const auto conv = here::module(make_conv(i));
      r.weights.push_back(conv.weight);
      r.values.push_back(conv(h));
      r.values.push_back(activation(Tensor(r.values.back())));
      h = norm(r.values.back());
    }
    for (size_t i = 1; i < r.values.size(); ++i) r.values[i].retain_grad();
    h.backward(here::randn(h.shape()));
    return r;
  };
  const auto check = [](const Tensor& t) { CHECK(rms(t) == doctest::Approx(1).epsilon(0.25)); };

  const Run unit = run(
      [&](int i) {
        return us::Conv2d(kChannels, kChannels,
                          {.kernel_size = 3, .padding = 1, .groups = i % 2 ? 2 : 1, .padding_mode = "circular"});
      },
      [](const Tensor& h) { return us::gelu(h, {.constraint = Constraint::none}); },
      [&](const Tensor& h) {
        return us::layer_norm(h, {kChannels, kSize, kSize});
      });
  for (size_t i = 0; i < unit.values.size(); ++i) {
    CAPTURE(i);
    check(unit.values[i]);
    check(unit.values[i].grad());
  }
  for (const Tensor& w : unit.weights) check(w.grad());

  // Ten plain convolutions and activations fade, so the test could tell.
  const Run plain = run(
      [&](int) {
        return nn::Conv2d(kChannels, kChannels, {.kernel_size = 3, .padding = 1, .padding_mode = "circular"});
      },
      [](const Tensor& h) { return gelu(h); }, [](const Tensor& h) { return h; });
  CHECK(rms(plain.values.back()) < 0.1);
  CHECK(rms(plain.values.front().grad()) < 1e-3);
}

TEST_SUITE_END();
