// The engine: accumulation, grad(), retained and freed graphs, in-place changes, anomaly mode, depth.
#include <cmath>
#include <limits>

#include "support/here.h"
#include "support/ops.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/record.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;
using Values = std::vector<double>;

namespace {
Tensor leaf(const Values& v, const Shape& shape) { return here::tensor(v, shape).set_requires_grad(); }
Tensor leaf(const Values& v) { return leaf(v, {static_cast<int64_t>(v.size())}); }
Values values(const Tensor& t) { return t.to_vector<double>(); }
}  // namespace

TEST_SUITE("engine") {
  DEVICE_TEST_CASE("gradients of several uses add up, over several backwards too") {
    Tensor x = leaf({1, 2, 3});
    const auto loss = [&] { return sum(x * x + x); };
    loss().backward();
    CHECK(values(x.grad()) == Values{3, 5, 7});
    loss().backward();
    CHECK(values(x.grad()) == Values{6, 10, 14});
    x.zero_grad();
    CHECK_FALSE(x.grad().defined());
  }

  DEVICE_TEST_CASE("broadcast inputs get gradients of their own shape") {
    Tensor a = leaf({1, 2}, {2, 1}), b = leaf({1, 2, 3}, {3}), c = leaf({5}, {});
    sum(a * b * c).backward();
    CHECK(a.grad().shape() == Shape{2, 1});
    CHECK(values(a.grad()) == Values{30, 30});
    CHECK(values(b.grad()) == Values{15, 15, 15});
    CHECK(c.grad().shape() == Shape{});
    CHECK(values(c.grad()) == Values{18});
  }

  DEVICE_TEST_CASE("grad() touches no leaf and computes what is asked for only") {
    Tensor x = leaf({2}), w = leaf({3});
    int calls = 0;
    const Tensor y = record("counted", (x * 1.0).detach(), {x}, [&calls](BackwardCtx& c) -> Grads {
      ++calls;
      return {c.grad()};
    });
    const Tensor z = sum(y * w);
    CHECK(values(grad(z, {w}, {.retain_graph = true})[0]) == Values{2});
    CHECK(calls == 0);
    CHECK(values(grad(z, {x})[0]) == Values{3});
    CHECK(calls == 1);
    CHECK_FALSE(x.grad().defined());
    CHECK_FALSE(w.grad().defined());
  }

  DEVICE_TEST_CASE("grad() of a tensor inside the graph") {
    Tensor x = leaf({2});
    const Tensor y = x * x, z = sum(y * y);
    const std::vector<Tensor> g = grad(z, {y, x});
    CHECK(values(g[0]) == Values{8});
    CHECK(values(g[1]) == Values{32});
  }

  DEVICE_TEST_CASE("an unused input is an error, or undefined") {
    Tensor x = leaf({2}), other = leaf({1});
    CHECK(message_of<ValueError>([&] { (void)grad(sum(x * x), {other}); }) ==
          "grad: the outputs do not depend on input 0 of shape [1]; pass allow_unused if that is meant");
    CHECK_FALSE(grad(sum(x * x), {other}, {.allow_unused = true})[0].defined());
  }

  DEVICE_TEST_CASE("what cannot be started says so") {
    Tensor x = leaf({1, 2});
    CHECK(message_of<ShapeError>([&] {
            (x * x).backward();
          }).find("the output has shape [2]; only a one-element output") != std::string::npos);
    CHECK(message_of<ValueError>([&] { here::tensor({1.0}).backward(); }).find("does not require grad") !=
          std::string::npos);
    CHECK(message_of<ShapeError>([&] { (x * x).backward(here::ones({3}, Dtype::f64)); }).find("[3]") !=
          std::string::npos);
  }

  DEVICE_TEST_CASE("a second backward through a freed graph is refused, retain_graph keeps it") {
    Tensor x = leaf({3});
    const Tensor y = sum(x * x);
    y.backward({}, {.retain_graph = true});
    y.backward();
    CHECK(values(x.grad()) == Values{12});
    const std::string text = message_of<Error>([&] { y.backward(); });
    CHECK(text.find("freed by an earlier backward") != std::string::npos);
    CHECK(text.find("retain_graph") != std::string::npos);
    CHECK(values(x.grad()) == Values{12});
  }

  DEVICE_TEST_CASE("create_graph gives derivatives of any order") {
    Tensor x = leaf({2});
    Tensor y = sum(x * x * x * x);
    Values got;
    for (int order = 1; order <= 5; ++order) {
      if (order == 5) {
        // The fourth derivative is the constant 24; nothing depends on x any more, or its gradient is zero.
        const Tensor g = y.requires_grad() ? grad(y, {x}, {.allow_unused = true})[0] : Tensor();
        CHECK((!g.defined() || values(g) == Values{0}));
        break;
      }
      const Tensor g = grad(y, {x}, {.create_graph = true})[0];
      got.push_back(g.item<double>());
      y = sum(g);
    }
    CHECK(got == Values{32, 48, 48, 24});
  }

  DEVICE_TEST_CASE("a gradient penalty reaches the parameters") {
    Tensor x = leaf({1, 2}), w = leaf({3, -1});
    const Tensor g = grad(sum(x * x * w), {x}, {.create_graph = true})[0];  // 2 x w
    sum(g * g).backward();                                                  // 4 x^2 w^2
    CHECK(values(w.grad()) == Values{24, -32});
    CHECK(values(x.grad()) == Values{72, 16});
  }

  DEVICE_TEST_CASE("an in-place change of a saved tensor is found, with the promised words") {
    Tensor w = leaf({1, 2, 3, 4}, {2, 2}), x = here::tensor(Values{1, 1, 1, 1}, Shape{2, 2});
    const Tensor y = record("product", (x * w).detach(), {w},
                            [x = Saved(x, "weight")](BackwardCtx& c) -> Grads { return {c.grad() * c.get(x)}; });
    const uint32_t before = x.version();
    x.fill_(2);
    const std::string text = message_of<Error>([&] { sum(y).backward(); });
    CHECK(text.find(str("product: weight [2, 2] saved for backward was modified in place (version ", before + 1,
                        ", expected ", before, "); clone it first")) == 0);
    CHECK_FALSE(w.grad().defined());
  }

  DEVICE_TEST_CASE("a change through a view or a detached alias is found too") {
    Tensor x = leaf({1, 2, 3});
    for (const bool view : {false, true}) {
      const Tensor y = sum(x * x);
      Tensor alias = view ? x.detach().narrow(0, 1, 1) : x.detach();
      alias.fill_(7);
      CHECK_THROWS_AS(y.backward(), Error);
    }
  }

  DEVICE_TEST_CASE("in-place writes into a recorded tensor are refused by name") {
    Tensor x = leaf({1, 2});
    CHECK(message_of<Error>([&] {
            x.add_(here::tensor(Values{1, 1}));
          }).find("add_: an in-place change of a tensor [2]") == 0);
    Tensor plain = here::tensor(Values{1, 1});
    CHECK_THROWS_AS(plain.mul_(x), Error);
    CHECK(values(plain) == Values{1, 1});
    const NoGrad off;
    x.add_(here::tensor(Values{1, 1}), 2);
    CHECK(values(x) == Values{3, 4});
  }

  DEVICE_TEST_CASE("modes: NoGrad, EnableGrad, detach, leaves") {
    Tensor x = leaf({1});
    {
      const NoGrad off;
      CHECK_FALSE((x * x).requires_grad());
      {
        const EnableGrad on;
        CHECK((x * x).requires_grad());
      }
      CHECK_FALSE(grad_enabled());
    }
    CHECK(grad_enabled());
    CHECK_FALSE(x.detach().requires_grad());
    CHECK(x.is_leaf());
    CHECK_FALSE((x * x).is_leaf());
    Tensor y = x * x;
    CHECK_THROWS_AS(y.set_requires_grad(), ValueError);
    CHECK_THROWS_AS(here::zeros({1}, Dtype::i64).set_requires_grad(), DtypeError);
  }

  DEVICE_TEST_CASE("anomaly mode names the op that made the first NaN") {
    const AnomalyMode on;
    Tensor x = leaf({1, 0});
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::string text = message_of<Error>([&] {
      (void)record("bad", here::full({2}, nan, Dtype::f64), {x}, [](BackwardCtx& c) -> Grads { return {c.grad()}; });
    });
    CHECK(text.find("bad: ") == 0);
    CHECK(text.find("NaN") != std::string::npos);
    const Tensor y = record("worse", here::ones({2}, Dtype::f64), {x},
                            [nan](BackwardCtx&) -> Grads { return {here::full({2}, nan, Dtype::f64)}; });
    CHECK(message_of<Error>([&] { sum(y).backward(); }).find("worse: ") == 0);
    CHECK_NOTHROW(log(x));  // -inf
  }

  DEVICE_TEST_CASE("a view that changes nothing is a node and a tensor of its own") {
    using View = Tensor (*)(const Tensor&);
    for (const View view :
         {View([](const Tensor& x) { return x.reshape(x.shape()); }),
          View([](const Tensor& x) { return x.reshape({-1}); }), View([](const Tensor& x) { return x.reshape_as(x); }),
          View([](const Tensor& x) { return x.view(x.shape()); }), View([](const Tensor& x) { return x.expand({3}); }),
          View([](const Tensor& x) { return x.expand({-1}); }), View([](const Tensor& x) { return x.squeeze(); }),
          View([](const Tensor& x) { return x.squeeze(0); }), View([](const Tensor& x) { return x.t(); }),
          View([](const Tensor& x) { return x.flatten(); }), View([](const Tensor& x) { return x.index({}); }),
          View([](const Tensor& x) { return x.index({Slice{}}); }),
          View([](const Tensor& x) { return x.index({Ellipsis{}}); }),
          View([](const Tensor& x) { return x.chunk(1)[0]; }),
          View([](const Tensor& x) { return x.unflatten(0, {3}); }), View([](const Tensor& x) { return x.slice(0); }),
          View([](const Tensor& x) { return x.transpose(0, 0); }),
          View([](const Tensor& x) { return x.movedim(0, 0); })}) {
      Tensor x = leaf({1, 2, 3}), y = view(x);
      CHECK(y.raw_data() == x.raw_data());
      CHECK_FALSE(y.is_leaf());
      const std::vector<Tensor> g = grad(sum(y * 2.0) + sum(x * 5.0), {y, x});
      CHECK(values(g[0]) == Values{2, 2, 2});
      CHECK(values(g[1]) == Values{7, 7, 7});
      y.register_hook([](const Tensor& h) { return h * 10.0; });
      sum(x).backward();
      CHECK(values(x.grad()) == Values{1, 1, 1});
      const Tensor plain = here::tensor(Values{1, 2, 3});
      Tensor z = view(plain);
      z.set_requires_grad();
      CHECK_FALSE(plain.requires_grad());
    }
    const Tensor zero = leaf({1}, {}), none = here::zeros({0, 2}).set_requires_grad();
    for (const Tensor& y : {zero.t(), zero.transpose(0, 0), zero.index({}), none.split(3)[0], none.chunk(2)[1]})
      CHECK_FALSE(y.is_leaf());
  }

  DEVICE_TEST_CASE("errors inside a formula keep their type, a user's too") {
    struct Mine : ValueError {
      using ValueError::ValueError;
      int code = 7;
    };
    const auto thrown = [](auto raise_it) {
      Tensor x = leaf({1});
      return record("fragile", (x * 1.0).detach(), {x}, [raise_it](BackwardCtx&) -> Grads {
        raise_it();
        return {Tensor()};
      });
    };
    const std::string tail = " (while computing the gradient of fragile)";
    CHECK(message_of<DeviceError>([&] { thrown([] { raise<DeviceError>("a: b"); }).backward(); }) == "a: b" + tail);
    CHECK(message_of<CommError>([&] { thrown([] { raise<CommError>("a: b"); }).backward(); }) == "a: b" + tail);
    CHECK(message_of<Mine>([&] { thrown([] { throw Mine("a: b"); }).backward(); }) == "a: b" + tail);
  }

  DEVICE_TEST_CASE("errors inside a formula name the op and leave the leaves alone, the graph can be walked again") {
    Tensor x = leaf({1}), other = leaf({1});
    bool fail = true;
    const Tensor y = record("fragile", (x * 1.0).detach(), {x}, [&fail](BackwardCtx& c) -> Grads {
      WEFT_CHECK(!fail, ShapeError, "inner: no");
      return {c.grad()};
    });
    const Tensor z = sum(y * other);
    CHECK(message_of<ShapeError>([&] {
            z.backward({}, {.retain_graph = true});
          }).find("while computing the gradient of fragile") != std::string::npos);
    CHECK_FALSE(x.grad().defined());
    CHECK_FALSE(other.grad().defined());
    fail = false;
    z.backward();
    CHECK(values(x.grad()) == Values{1});
  }

  DEVICE_TEST_CASE("a chain of a million ops runs and is freed without recursion") {
    Tensor x = leaf({1});
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = y + x.detach();
    sum(y).backward();
    CHECK(values(x.grad()) == Values{1});
    y = x;
    for (int i = 0; i < 1'000'000; ++i) y = y * 1.0;
    y = Tensor();  // never walked: freed node by node
    CHECK(x.impl()->use_count() <= 2);
  }

  DEVICE_TEST_CASE("the graph's memory comes back") {
    Tensor x = here::ones({1000}).set_requires_grad();
    sum(x * x).backward();
    const size_t before = memory_stats(support::device()).active;
    for (const bool create_graph : {false, true}) {
      {
        Tensor y = x;
        for (int i = 0; i < 10; ++i) y = y * x;
        const Tensor z = sum(y);
        CHECK(memory_stats(support::device()).active > before + 10 * 4000);
        const Tensor g = grad(z, {x}, {.create_graph = create_graph})[0];
      }
      CHECK(memory_stats(support::device()).active == before);
    }
  }

  DEVICE_TEST_CASE("saved tensors go as soon as their node ran, though the result is still held") {
    Tensor x = here::ones({1000}).set_requires_grad();
    sum(x * x).backward();
    Tensor y = x;
    for (int i = 0; i < 10; ++i) y = y * x;
    const Tensor z = sum(y);
    y = Tensor();
    const size_t full = memory_stats(support::device()).active;
    z.backward();
    CHECK(memory_stats(support::device()).active + 9 * 4000 <= full);
  }

  TEST_CASE("a leaf keeps its gradient when memory runs out while another is added") {
    const int64_t n = 16 << 20;  // floats: 64 MiB, more than a segment that others use has left
    Tensor w = ones({n}).set_requires_grad(), c = ones({n});
    sum(w * c).backward();
    const Tensor held = w.grad(), y = sum(w * c);  // `held` forces the sum to take memory of its own
    const size_t step = size_t{16} << 20;
    int failures = 0;
    for (size_t extra = 0; extra <= 32 * step; extra += step) {
      empty_cache();
      set_memory_limit(memory_stats().reserved + extra);
      bool failed = false;
      try {
        y.backward({}, {.retain_graph = true});
      } catch (const OutOfMemory&) { failed = true; }
      set_memory_limit(0);
      if (!failed) break;
      ++failures;
      REQUIRE(w.grad().defined());
      CHECK(w.grad().is_same(held));
    }
    CHECK(failures > 0);
    CHECK(w.grad().to_vector<float>()[0] == 2);
  }

  DEVICE_TEST_CASE("swapping contents keeps every handle and the gradient's record") {
    Tensor x = leaf({1, 2});
    const Tensor same = x;
    Tensor other = here::tensor(Values{5, 6, 7});
    x.swap_contents(other);
    CHECK(values(same) == Values{5, 6, 7});
    CHECK(same.shape() == Shape{3});
    CHECK(same.requires_grad());
    CHECK(values(other) == Values{1, 2});
    sum(x * x).backward();
    CHECK(values(same.grad()) == Values{10, 12, 14});
  }

  DEVICE_TEST_CASE("custom functions may have several outputs") {
    Tensor x = leaf({3, 4});
    const std::vector<Tensor> y = record_n("both", {(x * 2.0).detach(), (x * 5.0).detach()}, {x},
                                           [](BackwardCtx& c) -> Grads {
                                             Tensor g = here::zeros({2}, Dtype::f64);
                                             if (c.has_grad(0)) g = g + c.grad(0) * 2.0;
                                             if (c.has_grad(1)) g = g + c.grad(1) * 5.0;
                                             return {g};
                                           });
    CHECK(values(grad(sum(y[1]), {x}, {.retain_graph = true})[0]) == Values{5, 5});
    CHECK(values(grad(sum(y[0]) + sum(y[1]), {x})[0]) == Values{7, 7});
  }
}
