#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/nn/activation.h"
#include "weft/nn/dropout.h"
#include "weft/nn/gram.h"
#include "weft/nn/linear.h"
#include "weft/nn/loss.h"
#include "weft/nn/norm.h"
#include "weft/nn/padding.h"
#include "weft/nn/pool.h"
#include "weft/nn/resample.h"

using namespace weft;
using namespace weft::test;

TEST_SUITE_BEGIN("layers");

DEVICE_TEST_CASE("layers print as PyTorch prints them") {
  // every right-hand side is PyTorch's own output
  CHECK(printed(nn::Linear(4, 2)) == "Linear(in_features=4, out_features=2, bias=True)");
  CHECK(printed(nn::Linear(4, 2, {.bias = false})) == "Linear(in_features=4, out_features=2, bias=False)");
  CHECK(printed(nn::Bilinear(2, 3, 4)) == "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)");
  CHECK(printed(nn::BatchNorm1d(3)) ==
        "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)");
  CHECK(printed(nn::BatchNorm2d(
            3, {.eps = 1e-3, .momentum = std::nullopt, .affine = false, .track_running_stats = false})) ==
        "BatchNorm2d(3, eps=0.001, momentum=None, affine=False, bias=False, track_running_stats=False)");
  CHECK(printed(nn::InstanceNorm2d(3)) ==
        "InstanceNorm2d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)");
  CHECK(printed(nn::GroupNorm(2, 6)) == "GroupNorm(2, 6, eps=1e-05, affine=True, bias=True)");
  CHECK(printed(nn::LayerNorm({4, 5})) == "LayerNorm((4, 5), eps=1e-05, elementwise_affine=True, bias=True)");
  CHECK(printed(nn::LayerNorm(4, {.elementwise_affine = false})) ==
        "LayerNorm((4,), eps=1e-05, elementwise_affine=False, bias=False)");
  CHECK(printed(nn::RMSNorm(4)) == "RMSNorm((4,), eps=None, elementwise_affine=True)");
  CHECK(printed(nn::RMSNorm(4, {.eps = 1e-6, .elementwise_affine = false})) ==
        "RMSNorm((4,), eps=1e-06, elementwise_affine=False)");
  CHECK(printed(nn::ReLU()) == "ReLU()");
  CHECK(printed(nn::LeakyReLU()) == "LeakyReLU(negative_slope=0.01)");
  CHECK(printed(nn::ELU(0.5)) == "ELU(alpha=0.5)");
  CHECK(printed(nn::GELU()) == "GELU(approximate='none')");
  CHECK(printed(nn::GELU(Approximate::tanh)) == "GELU(approximate='tanh')");
  CHECK(printed(nn::Softplus()) == "Softplus(beta=1.0, threshold=20.0)");
  CHECK(printed(nn::Softshrink(0.25)) == "Softshrink(0.25)");
  CHECK(printed(nn::PReLU(3)) == "PReLU(num_parameters=3)");
  CHECK(printed(nn::Hardtanh()) == "Hardtanh(min_val=-1.0, max_val=1.0)");
  CHECK(printed(nn::Softmax(1)) == "Softmax(dim=1)");
  CHECK(printed(nn::MaxPool1d(2)) == "MaxPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)");
  CHECK(printed(nn::MaxPool2d(
            {.kernel_size = {3, 2}, .stride = {2, 1}, .padding = {1, 0}, .dilation = 2, .ceil_mode = true})) ==
        "MaxPool2d(kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=2, ceil_mode=True)");
  CHECK(printed(nn::AvgPool1d(2)) == "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))");
  CHECK(printed(nn::AvgPool2d({.kernel_size = {2, 3}, .stride = 1, .padding = 1})) ==
        "AvgPool2d(kernel_size=(2, 3), stride=1, padding=1)");
  CHECK(printed(nn::AdaptiveAvgPool2d(1)) == "AdaptiveAvgPool2d(output_size=1)");
  CHECK(printed(nn::AdaptiveAvgPool2d({2, std::nullopt})) == "AdaptiveAvgPool2d(output_size=(2, None))");
  CHECK(printed(nn::AdaptiveMaxPool2d({2, 3})) == "AdaptiveMaxPool2d(output_size=(2, 3))");
  CHECK(printed(nn::ReflectionPad1d(2)) == "ReflectionPad1d((2, 2))");
  CHECK(printed(nn::ReflectionPad2d({1, 2, 3, 4})) == "ReflectionPad2d((1, 2, 3, 4))");
  CHECK(printed(nn::ReplicationPad2d(1)) == "ReplicationPad2d((1, 1, 1, 1))");
  CHECK(printed(nn::ZeroPad2d(1)) == "ZeroPad2d((1, 1, 1, 1))");
  CHECK(printed(nn::CircularPad2d(2)) == "CircularPad2d((2, 2, 2, 2))");
  CHECK(printed(nn::ConstantPad2d(1, 3.5)) == "ConstantPad2d(padding=(1, 1, 1, 1), value=3.5)");
  CHECK(printed(nn::ConstantPad1d({1, 2}, 0)) == "ConstantPad1d(padding=(1, 2), value=0.0)");
  CHECK(printed(nn::Upsample({.scale_factor = 2})) == "Upsample(scale_factor=2.0, mode='nearest')");
  CHECK(printed(nn::Upsample({.size = {4, 5}, .mode = InterpolateMode::bilinear, .align_corners = true})) ==
        "Upsample(size=(4, 5), mode='bilinear')");
  CHECK(printed(nn::PixelShuffle(2)) == "PixelShuffle(upscale_factor=2)");
  CHECK(printed(nn::PixelUnshuffle(2)) == "PixelUnshuffle(downscale_factor=2)");
  CHECK(printed(nn::Dropout()) == "Dropout(p=0.5, inplace=False)");
  CHECK(printed(nn::Dropout2d(0.3)) == "Dropout2d(p=0.3, inplace=False)");
  CHECK(printed(nn::Flatten()) == "Flatten(start_dim=1, end_dim=-1)");
  CHECK(printed(nn::Unflatten(1, {2, 3})) == "Unflatten(dim=1, unflattened_size=(2, 3))");
  CHECK(printed(nn::Identity()) == "Identity()");
  CHECK(printed(nn::Embedding(10, 3)) == "Embedding(10, 3)");
  CHECK(printed(nn::Embedding(10, 3, {.padding_idx = 0, .max_norm = 1.0})) ==
        "Embedding(10, 3, padding_idx=0, max_norm=1.0)");
  CHECK(printed(nn::CrossEntropyLoss()) == "CrossEntropyLoss()");
  CHECK(printed(nn::GramMatrix()) == "GramMatrix()");
}

