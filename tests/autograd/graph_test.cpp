// What the engine promises of graphs that others touch: two threads on one graph, backward inside of backward, contents
// that were swapped, custom functions that ask for what they do not have.
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/checkpoint.h"
#include "weft/autograd/engine.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;
using Values = std::vector<double>;

namespace {
Tensor leaf(const Values& v) { return here::tensor(v).set_requires_grad(); }
Values values(const Tensor& t) { return t.to_vector<double>(); }

/// x * depth!, more or less: each formula runs a backward of its own over a graph that holds the next one.
Tensor nested(const Tensor& x, int depth, std::atomic<int>& deepest) {
  const int at = deepest + 1;
  return record("nested", (x * 1.0).detach(), {x}, [x, depth, at, &deepest](BackwardCtx& c) -> Grads {
    deepest = at;
    if (depth == 0) return {c.grad()};
    const EnableGrad on;
    Tensor inner = x.detach().set_requires_grad();
    sum(nested(inner, depth - 1, deepest)).backward();
    return {c.grad() * inner.grad()};
  });
}
}  // namespace

// Run under the thread sanitizer by the suite's name.
TEST_SUITE("threads on one graph") {
  TEST_CASE("two backwards that keep the graph add up") {
    Tensor w = ones({100}).set_requires_grad(), v = full({100}, 2.0).set_requires_grad(), h = w;
    for (int i = 0; i < 50; ++i) h = h * 1.0 + v * 0.0;
    const Tensor y = sum(tanh(h) * v);
    y.backward({}, {.retain_graph = true});
    const float one = w.grad().to_vector<float>()[0];
    w.zero_grad();
    const auto work = [&] {
      for (int i = 0; i < 30; ++i) y.backward({}, {.retain_graph = true});
    };
    std::thread a(work), b(work);
    a.join(), b.join();
    Tensor expected = zeros({100});
    for (int i = 0; i < 60; ++i) expected.add_(full({100}, one));
    CHECK(equal(w.grad(), expected));
  }

  TEST_CASE("two backwards that free the graph: both are right, or one is refused and nothing is added") {
    for (int round = 0; round < 50; ++round) {
      Tensor w = ones({10}).set_requires_grad(), h = w;
      for (int i = 0; i < 30; ++i) h = h * w;
      const Tensor y = sum(h);
      std::atomic<int> refused{0}, odd{0};
      const auto work = [&] {
        try {
          y.backward();
        } catch (const Error& e) {
          ++refused;
          odd += std::string(e.what()).find("freed by an earlier backward") == std::string::npos;
        }
      };
      std::thread a(work), b(work);
      a.join(), b.join();
      CHECK(odd == 0);
      CHECK(refused < 2);
      CHECK(w.grad().to_vector<float>()[3] == 31.f * static_cast<float>(2 - refused));
    }
  }

  TEST_CASE("grad() of one graph on two threads") {
    Tensor w = full({64}, 3.0).set_requires_grad();
    const Tensor y = sum(w * w * w);
    std::atomic<int> wrong{0};
    const auto work = [&] {
      for (int i = 0; i < 50; ++i)
        wrong += grad(y, {w}, {.retain_graph = true})[0].to_vector<float>() != std::vector<float>(64, 27);
    };
    std::thread a(work), b(work);
    a.join(), b.join();
    CHECK(wrong == 0);
    CHECK_FALSE(w.grad().defined());
  }
}

