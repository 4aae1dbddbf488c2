// Hooks: on tensors inside and at the ends of a graph, and after accumulation.
#include "support/here.h"
#include "support/ops.h"
#include "weft/autograd/engine.h"
#include "weft/core/factory.h"

using namespace weft;
using Values = std::vector<double>;

namespace {
Tensor leaf(const Values& v) { return here::tensor(v).set_requires_grad(); }
Values values(const Tensor& t) { return t.to_vector<double>(); }
}  // namespace

TEST_SUITE("hooks") {
  DEVICE_TEST_CASE("a hook sees the whole gradient once, and may replace it") {
    Tensor x = leaf({1, 2});
    Tensor y = x * 3.0;
    int calls = 0;
    y.register_hook([&](const Tensor& g) {
      ++calls;
      CHECK(values(g) == Values{3, 3});  // of both uses
      return g * 10.0;
    });
    (sum(y) + sum(y * 2.0)).backward();
    CHECK(calls == 1);
    CHECK(values(x.grad()) == Values{90, 90});
  }

  DEVICE_TEST_CASE("hooks run in order and can be removed") {
    Tensor x = leaf({1});
    std::string order;
    x.register_hook([&](const Tensor& g) { return order += 'a', g + ones_like(g); });
    const int64_t second = x.register_hook([&](const Tensor&) { return order += 'b', Tensor(); });
    x.register_hook([&](const Tensor& g) { return order += 'c', g * 2.0; });
    sum(x * 1.0).backward();
    CHECK(order == "abc");
    CHECK(values(x.grad()) == Values{4});
    x.remove_hook(second);
    sum(x * 1.0).backward();
    CHECK(order == "abcac");
  }

  DEVICE_TEST_CASE("a hook of the wrong shape is refused, and of a tensor without grad too") {
    Tensor x = leaf({1, 2});
    x.register_hook([](const Tensor&) { return here::ones({3}, Dtype::f64); });
    CHECK_THROWS_AS(sum(x).backward(), ShapeError);
    Tensor plain = here::tensor(Values{1});
    CHECK_THROWS_AS(plain.register_hook([](const Tensor&) { return Tensor(); }), ValueError);
  }

  DEVICE_TEST_CASE("the post-accumulate hook sees the leaf after each accumulation") {
    Tensor x = leaf({1}), w = leaf({2});
    std::vector<Values> seen;
    x.register_post_accumulate_hook([&](Tensor& t) { seen.push_back(values(t.grad())); });
    sum(x * w).backward();
    sum(x * w).backward();
    CHECK(seen == std::vector<Values>{{2}, {4}});
    (void)grad(sum(x * w), {x});  // accumulates nothing
    CHECK(seen.size() == 2);
  }

  DEVICE_TEST_CASE("retain_grad keeps the gradient of a tensor inside the graph") {
    Tensor x = leaf({2});
    Tensor y = x * x;
    y.retain_grad();
    sum(y * 3.0).backward();
    CHECK(values(y.grad()) == Values{3});
    CHECK(values(x.grad()) == Values{12});
  }

  DEVICE_TEST_CASE("a tensor that is gone before backward takes its retained gradient along") {
    Tensor x = leaf({2});
    Tensor z;
    {
      Tensor y = x * x;
      y.retain_grad();
      z = sum(y * 3.0);
    }
    z.backward();
    CHECK(values(x.grad()) == Values{12});
  }
}
