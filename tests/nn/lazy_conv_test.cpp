// Lazy convolutions: before and after they know their input channels.
#include "weft/nn/lazy_conv.h"
#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/nn/containers.h"
#include "weft/optim/sgd.h"

using namespace weft;
using namespace weft::test;

TEST_SUITE_BEGIN("conv layers");

DEVICE_TEST_CASE("lazy: printing, name and state before and after the first call") {
  manual_seed(1);
  auto conv = here::module(nn::LazyConv2d(32, {.kernel_size = 3, .padding = 1, .groups = 2}));
  CHECK(printed(conv) == "LazyConv2d(0, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2)");
  CHECK(keys(conv) == "weight [0], bias [0]");
  CHECK(!conv.is_materialized());
  CHECK(conv.in_channels == 0);
  CHECK(conv(here::zeros({2, 8, 5, 5})).shape() == Shape{2, 32, 5, 5});
  CHECK(printed(conv) == "Conv2d(8, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2)");
  CHECK(keys(conv) == "weight [32, 4, 3, 3], bias [32]");
  CHECK(conv.is_materialized());
  CHECK(conv.in_channels == 8);
  check_uniform(conv.weight, 1 / 6.0);
  check_uniform(conv.bias, 1 / 6.0);

  auto one = here::module(nn::LazyConv1d(8, {.kernel_size = 3, .groups = 2}));
  CHECK(one(here::zeros({4, 9})).shape() == Shape{8, 7});
  auto three = here::module(nn::LazyConv3d(2, {.kernel_size = 1, .bias = false}));
  CHECK(keys(three) == "weight [0]");
  CHECK(three(here::zeros({1, 5, 2, 2, 2})).shape() == Shape{1, 2, 2, 2, 2});
  CHECK(keys(three) == "weight [2, 5, 1, 1, 1]");

  auto up = here::module(nn::LazyConvTranspose2d(6, {.kernel_size = 3, .stride = 2, .groups = 2}));
  CHECK(printed(up) == "LazyConvTranspose2d(0, 6, kernel_size=(3, 3), stride=(2, 2), groups=2)");
  CHECK(up(here::zeros({4, 5, 5}), Shape{12, 11}).shape() == Shape{6, 12, 11});
  CHECK(printed(up) == "ConvTranspose2d(4, 6, kernel_size=(3, 3), stride=(2, 2), groups=2)");
  CHECK(keys(up) == "weight [4, 3, 3, 3], bias [6]");
  check_uniform(up.weight, 1 / std::sqrt(27.0));
  CHECK(here::module(nn::LazyConvTranspose1d(3, {.kernel_size = 2}))(here::zeros({2, 4})).shape() == Shape{3, 5});
  CHECK(here::module(nn::LazyConvTranspose3d(3, {.kernel_size = 2}))(here::zeros({1, 2, 2, 2, 2})).shape() ==
        Shape{1, 3, 3, 3, 3});
}

DEVICE_TEST_CASE("lazy: errors leave the module as it was") {
  CHECK(has(message([] { nn::LazyConv2d(3, {.kernel_size = 3, .groups = 2}); }), {"out_channels", "groups"}));
  CHECK(has(message([] { nn::LazyConv2d(3, {.kernel_size = 3, .stride = 2, .padding = "same"}); }), {"same"}));
  auto conv = here::module(nn::LazyConv2d(4, {.kernel_size = 3, .groups = 2}));
  CHECK(has(message<ShapeError>([&] { conv(here::zeros({5, 5})); }), {"LazyConv2d", "3D", "4D"}));
  CHECK(has(message([&] { conv(here::zeros({1, 3, 5, 5})); }), {"in_channels", "divisible", "groups", "3"}));
  CHECK(has(message([&] { conv(here::zeros({1, 0, 5, 5})); }), {"in_channels"}));
  CHECK(!conv.is_materialized());
  CHECK(conv(here::zeros({1, 2, 5, 5})).shape() == Shape{1, 4, 3, 3});
  CHECK(has(message<ShapeError>([&] { conv(here::zeros({1, 4, 5, 5})); }), {"channels"}));
}

