// Hooks: on tensors inside and at the ends of a graph, and after accumulation.
#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
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
    x.register_post_accumulate_grad_hook([&](Tensor& t) { seen.push_back(values(t.grad())); });
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

  DEVICE_TEST_CASE("retain_grad adds up over backwards, and sees what all hooks left") {
    Tensor x = leaf({2}), y = x * x;
    y.register_hook([](const Tensor& g) { return g * 10.0; });
    y.retain_grad();
    y.register_hook([](const Tensor& g) { return g + 1.0; });
    y.retain_grad();  // once is enough
    const Tensor z = sum(y * 3.0);
    z.backward({}, {.retain_graph = true});
    CHECK(values(y.grad()) == Values{31});
    z.backward({}, {.retain_graph = true});
    CHECK(values(y.grad()) == Values{62});
    (void)grad(z, {x});  // passes through y as well
    CHECK(values(y.grad()) == Values{93});
    CHECK(values(x.grad()) == Values{2 * 31 * 4});
    Tensor plain = here::tensor(Values{1});
    CHECK(support::message_of<ValueError>([&] { plain.retain_grad(); }).find("retain_grad: the tensor [1]") == 0);
    CHECK_THROWS_AS((plain * 2.0).retain_grad(), ValueError);
    CHECK_NOTHROW(x.retain_grad());  // a leaf has its gradient anyway
  }

  DEVICE_TEST_CASE("a hook may return nothing") {
    Tensor x = leaf({1, 2}), seen;
    int calls = 0;
    const int64_t first = x.register_hook([&](const Tensor& g) { seen = g; });
    x.register_hook([&calls](const Tensor&) mutable { ++calls; });
    const std::function<void(const Tensor&)> none, one = [&](const Tensor&) { ++calls; };
    x.register_hook(one);
    CHECK_THROWS_AS(x.register_hook(none), ValueError);
    sum(x * 3.0).backward();
    CHECK(calls == 2);
    CHECK(values(seen) == Values{3, 3});
    CHECK(values(x.grad()) == Values{3, 3});
    x.remove_hook(first);
  }

  DEVICE_TEST_CASE("removing a hook that is not there is an error") {
    Tensor x = leaf({1}), other = leaf({1}), plain = here::tensor(Values{1}), y = x * 1.0;
    const int64_t handle = x.register_hook([](const Tensor&) {});
    x.remove_hook(handle);
    CHECK(support::message_of<ValueError>([&] {
            x.remove_hook(handle);
          }).find(str("remove_hook: the tensor [1] has no hook of handle ", handle)) == 0);
    CHECK_THROWS_AS(other.remove_hook(1), ValueError);
    CHECK_THROWS_AS(plain.remove_hook(1), ValueError);
    y.retain_grad();
    for (int64_t h = 0; h < 4; ++h) CHECK_THROWS_AS(y.remove_hook(h), ValueError);  // retain_grad's is nobody's
    sum(y).backward();
    CHECK(values(y.grad()) == Values{1});
  }

  DEVICE_TEST_CASE("a post-accumulate hook may run a backward into the same leaf") {
    Tensor x = leaf({3});
    int calls = 0;
    x.register_post_accumulate_grad_hook([&](Tensor& t) {
      const EnableGrad on;
      if (++calls == 1) sum(t * 5.0).backward();
    });
    sum(x).backward();
    CHECK(calls == 2);
    CHECK(values(x.grad()) == Values{6});
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
