// Weight-standardised convolutions: printing, state, values, gradients, and the weight that evaluation keeps.
#include "weft/nn/ws_conv.h"
#include "nn/support.h"
#include "support/difference.h"
#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/layer/conv.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/optim/sgd.h"

using namespace weft;
using namespace weft::test;
using support::largest_difference;

namespace {

/// The layer's call with other parameters.
template <class M> Tensor ws_call(M layer, const std::vector<Tensor>& t) {
  layer.weight.stand_in(t[1]), layer.gain.stand_in(t[2]), layer.bias.stand_in(t[3]);
  return layer(t[0]);
}

template <class M> void check_ws_gradients(const M& made, const Shape& x) {
  M layer = made;
  layer.to(Dtype::f64);
  layer.to(support::device());
  CAPTURE(printed(layer));
  const std::vector<Tensor> in{here::randn(x, Dtype::f64).set_requires_grad(), layer.weight.tensor(),
                               here::randn(layer.gain.shape(), Dtype::f64).set_requires_grad(), layer.bias.tensor()};
  auto f = [&](const std::vector<Tensor>& t) { return ws_call(layer, t); };
  // the weight's scale is that of its noise: differences of 1e-6 have errors of 1e-9 of second derivatives around 1e2
  CHECK(gradcheck(f, in, {.atol = 1e-5, .rtol = 1e-5}));
  CHECK(gradgradcheck(f, in, {.atol = 1e-4, .rtol = 1e-4}));
}

}  // namespace

TEST_SUITE_BEGIN("conv layers");

DEVICE_TEST_CASE("weight standardisation: printing, state and first values") {
  manual_seed(1);
  CHECK(printed(nn::WSConv2d(4, 6, {.kernel_size = 3, .padding = 1})) ==
        "WSConv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))");
  CHECK(printed(nn::WSConv1d(4, 6, {.kernel_size = 3, .padding_mode = "circular"}, WSVariant::nfnet)) ==
        "WSConv1d(4, 6, kernel_size=(3,), stride=(1,), padding_mode=circular, variant=nfnet)");
  CHECK(printed(nn::WSConvTranspose3d(4, 6, {.kernel_size = 2, .stride = 2, .output_padding = 1, .bias = false})) ==
        "WSConvTranspose3d(4, 6, kernel_size=(2, 2, 2), stride=(2, 2, 2), output_padding=(1, 1, 1), bias=False)");
  CHECK(keys(nn::WSConv2d(4, 6, {.kernel_size = 3})) == "weight [6, 4, 3, 3], bias [6], gain [6]");
  CHECK(keys(nn::WSConvTranspose2d(4, 6, {.kernel_size = 3, .groups = 2, .bias = false})) ==
        "weight [4, 3, 3, 3], gain [4]");
  auto ws = here::module(nn::WSConv2d(16, 32, {.kernel_size = 3}));
  check_normal(ws.weight, std::sqrt(2.0 / 144));
  check_uniform(ws.bias, 1 / 12.0);
  CHECK(ws.gain.to_vector<float>() == std::vector<float>(32, 1));
  auto up = here::module(nn::WSConvTranspose1d(64, 32, {.kernel_size = 5, .groups = 2}));
  check_normal(up.weight, std::sqrt(2.0 / 80));
  check_uniform(up.bias, 1 / std::sqrt(80.0));
  CHECK(has(message([] { nn::WSConv2d(4, 4, {.kernel_size = 1, .groups = 4}); }), {"weight"}));
  CHECK(has(message([] { nn::WSConvTranspose1d(4, 4, {.kernel_size = 1, .groups = 4}); }), {"weight"}));
}

