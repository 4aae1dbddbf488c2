// Options that change after construction: copies, calls and printing see them, clones do not; what a layer cannot take
// is refused in its name.
#include <doctest/doctest.h>

#include <functional>

#include "nn/support.h"
#include "weft/weft.h"

namespace weft::test {
namespace {

using Floats = std::vector<float>;

TEST_SUITE_BEGIN("options that change");

TEST_CASE("convolutions: stride, padding, dilation and padding mode through any handle") {
  manual_seed(0);
  nn::Sequential net(nn::Conv2d(2, 3, 3));
  nn::Conv2d conv = net.at<nn::Conv2d>(0);
  const nn::Conv2d apart = nn::clone(conv);
  for (nn::Conv2d& each : net.modules<nn::Conv2d>()) {
    each.options->stride = 2;
    each.options->padding = {1, 2};
    each.options->padding_mode = "circular";
  }
  conv.options->dilation = 2;
  CHECK(printed(net.at<nn::Conv2d>(0)) ==
        "Conv2d(2, 3, kernel_size=(3, 3), stride=(2, 2), padding=(1, 2), dilation=(2, 2), padding_mode=circular)");
  CHECK(printed(apart) == "Conv2d(2, 3, kernel_size=(3, 3), stride=(1, 1))");
  const Tensor x = randn({1, 2, 7, 8});
  const Tensor want = conv2d(pad(x, {2, 2, 1, 1}, "circular"), conv.weight, conv.bias, {.stride = 2, .dilation = 2});
  CHECK(equal(net(x), want));
  CHECK(equal(conv(x), want));
  CHECK(equal(apart(x), conv2d(x, conv.weight, conv.bias)));

  conv.options->stride = 1;
  conv.options->padding = "same";
  CHECK(net(x).shape() == Shape{1, 3, 7, 8});
  CHECK(conv.geometry().params.padding_lo == Shape{2, 2});
}

TEST_CASE("transposed, lazy, standardised, unit-scaled and upsampling convolutions share theirs too") {
  manual_seed(0);
  const Tensor x = randn({1, 2, 5});
  const nn::ConvTranspose1d up(2, 3, 2);
  nn::ConvTranspose1d(up).options->stride = 2;
  CHECK(equal(up(x), conv_transpose1d(x, up.weight, up.bias, {.stride = 2})));
  CHECK(printed(up) == "ConvTranspose1d(2, 3, kernel_size=(2,), stride=(2,))");

  nn::LazyConv1d lazy(3, 3);
  nn::LazyConv1d same = lazy;
  same.options->padding = 1;
  const Tensor y = lazy(x);  // from here on there is a weight
  CHECK(equal(y, conv1d(x, lazy.weight, lazy.bias, {.padding = 1})));
  same.options->stride = 2;
  CHECK(printed(lazy) == "Conv1d(2, 3, kernel_size=(3,), stride=(2,), padding=(1,))");
  CHECK(same(x).shape() == Shape{1, 3, 3});

  const nn::WSConv1d ws(2, 3, 3);
  nn::WSConv1d(ws).variant = "nfnet";
  nn::WSConv1d(ws).options->groups = 1;
  CHECK(printed(ws) == "WSConv1d(2, 3, kernel_size=(3,), stride=(1,), variant=nfnet)");
  CHECK(equal(ws.standardize_weight(), standardize_weight(ws.weight, ws.gain, "nfnet")));
  CHECK(equal(ws(x), conv1d(x, ws.standardize_weight(), ws.bias)));

  const unit_scaled::Conv1d us(2, 3, 3);
  unit_scaled::Conv1d(us).options->constraint = "none";
  CHECK(printed(us) == "Conv1d(2, 3, kernel_size=(3,), stride=(1,), bias=False, constraint=None)");
  CHECK(allclose(us(x), unit_scaled::conv1d(x, us.weight, {}, {.constraint = "none"})));
  unit_scaled::Linear linear(2, 3);
  linear.constraint = "gmean";
  const Tensor rows = randn({4, 2});
  CHECK(
      equal(unit_scaled::Linear(linear)(rows), unit_scaled::linear(rows, linear.weight, {}, {.constraint = "gmean"})));

  const nn::ConvNd nd(2, 3, {.kernel_size = {3}});
  nn::ConvNd(nd).options->padding = {{1, 0}};
  CHECK(printed(nd) == "ConvNd(2, 3, kernel_size=(3,), stride=(1,), padding=((1, 0),))");
  CHECK(nd(x).shape() == Shape{1, 3, 4});

  const nn::UpsampleConv2d shuffled(1, 1, {.kernel_size = 3, .scale_factor = 2});
  nn::UpsampleConv2d(shuffled).options->padding = 1;
  CHECK(shuffled(randn({1, 1, 4, 4})).shape() == Shape{1, 1, 8, 8});
}

TEST_CASE("layers of shapes, pooling, padding, norms and losses see a change made through a copy") {
  const Tensor x = arange(24).to(Dtype::f32).reshape({2, 3, 4});
  const nn::Flatten flatten;
  nn::Flatten(flatten).start_dim = 0;
  CHECK(flatten(x).shape() == Shape{24});
  CHECK(printed(flatten) == "Flatten(start_dim=0, end_dim=-1)");
  const nn::Unflatten unflatten(2, {2, 2});
  nn::Unflatten(unflatten).unflattened_size = {4, 1};
  CHECK(unflatten(x).shape() == Shape{2, 3, 4, 1});
  CHECK(printed(unflatten) == "Unflatten(dim=2, unflattened_size=(4, 1))");
  const nn::View view(Shape{24});
  nn::View(view).size = {3, -1};
  CHECK(view(x).shape() == Shape{3, 8});
  const nn::Sum total(1);
  nn::Sum(total).keep_dim = true;
  CHECK(equal(total(x), sum(x, 1, true)));
  CHECK(printed(total) == "Sum(dim=1, keep_dim=True)");
  const nn::Mean average(1);
  nn::Mean(average).dim = 2;
  CHECK(equal(average(x), mean(x, 2)));
  const nn::Normalize unit;
  nn::Normalize(unit).p = 1;
  CHECK(equal(unit(x), x / clamp(vector_norm(x, 1, 1, true), 1e-8)));
  CHECK(printed(unit) == "Normalize(p=1.0, dim=1)");

  const nn::AdaptiveAvgPool1d pool(1);
  nn::AdaptiveAvgPool1d(pool).output_size = 2;
  CHECK(equal(pool(x), adaptive_avg_pool1d(x, 2)));
  CHECK(printed(pool) == "AdaptiveAvgPool1d(output_size=2)");
  const nn::AdaptiveMaxPool2d greatest(1);
  nn::AdaptiveMaxPool2d(greatest).output_size = {1, 2};
  CHECK(equal(greatest(x), adaptive_max_pool2d(x, {1, 2})));
  const nn::LPPool1d lp(2, 2);
  nn::LPPool1d(lp).options->norm_type = 1;
  CHECK(printed(lp) == "LPPool1d(norm_type=1, kernel_size=2, stride=None, ceil_mode=False)");

  const nn::ConstantPad1d border(1, 2.5);
  nn::ConstantPad1d(border).padding = {0, 1};
  nn::ConstantPad1d(border).value = 3;
  CHECK(equal(border(x), pad(x, {0, 1}, "constant", 3)));
  CHECK(printed(border) == "ConstantPad1d(padding=(0, 1), value=3.0)");
  const nn::ReflectionPad1d mirror(1);
  nn::ReflectionPad1d(mirror).padding = 2;
  CHECK(printed(mirror) == "ReflectionPad1d((2, 2))");
  const nn::Unfold blocks(2);
  nn::Unfold(blocks).kernel_size = {1, 2};
  CHECK(blocks(ones({1, 1, 2, 3})).shape() == Shape{1, 2, 4});

  const nn::GroupNorm norm(1, 4);
  nn::GroupNorm(norm).num_groups = 2;
  const Tensor images = randn({2, 4, 3});
  CHECK(equal(norm(images), group_norm(images, 2, norm.weight, norm.bias)));
  CHECK(printed(norm).starts_with("GroupNorm(2, 4, eps=1e-05"));
  const nn::LocalResponseNorm local(3);
  nn::LocalResponseNorm(local).size = 1;
  CHECK(printed(local).starts_with("LocalResponseNorm(1, "));
  const nn::PixelShuffle shuffle(1);
  nn::PixelShuffle(shuffle).upscale_factor = 2;
  CHECK(shuffle(ones({1, 4, 1, 1})).shape() == Shape{1, 1, 2, 2});

  const nn::LabelSmoothing smoothed(0.1);
  nn::LabelSmoothing(smoothed).smoothing = 0;
  const Tensor scores = randn({2, 3}), target = tensor({int64_t{0}, int64_t{2}});
  CHECK(equal(smoothed(scores, target), cross_entropy(scores, target)));
  CHECK(printed(smoothed) == "LabelSmoothing(smoothing=0.0)");
  const nn::CosineSimilarity alike;
  nn::CosineSimilarity(alike).dim = 2;
  CHECK(alike(x, x).shape() == Shape{2, 3});
  const nn::GRU gru(4, 2);
  nn::GRU(gru).batch_first = true;
  CHECK(nn::GRU(gru)(x).h.shape() == Shape{1, 2, 2});
  CHECK(printed(gru) == "GRU(4, 2, batch_first=True)");

  nn::MSELoss loss;
  nn::MSELoss(loss).reduction = "sum";
  CHECK(loss.reduction == "sum");
  CHECK(loss(ones({3}), zeros({3})).item<float>() == 3);
  nn::GELU gelu_layer;
  gelu_layer.approximate = "tanh";
  CHECK(equal(nn::GELU(gelu_layer)(x), gelu(x, "tanh")));
}

TEST_CASE("FWS: a copy turns rewriting off") {
  nn::FWS<nn::Linear> layer(nn::Linear(3, 2));
  nn::FWS<nn::Linear>(layer).const_eval = true;
  layer.eval();
  const Floats before = values(layer.layer.weight);
  (void)layer(ones({1, 3}));
  CHECK(values(layer.layer.weight) == before);
  CHECK(nn::FWSOptions{.variant = "nfnet"}.variant == nn::WSVariant::nfnet);
}

TEST_CASE("what a layer cannot take is refused by its next call, in its name and with the value") {
  struct Bad {
    const char* begins;
    const char* has;
    std::function<void()> call;
  };
  const Tensor image = ones({1, 2, 6, 6}), x = ones({1, 4, 4});
  const Bad all[] = {
      {"Conv2d: stride", "0",
       [&] {
         nn::Conv2d c(2, 2, 3);
         c.options->stride = 0;
         (void)c(image);
       }},
      {"Conv2d: kernel_size cannot change", "(5, 5)",
       [&] {
         nn::Conv2d c(2, 2, 3);
         c.options->kernel_size = 5;
         (void)c(image);
       }},
      {"Conv2d: groups cannot change", "2",
       [&] {
         nn::Conv2d c(2, 2, 3);
         c.options->groups = 2;
         (void)c(image);
       }},
      {"Conv2d: bias cannot change", "False",
       [&] {
         nn::Conv2d c(2, 2, 3);
         c.options->bias = false;
         (void)c(image);
       }},
      {"Conv2d: padding", "full",
       [&] {
         nn::Conv2d c(2, 2, 3);
         c.options->padding = "full";
         (void)c(image);
       }},
      {"conv: padding_mode", "mirror", [&] { nn::Conv2d(2, 2, 3).options->padding_mode = "mirror"; }},
      {"ConvTranspose2d: only \"zeros\"", "circular",
       [&] {
         nn::ConvTranspose2d c(2, 2, 3);
         c.options->padding_mode = "circular";
         (void)c(image);
       }},
      {"UpsampleConv2d: scale_factor cannot change", "3",
       [&] {
         nn::UpsampleConv2d c(2, 2, {.kernel_size = 3, .scale_factor = 2});
         c.options->scale_factor = 3;
         (void)c(image);
       }},
      {"Conv2d", "same",
       [&] {
         unit_scaled::Conv2d c(2, 2, 3);
         c.options->padding = "same";
         (void)c(image);
       }},
      {"MaxPool2d: kernel_size", "0",
       [&] {
         nn::MaxPool2d p(2);
         p.options->kernel_size = 0;
         (void)p(image);
       }},
      {"LPPool2d: norm_type", "0",
       [&] {
         nn::LPPool2d p(2, 2);
         p.options->norm_type = 0;
         (void)p(image);
       }},
      {"LabelSmoothing: smoothing", "2",
       [&] {
         nn::LabelSmoothing s;
         s.smoothing = 2;
         (void)s(ones({1, 2}), tensor({int64_t{0}}));
       }},
      {"PixelShuffle: upscale_factor", "-1",
       [&] {
         nn::PixelShuffle s(2);
         s.upscale_factor = -1;
         (void)s(image);
       }},
      {"GroupNorm: num_channels", "3",
       [&] {
         nn::GroupNorm n(2, 4);
         n.num_groups = 3;
         (void)n(x);
       }},
  };
  for (const Bad& bad : all) {
    CAPTURE(bad.begins);
    const std::string said = message(bad.call);
    CHECK(said.starts_with(bad.begins));
    CHECK(said.find(bad.has) != std::string::npos);
  }
}

TEST_CASE("activations and others take their options by name") {
  CHECK(printed(nn::LeakyReLU({.negative_slope = 0.2})) == "LeakyReLU(negative_slope=0.2)");
  CHECK(printed(nn::PReLU({.num_parameters = 3})) == "PReLU(num_parameters=3)");
  CHECK(printed(nn::ELU({.alpha = 2})) == "ELU(alpha=2.0)");
  CHECK(printed(nn::CELU({.alpha = 2})) == "CELU(alpha=2.0)");
  CHECK(printed(nn::GELU({.approximate = "tanh"})) == "GELU(approximate='tanh')");
  CHECK(printed(nn::Hardtanh({.max_val = 6})) == "Hardtanh(min_val=-1.0, max_val=6.0)");
  CHECK(printed(nn::Softplus({.beta = 2})) == "Softplus(beta=2.0, threshold=20.0)");
  CHECK(printed(nn::Softshrink({.lambd = 1})) == "Softshrink(1.0)");
  CHECK(printed(nn::Hardshrink({.lambd = 1})) == "Hardshrink(1.0)");
  CHECK(printed(nn::Threshold({.threshold = 1, .value = 0})) == "Threshold(threshold=1.0, value=0.0)");
  CHECK(printed(nn::RReLU({.lower = 0.1})).starts_with("RReLU(lower=0.1, "));
  CHECK(printed(nn::GLU({.dim = 1})) == "GLU(dim=1)");
  CHECK(printed(nn::Softmax({.dim = 1})) == "Softmax(dim=1)");
  CHECK(printed(nn::Softmax(1)) == "Softmax(dim=1)");
  CHECK(printed(nn::LogSoftmax({.dim = -1})) == "LogSoftmax(dim=-1)");
  CHECK(printed(nn::Softmin({.dim = 0})) == "Softmin(dim=0)");
  CHECK(printed(nn::Dropout({.p = 0.1})) == "Dropout(p=0.1, inplace=False)");
  CHECK(printed(nn::Flatten({.start_dim = 2})) == "Flatten(start_dim=2, end_dim=-1)");
  CHECK(nn::CosineSimilarity({.dim = 0}).dim == 0);
  CHECK(printed(nn::PixelShuffle({.upscale_factor = 2})) == "PixelShuffle(upscale_factor=2)");
  CHECK(printed(nn::PixelUnshuffle({.downscale_factor = 2})) == "PixelUnshuffle(downscale_factor=2)");
}

TEST_CASE("an option is read as a value, restored by one, and shared only with the module") {
  nn::Dropout drop(0.5);
  const nn::Dropout same = drop;
  const double before = drop.p;
  drop.p = 0;
  CHECK(same.p == 0);
  drop.p = before;
  CHECK(same.p == 0.5);

  nn::Dropout other(0.1);
  const nn::Dropout fixed(0.2);
  drop.p = other.p;
  other.p = 0.9;
  CHECK(drop.p == 0.1);
  CHECK(printed(drop) == "Dropout(p=0.1, inplace=False)");
  drop.p = fixed.p;
  CHECK(same.p == 0.2);
  nn::Dropout(fixed).p = 0.3;
  CHECK(drop.p == 0.2);
  nn::BatchNorm2d a(2), b(2);
  a.options = b.options;
  b.options->eps = 1;
  CHECK(a.options->eps == 1e-5);

  CHECK(nn::Dropout(fixed.p).p == 0.3);
  drop.p += 0.5;
  drop.p *= 0.5;
  CHECK(drop.p == 0.35);
  CHECK(other.p.share() == 0.9);
  nn::Option<double> watch = other.p.share();
  other.p = 0.7;
  CHECK(watch == 0.7);
}

/// Modules in a vector lie elsewhere in memory than the options behind them.
struct Branches : nn::Module {
  explicit Branches(double p) : drop(add("drop", nn::Dropout(p))), rate(p) {
    for (int i = 0; i < 3; ++i) branches.push_back(nn::Dropout(p));
  }
  nn::Dropout drop;
  std::vector<nn::Dropout> branches;
  nn::Option<double> rate;
};

TEST_CASE("modules that are assigned share their options") {
  Branches a(0.5);
  Branches b(0.1), c = clone(b);
  a = b;
  b.rate = 0.2;
  b.drop.p = 0.3;
  b.branches[2].p = 0.4;
  CHECK(a.rate == 0.2);
  CHECK(a.drop.p == 0.3);
  CHECK(a.branches[2].p == 0.4);
  CHECK(c.rate == 0.1);
  CHECK(c.branches[2].p == 0.1);
  c = std::move(a);
  b.rate = 0.6;
  CHECK(c.rate == 0.6);
  Branches d(0.5);
  b.rate = d.rate;  // of another module: the value
  d.rate = 0.8;
  CHECK(c.rate == 0.5);
}

TEST_CASE("batch norm that tracks no longer keeps its statistics, as in PyTorch") {
  manual_seed(0);
  nn::BatchNorm1d norm(2);
  const Tensor x = randn({8, 2}) + 3;
  (void)norm(x);
  const Tensor mean = norm.running_mean.clone(), want = nn::BatchNorm1d(2)(x);
  norm.options->track_running_stats = false;
  CHECK(equal(norm(x), want));  // the batch's
  CHECK(equal(norm.running_mean, mean));
  CHECK(norm.num_batches_tracked.item<int64_t>() == 1);
  norm.eval();
  const Tensor y = norm(x);  // the running ones, which are there
  CHECK(allclose(y, (x - mean) / sqrt(norm.running_var + 1e-5)));
  CHECK(equal(norm.running_mean, mean));
}

TEST_CASE("what parameters were made for cannot change") {
  const Tensor x = ones({2, 4, 3}), image = ones({2, 4, 3, 3}), row = ones({1, 2, 4});
  const Tensor logits = ones({2, 4}), target = tensor({0, 1}), probabilities = full({2, 4}, 0.5);
  struct Bad {
    const char* says;
    std::function<void()> call;
  };
  const std::vector<Bad> all = {
      {"BatchNorm2d: options.affine is False, but the parameters were made for True; make a new layer",
       [&] {
         nn::BatchNorm2d m(4);
         m.options->affine = false;
         (void)m(image);
       }},
      {"BatchNorm2d: options.bias is False",
       [&] {
         nn::BatchNorm2d m(4);
         m.options->bias = false;
         (void)m(image);
       }},
      {"BatchNorm2d: options.track_running_stats is True",
       [&] {
         nn::BatchNorm2d m(4, {.track_running_stats = false});
         m.options->track_running_stats = true;
         (void)m(image);
       }},
      {"InstanceNorm2d: options.affine is True",
       [&] {
         nn::InstanceNorm2d m(4);
         m.options->affine = true;
         (void)m(image);
       }},
      {"GroupNorm: options.affine is False",
       [&] {
         nn::GroupNorm m(2, 4);
         m.options->affine = false;
         (void)m(image);
       }},
      {"LayerNorm: options.elementwise_affine is False",
       [&] {
         nn::LayerNorm m(4);
         m.options->elementwise_affine = false;
         (void)m(row);
       }},
      {"LayerNorm: options.bias is True",
       [&] {
         nn::LayerNorm m(4, {.bias = false});
         m.options->bias = true;
         (void)m(row);
       }},
      {"RMSNorm: options.elementwise_affine is False",
       [&] {
         nn::RMSNorm m(4);
         m.options->elementwise_affine = false;
         (void)m(row);
       }},
      {"MultiheadAttention: options.bias is False",
       [&] {
         nn::MultiheadAttention m(4, 2);
         m.options->bias = false;
         (void)m(row, row, row);
       }},
      {"MultiheadAttention: options.add_bias_kv is True",
       [&] {
         nn::MultiheadAttention m(4, 2);
         m.options->add_bias_kv = true;
         (void)m(row, row, row);
       }},
      {"CrossEntropyLoss: options.weight is [4], but the weights are the buffer 'weight'; make a new loss with them",
       [&] {
         nn::CrossEntropyLoss m;
         m.options->weight = ones({4});
         (void)m(logits, target);
       }},
      {"NLLLoss: options.weight is [4]",
       [&] {
         nn::NLLLoss m;
         m.options->weight = ones({4});
         (void)m(logits, target);
       }},
      {"BCELoss: options.weight is [4]",
       [&] {
         nn::BCELoss m;
         m.options->weight = ones({4});
         (void)m(probabilities, probabilities);
       }},
      {"BCEWithLogitsLoss: options.pos_weight is [4]",
       [&] {
         nn::BCEWithLogitsLoss m;
         m.options->pos_weight = ones({4});
         (void)m(logits, probabilities);
       }},
      {"MultiMarginLoss: options.weight is [4]",
       [&] {
         nn::MultiMarginLoss m;
         m.options->weight = ones({4});
         (void)m(logits, target);
       }},
      {"DiceLoss: options.weight is [4]",
       [&] {
         nn::DiceLoss m;
         m.options->weight = ones({4});
         (void)m(image, ones({2, 3, 3}).to(Dtype::i64));
       }},
      {"LinearCrossEntropyLoss: options.bias is True",
       [&] {
         nn::LinearCrossEntropyLoss m(4, 3);
         m.options->bias = true;
         (void)m(logits, target);
       }},
      {"LinearCrossEntropyLoss: options.out_features is (2,)",
       [&] {
         nn::LinearCrossEntropyLoss m(4, 3);
         m.options->out_features = {2};
         (void)m(logits, target);
       }},
  };
  for (const Bad& bad : all) {
    CAPTURE(bad.says);
    const std::string said = message(bad.call);
    CAPTURE(said);
    CHECK(said.starts_with(bad.says));
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weft::test
