// ConvNd: rank at run time, padding per side, more than three axes.
#include "weft/nn/conv_nd.h"
#include "nn/support.h"
#include "support/here.h"
#include "support/reference_conv.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/layer/conv.h"

using namespace weft;
using namespace weft::test;

namespace {

template <class T> void fill_iota(const Tensor& t, T) {
  NoGrad guard;
  Tensor(t).copy_(here::arange(T(0), static_cast<T>(t.numel())).reshape(t.shape()));
}

std::vector<float> on_iota(const nn::ConvNd& made, const Shape& x) {
  nn::ConvNd conv = made;
  conv.to(support::device());
  fill_iota(conv.weight, 0.f);
  NoGrad guard;
  if (conv.bias.defined()) conv.bias.zero_();
  return conv(here::arange(0.f, static_cast<float>(x.numel())).reshape(x)).to_vector<float>();
}

}  // namespace

TEST_SUITE_BEGIN("conv layers");

DEVICE_TEST_CASE("ConvNd: examples with exact values") {
  CHECK(on_iota(nn::ConvNd(1, 1, {.kernel_size = {2, 2}}), {1, 1, 4, 4}) ==
        std::vector<float>{24, 30, 36, 48, 54, 60, 72, 78, 84});
  CHECK(on_iota(nn::ConvNd(1, 1, {.kernel_size = {3, 3}, .stride = {3, 1}, .padding = {{1, 1}, {1, 1}}, .bias = false}),
                {1, 1, 4, 4}) == std::vector<float>{73, 121, 154, 103, 139, 187, 202, 113});
  CHECK(on_iota(nn::ConvNd(2, 2, {.kernel_size = {3, 3}, .groups = 2, .bias = false}), {1, 2, 3, 3}) ==
        std::vector<float>{204, 1581});
  CHECK(on_iota(nn::ConvNd(1, 1, {.kernel_size = {2, 2}, .dilation = {2, 2}, .bias = false}), {1, 1, 3, 3}) ==
        std::vector<float>{38});
}

DEVICE_TEST_CASE("ConvNd: printing, state, first values and errors") {
  manual_seed(1);
  CHECK(printed(nn::ConvNd(3, 16, {.kernel_size = {5, 3}, .padding = {{1, 2}, {0, 0}}, .groups = 1, .bias = false})) ==
        "ConvNd(3, 16, kernel_size=(5, 3), stride=(1, 1), padding=((1, 2), (0, 0)), bias=False)");
  CHECK(keys(nn::ConvNd(4, 6, {.kernel_size = {3, 3, 1, 2}, .groups = 2})) == "weight [6, 2, 3, 3, 1, 2], bias [6]");
  auto conv = here::module(nn::ConvNd(16, 64, {.kernel_size = {5}, .groups = 4}));
  check_uniform(conv.weight, 1 / std::sqrt(20.0));
  const auto text = [](int64_t in, const nn::ConvNdOptions& o) { return message([&] { nn::ConvNd(in, 16, o); }); };
  CHECK(has(text(3, {.kernel_size = {5, 5}, .padding = {{2, 2}}}), {"padding", "kernel_dims", "1", "2"}));
  CHECK(has(text(3, {.kernel_size = {5, 5}, .stride = {1}}), {"stride", "kernel_dims"}));
  CHECK(has(text(3, {.kernel_size = {5, 5}, .dilation = {1, 2, 3}}), {"dilation", "kernel_dims"}));
  CHECK(has(text(3, {.kernel_size = {5, 5}, .padding = {{1, 2}, {-3, 1}}}), {"padding"}));
  CHECK(has(text(3, {.kernel_size = {5, 5}, .groups = 3}), {"group"}));
  CHECK(has(text(4, {.kernel_size = {5, 5}, .groups = 0}), {"groups"}));
  CHECK(has(text(3, {.kernel_size = {5, 5}, .stride = {1, 0}}), {"stride"}));
  CHECK(has(text(3, {.kernel_size = {}}), {"kernel_dims"}));
  auto two = here::module(nn::ConvNd(3, 16, {.kernel_size = {5, 5}}));
  CHECK(has(message<ShapeError>([&] { two(here::zeros({3, 8, 8})); }), {"spatial"}));
  CHECK(has(message<ShapeError>([&] { two(here::zeros({1, 3, 8, 8, 8})); }), {"spatial"}));
  CHECK(has(message<ShapeError>([&] { two(here::zeros({1, 4, 8, 8})); }), {"channels"}));
  CHECK_THROWS_AS(two(here::zeros({1, 3, 8, 8}, Dtype::f16)), DtypeError);
}