DEVICE_TEST_CASE("state keys and shapes") {
  CHECK(keys(nn::Linear(4, 2)) == "weight [2, 4], bias [2]");
  CHECK(keys(nn::Linear(4, 2, {.bias = false})) == "weight [2, 4]");
  CHECK(keys(nn::BatchNorm2d(3)) == "weight [3], bias [3], running_mean [3], running_var [3], num_batches_tracked []");
  CHECK(keys(nn::BatchNorm2d(3, {.affine = false})) == "running_mean [3], running_var [3], num_batches_tracked []");
  CHECK(keys(nn::BatchNorm2d(3, {.bias = false, .track_running_stats = false})) == "weight [3]");
  CHECK(keys(nn::InstanceNorm2d(3)).empty());
  CHECK(keys(nn::InstanceNorm2d(3, {.affine = true, .track_running_stats = true})) ==
        "weight [3], bias [3], running_mean [3], running_var [3], num_batches_tracked []");
  CHECK(keys(nn::GroupNorm(2, 6)) == "weight [6], bias [6]");
  CHECK(keys(nn::LayerNorm({4, 5})) == "weight [4, 5], bias [4, 5]");
  CHECK(keys(nn::LayerNorm(4, {.bias = false})) == "weight [4]");
  CHECK(keys(nn::RMSNorm(4)) == "weight [4]");
  CHECK(keys(nn::PReLU(3)) == "weight [3]");
  CHECK(keys(nn::Embedding(10, 3)) == "weight [10, 3]");
  CHECK(keys(nn::CrossEntropyLoss({.weight = here::ones({4})})) == "weight [4]");
  CHECK(keys(nn::CrossEntropyLoss()).empty());
  CHECK(keys(nn::DiceLoss()) == "weight []");
}