DEVICE_TEST_CASE("weight standardisation: values, both variants") {
  Tensor w = here::tensor({1., 2., 3., 4.}, Shape{1, 1, 4}), gain = here::ones({1}, Dtype::f64);
  auto a = nn::standardize_weight(w, gain).to_vector<double>();
  auto b = nn::standardize_weight(w, gain, nn::WSVariant::nfnet).to_vector<double>();
  for (size_t i = 0; i < 4; ++i) {
    double side = (static_cast<double>(i) - 1.5) / 1.5;
    CHECK(a[i] == doctest::Approx(0.580948 * side).epsilon(1e-5));
    CHECK(b[i] == doctest::Approx(0.670820 * side).epsilon(1e-5));
  }
  // the floor: rows of equal elements give 0, not NaN
  CHECK(nn::standardize_weight(here::full({1, 1, 4}, 3., Dtype::f64), gain).to_vector<double>() ==
        std::vector<double>(4, 0.0));
}

DEVICE_TEST_CASE("weight standardisation: the layer is the plain one with the standardised weight") {
  manual_seed(2);
  auto conv = here::module(nn::WSConv2d(4, 6, {.kernel_size = 3, .stride = 2, .padding = 1, .groups = 2}));
  Tensor x = here::randn({2, 4, 7, 6});
  const ConvOptions<2> o{.stride = 2, .padding = 1, .groups = 2};
  CHECK(largest_difference(conv(x, 1e-2), conv2d(x, conv.standardize_weight(1e-2), conv.bias, o)) == 0);
  auto mirrored = here::module(nn::WSConv1d(2, 3, {.kernel_size = 3, .padding = 2, .padding_mode = "reflect"}));
  auto plain = here::module(nn::Conv1d(2, 3, {.kernel_size = 3, .padding = 2, .padding_mode = "reflect"}));
  plain.weight.stand_in(mirrored.standardize_weight()), plain.bias.stand_in(mirrored.bias);
  x = here::randn({2, 2, 5});
  CHECK(largest_difference(mirrored(x), plain(x)) == 0);
  auto up = here::module(nn::WSConvTranspose2d(3, 2, {.kernel_size = 3, .stride = 2, .padding = 1}));
  x = here::randn({1, 3, 6, 6});
  CHECK(up(x).shape() == Shape{1, 2, 11, 11});
  CHECK(up(x, Shape{1, 2, 12, 12}).shape() == Shape{1, 2, 12, 12});
  CHECK(largest_difference(up(x, Shape{12, 11}),
                           conv_transpose2d(x, up.standardize_weight(), up.bias,
                                            {.stride = 2, .padding = 1, .output_padding = {1, 0}})) == 0);
}

DEVICE_TEST_CASE("weight standardisation: gradients of all orders, every class") {
  manual_seed(3);
  check_ws_gradients(nn::WSConv1d(3, 4, {.kernel_size = 3, .stride = 2, .padding = {{2, 1}}}), {2, 3, 6});
  check_ws_gradients(nn::WSConv2d(4, 2, {.kernel_size = {2, 3}, .padding = "same", .groups = 2}, WSVariant::nfnet),
                     {1, 4, 3, 4});
  check_ws_gradients(nn::WSConv3d(2, 2, {.kernel_size = 2, .padding = 1, .padding_mode = "replicate"}), {2, 2, 2, 2});
  check_ws_gradients(nn::WSConvTranspose1d(3, 2, {.kernel_size = 3, .stride = 3, .output_padding = 2}), {2, 3, 3});
  check_ws_gradients(
      nn::WSConvTranspose2d(2, 4, {.kernel_size = 2, .stride = 2, .padding = 1, .groups = 2}, WSVariant::nfnet),
      {1, 2, 3, 3});
  check_ws_gradients(nn::WSConvTranspose3d(2, 2, {.kernel_size = {1, 2, 2}, .stride = 2}), {1, 2, 1, 2, 2});
}

