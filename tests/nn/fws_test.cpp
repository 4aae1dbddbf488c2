// FWS: the weight is rewritten in place, gradients go straight through.
#include "weft/nn/fws.h"
#include "nn/support.h"
#include "support/difference.h"
#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/nn/containers.h"
#include "weft/nn/conv.h"
#include "weft/nn/linear.h"

using namespace weft;
using namespace weft::test;
using support::largest_difference;

TEST_SUITE_BEGIN("conv layers");

DEVICE_TEST_CASE("FWS: printing, state and errors") {
  CHECK(printed(nn::FWS(nn::Conv2d(4, 6, {.kernel_size = 3}))) ==
        "FWS(\n  (layer): Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1))\n)");
  auto fws = here::module(nn::FWS(nn::Conv2d(4, 6, {.kernel_size = 3})));
  CHECK(keys(fws) == "gain [6], fan_in [], eps [], layer.weight [6, 4, 3, 3], layer.bias [6]");
  CHECK(fws.parameters().size() == 3);
  CHECK(fws.fan_in.dtype() == Dtype::i64);
  CHECK(fws.fan_in.item<int64_t>() == 216);
  CHECK(fws.eps.item<float>() == 1e-4f);
  auto fixed = here::module(nn::FWS(nn::Linear(5, 3), {.learnable_gain = false, .variant = WSVariant::nfnet}));
  CHECK(keys(fixed) == "gain [3], fan_in [], eps [], layer.weight [3, 5], layer.bias [3]");
  CHECK(fixed.parameters().size() == 2);
  CHECK(fixed.fan_in.item<int64_t>() == 5);
  CHECK(has(message([] { nn::FWS(nn::Conv2d(4, 4, {.kernel_size = 1, .groups = 4})); }), {"weight"}));
}

DEVICE_TEST_CASE("FWS: rewrites in place, and twice as once") {
  manual_seed(1);
  for (const bool const_eval : {false, true}) {
    auto fws = here::module(nn::FWS(nn::Conv1d(3, 4, {.kernel_size = 3}), {.const_eval = const_eval}));
    const Tensor before = fws.layer.weight.detach().clone(), x = here::randn({2, 3, 6});
    fws.eval();
    (void)fws(x);
    const Tensor standard = standardize_weight(before, fws.gain.detach());
    CHECK((largest_difference(fws.layer.weight, before) == 0) == const_eval);
    fws.train();
    const Tensor y = fws(x);
    // the sums of 9 f32 numbers in another state of rounding
    CHECK(largest_difference(fws.layer.weight, standard) < 1e-6);
    const Tensor once = fws.layer.weight.detach().clone();
    CHECK(largest_difference(fws(x), y) < 1e-5);
    CHECK(largest_difference(fws.layer.weight, once) < 1e-6);
    CHECK(largest_difference(fws.layer(x), fws(x)) < 1e-5);
  }
  // on the floor every call multiplies by gain / sqrt(eps)
  auto fws = here::module(nn::FWS(nn::Linear(2, 1, {.bias = false})));
  {
    NoGrad guard;
    fws.layer.weight.copy_(here::tensor({1e-6f, -1e-6f}, Shape{1, 2}));
  }
  (void)fws(here::ones({1, 2}));
  CHECK(fws.layer.weight.to_vector<float>()[0] == doctest::Approx(1e-4));
  // both buffers are state
  StateDict other = fws.state_dict();
  other.set("eps", here::full({}, 1.0));
  other.set("fan_in", here::full({}, 8, Dtype::i64));
  other.set("layer.weight", here::tensor({1.f, -1.f}, Shape{1, 2}));
  fws.load_state_dict(other);
  (void)fws(here::ones({1, 2}));
  CHECK(fws.layer.weight.to_vector<float>()[0] == doctest::Approx(1 / std::sqrt(2.0 * 8)));
}

