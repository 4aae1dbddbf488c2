#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/grad_mode.h"
#include "weft/nn/conv.h"

using namespace weft;
using namespace weft::test;

TEST_SUITE_BEGIN("conv layers");

DEVICE_TEST_CASE("printing, all optional parts") {
  CHECK(printed(nn::Conv2d(3, 8, {.kernel_size = 3, .stride = 2, .padding = 1, .bias = false})) ==
        "Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), bias=False)");
  CHECK(
      printed(nn::Conv2d(
          4, 8, {.kernel_size = {3, 5}, .padding = "same", .dilation = 2, .groups = 2, .padding_mode = "circular"})) ==
      "Conv2d(4, 8, kernel_size=(3, 5), stride=(1, 1), padding=same, dilation=(2, 2), groups=2, "
      "padding_mode=circular)");
  CHECK(printed(nn::Conv1d(4, 8, {.kernel_size = 1})) == "Conv1d(4, 8, kernel_size=(1,), stride=(1,))");
  CHECK(printed(nn::ConvTranspose2d(4, 8, {.kernel_size = 3, .stride = 2, .padding = 1, .output_padding = 1})) ==
        "ConvTranspose2d(4, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))");
  CHECK(printed(nn::Conv2d(4, 8, {.kernel_size = 3, .padding = {{0, 1}, {2, 1}}})) ==
        "Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), padding=((0, 1), (2, 1)))");
}

DEVICE_TEST_CASE("state and first values") {
  manual_seed(1);
  CHECK(keys(nn::Conv2d(4, 6, {.kernel_size = 3, .groups = 2})) == "weight [6, 2, 3, 3], bias [6]");
  CHECK(keys(nn::Conv2d(4, 6, {.kernel_size = 3, .bias = false})) == "weight [6, 4, 3, 3]");
  CHECK(keys(nn::ConvTranspose3d(4, 6, {.kernel_size = {1, 2, 3}, .groups = 2})) == "weight [4, 3, 1, 2, 3], bias [6]");
  auto conv = here::module(nn::Conv1d(16, 64, {.kernel_size = 5, .groups = 4}));
  check_uniform(conv.weight, 1 / std::sqrt(20.0));
  check_uniform(conv.bias, 1 / std::sqrt(20.0));
  auto transposed = here::module(nn::ConvTranspose2d(64, 32, {.kernel_size = 3, .groups = 2}));
  check_uniform(transposed.weight, 1 / 12.0);
  check_uniform(transposed.bias, 1 / 12.0);
}

DEVICE_TEST_CASE("construction errors, in PyTorch's order") {
  using C = nn::ConvOptions<2>;
  auto text = [](int64_t in, int64_t out, const C& o) { return message([&] { nn::Conv2d(in, out, o); }); };
  CHECK(has(text(4, 4, {.kernel_size = 3, .groups = 0}), {"groups", "0"}));
  CHECK(has(text(3, 4, {.kernel_size = 3, .groups = 2}), {"in_channels", "divisible", "groups"}));
  CHECK(has(text(4, 3, {.kernel_size = 3, .groups = 2}), {"out_channels", "divisible", "groups"}));
  CHECK(has(text(4, 4, {.kernel_size = 3, .stride = 2, .padding = "same"}), {"same", "stride"}));
  CHECK(has(text(4, 4, {.kernel_size = 3, .padding = "full"}), {"padding", "full"}));
  CHECK(has(text(3, 4, {.kernel_size = 3, .padding = "full", .groups = 2}), {"in_channels"}));
  CHECK(
      has(message([] { nn::Conv2d(4, 4, {.kernel_size = 3, .padding_mode = "mirror"}); }), {"padding_mode", "mirror"}));
  CHECK(has(text(4, 4, {.kernel_size = 3, .stride = 0}), {"stride"}));
  CHECK(has(text(4, 4, {.kernel_size = 3, .dilation = 0}), {"dilation"}));
  CHECK(has(text(4, 4, {.kernel_size = 3, .padding = -1}), {"padding"}));
  CHECK(has(text(4, 4, {.kernel_size = 0}), {"kernel_size"}));
  CHECK(has(text(0, 4, {.kernel_size = 1}), {"in_channels"}));
  CHECK(has(message([] { nn::Conv2d(4, 4, {.kernel_size = 3, .padding = {{1, 1}}}); }), {"padding", "pairs"}));
  using T = nn::ConvTransposeOptions<2>;
  auto transposed = [](const T& o) { return message([&] { nn::ConvTranspose2d(4, 4, o); }); };
  CHECK(has(transposed({.kernel_size = 3, .padding_mode = "reflect"}), {"zeros", "ConvTranspose2d"}));
  CHECK(has(transposed({.kernel_size = 3, .padding = "same"}), {"padding"}));
  CHECK(has(transposed({.kernel_size = 3, .padding = {{0, 1}, {1, 1}}}), {"padding"}));
  CHECK(has(transposed({.kernel_size = 3, .stride = 2, .output_padding = 2}), {"output"}));
}

