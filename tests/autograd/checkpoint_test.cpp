// A checkpointed segment gives the gradients of the plain one, of every order, and keeps no activations.
#include "weft/autograd/checkpoint.h"
#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/gradcheck.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"

using namespace weft;

namespace {
Tensor numbers(const Shape& shape, double start) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (double& x : v) x = start += 0.37;
  return here::tensor(v, shape);
}
}  // namespace

TEST_SUITE("checkpoint") {
  DEVICE_TEST_CASE("values and gradients are those of the plain run, parameters inside included") {
    Tensor w = numbers({3}, -0.5).set_requires_grad();
    const auto block = [&](const Tensor& x) { return x * w * x + w; };
    Tensor a = numbers({2, 3}, 0).set_requires_grad(), b = a.detach().clone().set_requires_grad();
    const Tensor plain = block(a);
    sum(plain * plain).backward();
    const Tensor gw = w.grad().clone();
    w.zero_grad();
    const Tensor cheap = checkpoint(block, b);
    CHECK(cheap.to_vector<double>() == plain.to_vector<double>());
    sum(cheap * cheap).backward();
    CHECK(b.grad().to_vector<double>() == a.grad().to_vector<double>());
    CHECK(w.grad().to_vector<double>() == gw.to_vector<double>());
  }

  DEVICE_TEST_CASE("a parameter alone makes the result differentiable") {
    Tensor w = numbers({2}, 0).set_requires_grad();
    const Tensor y = checkpoint([&](const Tensor& x) { return x * w; }, here::ones({2}, Dtype::f64));
    REQUIRE(y.requires_grad());
    CHECK(grad(y, {w}, {.grad_outputs = {here::ones({2}, Dtype::f64)}})[0].to_vector<double>() ==
          std::vector<double>{1, 1});
    CHECK_FALSE(w.grad().defined());  // grad() touches no leaf, here neither
  }

  DEVICE_TEST_CASE("second derivatives, with history before and behind the segment") {
    const auto f = [](const std::vector<Tensor>& x) {
      const Tensor w = x[1];
      const Tensor before = x[0] * w;
      const std::vector<Tensor> y = checkpoint(
          [](const std::vector<Tensor>& a) {
            return std::vector<Tensor>{a[0] * a[0] * a[1], a[1] * a[1]};
          },
          {before, w});
      return y[0] * y[1] * x[0];
    };
    const std::vector<Tensor> x = {numbers({2}, 0.1).set_requires_grad(), numbers({2}, -0.6).set_requires_grad()};
    CHECK(gradcheck(f, x));
    CHECK(gradgradcheck(f, x));
  }

  DEVICE_TEST_CASE("activations are not kept") {
    const int64_t n = 1 << 16;
    Tensor x = here::ones({n}).set_requires_grad();
    const auto chain = [](const Tensor& t) {
      Tensor y = t;
      for (int i = 0; i < 8; ++i) y = y * y;
      return y;
    };
    const size_t start = memory_stats(support::device()).active;
    const Tensor plain = chain(x);
    const size_t kept = memory_stats(support::device()).active - start;
    const Tensor cheap = checkpoint(chain, x);
    const size_t kept_by_checkpoint = memory_stats(support::device()).active - start - kept;
    CHECK(kept_by_checkpoint < 2 * sizeof(float) * n);  // the result, not the seven tensors between
    CHECK(kept > 7 * sizeof(float) * n);
  }

  DEVICE_TEST_CASE("nothing is recorded without grad mode") {
    Tensor x = here::ones({2}).set_requires_grad();
    const NoGrad off;
    CHECK_FALSE(checkpoint([](const Tensor& t) { return t * t; }, x).requires_grad());
  }

  DEVICE_TEST_CASE("a captured tensor with history is refused by name") {
    Tensor x = here::ones({2}).set_requires_grad();
    const Tensor y = x * x;
    CHECK_THROWS_WITH_AS(
        (void)checkpoint([&](const Tensor& t) { return t * y; }, x),
        "checkpoint: the function uses a result of mul that is not among its inputs; pass it as an input", ValueError);
  }
}