DEVICE_TEST_CASE("ConvNd: four and five axes against the definition, all dtypes") {
  manual_seed(2);
  struct Case {
    Shape x;
    int64_t out;
    nn::ConvNdOptions o;
  };
  const Case cases[] = {
      {{2, 3, 4, 3, 5, 4}, 4, {.kernel_size = {2, 1, 3, 2}, .padding = {{1, 0}, {0, 0}, {0, 1}, {2, 1}}}},
      {{1, 4, 5, 4, 3, 3},
       6,
       {.kernel_size = {2, 3, 2, 1}, .stride = {2, 1, 1, 2}, .dilation = {2, 1, 2, 1}, .groups = 2}},
      {{1, 2, 3, 2, 3, 2, 3}, 3, {.kernel_size = {2, 2, 1, 2, 2}, .padding = {{0, 1}, {1, 0}, {0, 0}, {0, 0}, {1, 1}}}}};
  for (const Case& k : cases)
    for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16}) {
      auto conv = here::module(nn::ConvNd(k.x[1], k.out, k.o));
      conv.to(d);
      const Tensor x = here::randn(k.x).to(d), y = conv(x);
      CHECK(y.dtype() == d);
      const auto want = reference_conv(x.to_vector<double>(), conv.weight.to_vector<double>(), {}, x.shape(),
                                       conv.weight.shape(), y.shape(), conv.geometry().params);
      const auto got = y.to_vector<double>(), bias = conv.bias.to_vector<double>();
      const size_t image = static_cast<size_t>(y.shape().slice(2).numel());
      double worst = 0;
      for (size_t i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::fabs(got[i] - want[i] - bias[i / image % bias.size()]));
      // sums of some 50 products below 1; halves round results below 4 once
      CHECK(worst <= (d == Dtype::f64 ? 1e-13 : d == Dtype::f32 ? 1e-5 : d == Dtype::f16 ? 2e-3 : 1.6e-2));
    }
  auto conv = here::module(nn::ConvNd(2, 3, {.kernel_size = {2, 1, 1, 2}}));
  CHECK(conv(here::zeros({0, 2, 3, 2, 2, 3})).shape() == Shape{0, 3, 2, 2, 2, 2});
  CHECK(has(message<ShapeError>([&] { conv(here::zeros({1, 2, 1, 2, 2, 3})); }), {"ernel size"}));
}

DEVICE_TEST_CASE("ConvNd: gradients of all orders") {
  manual_seed(3);
  const auto check = [](const nn::ConvNd& made, const Shape& x) {
    nn::ConvNd conv = made;
    conv.to(Dtype::f64);
    conv.to(support::device());
    auto f = [&](const std::vector<Tensor>& t) {
      nn::ConvNd c = conv;
      c.weight.stand_in(t[1]), c.bias.stand_in(t[2]);
      return c(t[0]);
    };
    const std::vector<Tensor> in{here::randn(x, Dtype::f64).set_requires_grad(), conv.weight.tensor(),
                                 conv.bias.tensor()};
    CHECK(gradcheck(f, in));
    CHECK(gradgradcheck(f, in));
  };
  check(nn::ConvNd(2, 3, {.kernel_size = {3}, .stride = {2}, .padding = {{2, 0}}}), {2, 2, 5});
  check(nn::ConvNd(2, 2, {.kernel_size = {2, 2}, .padding = {{1, 0}, {1, 2}}}), {1, 2, 3, 2});
  check(nn::ConvNd(2, 2, {.kernel_size = {2, 1, 2}, .groups = 2}), {1, 2, 2, 2, 3});
  check(nn::ConvNd(2, 2,
                   {.kernel_size = {2, 1, 2, 2}, .stride = {1, 2, 1, 1}, .padding = {{1, 0}, {0, 0}, {0, 1}, {0, 0}}}),
        {1, 2, 2, 2, 2, 2});
  check(nn::ConvNd(4, 2, {.kernel_size = {2, 2, 1, 1, 2}, .dilation = {1, 2, 1, 1, 1}, .groups = 2}),
        {1, 4, 2, 3, 1, 2, 2});
}

TEST_SUITE_END();
