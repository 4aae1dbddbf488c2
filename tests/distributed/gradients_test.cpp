// Gradients of collectives against central differences of the sum of all ranks' losses, and second ones.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>

#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/distributed/thread_group.h"

using namespace weft;
using support::message_of;

namespace {

using Collective = std::function<Tensor(const ProcessGroup&, const Tensor&)>;

/// The largest difference on any rank between the gradient of x and central differences.
double worst(int ranks, const Shape& shape, const Collective& f) {
  std::atomic<double> most = 0;
  run_threads(ranks, [&](const ProcessGroup& g) {
    Generator gen(static_cast<uint64_t>(50 + g.rank()));
    const Tensor x = rand(shape, Dtype::f64, &gen) + 0.5;
    const auto loss = [&](const Tensor& at) {  // of this rank, and not the same on two
      const Tensor y = f(g, at);
      return sum(sin(y * (g.rank() + 1.0)) * arange(1, y.numel() + 1, 1, {Dtype::f64}).reshape(y.shape()));
    };
    Tensor leaf = x.clone().set_requires_grad();
    const Tensor got = grad(loss(leaf), {leaf})[0];
    const NoGrad off;
    constexpr double kStep = 1e-5;
    for (int r = 0; r < ranks; ++r)
      for (int64_t i = 0; i < x.numel(); ++i) {
        double sides[2];
        for (const int side : {0, 1}) {
          Tensor moved = x.clone();
          if (r == g.rank()) moved.reshape({-1}).narrow(0, i, 1).add_(side ? kStep : -kStep);
          sides[side] = g.all_reduce(loss(moved)).item<double>();
        }
        if (r != g.rank()) continue;
        const double error = std::abs(got.reshape({-1}).select(0, i).item<double>() -
                                      (sides[1] - sides[0]) / (2 * kStep));
        double before = most;
        while (error > before && !most.compare_exchange_weak(before, error)) {}
      }
  });
  return most;
}

}  // namespace

