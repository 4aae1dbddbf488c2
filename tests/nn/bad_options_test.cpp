// Options that no layer or optimiser can take: an error that begins with its name and has the value, at construction.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "weft/weft.h"

namespace weft {
namespace {

struct BadOptions {
  const char* begins;  // of the error
  const char* has;
  std::function<void()> make;
};

TEST_SUITE_BEGIN("options");

TEST_CASE("what cannot be is refused by name and value") {
  const double nan = std::nan("");
  const std::vector<Tensor> p = nn::Linear(2, 2).parameters();
  const BadOptions all[] = {
      {"Conv2d: in_channels", "-1", [] { nn::Conv2d(-1, 3, {.kernel_size = 3}); }},
      {"Conv2d: out_channels", "-1", [] { nn::Conv2d(3, -1, {.kernel_size = 3}); }},
      {"Conv2d: kernel_size", "-3", [] { nn::Conv2d(3, 3, {.kernel_size = -3}); }},
      {"Conv2d: stride", "0", [] { nn::Conv2d(3, 3, {.kernel_size = 3, .stride = 0}); }},
      {"Conv2d: padding", "-1", [] { nn::Conv2d(3, 3, {.kernel_size = 3, .padding = -1}); }},
      {"Conv2d: in_channels", "2", [] { nn::Conv2d(3, 3, {.kernel_size = 3, .groups = 2}); }},
      {"ConvTranspose2d: output_padding", "-1",
       [] { nn::ConvTranspose2d(3, 3, {.kernel_size = 3, .output_padding = -1}); }},
      {"ConvTranspose2d: output padding", "1",
       [] { nn::ConvTranspose2d(3, 3, {.kernel_size = 3, .output_padding = 1}); }},
      {"WSConv2d: in_channels", "-1", [] { nn::WSConv2d(-1, 2, {.kernel_size = 3}); }},
      {"Linear: in_features", "-1", [] { nn::Linear(-1, 3); }},
      {"Bilinear: in1_features", "-1", [] { nn::Bilinear(-1, 3, 3); }},
      {"Embedding: num_embeddings", "-1", [] { nn::Embedding(-1, 4); }},
      {"Embedding: padding_idx", "9", [] { nn::Embedding(4, 4, {.padding_idx = 9}); }},
      {"EmbeddingBag: num_embeddings", "-2", [] { nn::EmbeddingBag(4, -2); }},
      {"BatchNorm2d: num_features", "-1", [] { nn::BatchNorm2d(-1); }},
      {"InstanceNorm2d: num_features", "-1", [] { nn::InstanceNorm2d(-1); }},
      {"GroupNorm: num_channels", "3", [] { nn::GroupNorm(3, 4); }},
      {"GroupNorm: num_channels", "0", [] { nn::GroupNorm(0, 4); }},
      {"LayerNorm: normalized_shape", "-3", [] { nn::LayerNorm(-3); }},
      {"RMSNorm: normalized_shape", "-3", [] { nn::RMSNorm(-3); }},
      {"LocalResponseNorm: size", "0", [] { nn::LocalResponseNorm(0); }},
      {"Dropout: the probability", "nan", [=] { nn::Dropout{nan}; }},
      {"AlphaDropout: the probability", "1.5", [] { nn::AlphaDropout(1.5); }},
      {"MaxPool2d: kernel_size", "0", [] { nn::MaxPool2d({.kernel_size = 0}); }},
      {"AvgPool2d: stride", "-1", [] { nn::AvgPool2d({.kernel_size = 2, .stride = -1}); }},
      {"FractionalMaxPool2d: output_ratio", "nan",
       [=] { nn::FractionalMaxPool2d({.kernel_size = 2, .output_ratio = nan}); }},
      {"PixelShuffle: upscale_factor", "0", [] { nn::PixelShuffle(0); }},
      {"ChannelShuffle: groups", "-1", [] { nn::ChannelShuffle(-1); }},
      {"PReLU: num_parameters", "-1", [] { nn::PReLU(-1); }},
      {"RReLU: lower", "2", [] { nn::RReLU(2, 1); }},
      {"Hardtanh: min_val", "2", [] { nn::Hardtanh(2, 1); }},
      {"LSTM: hidden_size", "0", [] { nn::LSTM(3, 0); }},
      {"LSTM: num_layers", "0", [] { nn::LSTM(3, 3, {.num_layers = 0}); }},
      {"GRU: dropout", "nan", [=] { nn::GRU(3, 3, {.dropout = nan}); }},
      {"MultiheadAttention: embed_dim", "3", [] { nn::MultiheadAttention(4, 3); }},
      {"AdaptiveLogSoftmaxWithLoss: cutoffs", "11", [] { nn::AdaptiveLogSoftmaxWithLoss(4, 10, {11}); }},
      {"Encoding: D and K", "0", [] { nn::Encoding(3, 0); }},
      {"Inspiration: C and B", "-1", [] { nn::Inspiration(-1); }},
      {"SGD: invalid lr", "-1", [&] { optim::SGD(p, {.lr = -1}); }},
      {"SGD: invalid lr", "nan", [&] { optim::SGD(p, {.lr = nan}); }},
      {"Adam: invalid betas", "(1, 0.9)",
       [&] {
         optim::Adam(p, {.betas = {1.0, 0.9}});
       }},
      {"AdamW: invalid weight_decay", "nan", [&] { optim::AdamW(p, {.weight_decay = nan}); }},
  };
  for (const BadOptions& bad : all) {
    CAPTURE(bad.begins);
    std::string said;
    try {
      bad.make();
    } catch (const ValueError& e) { said = e.what(); }
    CHECK(said.starts_with(bad.begins));
    CHECK(said.find(bad.has) != std::string::npos);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace weft