DEVICE_TEST_CASE("weight standardisation: halves compute in f32 and round once") {
  manual_seed(4);
  for (const Dtype d : {Dtype::f16, Dtype::bf16}) {
    Tensor w = here::randn({5, 3, 3, 3}).to(d), gain = here::rand({5}).to(d), g = here::randn(w.shape()).to(d);
    Tensor half_w = w.detach().set_requires_grad(), half_gain = gain.detach().set_requires_grad();
    Tensor wide_w = w.to(Dtype::f32).detach().set_requires_grad(),
           wide_gain = gain.to(Dtype::f32).detach().set_requires_grad();
    Tensor y = nn::standardize_weight(half_w, half_gain), z = nn::standardize_weight(wide_w, wide_gain);
    y.backward(g);
    z.backward(g.to(Dtype::f32));
    CHECK(y.dtype() == d);
    CHECK(half_w.grad().dtype() == d);
    // the same numbers but for their last f32 bits, rounded: at most a unit in the last place of the largest
    const double unit = d == Dtype::f16 ? 0x1p-10 : 0x1p-7;
    const auto close = [&](const Tensor& a, const Tensor& b) {
      return largest_difference(a, b.to(d)) <= unit * largest_difference(b, here::zeros(b.shape()));
    };
    CHECK(close(y, z));
    CHECK(close(half_w.grad(), wide_w.grad()));
    CHECK(close(half_gain.grad(), wide_gain.grad()));
  }
}

DEVICE_TEST_CASE("weight standardisation: evaluation keeps the weight, training never serves a stale one") {
  manual_seed(5);
  auto conv = here::module(nn::WSConv2d(3, 4, {.kernel_size = 3}));
  const Tensor x = here::randn({2, 3, 5, 5});
  const auto fresh = [&](double eps = 1e-4) {
    NoGrad guard;
    return conv2d(x, conv.standardize_weight(eps), conv.bias);
  };
  const auto kept = [&](double eps = 1e-4) {
    NoGrad guard;
    return conv(x, eps);
  };
  CHECK(largest_difference(kept(), fresh()) == 0);
  CHECK(largest_difference(kept(), fresh()) == 0);
  CHECK(largest_difference(kept(1e9), fresh(1e9)) == 0);  // every eps its own
  CHECK(largest_difference(kept(), fresh(1e9)) > 0.01);
  {
    NoGrad guard;
    conv.weight.mul_(here::randn(conv.weight.shape()));
  }
  CHECK(largest_difference(kept(), fresh()) == 0);
  {
    NoGrad guard;
    conv.gain.mul_(3);
  }
  CHECK(largest_difference(kept(), fresh()) == 0);
  // a copy of the module sees the same changes, a clone none
  auto copy = conv;
  auto apart = nn::clone(conv);
  {
    NoGrad guard;
    (void)copy(x), (void)apart(x);
    conv.gain.fill_(0);
    CHECK(largest_difference(copy(x), fresh()) == 0);
    CHECK(largest_difference(apart(x), fresh()) > 0.01);
    conv.gain.fill_(1);
  }
  optim::SGD opt(conv.parameters(), {.lr = 0.1});
  for (int i = 0; i < 3; ++i) {
    (void)kept();
    Tensor y = conv(x);
    CHECK(y.requires_grad());
    CHECK(largest_difference(y, fresh()) == 0);
    opt.zero_grad();
    sum(y * y).backward();
    CHECK(conv.gain.grad().defined());
    opt.step();
    CHECK(largest_difference(kept(), fresh()) == 0);
  }
  conv.variant = WSVariant::nfnet;
  CHECK(largest_difference(kept(), fresh()) == 0);
  conv.load_state_dict(nn::WSConv2d(3, 4, {.kernel_size = 3}).state_dict());
  CHECK(largest_difference(kept(), fresh()) == 0);
  conv.to(Dtype::f64);
  NoGrad guard;
  CHECK(conv(x.to(Dtype::f64)).dtype() == Dtype::f64);
}

DEVICE_TEST_CASE("weight standardisation: a frozen weight takes no gradient and passes the input's") {
  manual_seed(6);
  auto conv = here::module(nn::WSConv1d(2, 3, {.kernel_size = 3}));
  conv.requires_grad(false);
  Tensor x = here::randn({1, 2, 6}).set_requires_grad();
  sum(conv(x)).backward();
  CHECK(x.grad().defined());
  // what the first call saved is not what a later one overwrites
  Tensor y = conv(x);
  conv.gain.mul_(2);
  (void)conv(x);
  CHECK_NOTHROW(sum(y).backward());
}

TEST_SUITE_END();