TEST_SUITE("distributed threads gradients") {
  TEST_CASE("of every collective and every way to reduce") {
    const Shape parts{3, 2};
    std::vector<std::pair<std::string, Collective>> all{
        {"all_gather", [](const ProcessGroup& g, const Tensor& x) { return g.all_gather(x); }},
        {"all_gather_cat",
         [](const ProcessGroup& g, const Tensor& x) { return g.all_gather_cat(x.narrow(0, 0, g.rank() + 1)); }},
        {"all_to_all", [](const ProcessGroup& g, const Tensor& x) { return g.all_to_all(x); }},
        {"broadcast", [](const ProcessGroup& g, const Tensor& x) { return g.broadcast(x, 1); }},
        {"send in a circle", [](const ProcessGroup& g, const Tensor& x) {
           const int next = (g.rank() + 1) % 3, before = (g.rank() + 2) % 3;
           const bool first = g.rank() == 0;
           Tensor zero, got;
           if (first) zero = g.send(x, next);
           got = g.recv(x, before);
           if (!first) zero = g.send(x, next);
           return zero + got * x;
         }}};
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::mean, ReduceOp::min, ReduceOp::max, ReduceOp::product}) {
      const std::string name(Choice<ReduceOp>(op).text());
      all.emplace_back("all_reduce " + name,
                       [op](const ProcessGroup& g, const Tensor& x) { return g.all_reduce(x, op); });
      all.emplace_back("reduce_scatter " + name,
                       [op](const ProcessGroup& g, const Tensor& x) { return g.reduce_scatter(x, op); });
    }
    for (const auto& one : all) {
      const Collective& f = one.second;
      CAPTURE(one.first);
      // the step squared times third derivatives of some 1e3, and 1e-16 of losses of some 10 over the step
      CHECK(worst(3, parts, f) < 1e-6);
    }
  }

  TEST_CASE("a model in two parts: backward of send waits for the gradient") {
    std::vector<double> got;
    run_threads(2, [&](const ProcessGroup& g) {
      const Tensor x = tensor({2.0, 3.0}).set_requires_grad();
      if (g.rank() == 0) {
        g.send(x * x, 1, 4).backward();
        got = x.grad().to_vector<double>();
      } else {
        sum(square(g.recv(x, 0, 4))).backward();
        CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 0});
      }
    });
    CHECK(got == std::vector<double>{4 * 8, 4 * 27});  // of x^4
  }

  TEST_CASE("gradients of sends are neither dropped nor taken twice without a word") {
    const auto of = [](const std::function<void(const ProcessGroup&, const Tensor&)>& first,
                       const std::function<void(const ProcessGroup&, const Tensor&)>& second) {
      return [=] {
        run_threads(
            2, [&](const ProcessGroup& g) { (g.rank() == 0 ? first : second)(g, tensor({2.0}).set_requires_grad()); });
      };
    };
    const auto send = [](const ProcessGroup& g, const Tensor& x) { g.send(x * 1, 1); };
    CHECK(message_of<CommError>(of(send, [](const ProcessGroup& g, const Tensor& x) { (void)g.recv(x.detach(), 0); }))
              .find("rank 0 calls send of 1 f32 to rank 1 (recorded) but rank 1 recv of 1 f32 from rank 0;") !=
          std::string::npos);
    CHECK(message_of<CommError>(of([](const ProcessGroup& g, const Tensor& x) { g.send(x.detach(), 1); },
                                   [](const ProcessGroup& g, const Tensor& x) { (void)g.recv(x, 0); }))
              .find("rank 1 recv of 1 f32 from rank 0 (recorded);") != std::string::npos);
    // the receiver's gradient finds no backward that waits for it
    CHECK(message_of<CommError>(of(send, [](const ProcessGroup& g, const Tensor& x) { g.recv(x, 0).backward(); })) ==
          "send: rank 0 ended without receiving a message of rank 1");
    CHECK(message_of<NotSupported>(of(
              [](const ProcessGroup& g, const Tensor& x) { g.send(x, 1).backward(); },
              [](const ProcessGroup& g, const Tensor& x) { (void)grad(g.recv(x, 0), {x}, {.create_graph = true}); })) ==
          "recv: gradients that ranks send each other have no derivatives; take a collective (all_to_all, broadcast) "
          "(while computing the gradient of recv)");
  }

  TEST_CASE("ranks that tie in min or max share the gradient") {
    std::vector<std::vector<double>> reduced(3), scattered(3);
    run_threads(3, [&](const ProcessGroup& g) {
      const auto r = static_cast<size_t>(g.rank());
      Tensor x = tensor({g.rank() == 0 ? 5.0 : 1.0, 2.0 + g.rank()}).set_requires_grad();
      reduced[r] = grad(sum(g.all_reduce(x, "min")), {x})[0].to_vector<double>();
      Tensor p = tensor({g.rank() == 2 ? 0.0 : 7.0, 1.0, 2.0 * g.rank()}).set_requires_grad();
      scattered[r] = grad(sum(g.reduce_scatter(p, "max")) * 3 * (g.rank() + 1.0), {p})[0].to_vector<double>();
    });
    // three ranks have the same loss, and two share its gradient
    CHECK(reduced == std::vector<std::vector<double>>{{0, 3}, {1.5, 0}, {1.5, 0}});
    CHECK(scattered == std::vector<std::vector<double>>{{1.5, 2, 0}, {1.5, 2, 0}, {0, 2, 9}});
  }

  TEST_CASE("second derivatives of a product over ranks") {
    // f = (x0 x1)^2 on both ranks, so L = 2 (x0 x1)^2: dL/dx0 = 4 x0 x1^2; its derivatives 4 x1^2 and 8 x0 x1
    std::vector<double> first(2), second(2);
    run_threads(2, [&](const ProcessGroup& g) {
      Tensor x = tensor({g.rank() == 0 ? 3.0 : 2.0}).set_requires_grad();
      const Tensor y = grad(sum(square(g.all_reduce(x, "product"))), {x}, {.create_graph = true})[0];
      first[static_cast<size_t>(g.rank())] = y.item<double>();
      // the sum of both ranks' first derivatives: 4 x0 x1^2 + 4 x0^2 x1
      second[static_cast<size_t>(g.rank())] = grad(sum(y), {x})[0].item<double>();
    });
    CHECK(first == std::vector<double>{48, 72});
    CHECK(second == std::vector<double>{4 * 4 + 8 * 6, 4 * 9 + 8 * 6});
  }
}