TEST_SUITE("nested backward") {
  DEVICE_TEST_CASE("a formula may run a backward over the same graph") {
    Tensor x = leaf({3});
    const Tensor shared = x * x;  // d = 6
    const Tensor y = record("outer", (shared * 1.0).detach(), {shared}, [shared, x](BackwardCtx& c) -> Grads {
      return {c.grad() * grad(shared, {x}, {.retain_graph = true})[0]};
    });
    (sum(y) + sum(shared)).backward();
    CHECK(values(x.grad()) == Values{6 * 6 + 6});
  }

  TEST_CASE("10,000 levels deep") {
    Tensor x = leaf({2});
    std::atomic<int> deepest{0};
    sum(nested(x, 10'000, deepest)).backward();
    CHECK(deepest == 10'001);
    CHECK(values(x.grad()) == Values{1});
  }

  TEST_CASE("deeper ends in one error, and the thread works on") {
    Tensor x = leaf({2});
    std::atomic<int> deepest{0};
    const std::string text = message_of<Error>([&] { sum(nested(x, 1'000'000, deepest)).backward(); });
    CHECK(text.find("backward: more than 10000 backwards run inside of each other's formulas") == 0);
    CHECK(text.size() < 300);
    CHECK(detail::thread_mode().backward_depth == 0);
    CHECK_FALSE(x.grad().defined());
    sum(x * x).backward();
    CHECK(values(x.grad()) == Values{4});
  }

  TEST_CASE("from a hook, too, and on a thread of its own") {
    std::thread t([] {
      Tensor x = ones({1}).set_requires_grad();
      int left = 300;
      const std::function<void()> go = [&] {
        const EnableGrad on;
        Tensor y = ones({1}).set_requires_grad();
        y.register_hook([&](const Tensor&) {
          if (--left > 0) go();
        });
        sum(y * 2.0).backward();
      };
      go();
      CHECK(left == 0);
    });
    t.join();
  }

  TEST_CASE("what is thrown many levels down comes out whole") {
    struct Mine {
      int value;
    };
    const std::function<Tensor(int)> level = [&](int n) -> Tensor {
      Tensor x = ones({1}).set_requires_grad();
      return sum(record("deep", x.detach(), {x}, [&level, n](BackwardCtx& c) -> Grads {
        if (n == 0) throw Mine{42};
        const EnableGrad on;
        level(n - 1).backward();
        return {c.grad()};
      }));
    };
    int got = 0;
    try {
      level(200).backward();
    } catch (const Mine& m) { got = m.value; }
    CHECK(got == 42);
  }

  TEST_CASE("grad of many inputs takes a time that grows with their number") {
    // 20,000 inputs of one graph: with a search per node this would be 4e8 steps for each of the three
    std::vector<Tensor> x;
    for (int i = 0; i < 20'000; ++i) x.push_back(full({1}, 1.0).set_requires_grad());
    Tensor y = zeros({1});
    for (const Tensor& t : x) y = y + t * 2.0;
    const std::vector<Tensor> g = grad(sum(y), x);
    REQUIRE(g.size() == x.size());
    for (const Tensor& t : {g.front(), g[777], g.back()}) CHECK(t.item<float>() == 2);
  }
}

TEST_SUITE("stale") {
  DEVICE_TEST_CASE("contents swapped after the forward pass are found, by op and name") {
    Tensor a = leaf({1, 2, 3});
    const Tensor y = sum(a * a);
    Tensor other = here::tensor(Values{5, 5, 5});
    a.swap_contents(other);
    const std::string text = message_of<Error>([&] { y.backward({}, {.retain_graph = true}); });
    CHECK(text.find("mul: the contents of input saved for backward") == 0);
    CHECK(text.find("were swapped") != std::string::npos);
    CHECK_FALSE(a.grad().defined());
    a.swap_contents(other);  // back again: what was saved is there
    y.backward();
    CHECK(values(a.grad()) == Values{2, 4, 6});
  }

  DEVICE_TEST_CASE("two views of one storage that swap places are found too") {
    Tensor base = here::tensor(Values{1, 2, 3, 4}), a = base.narrow(0, 0, 2).set_requires_grad(),
           b = base.narrow(0, 2, 2);
    const Tensor y = sum(a * a);
    a.swap_contents(b);
    CHECK_THROWS_AS(y.backward(), Error);
  }

  DEVICE_TEST_CASE("a leaf that changed its dtype gets a gradient of the new one") {
    Tensor a = here::tensor(std::vector<float>{1, 2, 3}).set_requires_grad();
    const Tensor y = sum(a + 1.0);  // saves nothing
    Tensor wide = a.detach().to(Dtype::f64);
    a.swap_contents(wide);
    y.backward();
    CHECK(a.grad().dtype() == Dtype::f64);
    CHECK(values(a.grad()) == Values{1, 1, 1});
    sum(a * a).backward();
    CHECK(values(a.grad()) == Values{3, 5, 7});
  }

  DEVICE_TEST_CASE("gradients of two dtypes say that the contents were swapped") {
    Tensor a = here::tensor(std::vector<float>{1, 2, 3}).set_requires_grad();
    sum(a + 1.0).backward();
    Tensor wide = a.detach().to(Dtype::f64);
    a.swap_contents(wide);
    const std::string text = message_of<Error>([&] { sum(a * 2.0).backward(); });
    CHECK(text.find("mul: its gradient [3] f64") == 0);
    CHECK(text.find("the tensor's contents were swapped") != std::string::npos);
    CHECK(values(a.grad()) == Values{1, 1, 1});
    a.zero_grad();
    sum(a * 2.0).backward();
    CHECK(values(a.grad()) == Values{2, 2, 2});
    Tensor b = here::tensor(std::vector<float>{1, 2, 3}).set_requires_grad();
    const Tensor before = sum(b + 1.0);
    Tensor other = b.detach().to(Dtype::f64);
    b.swap_contents(other);
    CHECK(message_of<Error>([&] { (before.to(Dtype::f64) + sum(b * 2.0)).backward(); }).find("were swapped") !=
          std::string::npos);
  }
}

TEST_SUITE("custom functions") {
  DEVICE_TEST_CASE("named callables are recorded, and stay the caller's") {
    Tensor a = leaf({1, 2});
    const auto twice = [](BackwardCtx& c) -> Grads { return {c.grad() * 2.0}; };
    auto thrice = [k = 3.0](BackwardCtx& c) -> Grads { return {c.grad() * k}; };
    const std::function<Grads(BackwardCtx&)> f = twice;
    const std::vector<Tensor> list{a};
    Tensor y = record("twice", a.detach(), {a}, twice) + record("thrice", a.detach(), list, thrice) +
               record("function", a.detach(), {a}, f) + record_n("n", {a.detach()}, {a}, thrice)[0];
    sum(y).backward();
    CHECK(values(a.grad()) == Values{10, 10});
    CHECK(f != nullptr);
  }

  DEVICE_TEST_CASE("an output or input that the op does not have is refused by name") {
    Tensor a = leaf({1, 2});
    const auto refused = [&](Grads (*f)(BackwardCtx&)) {
      return message_of<ValueError>([&] { sum(record("custom", a.detach() * 2.0, {a}, f)).backward(); });
    };
    CHECK(refused([](BackwardCtx& c) -> Grads {
            return {c.grad(3)};
          }).find("custom: its backward asks for output 3, but it has 1 output") == 0);
    CHECK(refused([](BackwardCtx& c) -> Grads { return {c.take_grad(-1)}; }).find("output -1") != std::string::npos);
    CHECK(refused([](BackwardCtx& c) -> Grads { return {c.has_grad(1) ? c.grad() : Tensor()}; }).find("custom: ") == 0);
    CHECK(refused([](BackwardCtx& c) -> Grads {
            return {c.needs(1) ? c.grad() : Tensor()};
          }).find("custom: its backward asks for input 1, but it has 1 input") == 0);
    CHECK(refused([](BackwardCtx& c) -> Grads { return {c.needs(-1) ? c.grad() : Tensor()}; }).find("input -1") !=
          std::string::npos);
    CHECK_FALSE(a.grad().defined());
  }

  DEVICE_TEST_CASE("backward and grad of nothing are refused") {
    Tensor a = leaf({1});
    CHECK(message_of<ValueError>([&] { (void)grad(sum(a), {}); }).find("grad: no inputs") == 0);
    CHECK(message_of<ValueError>([&] { (void)grad(std::vector<Tensor>{}, {a}); }).find("grad: no outputs") == 0);
    CHECK(message_of<ValueError>([&] { backward(std::vector<Tensor>{}); }).find("backward: no outputs") == 0);
  }
}

TEST_SUITE("anomaly mode") {
  DEVICE_TEST_CASE("infinities are legal: masks are made of them") {
    const AnomalyMode on;
    const double inf = std::numeric_limits<double>::infinity();
    Tensor x = here::randn({2, 4, 4}, Dtype::f64).set_requires_grad();
    const Tensor mask = triu(here::full({4, 4}, -inf, Dtype::f64), 1);
    sum(softmax(x + mask, -1) * x.detach()).backward();
    CHECK(all(isfinite(x.grad())).item<bool>());
    x.zero_grad();
    const Tensor hidden = gt(here::arange(4), 2);
    sum(square(softmax(masked_fill(x, hidden, -inf), -1))).backward();
    CHECK(all(isfinite(x.grad())).item<bool>());
    for (const bool causal : {false, true}) {
      Tensor q = here::randn({1, 2, 5, 8}).set_requires_grad();
      const Tensor keep = gt(here::arange(5), 0);
      const Tensor y = causal ? scaled_dot_product_attention(q, q, q, {.is_causal = true})
                              : scaled_dot_product_attention(q, q, q, {.attn_mask = keep.expand({5, 5})});
      sum(square(y)).backward();
      CHECK(all(isfinite(q.grad())).item<bool>());
    }
    CHECK((here::zeros({1}) - inf).item<float>() == -INFINITY);
  }

  DEVICE_TEST_CASE("the op that was called is named, not its part") {
    const AnomalyMode on;
    const std::string text = message_of<Error>([] { (void)weft::std(here::ones({1})); });
    CHECK(text.find("std: the result of shape") == 0);
    CHECK(message_of<Error>([] { (void)var(here::ones({1})); }).find("var: the result of shape") == 0);
  }

  DEVICE_TEST_CASE("a NaN that a mask takes away again inside of a formula is none") {
    const AnomalyMode on;
    Tensor x = leaf({0, 2}), e = leaf({0, 2});
    sum(pow(x, e)).backward();
    CHECK(values(x.grad()) == Values{0, 4});
    CHECK(std::isfinite(values(e.grad())[0]));
  }

  DEVICE_TEST_CASE("a NaN is found in a recomputed segment and in a backward inside of a formula") {
    const AnomalyMode on;
    Tensor x = leaf({-1});
    bool bad = false;
    const Tensor y = checkpoint([&](const Tensor& t) { return bad ? log(t) : t * 1.0; }, x);
    bad = true;
    CHECK(message_of<Error>([&] { sum(y).backward(); }).find("log: ") == 0);
    const Tensor z = record("outer", (x * 1.0).detach(), {x}, [](BackwardCtx& c) -> Grads {
      const EnableGrad enable;
      Tensor t = here::tensor(Values{1}).set_requires_grad();
      const Tensor w = record("inner", t.detach(), {t}, [](BackwardCtx& i) -> Grads { return {i.grad() * NAN}; });
      sum(w).backward();
      return {c.grad()};
    });
    CHECK(message_of<Error>([&] { sum(z).backward(); }).find("inner: ") == 0);
  }
}
