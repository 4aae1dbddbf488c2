// Layers and losses with PyTorch's first arguments: each is the layer that the options in braces make. Modes as text
// and as enumerators. Embeddings over given rows.
#include <doctest/doctest.h>

#include "nn/support.h"
#include "support/here.h"
#include "weft/weft.h"

namespace weft::test {
namespace {

template <class A, class B> bool alike(const A& a, const B& b) {
  return printed(a) == printed(b) && keys(a) == keys(b);
}

TEST_SUITE_BEGIN("short forms");

TEST_CASE("convolutions: kernel, stride, padding, or a kernel and options behind it") {
  CHECK(alike(nn::Conv2d(3, 8, 3), nn::Conv2d(3, 8, {.kernel_size = 3})));
  CHECK(alike(nn::Conv2d(3, 8, 3, {.padding = 1}), nn::Conv2d(3, 8, {.kernel_size = 3, .padding = 1})));
  CHECK(alike(nn::Conv2d(3, 8, 3, 2, 1), nn::Conv2d(3, 8, {.kernel_size = 3, .stride = 2, .padding = 1})));
  CHECK(alike(nn::Conv2d(3, 8, {3, 5}), nn::Conv2d(3, 8, {.kernel_size = {3, 5}})));
  CHECK(alike(nn::Conv2d(3, 8, {3, 5}, {2, 1}, "valid"),
              nn::Conv2d(3, 8, {.kernel_size = {3, 5}, .stride = {2, 1}, .padding = "valid"})));
  CHECK(alike(nn::Conv1d(3, 8, 3, {.bias = false, .padding_mode = "circular"}),
              nn::Conv1d(3, 8, {.kernel_size = 3, .bias = false, .padding_mode = nn::PaddingMode::circular})));
  CHECK(alike(nn::Conv3d(3, 8, 3, 1, "same"), nn::Conv3d(3, 8, {.kernel_size = 3, .padding = "same"})));
  CHECK(alike(nn::ConvTranspose2d(8, 3, 2), nn::ConvTranspose2d(8, 3, {.kernel_size = 2})));
  CHECK(alike(nn::ConvTranspose2d(8, 3, 3, {.stride = 2, .output_padding = 1}),
              nn::ConvTranspose2d(8, 3, {.kernel_size = 3, .stride = 2, .output_padding = 1})));
  CHECK(alike(nn::ConvTranspose2d(8, 3, 2, 2), nn::ConvTranspose2d(8, 3, {.kernel_size = 2, .stride = 2})));
  CHECK(alike(nn::WSConv2d(3, 8, 3), nn::WSConv2d(3, 8, {.kernel_size = 3})));
  CHECK(alike(nn::WSConv2d(3, 8, 3, {.padding = 1}, "nfnet"),
              nn::WSConv2d(3, 8, {.kernel_size = 3, .padding = 1}, nn::WSVariant::nfnet)));
  CHECK(alike(nn::WSConvTranspose2d(8, 3, 2, 2), nn::WSConvTranspose2d(8, 3, {.kernel_size = 2, .stride = 2})));
  CHECK(alike(nn::FWS(nn::Conv2d(3, 8, 3)), nn::FWS(nn::Conv2d(3, 8, {.kernel_size = 3}))));
  CHECK(alike(nn::LazyConv2d(8, 3, 2, 1), nn::LazyConv2d(8, {.kernel_size = 3, .stride = 2, .padding = 1})));
  CHECK(alike(nn::LazyConvTranspose2d(8, 3), nn::LazyConvTranspose2d(8, {.kernel_size = 3})));
  CHECK(alike(unit_scaled::Conv2d(3, 8, 3, {.constraint = "gmean"}),
              unit_scaled::Conv2d(3, 8, {.kernel_size = 3, .constraint = unit_scaled::Constraint::gmean})));
  CHECK(alike(unit_scaled::ConvTranspose1d(3, 8, 3), unit_scaled::ConvTranspose1d(3, 8, {.kernel_size = 3})));
}

TEST_CASE("linear layers, tables and norms") {
  CHECK(alike(nn::Linear(4, 2, false), nn::Linear(4, 2, {.bias = false})));
  CHECK(alike(nn::Linear(4, 2, {}), nn::Linear(4, 2)));  // braces are options, not a bool
  CHECK(alike(nn::LazyLinear(2, false), nn::LazyLinear(2, {.bias = false})));
  CHECK(alike(nn::Bilinear(4, 3, 2, false), nn::Bilinear(4, 3, 2, {.bias = false})));
  CHECK(alike(unit_scaled::Linear(4, 2, true), unit_scaled::Linear(4, 2, {.bias = true})));
  CHECK(alike(nn::Embedding(10, 3, 0), nn::Embedding(10, 3, {.padding_idx = 0})));
  CHECK(alike(nn::Embedding(10, 3, {}), nn::Embedding(10, 3)));
  CHECK(alike(nn::EmbeddingBag(10, 3, {.mode = "sum"}), nn::EmbeddingBag(10, 3, {.mode = BagMode::sum})));
  CHECK(alike(nn::BatchNorm2d(8, 1e-3, 0.01), nn::BatchNorm2d(8, {.eps = 1e-3, .momentum = 0.01})));
  CHECK(alike(nn::BatchNorm2d(8, {}), nn::BatchNorm2d(8)));
  CHECK(alike(nn::BatchNorm2d(8, {.activation = "relu"}), nn::BatchNorm2d(8, {.activation = Activation::relu})));
  CHECK(alike(nn::InstanceNorm2d(8, 1e-3, 0.1, true), nn::InstanceNorm2d(8, {.eps = 1e-3, .affine = true})));
  CHECK(alike(nn::GroupNorm(4, 8, 1e-6), nn::GroupNorm(4, 8, {.eps = 1e-6})));
  CHECK(alike(nn::LayerNorm(8, 1e-6), nn::LayerNorm(8, {.eps = 1e-6})));
  CHECK(alike(nn::LayerNorm({2, 8}, 1e-6), nn::LayerNorm({2, 8}, {.eps = 1e-6})));
  CHECK(alike(nn::RMSNorm(8, 1e-6), nn::RMSNorm(8, {.eps = 1e-6})));
  CHECK(alike(nn::LocalResponseNorm(5, 1e-3, 0.5), nn::LocalResponseNorm(5, {.alpha = 1e-3, .beta = 0.5})));
}

TEST_CASE("pooling, resizing and padding") {
  CHECK(alike(nn::MaxPool2d(2), nn::MaxPool2d({.kernel_size = 2})));
  CHECK(alike(nn::MaxPool2d({3, 2}, 2), nn::MaxPool2d({.kernel_size = {3, 2}, .stride = 2})));
  CHECK(alike(nn::MaxPool2d(3, 2, 1), nn::MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1})));
  CHECK(alike(nn::AvgPool2d(2), nn::AvgPool2d({.kernel_size = 2})));
  CHECK(alike(nn::AvgPool1d(4, 2), nn::AvgPool1d({.kernel_size = 4, .stride = 2})));
  CHECK(alike(nn::LPPool2d(2, 3), nn::LPPool2d({.norm_type = 2, .kernel_size = 3})));
  CHECK(alike(nn::MaxUnpool2d(2, 2), nn::MaxUnpool2d({.kernel_size = 2, .stride = 2})));
  CHECK(printed(nn::AdaptiveAvgPool2d(7)) == "AdaptiveAvgPool2d(output_size=7)");
  CHECK(printed(nn::AdaptiveMaxPool2d({7, 5})) == "AdaptiveMaxPool2d(output_size=(7, 5))");
  CHECK(nn::FractionalMaxPool2d(2, 3)(ones({1, 1, 7, 7})).shape() == Shape{1, 1, 3, 3});
  CHECK(alike(nn::Upsample(32), nn::Upsample({.size = {32}})));
  CHECK(
      alike(nn::Upsample(Shape{4, 6}, "bilinear"), nn::Upsample({.size = {4, 6}, .mode = InterpolateMode::bilinear})));
  CHECK(alike(nn::UpsamplingNearest2d(8), nn::UpsamplingNearest2d({.size = {8}})));
  CHECK(printed(nn::ZeroPad2d(1)) == "ZeroPad2d((1, 1, 1, 1))");
  CHECK(printed(nn::GELU("tanh")) == "GELU(approximate='tanh')");

