// The suite's name makes the thread sanitizer build and run it.
#include "weft/train/distributed.h"

#include <doctest/doctest.h>

#include <memory>
#include <mutex>
#include <tuple>

#include "support/difference.h"
#include "support/same_bits.h"
#include "support/throws.h"
#include "weft/autograd/checkpoint.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/loss/loss.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/distributed/thread_group.h"
#include "weft/nn/nn.h"
#include "weft/optim/optim.h"
#include "weft/train/grad_scaler.h"

using namespace weft;
using support::largest_difference;
using support::message_of;
using training::DistributedDataParallel;

namespace {

/// Convolutions, norms over the ranks, a weight that is used twice, and one that no rank uses.
struct Net : nn::Module {
  explicit Net(const ProcessGroup& g)
      : body(add("body",
                 nn::Sequential(nn::Conv2d(2, 6, {.kernel_size = 3, .padding = 1}), nn::BatchNorm2d(6, {.group = g}),
                                nn::ReLU(), nn::Conv2d(6, 4, {.kernel_size = 3, .padding = 1}),
                                nn::SyncBatchNorm(4, {.activation = Activation::leaky_relu, .group = g})))),
        twice(add("twice", nn::Linear(4, 4))),
        head(add("head", nn::Linear(4, 3))),
        idle(add("idle", nn::Linear(2, 2))) {}
  nn::Sequential body;
  nn::Linear twice, head, idle;
  Tensor operator()(const Tensor& x) const {
    const Tensor y = mean(body(x), {2, 3});
    return head(twice(tanh(twice(y))));
  }
};

struct Data {
  Tensor x = randn({12, 2, 5, 6}, Dtype::f64), y = randint(0, 3, {12});
};

/// The parameters after `steps` steps of one process with all data.
StateDict at_once(const StateDict& start, const Data& d, int steps, Dtype dtype = Dtype::f64) {
  Net net{ProcessGroup()};
  net.to(dtype);
  net.load_state_dict(start);
  optim::SGD opt(net.parameters(), {.lr = 0.05, .momentum = 0.9});
  for (int i = 0; i < steps; ++i) {
    opt.zero_grad();
    cross_entropy(net(d.x.to(dtype)), d.y).backward();
    opt.step();
  }
  return net.state_dict();
}

StateDict start_state() {
  manual_seed(3);
  Net net{ProcessGroup()};
  net.to(Dtype::f64);
  return net.state_dict();
}

}  // namespace