DEVICE_TEST_CASE("first values") {
  manual_seed(3);
  auto linear = here::module(nn::Linear(16, 100));
  check_uniform(linear.weight, 0.25);
  check_uniform(linear.bias, 0.25);
  check_normal(nn::Embedding(100, 20).weight, 1);
  auto padded = here::module(nn::Embedding(10, 3, {.padding_idx = -1}));
  CHECK(padded.weight.detach().select(0, 9).to_vector<float>() == std::vector<float>{0, 0, 0});
  CHECK(nn::PReLU(2).weight.to_vector<double>() == std::vector<double>{0.25, 0.25});
  auto bn = here::module(nn::BatchNorm1d(2));
  CHECK(bn.weight.to_vector<float>() == std::vector<float>{1, 1});
  CHECK(bn.running_var.to_vector<float>() == std::vector<float>{1, 1});
  CHECK(bn.num_batches_tracked.dtype() == Dtype::i64);
}

DEVICE_TEST_CASE("construction errors") {
  CHECK(has(message([] { nn::GroupNorm(4, 6); }), {"divisible", "4", "6"}));
  CHECK(has(message([] { nn::Dropout(1.5); }), {"probability", "1.5"}));
  CHECK(has(message([] { nn::Embedding(4, 2, {.padding_idx = 4}); }), {"padding_idx"}));
  CHECK(has(message([] { nn::Upsample({}); }), {"size", "scale_factor"}));
  CHECK(has(message([] { nn::PixelShuffle(0); }), {"upscale_factor"}));
}

DEVICE_TEST_CASE("call errors leave the state as it was") {
  auto bn = here::module(nn::BatchNorm2d(3));
  CHECK(has(message([&] { bn(here::zeros({1, 3, 1, 1})); }), {"more than 1 value"}));
  CHECK(has(message([&] { bn(here::zeros({2, 3, 4})); }), {"4D"}));
  CHECK(has(message<ShapeError>([&] { bn(here::zeros({2, 4, 2, 2})); }), {"4", "3"}));
  CHECK(bn.num_batches_tracked.item<int64_t>() == 0);
  CHECK(bn.running_var.to_vector<float>() == std::vector<float>{1, 1, 1});
  CHECK(has(message([] { nn::InstanceNorm2d(3)(here::zeros({2, 3, 1, 1})); }), {"more than 1 spatial"}));
  CHECK(has(message<ShapeError>([] { nn::ReflectionPad2d(3)(here::zeros({1, 1, 3, 5})); }), {"adding"}));
  CHECK(has(message<Error>([] {
              nn::MaxPool2d({.kernel_size = 2, .padding = 2})(here::zeros({1, 1, 6, 6}));
            }),
            {"pad"}));
  CHECK_THROWS_AS(nn::Linear(4, 2)(here::zeros({3, 5})), ShapeError);
}