  const Tensor x = arange(0, 36, 1, Dtype::f32).reshape({1, 1, 6, 6});
  const auto same = [](const Tensor& a, const Tensor& b) {
    return a.shape() == b.shape() && all(eq(a, b)).item<bool>();
  };
  CHECK(same(max_pool2d(x, 2), max_pool2d(x, {.kernel_size = 2})));
  CHECK(same(max_pool2d(x, {3, 2}), max_pool2d(x, {.kernel_size = {3, 2}})));
  CHECK(same(max_pool2d(x, 3, 2, 1), max_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1})));
  CHECK(same(avg_pool2d(x, 2), avg_pool2d(x, {.kernel_size = 2})));
  CHECK(same(lp_pool2d(x, 2, 3), lp_pool2d(x, {.norm_type = 2, .kernel_size = 3})));
  const Pooled p = max_pool2d_with_indices(x, 2);
  CHECK(same(max_unpool2d(p.output, p.indices, 2), max_unpool2d(p.output, p.indices, {.kernel_size = 2})));
  const Tensor w = ones({2, 1, 3, 3});
  CHECK(same(conv2d(x, w, {}, 2, 1), conv2d(x, w, {}, {.stride = 2, .padding = 1})));
  CHECK(same(conv2d(x, w, {}, 1, "same"), conv2d(x, w, {}, {.padding = 1})));
  CHECK(
      same(conv_transpose2d(x, ones({1, 2, 2, 2}), {}, 2), conv_transpose2d(x, ones({1, 2, 2, 2}), {}, {.stride = 2})));
}