TEST_SUITE("train threads distributed") {
  TEST_CASE("ranks with shares of the batch train as one process with all of it") {
    const StateDict start = start_state();
    const Data d;
    const StateDict want = at_once(start, d, 50);
    for (const int R : {1, 2, 3, 4})
      for (const double bucket_mb : {25.0, 2e-4}) {
        CAPTURE(R);
        CAPTURE(bucket_mb);
        std::vector<StateDict> ends(static_cast<size_t>(R));
        std::vector<std::vector<std::vector<std::string>>> buckets(static_cast<size_t>(R));
        run_threads(R, [&](const ProcessGroup& g) {
          Net net(g);
          net.to(Dtype::f64);
          if (g.rank() == 0) net.load_state_dict(start);  // the others get it from there
          DistributedDataParallel parallel(net, {.group = g, .bucket_mb = bucket_mb});
          optim::SGD opt(net.parameters(), {.lr = 0.05, .momentum = 0.9});
          const int64_t n = 12 / R;
          for (int i = 0; i < 50; ++i) {
            opt.zero_grad(i % 2 == 0);
            cross_entropy(net(d.x.narrow(0, n * g.rank(), n)), d.y.narrow(0, n * g.rank(), n)).backward();
            opt.step();
          }
          ends[static_cast<size_t>(g.rank())] = net.state_dict();
          buckets[static_cast<size_t>(g.rank())] = parallel.buckets();
        });
        // rounding: 50 steps, each some 1e-16 of values near 1
        CHECK(largest_difference(want, ends[0]) < 1e-10);
        for (const StateDict& end : ends) CHECK(largest_difference(ends[0], end) == 0);
        for (const auto& b : buckets) CHECK(b == buckets[0]);
        if (bucket_mb > 1) {
          CHECK(buckets[0].size() == 1);
        } else {
          CHECK(buckets[0].size() > 4);
          CHECK(buckets[0][0][0].find("head") == 0);  // what backward meets first
        }
      }
  }

  TEST_CASE("the same in f32, as docs/guide/distributed.md says") {
    const StateDict start = start_state();
    const Data d;
    const StateDict want = at_once(start, d, 50, Dtype::f32);
    for (const int R : {2, 3, 4}) {
      StateDict end;
      run_threads(R, [&](const ProcessGroup& g) {
        Net net(g);
        net.load_state_dict(start);
        DistributedDataParallel parallel(net, {.group = g});
        optim::SGD opt(net.parameters(), {.lr = 0.05, .momentum = 0.9});
        const int64_t n = 12 / R;
        for (int i = 0; i < 50; ++i) {
          opt.zero_grad();
          cross_entropy(net(d.x.narrow(0, n * g.rank(), n).to(Dtype::f32)), d.y.narrow(0, n * g.rank(), n)).backward();
          opt.step();
        }
        if (g.rank() == 0) end = net.state_dict();
      });
      // 2.4e-7 here, four roundings of weights near 1; other processors add in another order
      CHECK(largest_difference(want, end) < 5e-6);
    }
  }

  TEST_CASE("the buckets do not change a bit") {
    const Data d;
    std::vector<StateDict> ends;
    for (const double bucket_mb : {25.0, 1e-3, 2e-4, 1e-6})
      run_threads(3, [&](const ProcessGroup& g) {
        manual_seed(9);
        Net net(g);
        DistributedDataParallel parallel(net, {.group = g, .bucket_mb = bucket_mb});
        optim::SGD opt(net.parameters(), {.lr = 0.1});
        for (int i = 0; i < 5; ++i) {
          opt.zero_grad();
          cross_entropy(net(d.x.narrow(0, 4 * g.rank(), 4).to(Dtype::f32)), d.y.narrow(0, 4 * g.rank(), 4)).backward();
          opt.step();
        }
        if (g.rank() == 1) ends.push_back(net.state_dict());
      });
    for (const StateDict& end : ends) CHECK(largest_difference(ends[0], end) == 0);
  }

  TEST_CASE("pairwise accumulation: the same bits for any number of ranks over equal micro-batches") {
    constexpr int kParts = 8;
    for (const Dtype d : {Dtype::f32, Dtype::f64}) {
      manual_seed(31);
      const Tensor x = randn({kParts * 3, 4}).to(d), y = randint(0, 3, {kParts * 3});
      const auto train = [&](int ranks, bool pairwise) {
        StateDict end;
        run_threads(ranks, [&](const ProcessGroup& g) {
          manual_seed(9);
          nn::Sequential net(nn::Linear(4, 16), nn::Tanh(), nn::Linear(16, 3));
          net.to(d);
          DistributedDataParallel parallel(net, {.group = g, .bucket_mb = 1e-4, .pairwise_accumulation = pairwise});
          optim::Adam opt(net.parameters(), {.lr = 0.01});
          const int m = kParts / ranks;
          for (int step = 0; step < 4; ++step) {
            opt.zero_grad();
            for (int k = 0; k < m; ++k) {
              const int64_t at = 3 * (m * g.rank() + k);
              const auto backward = [&] {
                (cross_entropy(net(x.narrow(0, at, 3)), y.narrow(0, at, 3)) / m).backward();
              };
              if (k + 1 == m) {
                backward();
              } else {
                const auto local = parallel.no_sync();
                backward();
              }
            }
            opt.step();
          }
          if (g.rank() == 0) end = net.state_dict();
        });
        return end;
      };
      const StateDict one = train(1, true);
      for (const int ranks : {2, 4, 8}) CHECK(largest_difference(one, train(ranks, true)) == 0);
      CHECK(largest_difference(one, train(1, false)) > 0);  // one after the other: other roundings
      CHECK(largest_difference(one, train(1, false)) <
            (d == Dtype::f32 ? 1e-2 : 1e-6));  // Adam's first steps magnify them
    }
  }

  TEST_CASE("pairwise accumulation with parameters that some micro-batches do not use, and a backward that fails") {
    std::vector<double> got;
    run_threads(2, [&](const ProcessGroup& g) {
      nn::Sequential net(nn::Linear(1, 1, {.bias = false}), nn::Linear(1, 1, {.bias = false}));
      {
        const NoGrad off;
        for (Tensor& p : net.parameters()) p.fill_(1);
      }
      DistributedDataParallel parallel(net, {.group = g, .pairwise_accumulation = true});
      Tensor a = net.parameters()[0], b = net.parameters()[1];
      const auto use = [&](const Tensor& p, double factor) { sum(p * factor).backward(); };
      const double r = g.rank();
      {
        const auto local = parallel.no_sync();
        use(a, 1 + r), use(b, 10), use(a, 2);
        const Tensor bad = record("bad", sum(a).detach(), {a}, [](BackwardCtx&) -> Grads { throw ValueError("bad"); });
        if (message_of<ValueError>([&] { (bad + sum(b) * 1e3).backward(); }).empty()) throw Error("no error");
      }
      use(b, 20);
      if (g.rank() == 1) got = {a.grad().item<double>(), b.grad().item<double>()};
    });
    CHECK(got == std::vector<double>{(1 + 2 + 2 + 2) / 2.0, 30});
  }

  TEST_CASE("pairwise accumulation shows what it holds, and lets go of it") {
    std::vector<double> got;
    run_threads(2, [&](const ProcessGroup& g) {
      struct One : nn::Module {
        nn::Parameter p = register_parameter("p", ones({1}));
      } net;
      const Tensor p = net.p.tensor();
      DistributedDataParallel parallel(net, {.group = g, .pairwise_accumulation = true});
      optim::SGD opt(net.parameters(), {.lr = 1});
      std::vector<double> seen;
      const auto use = [&](double factor) {
        sum(p * factor).backward();
        seen.push_back(p.grad().item<double>());
      };
      const auto locally = [&](double factor) {
        const auto local = parallel.no_sync();
        use(factor);
      };
      locally(100), opt.zero_grad(), use(1);                           // 100, 1
      opt.zero_grad(), locally(1), locally(2), use(4);                 // 1, 3, 7
      locally(8), use(16);                                             // 15, 31: on top of what was there
      opt.zero_grad(false), locally(3), opt.zero_grad(false), use(1);  // 3, 1
      if (g.rank() == 1) got = seen;
    });
    CHECK(got == std::vector<double>{100, 1, 1, 3, 7, 15, 31, 3, 1});
  }

  TEST_CASE("gradients are views of the buckets, accumulate, and stay under no_sync") {
    std::mutex mutex;
    run_threads(2, [&](const ProcessGroup& g) {
      const double r = g.rank();
      struct Two : nn::Module {
        nn::Parameter a = register_parameter("a", zeros({3})), b = register_parameter("b", zeros({2})),
                      c = register_parameter("c", zeros({2}));
      } net;
      DistributedDataParallel parallel(net, {.group = g});
      const auto values = [](const Tensor& t) { return t.defined() ? t.to_vector<float>() : std::vector<float>(); };
      (sum(net.a) * (r + 1)).backward();  // b and c are used by nobody
      const std::lock_guard lock(mutex);
      CHECK(values(net.a.grad()) == std::vector<float>(3, 1.5f));
      CHECK(!net.b.grad().defined());
    });
    run_threads(2, [&](const ProcessGroup& g) {
      struct Two : nn::Module {
        nn::Parameter a = register_parameter("a", zeros({3})), b = register_parameter("b", zeros({2}));
      } net;
      DistributedDataParallel parallel(net, {.group = g});
      const auto values = [](const Tensor& t) { return t.defined() ? t.to_vector<float>() : std::vector<float>(); };
      const auto loss = [&](double scale) {
        Tensor l = sum(net.a) * scale;
        return g.rank() == 1 ? l + sum(net.b) : l;  // rank 0 does not use b
      };
      loss(g.rank() + 1).backward();
      const auto a1 = values(net.a.grad()), b1 = values(net.b.grad());
      loss(1).backward();  // adds up
      const auto a2 = values(net.a.grad());
      net.zero_grad(false);
      const void* place = net.a.grad().raw_data();
      {
        auto local = parallel.no_sync();
        loss(10 * (g.rank() + 1)).backward();
      }
      const auto own = values(net.a.grad());
      loss(g.rank() + 1).backward();
      const auto a3 = values(net.a.grad());
      const bool same_place = net.a.grad().raw_data() == place;
      net.zero_grad();
      loss(2).backward();
      const std::lock_guard lock(mutex);
      CHECK(a1 == std::vector<float>(3, 1.5f));
      CHECK(b1 == std::vector<float>(2, 0.5f));
      CHECK(a2 == std::vector<float>(3, 2.5f));
      CHECK(own == std::vector<float>(3, 10.f * static_cast<float>(g.rank() + 1)));
      CHECK(a3 == std::vector<float>(3, 16.5f));
      CHECK(same_place);
      CHECK(values(net.a.grad()) == std::vector<float>(3, 2));
      CHECK(net.a.grad().raw_data() == place);
    });
  }

  TEST_CASE("hooks, checkpointing and clipping") {
    const Data d;
    std::vector<double> norms(2), alone(1);
    const auto run = [&](const ProcessGroup& g, const Tensor& x, const Tensor& y, double& norm) {
      manual_seed(4);
      Net net(g);
      net.to(Dtype::f64);
      net.head.weight.register_hook([](const Tensor& t) { return t * 2; });
      DistributedDataParallel parallel(net, {.group = g});
      for (int i = 0; i < 2; ++i) {  // the second time with the buckets of rank 0's order
        net.zero_grad();
        cross_entropy(checkpoint([&](const Tensor& v) { return net(v); }, x), y).backward();
      }
      norm = optim::clip_grad_norm(net.parameters(), 1e9).item<double>();
    };
    run(ProcessGroup(), d.x, d.y, alone[0]);
    run_threads(2, [&](const ProcessGroup& g) {
      run(g, d.x.narrow(0, 6 * g.rank(), 6), d.y.narrow(0, 6 * g.rank(), 6), norms[static_cast<size_t>(g.rank())]);
    });
    CHECK(norms[0] == norms[1]);
    CHECK(norms[0] == doctest::Approx(alone[0]).epsilon(1e-10));
  }

  TEST_CASE("autocast and GradScaler: an overflow on one rank leaves out the step on all") {
    std::vector<std::vector<double>> ends(2);
    std::vector<double> scales(2);
    run_threads(2, [&](const ProcessGroup& g) {
      manual_seed(2);
      nn::Linear model(8, 2);
      const DistributedDataParallel parallel(model, {.group = g});
      optim::SGD opt(model.parameters(), {.lr = 0.1});
      training::GradScaler scaler({.init_scale = 1024});
      manual_seed(10 + static_cast<uint64_t>(g.rank()));
      const auto step = [&](double factor) {
        opt.zero_grad();
        const Tensor x = randn({4, 8});
        const Autocast half(Dtype::f16);
        scaler.scale(sum(square(model(x))) * factor).backward();
        scaler.step(opt);
        scaler.update();
      };
      step(1);
      const std::vector<double> before = model.weight.to_vector<double>();
      step(g.rank() == 1 ? 1e30 : 1);
      if (model.weight.to_vector<double>() != before) throw Error("the step was made");
      step(1);
      if (model.weight.to_vector<double>() == before) throw Error("no step after it");
      ends[static_cast<size_t>(g.rank())] = model.weight.to_vector<double>();
      scales[static_cast<size_t>(g.rank())] = scaler.get_scale();
    });
    CHECK(ends[0] == ends[1]);
    CHECK(scales == std::vector<double>{512, 512});
  }

  TEST_CASE("an error in backward leaves the gradients as they were") {
    run_threads(2, [&](const ProcessGroup& g) {
      struct Two : nn::Module {
        nn::Parameter a = register_parameter("a", ones({3})), b = register_parameter("b", ones({2}));
      } net;
      DistributedDataParallel parallel(net, {.group = g, .bucket_mb = 1e-6});
      (sum(net.a) + sum(net.b)).backward();
      const Tensor before = net.a.grad();
      bool thrown = false;
      // b's gradient comes first and goes round; then a's formula throws, on every rank
      const Tensor bad = record("bad", sum(net.a).detach(), {net.a.tensor()},
                                [](BackwardCtx&) -> Grads { throw ValueError("no gradient of bad"); });
      try {
        (bad + sum(net.b) * 3).backward();
      } catch (const ValueError&) { thrown = true; }
      if (!thrown || net.a.grad().to_vector<float>() != std::vector<float>(3, 1) ||
          net.b.grad().to_vector<float>() != std::vector<float>(2, 1))
        throw Error("a gradient has changed");
      (sum(net.a) + sum(net.b)).backward();  // and it goes on
      if (net.b.grad().to_vector<float>() != std::vector<float>(2, 2)) throw Error("it did not go on");
    });
  }

  TEST_CASE("post-accumulate hooks, a second backward inside of the first, other dtypes, assignment") {
    nn::Linear l(2, 2), other(2, 2);
    DistributedDataParallel p(l, {});
    int calls = 0;
    l.weight.register_post_accumulate_grad_hook([&](Tensor& w) { calls += w.grad().defined(); });
    const auto run = [&] { sum(l(ones({1, 2}).to(l.weight.dtype()))).backward(); };
    run();
    CHECK(calls == 1);
    {
      auto local = p.no_sync();
      run();
    }
    CHECK(calls == 2);

    const std::vector<float> before = l.weight.grad().to_vector<float>();
    const int64_t hook = l.bias.register_hook([&](const Tensor&) {
      const GradMode on(true);
      run();
    });
    CHECK(message_of<NotSupported>(run).find("before another one of the same model had ended") != std::string::npos);
    l.bias.remove_hook(hook);
    CHECK(l.weight.grad().to_vector<float>() == before);

    l.zero_grad();
    l.to(Dtype::f64);
    CHECK(message_of<Error>(run).find("was f32 on cpu when the model was wrapped and is f64") != std::string::npos);
    l.to(Dtype::f32);
    run();
    CHECK(l.weight.grad().to_vector<float>() == std::vector<float>(4, 1));

    p = DistributedDataParallel(other, {});  // l is free again
    DistributedDataParallel again(l, {});
    CHECK(message_of<ValueError>([&] {
            DistributedDataParallel both(nn::Sequential(nn::Linear(1, 1), l), {});
          }).find("1.weight is in another one already") != std::string::npos);
  }

  TEST_CASE("ranks that differ, and what it cannot do, are errors") {
    CHECK(
        message_of<ValueError>([] {
          run_threads(2, [](const ProcessGroup& g) {
            DistributedDataParallel p(nn::Sequential(nn::Linear(2, 3), nn::Linear(3, g.rank() + 2)), {.group = g});
          });
        }) ==
        "DistributedDataParallel: parameters of the ranks differ: rank 0 has 1.weight [2, 3] f32, rank 1 has 1.weight "
        "[3, 3] f32");
    CHECK(message_of<ValueError>([] { DistributedDataParallel p(nn::ReLU(), {}); }).find("no parameter") !=
          std::string::npos);
    CHECK(message_of<ValueError>([] {
            DistributedDataParallel p(nn::Linear(2, 2), {.bucket_mb = 0});
          }).find("bucket_mb must be positive, got 0") != std::string::npos);
    nn::Linear l(2, 2);
    DistributedDataParallel p(l, {});
    CHECK(message_of<ValueError>([&] { DistributedDataParallel q(l, {}); }).find("weight is in another one already") !=
          std::string::npos);
    CHECK(message_of<NotSupported>([&] {
            sum(square(l(ones({1, 2})))).backward(Tensor(), {.create_graph = true});
          }).find("all_reduce") != std::string::npos);
  }

  TEST_CASE("convert_sync_batchnorm") {
    std::vector<double> means(2);
    run_threads(2, [&](const ProcessGroup& g) {
      nn::Sequential net(nn::BatchNorm2d(2, {.momentum = 1}), nn::BatchNorm1d(3, {.affine = false}),
                         nn::SyncBatchNorm(2));
      if (training::convert_sync_batchnorm(net, g) != 3) throw Error("count");
      nn::BatchNorm2d bn(1, {.momentum = 1, .affine = false});
      training::convert_sync_batchnorm(bn, g);
      (void)bn(full({1, 1, 2, 2}, g.rank() * 4.0));
      means[static_cast<size_t>(g.rank())] = bn.running_mean.tensor().item<float>();
    });
    CHECK(means == std::vector<double>{2, 2});
  }
}