DEVICE_TEST_CASE("BatchNorm: running statistics and modes") {
  Tensor x = here::tensor({0., 2., 4., 10., 20., 30.}, Shape{3, 2}).to(Dtype::f32);  // columns 0 4 20 and 2 10 30
  auto bn = here::module(nn::BatchNorm1d(2));
  Tensor y = bn(x);
  CHECK(bn.num_batches_tracked.item<int64_t>() == 1);
  CHECK(bn.running_mean.to_vector<float>()[0] == doctest::Approx(0.8));             // 0.1 * 8
  CHECK(bn.running_var.to_vector<float>()[0] == doctest::Approx(0.9 + 0.1 * 112));  // unbiased (64 + 16 + 144) / 2
  CHECK(mean(y).item<float>() == doctest::Approx(0).epsilon(1e-5));
  bn.eval();
  float expected = (0 - 0.8f) / std::sqrt(12.1f + 1e-5f);
  CHECK(bn(x).to_vector<float>()[0] == doctest::Approx(expected));
  CHECK(bn.num_batches_tracked.item<int64_t>() == 1);

  auto cumulative = here::module(nn::BatchNorm1d(2, {.momentum = std::nullopt}));
  cumulative(x);
  cumulative(x + 3);
  CHECK(cumulative.running_mean.to_vector<float>()[0] == doctest::Approx(9.5));  // mean of 8 and 11
  cumulative.reset_running_stats();
  cumulative(x + 3);
  CHECK(cumulative.running_mean.to_vector<float>()[0] == doctest::Approx(11));
  nn::BatchNorm1d copy = nn::clone(cumulative);
  copy(x);
  cumulative(x + 3);
  CHECK(copy.running_mean.to_vector<float>()[0] == doctest::Approx(9.5));
  CHECK(cumulative.running_mean.to_vector<float>()[0] == doctest::Approx(11));

  auto untracked = here::module(nn::BatchNorm1d(2, {.track_running_stats = false}));
  untracked.eval();
  CHECK(mean(untracked(x)).item<float>() == doctest::Approx(0).epsilon(1e-5));

  auto fused = here::module(nn::BatchNorm1d(2, {.activation = Activation::relu}));
  CHECK(amin(fused(x)).item<float>() == 0);
  CHECK(amin(fused(x, here::full({3, 2}, 100.f))).item<float>() > 90);
}

DEVICE_TEST_CASE("old checkpoints: num_batches_tracked may be missing, unused statistics are dropped") {
  auto bn = here::module(nn::BatchNorm2d(2));
  StateDict dict = bn.state_dict();
  dict.erase("num_batches_tracked");
  bn.load_state_dict(dict);
  auto norm = here::module(nn::InstanceNorm2d(2));
  norm.load_state_dict(dict.child("none"));
  StateDict old;
  old.insert("running_mean", here::zeros({2}));
  old.insert("running_var", here::ones({2}));
  norm.load_state_dict(old);
  CHECK(keys(norm).empty());
}

DEVICE_TEST_CASE("InstanceNorm takes unbatched inputs") {
  manual_seed(4);
  Tensor x = here::randn({3, 4, 5});
  auto norm = here::module(nn::InstanceNorm2d(3));
  CHECK(norm(x).to_vector<float>() == norm(x.unsqueeze(0)).to_vector<float>());
  CHECK(norm(x).shape() == Shape{3, 4, 5});
}

DEVICE_TEST_CASE("Dropout follows the mode") {
  manual_seed(5);
  auto drop = here::module(nn::Dropout(0.5));
  Tensor x = here::ones({1000});
  auto y = drop(x).to_vector<float>();
  int64_t zero = 0;
  for (float v : y) {
    CHECK((v == 0 || v == 2));
    zero += v == 0;
  }
  CHECK(zero > 400);
  CHECK(zero < 600);
  drop.eval();
  CHECK(drop(x).to_vector<float>() == x.to_vector<float>());
  auto channels = here::module(nn::Dropout2d(0.5));
  auto z = channels(here::ones({4, 8, 2, 2})).contiguous().to_vector<float>();
  for (size_t i = 0; i < z.size(); ++i) CHECK(z[i] == z[i / 4 * 4]);
}