TEST_CASE("call errors") {
  auto conv = here::module(nn::Conv2d(4, 4, {.kernel_size = 3}));
  CHECK(has(message<ShapeError>([&] { conv(here::zeros({1, 3, 5, 5})); }), {"channels", "4", "3"}));
  CHECK(has(message<ShapeError>([&] { conv(here::zeros({1, 4, 5, 5, 5})); }), {"3D", "4D"}));
  CHECK(has(message<ShapeError>([&] {
              nn::Conv2d(4, 4, {.kernel_size = 7})(here::zeros({1, 4, 5, 5}));
            }),
            {"ernel size"}));
  CHECK_THROWS_AS(conv(here::zeros({1, 4, 5, 5}, Dtype::f64)), DtypeError);
  CHECK(has(message<ShapeError>([] {
              nn::Conv1d(2, 2, {.kernel_size = 3, .padding = 5, .padding_mode = "reflect"})(here::zeros({1, 2, 5}));
            }),
            {"padding"}));
  CHECK(has(message<ShapeError>([] {
              nn::Conv1d(2, 2, {.kernel_size = 3, .padding = 6, .padding_mode = "circular"})(here::zeros({1, 2, 5}));
            }),
            {"padding"}));
  auto up = here::module(nn::ConvTranspose2d(4, 4, {.kernel_size = 3, .stride = 2, .padding = 1}));
  CHECK(has(message([&] { up(here::zeros({1, 4, 6, 6}), Shape{10, 12}); }), {"output size", "11", "12"}));
  CHECK(has(message([&] { up(here::zeros({1, 4, 6, 6}), Shape{9, 12, 12}); }), {"output_size", "2", "4", "3"}));
}

TEST_CASE("output sizes") {
  CHECK(
      nn::Conv2d(2, 3, {.kernel_size = 3, .padding = "same", .dilation = {1, 3}})(here::zeros({2, 2, 5, 9})).shape() ==
      Shape{2, 3, 5, 9});
  CHECK(nn::Conv2d(2, 3, {.kernel_size = {2, 4}, .padding = "same"})(here::zeros({2, 5, 9})).shape() == Shape{3, 5, 9});
  CHECK(nn::Conv2d(2, 3, {.kernel_size = 3, .padding = {{0, 1}, {2, 1}}})(here::zeros({1, 2, 5, 5})).shape() ==
        Shape{1, 3, 4, 6});
  CHECK(nn::Conv3d(1, 2, {.kernel_size = 2, .stride = 2})(here::zeros({0, 1, 4, 4, 4})).shape() ==
        Shape{0, 2, 2, 2, 2});
  auto up = here::module(nn::ConvTranspose2d(4, 3, {.kernel_size = 3, .stride = 2, .padding = 1, .output_padding = 1}));
  CHECK(up(here::zeros({1, 4, 6, 6})).shape() == Shape{1, 3, 12, 12});
  CHECK(up(here::zeros({1, 4, 6, 6}), Shape{11, 12}).shape() == Shape{1, 3, 11, 12});
  CHECK(up(here::zeros({1, 4, 6, 6}), Shape{1, 3, 11, 11}).shape() == Shape{1, 3, 11, 11});
  CHECK(up(here::zeros({4, 6, 6}), Shape{3, 12, 11}).shape() == Shape{3, 12, 11});
}

DEVICE_TEST_CASE("padding modes pad by index, then convolve") {
  manual_seed(2);
  auto conv = here::module(
      nn::Conv1d(1, 1, {.kernel_size = 3, .padding = {{2, 1}}, .bias = false, .padding_mode = "reflect"}));
  {
    NoGrad guard;
    conv.weight.copy_(here::tensor({1.f, 10.f, 100.f}, Shape{1, 1, 3}));
  }
  // 1 2 3 4 -> 3 2 1 2 3 4 3
  CHECK(conv(here::tensor({1.f, 2.f, 3.f, 4.f}, Shape{1, 1, 4})).to_vector<float>() ==
        std::vector<float>{123, 212, 321, 432, 343});
  for (const char* mode : {"circular", "replicate"}) {
    auto two = here::module(nn::Conv2d(2, 2, {.kernel_size = 3, .padding = 1, .padding_mode = mode}));
    CHECK(two(here::randn({1, 2, 4, 4})).shape() == Shape{1, 2, 4, 4});
  }
}

TEST_SUITE_END();
