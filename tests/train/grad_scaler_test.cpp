// GradScaler, step by step beside PyTorch's.
#include <doctest/doctest.h>

#include <limits>

#include "support/throws.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/optim/optim.h"
#include "weft/train/grad_scaler.h"

using namespace weft;
using support::message_of;

namespace {

constexpr float kInfF = std::numeric_limits<float>::infinity(), kNanF = std::numeric_limits<float>::quiet_NaN();

Tensor parameter(std::vector<float> values) { return tensor(std::move(values)).set_requires_grad(); }

}  // namespace

TEST_SUITE_BEGIN("grad scaler");

TEST_CASE("scale and parameters after each step are PyTorch's") {
  Tensor p = parameter({1, 2});
  optim::SGD opt({p}, {.lr = 0.5});
  training::GradScaler scaler({.init_scale = 8, .growth_interval = 2});
  struct Row {
    std::vector<float> grad, expected;
    double scale;
  };
  // torch.amp.GradScaler 2.15 with torch.optim.SGD; all numbers are exact in f32.
  const Row rows[] = {{{1, 2}, {0.5, 1}, 8},       {{kInfF, 0}, {0.5, 1}, 4}, {{1, 1}, {0, 0.5}, 4},
                      {{0.5, kNanF}, {0, 0.5}, 2}, {{1, 0}, {-0.5, 0.5}, 2},  {{0, 1}, {-0.5, 0}, 4},
                      {{2, 2}, {-1.5, -1}, 4},     {{1, 1}, {-2, -1.5}, 8}};
  for (const Row& row : rows) {
    opt.zero_grad();
    scaler.scale(sum(p * tensor(row.grad))).backward();
    const bool finite = row.grad[0] != kInfF && row.grad[1] == row.grad[1];
    CHECK(scaler.step(opt) == finite);
    scaler.update();
    CHECK(p.to_vector<float>() == row.expected);
    CHECK(scaler.get_scale() == row.scale);
  }
}

TEST_CASE("gradients are unscaled once, before they are looked at") {
  Tensor p = parameter({1, 2});
  optim::SGD opt({p}, {.lr = 1.0});
  training::GradScaler scaler({.init_scale = 1024});
  scaler.scale(sum(p * tensor({3.f, 4.f}))).backward();
  CHECK(p.grad().to_vector<float>() == std::vector<float>{3072, 4096});
  scaler.unscale_(opt);
  CHECK(p.grad().to_vector<float>() == std::vector<float>{3, 4});
  CHECK(message_of<Error>([&] { scaler.unscale_(opt); }) ==
        "GradScaler: the gradients are unscaled already since the last update()");
  CHECK(scaler.step(opt));
  CHECK(p.to_vector<float>() == std::vector<float>{-2, -2});
  CHECK(message_of<Error>([&] { scaler.step(opt); }) ==
        "GradScaler: the optimiser has stepped already since the last update()");
  scaler.update();
  CHECK_THROWS_AS(scaler.update(), Error);
  scaler.update(16.0);
  CHECK(scaler.get_scale() == 16);
}

TEST_CASE("one optimiser with an overflow shrinks the scale, the other steps") {
  Tensor a = parameter({1}), b = parameter({1});
  optim::SGD first({a}, {.lr = 1.0}), second({b}, {.lr = 1.0});
  training::GradScaler scaler({.init_scale = 4});
  scaler.scale(sum(a) + sum(b * tensor({kInfF}))).backward();
  CHECK(scaler.step(first));
  CHECK_FALSE(scaler.step(second));
  scaler.update();
  CHECK(scaler.get_scale() == 2);
  CHECK(a.item<float>() == 0);
  CHECK(b.item<float>() == 1);
}

TEST_CASE("f16 training: what underflows without a scale is learnt with it") {
  // The gradient of w is 2^-26, below half of f16's least number, 2^-24: it passes the f16 product as 0.
  const auto trained = [](bool enabled) {
    Tensor w = zeros({1, 1}).set_requires_grad(), x = full({1, 1}, 0x1p-12);
    optim::SGD opt({w}, {.lr = 1.0});
    training::GradScaler scaler({.enabled = enabled});
    {
      const Autocast cast(Dtype::f16);
      const Tensor y = matmul(x, w);
      CHECK(y.dtype() == Dtype::f16);
      scaler.scale(sum(y.to(Dtype::f32)) * 0x1p-14).backward();
    }
    CHECK(scaler.step(opt));
    return w.item<double>();
  };
  CHECK(trained(false) == 0);
  CHECK(trained(true) == -0x1p-26);
}

TEST_CASE("a scaler's state goes on, a disabled one has none") {
  Tensor p = parameter({1});
  optim::SGD opt({p}, {.lr = 1.0});
  training::GradScaler a({.init_scale = 8, .growth_interval = 2}), b, off({.enabled = false});
  const auto step = [&](training::GradScaler& s) {
    opt.zero_grad();
    s.scale(sum(p)).backward();
    s.step(opt);
    s.update();
  };
  step(a);
  b.load_state_dict(a.state_dict());
  step(b);
  CHECK(b.get_scale() == 16);
  CHECK(off.state_dict().empty());
  step(off);
  CHECK(off.get_scale() == 1);
  CHECK(p.item<float>() == -2);
  StateDict wrong = a.state_dict();
  wrong.set("scale", scalar(-1.0, Dtype::f64));
  CHECK_THROWS_AS(b.load_state_dict(wrong), ValueError);
  CHECK_THROWS_AS(b.load_state_dict({}), ValueError);
  CHECK(b.get_scale() == 16);
}

TEST_CASE("the scale does not grow beyond f32, and wrong options are refused") {
  Tensor p = parameter({0});
  optim::SGD opt({p}, {.lr = 1.0});
  training::GradScaler s({.init_scale = 0x1p127, .growth_interval = 1});
  s.scale(sum(p)).backward();
  s.step(opt);
  s.update();
  CHECK(s.get_scale() == 0x1p127);
  CHECK_THROWS_AS(training::GradScaler({.init_scale = 0}), ValueError);
  CHECK_THROWS_AS(training::GradScaler({.growth_factor = 0.5}), ValueError);
  CHECK_THROWS_AS(training::GradScaler({.backoff_factor = 1}), ValueError);
  CHECK_THROWS_AS(training::GradScaler({.growth_interval = 0}), ValueError);

  Tensor half = zeros({2}, Dtype::f16).set_requires_grad();
  optim::SGD of_half({half}, {.lr = 1.0});
  training::GradScaler t;
  sum(half).backward();
  CHECK_THROWS_AS(t.step(of_half), DtypeError);
}

TEST_SUITE_END();