DEVICE_TEST_CASE("lazy: a state dict gives the shapes") {
  manual_seed(2);
  const auto plain = here::module(nn::Conv2d(6, 4, {.kernel_size = 3, .groups = 2}));
  auto conv = here::module(nn::LazyConv2d(4, {.kernel_size = 3, .groups = 2}));
  conv.load_state_dict(plain.state_dict());
  CHECK(printed(conv) == printed(plain));
  const Tensor x = here::randn({1, 6, 5, 5});
  CHECK(conv(x).to_vector<float>() == plain(x).to_vector<float>());
  CHECK(conv.in_channels == 6);

  // what does not fit changes nothing
  auto other = here::module(nn::LazyConv2d(4, {.kernel_size = 5, .groups = 2}));
  CHECK(has(message([&] { other.load_state_dict(plain.state_dict()); }), {"size mismatch", "weight", "[4, 3, 3, 3]"}));
  StateDict half = plain.state_dict();
  half.erase("bias");
  auto third = here::module(nn::LazyConv2d(4, {.kernel_size = 3, .groups = 2}));
  CHECK(has(message([&] { third.load_state_dict(half); }), {"missing", "bias"}));
  CHECK(has(message([&] {
              here::module(nn::LazyConv2d(4, {.kernel_size = 3, .bias = false})).load_state_dict(plain.state_dict());
            }),
            {"unexpected", "bias"}));
  CHECK(!other.is_materialized());
  CHECK(!third.is_materialized());
  auto up = here::module(nn::LazyConvTranspose1d(4, {.kernel_size = 2, .groups = 2}));
  StateDict odd;
  odd.set("weight", here::zeros({3, 2, 2}));
  odd.set("bias", here::zeros({4}));
  CHECK(has(message([&] { up.load_state_dict(odd); }), {"weight"}));
  odd.set("weight", here::zeros({6, 2, 2}));
  up.load_state_dict(odd);
  CHECK(printed(up) == "ConvTranspose1d(6, 4, kernel_size=(2,), stride=(1,), groups=2)");

  // from lazy to lazy, and not from lazy to plain
  auto a = here::module(nn::LazyConv1d(3, {.kernel_size = 1})), b = here::module(nn::LazyConv1d(3, {.kernel_size = 1}));
  a.load_state_dict(b.state_dict());
  CHECK(!a.is_materialized());
  CHECK(has(message([&] { nn::Conv1d(2, 3, {.kernel_size = 1}).load_state_dict(b.state_dict()); }), {"weight", "[0]"}));
}

DEVICE_TEST_CASE("lazy: handles, copies, clones, dtypes and optimisers see the parameters come") {
  manual_seed(3);
  nn::LazyConv1d conv(3, {.kernel_size = 2});
  conv.to(Dtype::f64);
  nn::Sequential net(conv, nn::LazyConv1d(2, {.kernel_size = 2}));
  net.to(support::device());
  net.requires_grad();
  auto twin = nn::clone(net);
  optim::SGD opt(net.parameters(), {.lr = 0.1});
  net.at<nn::LazyConv1d>(1).to(Dtype::f64);
  const Tensor x = here::randn({2, 4, 6}, Dtype::f64);
  CHECK(net(x).shape() == Shape{2, 2, 4});
  CHECK(keys(net) == "0.weight [3, 4, 2], 0.bias [3], 1.weight [2, 3, 2], 1.bias [2]");
  CHECK(keys(twin) == "0.weight [0], 0.bias [0], 1.weight [0], 1.bias [0]");
  CHECK(conv.weight.shape() == Shape{3, 4, 2});
  CHECK(conv(x).shape() == Shape{2, 3, 5});
  CHECK(conv.in_channels == 4);
  const std::vector<double> before = conv.weight.to_vector<double>();
  sum(net(x)).backward();
  opt.step();
  CHECK(conv.weight.to_vector<double>() != before);
  twin.at<nn::LazyConv1d>(1).to(Dtype::f64);
  CHECK(twin(here::randn({1, 7, 6}, Dtype::f64)).shape() == Shape{1, 2, 4});
  CHECK(keys(twin) == "0.weight [3, 7, 2], 0.bias [3], 1.weight [2, 3, 2], 1.bias [2]");
}

TEST_SUITE_END();