TEST_CASE("recurrent and attention layers") {
  CHECK(alike(nn::LSTM(4, 8, 2), nn::LSTM(4, 8, {.num_layers = 2})));
  CHECK(alike(nn::LSTM(4, 8, 2, {.batch_first = true}), nn::LSTM(4, 8, {.num_layers = 2, .batch_first = true})));
  CHECK(alike(nn::GRU(4, 8, 2), nn::GRU(4, 8, {.num_layers = 2})));
  CHECK(alike(nn::RNN(4, 8, 1, {.nonlinearity = "relu"}), nn::RNN(4, 8, {.nonlinearity = nn::RNNNonlinearity::relu})));
  CHECK(has(message([] { nn::LSTM(4, 8, 2, {.num_layers = 3}); }), {"num_layers is 2", "3"}));
  CHECK(alike(nn::GRUCell(4, 8, false), nn::GRUCell(4, 8, {.bias = false})));
  // a dropout of 1 leaves no weight of attention
  const Tensor q = ones({2, 1, 8});
  CHECK(sum(nn::MultiheadAttention(8, 2, 1.0)(q, q, q).weights).item<float>() == 0);
  CHECK(has(printed(nn::TransformerEncoderLayer(8, 2, 16, 0.2)), {"out_features=16", "p=0.2"}));
  CHECK(has(printed(nn::TransformerDecoderLayer(8, 2, 16)), {"out_features=16", "p=0.1"}));
  CHECK(keys(nn::Transformer(8, 2, 1, 1)) ==
        keys(nn::Transformer({.d_model = 8, .nhead = 2, .num_encoder_layers = 1, .num_decoder_layers = 1})));
}

TEST_CASE("losses: nothing, text, an enumerator, or options") {
  const Tensor x = tensor({1.f, 2.f, 4.f}), t = tensor({0.f, 0.f, 1.f});
  CHECK(nn::MSELoss()(x, t).item<float>() == doctest::Approx(14.0 / 3));
  CHECK(nn::MSELoss("sum")(x, t).item<float>() == 14);
  CHECK(nn::MSELoss(Reduction::sum)(x, t).item<float>() == 14);
  CHECK(nn::MSELoss({.reduction = "sum"})(x, t).item<float>() == 14);
  CHECK(nn::L1Loss({.reduction = "none"})(x, t).to_vector<float>() == std::vector<float>{1, 2, 3});
  CHECK(nn::HuberLoss({.reduction = "sum", .delta = 2})(x, t).item<float>() == 0.5f + 2 + 4);
  CHECK(nn::HuberLoss(2.0, "sum")(x, t).item<float>() == 0.5f + 2 + 4);
  CHECK(nn::SmoothL1Loss({.reduction = "sum", .beta = 2})(x, t).item<float>() == 0.25f + 1 + 2);
  CHECK(smooth_l1_loss(x, t, {.reduction = "sum", .beta = 2}).item<float>() == 0.25f + 1 + 2);
  CHECK(huber_loss(x, t, {.reduction = "sum", .delta = 2}).item<float>() == 0.5f + 2 + 4);
  const Tensor logits = x.reshape({1, 3}), label = tensor({int64_t{1}}), p = ones({1, 3});
  CHECK(nn::KLDivLoss("batchmean")(logits, p).item<float>() ==
        nn::KLDivLoss({.reduction = "sum"})(logits, p).item<float>());
  CHECK(keys(nn::CrossEntropyLoss(ones({3}))) == "weight [3]");
  CHECK(nn::CrossEntropyLoss(tensor({1.f, 2.f, 3.f}))(logits, label).item<float>() ==
        cross_entropy(logits, label, {.weight = tensor({1.f, 2.f, 3.f})}).item<float>());
  CHECK(keys(nn::BCEWithLogitsLoss({.pos_weight = ones({3})})) == "pos_weight [3]");
  CHECK(nn::MarginRankingLoss(2.0, "sum")(x, x, t + 1).item<float>() == 6);
  CHECK(nn::MarginRankingLoss({.margin = 2, .reduction = "sum"})(x, x, t + 1).item<float>() == 6);
  CHECK(nn::HingeEmbeddingLoss({.reduction = "sum"})(x, ones({3})).item<float>() == 7);
  CHECK(nn::HingeEmbeddingLoss(3.0, "sum")(x, full({3}, -1.0)).item<float>() == 2 + 1 + 0);
  const Tensor a = tensor({3.f, 4.f}, Shape{1, 2}), far = zeros({1, 2});
  CHECK(nn::CosineEmbeddingLoss({.margin = 0.25})(a, a, full({1}, -1.0)).item<float>() == doctest::Approx(0.75));
  CHECK(nn::PairwiseDistance(1.0, 0)(a, far).item<float>() == 7);
  CHECK(nn::TripletMarginLoss(0.5, 1)(a, a, a).item<float>() == doctest::Approx(0.5));
  CHECK(mse_loss(x, t, {.reduction = "sum"}).item<float>() == 14);
}

