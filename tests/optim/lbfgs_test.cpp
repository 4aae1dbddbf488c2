#include <cmath>

#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/core/factory.h"
#include "weft/optim/adam.h"
#include "weft/optim/lbfgs.h"

using namespace weft;

namespace {

/// sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2: minimum 0 at ones.
Tensor rosenbrock(const Tensor& x) {
  int64_t n = x.size(0);
  Tensor head = x.narrow(0, 0, n - 1), tail = x.narrow(0, 1, n - 1);
  return sum(100 * square(tail - square(head)) + square(1 - head));
}

}  // namespace

TEST_SUITE_BEGIN("lbfgs");

DEVICE_TEST_CASE("strong Wolfe on Rosenbrock's function goes PyTorch's way") {
  Tensor x = here::tensor({-1.2, 1.0, -0.5, 2.0}).set_requires_grad();
  optim::LBFGS opt({x}, {.max_iter = 10, .line_search_fn = optim::LineSearch::strong_wolfe});
  auto closure = [&] {
    opt.zero_grad();
    Tensor loss = rosenbrock(x);
    loss.backward();
    return loss;
  };
  // PyTorch's losses, some 60 evaluations long: 1e-8 leaves room for another order of additions
  for (double expected : {557.7, 2.2546031392892454, 0.6820601306001377, 0.02195613464988859})
    CHECK(opt.step(closure).item<double>() == doctest::Approx(expected).epsilon(1e-8));
  CHECK(opt.step(closure).item<double>() < 1e-9);
  for (double v : x.to_vector<double>()) CHECK(v == doctest::Approx(1).epsilon(1e-5));
}

DEVICE_TEST_CASE("a quadratic of n variables takes about n steps, over several parameters") {
  // f = 0.5 sum k_i a_i^2 + 0.5 sum b_i^2 - sum b_i
  Tensor a = here::tensor({3., -2., 1.}).set_requires_grad(),
         b = here::full({2, 2}, 5.0, Dtype::f64).set_requires_grad();
  Tensor k = here::tensor({1., 4., 9.});
  optim::LBFGS opt({a, b}, {.max_iter = 25, .line_search_fn = optim::LineSearch::strong_wolfe});
  Tensor first = opt.step([&] {
    opt.zero_grad();
    Tensor loss = sum(k * square(a)) * 0.5 + sum(square(b)) * 0.5 - sum(b);
    loss.backward();
    return loss;
  });
  CHECK(first.item<double>() == doctest::Approx(0.5 * (9 + 16 + 9) + 0.5 * 100 - 20));
  for (double v : a.to_vector<double>()) CHECK(std::fabs(v) < 1e-5);
  for (double v : b.to_vector<double>()) CHECK(v == doctest::Approx(1).epsilon(1e-5));
  CHECK(opt.evaluations() < 31);
}

DEVICE_TEST_CASE("saving and loading continues bit by bit") {
  auto run = [](optim::LBFGS& opt, Tensor& x, int steps) {
    for (int i = 0; i < steps; ++i)
      opt.step([&] {
        opt.zero_grad();
        Tensor loss = rosenbrock(x);
        loss.backward();
        return loss;
      });
  };
  optim::LBFGSOptions o{.max_iter = 3, .history_size = 4, .line_search_fn = optim::LineSearch::strong_wolfe};
  Tensor x = here::tensor({-1.2, 1.0, 0.3}).set_requires_grad(), y = here::tensor({-1.2, 1.0, 0.3}).set_requires_grad();
  optim::LBFGS one({x}, o), two({y}, o), three({y});
  run(one, x, 5);
  run(two, y, 2);
  three.load_state_dict(two.state_dict());
  CHECK(three.options().line_search_fn == optim::LineSearch::strong_wolfe);
  run(three, y, 3);
  CHECK(x.to_vector<double>() == y.to_vector<double>());
}

DEVICE_TEST_CASE("it needs a closure and one kind of parameter") {
  Tensor x = here::zeros({2}).set_requires_grad(), y = here::zeros({2}, Dtype::f64).set_requires_grad();
  optim::LBFGS opt({x});
  CHECK_THROWS_AS(opt.step(), ValueError);
  CHECK_THROWS_AS(optim::LBFGS({x, y}), ValueError);
}

DEVICE_TEST_CASE("any optimiser takes a closure") {
  Tensor x = here::full({3}, 2.0, Dtype::f64).set_requires_grad();
  optim::Adam opt({x}, {.lr = 0.1});
  double loss = 0;
  for (int i = 0; i < 200; ++i)
    loss = opt.step([&] {
                opt.zero_grad();
                Tensor l = sum(square(x));
                l.backward();
                return l;
              })
               .item<double>();
  CHECK(loss < 1e-3);
}

TEST_SUITE_END();
