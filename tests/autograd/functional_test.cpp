// jacobian, hessian, vjp, jvp.
#include <doctest/doctest.h>

#include "support/devices.h"
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/functional.h"

using namespace weft;
using support::message_of;

namespace {

using Tensors = std::vector<Tensor>;

Tensor v(std::initializer_list<double> values, const Shape& shape) { return here::tensor(values, shape); }
void same(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  CHECK(allclose(a, b, 1e-13, 1e-13));  // a few products and sums in f64
}

}  // namespace

TEST_SUITE("functional") {
  DEVICE_TEST_CASE("jacobian of one tensor") {
    const Tensor x = v({1, 2, 3}, {3});
    const auto f = [](const Tensor& x) { return stack({sum(x * x), x[0] * x[1]}); };
    const Tensor j = jacobian(f, x);
    same(j, v({2, 4, 6, 2, 1, 0}, {2, 3}));
    CHECK_FALSE(j.requires_grad());
    CHECK_FALSE(x.requires_grad());
    CHECK(jacobian([](const Tensor& x) { return x.reshape({3, 1}) * 2.0; }, x).shape() == Shape{3, 1, 3});
    // several out: one each
    const Tensors each = jacobian([](const Tensor& x) { return Tensors{x * 2.0, sum(x)}; }, x);
    REQUIRE(each.size() == 2);
    same(each[0], here::eye(3, -1, Dtype::f64) * 2.0);
    same(each[1], here::ones({3}, Dtype::f64));
  }

  DEVICE_TEST_CASE("jacobian of several tensors") {
    const Tensor x = v({1, 2}, {2}), w = v({1, 2, 3, 4}, {2, 2});
    const auto f = [](const Tensors& in) { return matmul(in[1], in[0]); };
    const Tensors j = jacobian(f, {x, w});
    REQUIRE(j.size() == 2);
    same(j[0], w);
    same(j[1], v({1, 2, 0, 0, 0, 0, 1, 2}, {2, 2, 2}));
    const std::vector<Tensors> all = jacobian(
        [](const Tensors& in) {
          return Tensors{in[0] * 3.0, in[1] * in[1]};
        },
        Tensors{x, w});
    REQUIRE(all.size() == 2);
    same(all[0][0], here::eye(2, -1, Dtype::f64) * 3.0);
    same(all[0][1], here::zeros({2, 2, 2}, Dtype::f64));  // independent: zeros
    CHECK(all[1][1].shape() == Shape{2, 2, 2, 2});
  }

  DEVICE_TEST_CASE("create_graph reaches the caller's inputs") {
    Tensor x = v({1, 2, 3}, {3});
    x.set_requires_grad();
    const auto cube = [](const Tensor& x) { return x * x * x; };
    const Tensor j = jacobian(cube, x, {.create_graph = true});
    CHECK(j.requires_grad());
    same(grad(sum(j), {x})[0], x.detach() * 6.0);
    const auto [y, g] = vjp(cube, x, here::ones({3}, Dtype::f64), {.create_graph = true});
    same(grad(sum(g), {x})[0], x.detach() * 6.0);
    CHECK(y.requires_grad());
    const auto [y2, t] = jvp(cube, x, here::ones({3}, Dtype::f64), {.create_graph = true});
    same(grad(sum(t), {x})[0], x.detach() * 6.0);
    const Tensor h = hessian([&](const Tensor& x) { return sum(cube(x)); }, x, {.create_graph = true});
    same(grad(sum(h), {x})[0], here::full({3}, 6.0, Dtype::f64));
    CHECK_FALSE(x.grad().defined());
  }

  DEVICE_TEST_CASE("hessian") {
    const Tensor x = v({1, 2}, {2}), y = v({3, 4}, {2});
    same(hessian([](const Tensor& x) { return x[0] * x[0] * x[1]; }, x), v({4, 2, 2, 0}, {2, 2}));
    const std::vector<Tensors> h = hessian([](const Tensors& in) { return sum(in[0] * in[0] * in[1]); }, {x, y});
    same(h[0][0], v({6, 0, 0, 8}, {2, 2}));
    same(h[0][1], v({2, 0, 0, 4}, {2, 2}));
    same(h[1][0], v({2, 0, 0, 4}, {2, 2}));
    same(h[1][1], here::zeros({2, 2}, Dtype::f64));
    same(hessian([](const Tensor& x) { return sum(x * 2.0); }, x), here::zeros({2, 2}, Dtype::f64));
    CHECK(hessian([](const Tensor& x) { return sum(x * x).reshape({1, 1}); }, x).shape() == Shape{2, 2});
    CHECK(message_of<ValueError>([&] { (void)hessian([](const Tensor& x) { return x * x; }, x); }) ==
          "hessian: the function must return one tensor of one element, got 1 of shape [2]");
  }

  DEVICE_TEST_CASE("vjp and jvp") {
    const Tensor x = v({1, 2}, {2}), w = v({1, 2, 3, 4, 5, 6}, {3, 2}), up = v({1, -1, 2}, {3}), along = v({1, 3}, {2});
    const auto f = [&](const Tensor& x) { return matmul(w, x * x); };  // J = w diag(2 x)
    const auto [y, g] = vjp(f, x, up);
    same(y, matmul(w, x * x));
    same(g, matmul(w.t(), up) * x * 2.0);
    const auto [y2, t] = jvp(f, x, along);
    same(y2, y);
    same(t, matmul(w, x * 2.0 * along));
    CHECK_FALSE(t.requires_grad());
    CHECK_FALSE(y2.requires_grad());
    // a linear function has a second derivative of zero, and a jvp all the same
    same(jvp([&](const Tensor& x) { return matmul(w, x); }, x, along).second, matmul(w, along));
    same(jvp([](const Tensor& x) { return here::ones({2}, Dtype::f64) + x.detach(); }, x, along).second,
         here::zeros({2}, Dtype::f64));
    // several tensors
    const auto product = [](const Tensors& in) { return Tensors{in[0] * in[1], sum(in[0])}; };
    const auto [ys, gs] = vjp(product, Tensors{x, along},
                              {here::ones({2}, Dtype::f64), here::scalar(2.0).to(Dtype::f64)});
    REQUIRE(ys.size() == 2);
    same(gs[0], along + 2.0);
    same(gs[1], x);
    const auto [same_ys, ts] = jvp(product, Tensors{x, along}, {here::ones({2}, Dtype::f64), x});
    same(ts[0], along + x * x);
    same(ts[1], here::scalar(2.0).to(Dtype::f64));
    // v may be left out for one element
    same(vjp([](const Tensor& x) { return sum(x * x); }, x).second, x * 2.0);
    same(jvp([](const Tensor& x) { return x * x; }, v({3}, {1})).second, v({6}, {1}));
  }

  DEVICE_TEST_CASE("under NoGrad too") {
    const NoGrad off;
    same(jacobian([](const Tensor& x) { return x * x; }, v({3}, {1})), v({6}, {1, 1}));
  }

  DEVICE_TEST_CASE("what does not fit") {
    const Tensor x = v({1, 2}, {2});
    const auto twice = [](const Tensor& x) { return x * 2.0; };
    CHECK(message_of<ValueError>([&] { (void)vjp(twice, x); }) ==
          "vjp: v may be left out only for one output of one element");
    CHECK(message_of<ShapeError>([&] { (void)jvp(twice, x, here::ones({3}, Dtype::f64)); }) ==
          "jvp: v[0] is [3] but the input is [2]");
    CHECK_THROWS_AS((void)jvp(twice, x, Tensors{x, x}), ValueError);
    CHECK(message_of<ValueError>([&] {
            (void)jacobian([](const Tensor& x) { return x.detach(); }, x, {.strict = true});
          }) == "jacobian: output 0 does not depend on the inputs (strict)");
    CHECK(message_of<ValueError>([&] {
            (void)jacobian([](const Tensors& in) { return in[0] * 2.0; }, {x, x}, {.strict = true});
          }) == "jacobian: the outputs do not depend on input 1 (strict)");
    CHECK_THROWS_AS((void)hessian([](const Tensor& x) { return sum(x); }, x, {.strict = true}), ValueError);
    CHECK_THROWS_AS((void)jacobian(twice, here::ones({2}, Dtype::i64)), DtypeError);
    CHECK_THROWS_AS((void)jacobian([](const Tensors& in) { return in[0]; }, Tensors{}), ValueError);
    CHECK(jacobian(twice, here::ones({0}, Dtype::f64)).shape() == Shape{0, 0});
  }
}