TEST_CASE("a mode is text or an enumerator, and an unknown word is answered with the known ones") {
  const Choice<Reduction> r = "sum";
  CHECK(r == Reduction::sum);
  CHECK(r == "sum");
  CHECK(r != "mean");
  CHECK(r.text() == "sum");
  CHECK(message([] { nn::MSELoss("average"); }) ==
        "loss: reduction 'average' is unknown; expected 'none', 'mean', 'sum' or 'batchmean'");
  CHECK(has(message([] { (void)pad(ones({3}), {1, 1}, "wrap"); }), {"pad: mode 'wrap'", "'circular'"}));
  CHECK(has(message([] { nn::GELU("erf"); }), {"gelu: approximate 'erf'", "'none' or 'tanh'"}));
  CHECK(has(message([] { nn::BatchNorm2d(3, {.activation = "gelu"}); }), {"activation 'gelu'", "leaky_relu"}));
  CHECK(has(message([] { nn::RNN(3, 4, {.nonlinearity = "selu"}); }), {"nonlinearity 'selu'", "tanh"}));

  const Tensor x = tensor({1.f, 2.f, 3.f});
  CHECK(pad(x, {1, 1}, "reflect").to_vector<float>() == std::vector<float>{2, 1, 2, 3, 2});
  CHECK(norm(x, "fro").item<float>() == norm(x).item<float>());
  CHECK(norm(x, "inf").item<float>() == 3);
  CHECK(div(x, 2, "floor").to_vector<float>() == std::vector<float>{0, 1, 1});
  CHECK(interpolate(x.reshape({1, 1, 3}), {.size = {6}, .mode = "nearest-exact"}).numel() == 6);
  const Tensor grid = zeros({1, 1, 1, 2}), image = ones({1, 1, 3, 3});
  CHECK(grid_sample(image, grid, {.mode = "nearest", .padding_mode = "border"}).item<float>() == 1);
  CHECK(scatter_reduce(zeros({2}), 0, tensor({int64_t{1}, int64_t{1}, int64_t{0}}), x, "amax").to_vector<float>() ==
        std::vector<float>{3, 2});
  CHECK(quantile(x, 0.4, {}, false, "lower").item<float>() == 1);
  CHECK(optim::PlateauOptions{.mode = "max"}.mode == optim::PlateauOptions::Mode::max);
  CHECK(io::resize_image(ones({4, 4, 1}), 2, 2, "nearest").numel() == 4);
  CHECK(nn::init::calculate_gain("tanh") == 5.0 / 3);
  CHECK(FPFormat(4, 3, "nearest").rounding == FPRounding::nearest);
}

DEVICE_TEST_CASE("from_pretrained takes the rows themselves, frozen unless asked for") {
  const Tensor rows = here::tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, Shape{3, 2});
  const auto frozen = nn::Embedding::from_pretrained(rows);
  CHECK(printed(frozen) == "Embedding(3, 2)");
  CHECK(frozen.weight.raw_data() == rows.raw_data());
  CHECK_FALSE(frozen.weight.requires_grad());
  CHECK_FALSE(rows.requires_grad());
  const Tensor at = here::tensor({int64_t{2}, int64_t{0}});
  CHECK(frozen(at).to_vector<float>() == std::vector<float>{5, 6, 1, 2});
  const auto trained = nn::Embedding::from_pretrained(rows, false, {.padding_idx = -1});
  CHECK(trained.weight.requires_grad());
  CHECK(printed(trained) == "Embedding(3, 2, padding_idx=2)");
  CHECK(trained(at).to_vector<float>() == std::vector<float>{5, 6, 1, 2});  // the padding row stays as given
  const auto bag = nn::EmbeddingBag::from_pretrained(rows, true, {.mode = "sum"});
  CHECK(printed(bag) == "EmbeddingBag(3, 2, mode='sum')");
  CHECK_FALSE(bag.weight.requires_grad());
  CHECK(bag(at.reshape({1, 2})).to_vector<float>() == std::vector<float>{6, 8});
  CHECK(has(message<ShapeError>([&] { (void)nn::Embedding::from_pretrained(rows.flatten()); }), {"Embedding", "[6]"}));
}

TEST_SUITE_END();

}  // namespace
}  // namespace weft::test