DEVICE_TEST_CASE("FWS: gradients of weight, gain and input, first and second") {
  manual_seed(2);
  auto fws = here::module(nn::FWS(nn::Conv2d(2, 3, {.kernel_size = 2})));
  fws.to(Dtype::f64);
  const Tensor old = fws.layer.weight.detach().clone();
  Tensor x = here::randn({2, 2, 3, 3}, Dtype::f64).set_requires_grad();
  const auto run = [&](bool second) {
    NoGrad guard;
    fws.layer.weight.copy_(old);
    EnableGrad on;
    const Tensor y = fws(x);
    std::vector<Tensor> g = grad(sum(y * y), {x, fws.layer.weight.tensor(), fws.gain.tensor(), fws.layer.bias.tensor()},
                                 {.create_graph = second});
    if (second) {
      // what the composite gives is differentiable: dgain = sum over rows of g xhat
      const Tensor s = sum(g[2]);
      CHECK(grad(s, {x})[0].shape() == x.shape());
    }
    return g;
  };
  const auto fused = run(false), composite = run(true);
  for (size_t i = 0; i < fused.size(); ++i) CHECK(largest_difference(fused[i], composite[i]) < 1e-12);
  // the layer with the rewritten weight has the same gradients, and gain (all ones) its sum over rows of weight times
  // gradient
  auto plain = nn::clone(fws.layer);
  const Tensor y = plain(x);
  const std::vector<Tensor> want = grad(sum(y * y), {x, plain.weight.tensor(), plain.bias.tensor()});
  CHECK(largest_difference(fused[0], want[0]) < 1e-12);
  CHECK(largest_difference(fused[1], want[1]) < 1e-12);
  CHECK(largest_difference(fused[3], want[2]) < 1e-12);
  CHECK(largest_difference(fused[2], sum(want[1] * plain.weight, Shape{1, 2, 3})) < 1e-12);
}

DEVICE_TEST_CASE("FWS: two calls before one backward are refused, and a fixed gain has no gradient") {
  manual_seed(3);
  auto fws = here::module(nn::FWS(nn::Conv1d(2, 2, {.kernel_size = 3})));
  Tensor x = here::randn({1, 2, 5}).set_requires_grad();
  const Tensor first = fws(x), second = fws(x);
  CHECK(has(message<Error>([&] { sum(first).backward(); }), {"modified in place"}));
  CHECK_NOTHROW(sum(second).backward());
  CHECK(fws.gain.grad().defined());
  auto fixed = here::module(nn::FWS(nn::Conv1d(2, 2, {.kernel_size = 3}), {.learnable_gain = false}));
  sum(fixed(x)).backward();
  CHECK(fixed.layer.weight.grad().defined());
  CHECK(!fixed.gain.requires_grad());
  auto stored = here::module(nn::FWS(nn::Conv1d(2, 2, {.kernel_size = 3}), {.const_eval = true}));
  stored.eval();
  sum(stored(x)).backward();
  CHECK(!stored.gain.grad().defined());
}

DEVICE_TEST_CASE("FWS: call arguments, containers, copies and halves") {
  manual_seed(4);
  auto up = here::module(nn::FWS(nn::ConvTranspose2d(3, 2, {.kernel_size = 3, .stride = 2})));
  CHECK(up(here::randn({1, 3, 4, 4}), Shape{10, 9}).shape() == Shape{1, 2, 10, 9});
  CHECK(up.gain.shape() == Shape{3});
  auto net = here::module(nn::Sequential(nn::FWS(nn::Linear(3, 4)), nn::FWS(nn::Linear(4, 2))));
  auto other = nn::clone(net);
  const Tensor x = here::randn({5, 3});
  sum(net(x)).backward();
  CHECK(net.parameters()[0].grad().defined());
  CHECK(!other.parameters()[0].grad().defined());
  CHECK(largest_difference(net(x), other(x)) < 1e-5);
  auto half = here::module(nn::FWS(nn::Linear(3, 4)));
  half.to(Dtype::bf16);
  Tensor y = half(x.to(Dtype::bf16));
  sum(y).backward();
  CHECK(y.dtype() == Dtype::bf16);
  CHECK(half.gain.grad().dtype() == Dtype::bf16);
}

TEST_SUITE_END();