DEVICE_TEST_CASE("Linear, Bilinear, Embedding: values and gradients") {
  manual_seed(6);
  auto linear = here::module(nn::Linear(3, 2));
  Tensor x = here::randn({2, 4, 3});
  Tensor y = linear(x);
  CHECK(y.shape() == Shape{2, 4, 2});
  auto w = linear.weight.to_vector<double>(), b = linear.bias.to_vector<double>(), v = x.to_vector<double>();
  CHECK(y.to_vector<double>()[3] == doctest::Approx(v[3] * w[3] + v[4] * w[4] + v[5] * w[5] + b[1]));
  CHECK(linear(here::randn({3})).shape() == Shape{2});

  auto bilinear = here::module(nn::Bilinear(2, 3, 4));
  bilinear.to(Dtype::f64);
  Tensor p = here::randn({5, 2}, Dtype::f64), q = here::randn({5, 3}, Dtype::f64);
  auto got = bilinear(p, q).to_vector<double>();
  auto bw = bilinear.weight.to_vector<double>(), pv = p.to_vector<double>(), qv = q.to_vector<double>();
  double expected = bilinear.bias.to_vector<double>()[1];
  for (size_t i = 0; i < 2; ++i)
    for (size_t j = 0; j < 3; ++j) expected += pv[2 + i] * bw[6 + i * 3 + j] * qv[3 + j];
  CHECK(got[5] == doctest::Approx(expected));

  auto embedding = here::module(nn::Embedding(5, 2, {.padding_idx = 0, .max_norm = 0.5}));
  Tensor rows = embedding(here::tensor(std::vector<int64_t>{0, 3, 3}));
  CHECK(vector_norm(rows.select(0, 1)).item<double>() <= 0.5 + 1e-6);
  sum(rows).backward();
  auto g = embedding.weight.grad().to_vector<float>();
  CHECK(g == std::vector<float>{0, 0, 0, 0, 0, 0, 2, 2, 0, 0});
}

DEVICE_TEST_CASE("GramMatrix in both layouts") {
  manual_seed(7);
  Tensor x = here::randn({2, 3, 4, 5}, Dtype::f64);
  auto v = x.to_vector<double>();
  Tensor g = nn::GramMatrix()(x), h = gram_matrix(x.contiguous(MemoryFormat::channels_last));
  CHECK(g.shape() == Shape{2, 3, 3});
  for (size_t b = 0; b < 2; ++b)
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 0; j < 3; ++j) {
        double s = 0;
        for (size_t k = 0; k < 20; ++k) s += v[b * 60 + i * 20 + k] * v[b * 60 + j * 20 + k];
        CHECK(g.to_vector<double>()[b * 9 + i * 3 + j] == doctest::Approx(s / 60));
        CHECK(h.to_vector<double>()[b * 9 + i * 3 + j] == doctest::Approx(s / 60));
      }
  for (const Tensor& in : {x, x.contiguous(MemoryFormat::channels_last)}) {
    auto f = [](const std::vector<Tensor>& t) { return std::vector<Tensor>{gram_matrix(t[0])}; };
    CHECK(gradcheck(f, {in.detach().clone().set_requires_grad()}));
    CHECK(gradgradcheck(f, {in.detach().clone().set_requires_grad()}));
  }
  CHECK(has(message<ShapeError>([] { gram_matrix(here::zeros({2, 3, 4})); }), {"4-d"}));
  // 300^2 overflows f16 unless scaled before rounding
  CHECK(gram_matrix(here::full({1, 1, 4, 4}, 200.0, Dtype::f16)).item<float>() == doctest::Approx(40000).epsilon(1e-3));
}

DEVICE_TEST_CASE("losses: weights are buffers and move along") {
  auto loss = here::module(
      nn::CrossEntropyLoss({.weight = here::tensor({1.f, 2.f, 0.5f}), .reduction = Reduction::sum}));
  loss.to(Dtype::f64);
  CHECK(loss.weight.dtype() == Dtype::f64);
  Tensor x = here::zeros({2, 3}, Dtype::f64);
  CHECK(loss(x, here::tensor(std::vector<int64_t>{1, 2})).item<double>() == doctest::Approx(2.5 * std::log(3.0)));
  CHECK(nn::MSELoss()(here::ones({4}), here::zeros({4})).item<float>() == 1);
  CHECK(nn::L1Loss(Reduction::sum)(here::ones({4}), here::zeros({4})).item<float>() == 4);
}

TEST_SUITE_END();
