// Lazy linear and normalisation layers: before and after they know their features.
#include "weft/nn/lazy.h"
#include "nn/support.h"
#include "support/here.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/factory.h"
#include "weft/nn/containers.h"

using namespace weft;
using namespace weft::test;

TEST_SUITE_BEGIN("catalogue");

DEVICE_TEST_CASE("LazyLinear: printing, name and state before and after the first call") {
  manual_seed(41);
  auto layer = here::module(nn::LazyLinear(40));
  CHECK(printed(layer) == "LazyLinear(in_features=0, out_features=40, bias=True)");
  layer.to(Dtype::f64);
  CHECK(!layer.is_materialized());
  CHECK(has(message<ShapeError>([&] { (void)layer(here::zeros({}, Dtype::f64)); }), {"LazyLinear", "[]"}));
  CHECK(!layer.is_materialized());
  CHECK(layer(here::zeros({2, 3, 25}, Dtype::f64)).shape() == Shape{2, 3, 40});
  CHECK(printed(layer) == "Linear(in_features=25, out_features=40, bias=True)");
  CHECK(keys(layer) == "weight [40, 25], bias [40]");
  CHECK(layer.weight.requires_grad());
  check_uniform(layer.weight, 0.2);
  check_uniform(layer.bias, 0.2);
  CHECK(has(message<ShapeError>([&] { (void)layer(here::zeros({2, 5}, Dtype::f64)); }), {"5", "25"}));

  auto other = here::module(nn::LazyLinear(40));
  other.load_state_dict(layer.state_dict());
  CHECK(printed(other) == printed(layer));
  CHECK(allclose(other(here::ones({25})), layer(here::ones({25}, Dtype::f64)).to(Dtype::f32), 1e-5, 1e-5));
  CHECK(other.in_features == 25);
  CHECK(has(message([&] { nn::LazyLinear(41).load_state_dict(layer.state_dict()); }), {"size mismatch", "weight"}));
  CHECK(keys(nn::LazyLinear(3, {.bias = false})) == "weight [0, 0]");
  // a copy that was made before sees the parameters
  nn::LazyLinear first(2), second = first;
  (void)first(zeros({1, 7}));
  CHECK(second(zeros({1, 7})).shape() == Shape{1, 2});
  CHECK(second.in_features == 7);
  const nn::Sequential net(nn::LazyLinear(4), nn::LazyLinear(2));
  CHECK(net(zeros({1, 3})).shape() == Shape{1, 2});
}

DEVICE_TEST_CASE("lazy norms: printing, name and state before and after the first call") {
  auto norm = here::module(nn::LazyBatchNorm2d());
  CHECK(printed(norm) ==
        "LazyBatchNorm2d(0, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)");
  CHECK(has(message([&] { (void)norm(here::zeros({2, 3})); }), {"BatchNorm2d", "4D"}));
  CHECK(!norm.is_materialized());
  const Tensor x = here::randn({2, 3, 4, 4});
  auto plain = here::module(nn::BatchNorm2d(3));
  CHECK(equal(norm(x), plain(x)));
  CHECK(printed(norm) == printed(plain));
  CHECK(keys(norm) == keys(plain));
  CHECK(norm.num_features == 3);
  CHECK(norm.is_materialized());

  // statistics without weights, and weights without statistics; from a state dict
  auto bare = here::module(nn::LazyBatchNorm1d({.affine = false}));
  CHECK(bare(here::randn({5, 4})).shape() == Shape{5, 4});
  CHECK(keys(bare) == "running_mean [4], running_var [4], num_batches_tracked []");
  auto twin = here::module(nn::LazyBatchNorm1d({.affine = false}));
  twin.load_state_dict(bare.state_dict());
  CHECK(printed(twin) == printed(bare));
  CHECK(twin.get("running_var").to_vector<float>() == bare.get("running_var").to_vector<float>());
  CHECK(twin.eval().is_training() == false);
  auto instance = here::module(nn::LazyInstanceNorm1d({.affine = true}));
  CHECK(instance(here::randn({6, 5})).shape() == Shape{6, 5});
  CHECK(keys(instance) == "weight [6], bias [6]");
  // nothing to be made
  auto none = here::module(nn::LazyInstanceNorm3d());
  CHECK(none(here::randn({1, 2, 2, 2, 2})).shape() == Shape{1, 2, 2, 2, 2});
  CHECK(none(here::randn({1, 3, 2, 2, 2})).shape() == Shape{1, 3, 2, 2, 2});
  CHECK(printed(none) ==
        "InstanceNorm3d(0, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)");
}

TEST_SUITE_END();
