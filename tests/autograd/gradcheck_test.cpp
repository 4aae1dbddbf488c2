// gradcheck finds right formulas right and wrong ones wrong, and says where.
#include <cmath>

#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"
#include "weft/core/generator.h"

using namespace weft;

namespace {

// x^3 with a gradient of `factor` x^2, whose own gradient is right for that.
Tensor cube(const Tensor& x, double factor) {
  return record("cube", (x * x * x).detach(), {x}, [x = Saved(x), factor](BackwardCtx& c) -> Grads {
    const Tensor at = c.get(x);
    return {c.grad() * (at * at * factor)};
  });
}

Tensor leaf(const Shape& shape, uint64_t seed = 0) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = std::sin(1.0 + 1.7 * static_cast<double>(i) + 3.1 * static_cast<double>(seed));
  return here::tensor(v, shape).set_requires_grad();
}

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "";
}

}  // namespace

TEST_SUITE("gradcheck") {
  DEVICE_TEST_CASE("right formulas pass, first and second order") {
    const auto f = [](const std::vector<Tensor>& x) { return cube(x[0], 3) * x[1]; };
    const std::vector<Tensor> x = {leaf({2, 3}), leaf({3}, 1)};
    CHECK(gradcheck(f, x));
    CHECK(gradgradcheck(f, x));
  }

  DEVICE_TEST_CASE("a wrong factor is found, with op, input and element") {
    const auto f = [](const std::vector<Tensor>& x) { return x[0] * cube(x[1], 2.9); };
    const std::vector<Tensor> x = {leaf({2}), leaf({2}, 1)};
    CHECK_FALSE(gradcheck(f, x, {.raise = false}));
    const std::string text = message([&] { (void)gradcheck(f, x, {.name = "cube"}); });
    CHECK(text.find("cube: gradient of input 1 [2] at element 0 (value ") == 0);
    CHECK(text.find("analytic") != std::string::npos);
    CHECK(text.find("numeric") != std::string::npos);
  }

  DEVICE_TEST_CASE("a backward that is not differentiable fails the second order only") {
    const auto f = [](const std::vector<Tensor>& x) {
      return record("square", (x[0] * x[0]).detach(), {x[0]},
                    [s = Saved(x[0])](BackwardCtx& c) -> Grads { return {c.grad() * (c.get(s).detach() * 2.0)}; });
    };
    const std::vector<Tensor> x = {leaf({3})};
    CHECK(gradcheck(f, x));
    CHECK_FALSE(gradgradcheck(f, x, {.raise = false}));
  }

  DEVICE_TEST_CASE("piecewise constant functions have zero derivatives of every order") {
    const auto f = [](const std::vector<Tensor>& x) {
      return record("step", ones_like(x[0]), {x[0]}, [](BackwardCtx& c) -> Grads { return {zeros_like(c.grad())}; });
    };
    CHECK(gradcheck(f, {leaf({3})}));
    CHECK(gradgradcheck(f, {leaf({3})}));
  }

  DEVICE_TEST_CASE("inputs that cannot be checked are refused") {
    const auto f = [](const std::vector<Tensor>& x) { return x[0] * x[0]; };
    CHECK_THROWS_AS((void)gradcheck(f, {here::ones({2}, Dtype::f64)}), ValueError);
    CHECK_THROWS_AS((void)gradcheck(f, {here::ones({2}).set_requires_grad()}), DtypeError);
  }
}
