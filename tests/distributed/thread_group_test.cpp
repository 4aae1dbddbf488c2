// The suite's name makes the thread sanitizer build and run it.
#include "weft/distributed/thread_group.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "support/lent_device.h"
#include "support/throws.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/distributed/rendezvous.h"
#include "weft/distributed/slow_link.h"

using namespace weft;
using support::message_of;
using Group = ProcessGroup;

TEST_SUITE("distributed threads") {
  TEST_CASE("collectives of every dtype") {
    for (const int R : {1, 2, 3, 5})
      for (const Dtype d : {Dtype::f32, Dtype::f64, Dtype::i64}) {
        CAPTURE(R);
        CAPTURE(d);
        std::vector<std::vector<double>> gathered(static_cast<size_t>(R)), summed = gathered, sent = gathered;
        run_threads(R, [&](const Group& g) {
          const auto r = static_cast<size_t>(g.rank());
          Tensor x = tensor({1.0, 2.0, 3.0}).to(d) * (g.rank() + 1);
          gathered[r] = g.all_gather(x.reshape({3, 1})).to_vector<double>();
          Tensor sum = x.clone(), other = x.clone();
          g.all_reduce_(sum);
          summed[r] = sum.to_vector<double>();
          g.barrier();
          g.broadcast_(other, R - 1);
          sent[r] = other.to_vector<double>();
        });
        std::vector<double> all, total, last;
        for (int r = 1; r <= R; ++r)
          for (const int v : {1, 2, 3}) all.push_back(v * r);
        for (const int v : {1, 2, 3}) total.push_back(v * R * (R + 1) / 2), last.push_back(v * R);
        for (size_t r = 0; r < gathered.size(); ++r) {
          CHECK(gathered[r] == all);
          CHECK(summed[r] == total);
          CHECK(sent[r] == last);
        }
      }
  }

  TEST_CASE("a single process is a group of one") {
    const ProcessGroup g;
    Tensor x = tensor({1.f, 2.f});
    CHECK(g.all_gather(x).shape() == Shape{1, 2});
    CHECK(g.all_gather(x).to_vector<float>() == x.to_vector<float>());
    g.all_reduce_(x);
    g.broadcast_(x);
    g.barrier();
    CHECK(x.to_vector<float>() == std::vector<float>{1, 2});
  }

  TEST_CASE("any layout, empty tensors, and a device that the group cannot reach") {
    support::lend_cpu();
    std::atomic<int> wrong{0};
    run_threads(2, [&](const Group& g) {
      Tensor wide = zeros({2, 3}), column = wide.transpose(0, 1);
      column.fill_(g.rank() + 1);
      const uint32_t version = wide.version();
      g.all_reduce_(column);
      wrong += wide.to_vector<float>() != std::vector<float>(6, 3) || wide.version() == version;
      Tensor none = empty({0, 4});
      g.all_reduce_(none);
      wrong += g.all_gather(none).shape() != Shape{2, 0, 4};
      Tensor there = full({2}, static_cast<float>(g.rank()), Device("custom"));
      g.all_reduce_(there);
      wrong += there.to_vector<float>() != std::vector<float>{1, 1};
      wrong += g.all_gather(there).device() != Device("custom");
      Tensor leaf = ones({2}).set_requires_grad();  // what ends in _ is not recorded
      g.all_reduce_(leaf);
      wrong += !g.all_gather(leaf).requires_grad();
    });
    CHECK(wrong == 0);
  }

  TEST_CASE("sums are added in pairs of ranks: the same bits everywhere and every time") {
    std::vector<float> results;
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<float> got(3);
      run_threads(3, [&](const Group& g) {
        Tensor x = full({1}, g.rank() == 0 ? 1e8 : g.rank() == 1 ? -1e8 : 0.3);
        g.all_reduce_(x);
        got[static_cast<size_t>(g.rank())] = x.item<float>();
      });
      results.insert(results.end(), got.begin(), got.end());
    }
    for (const float v : results) CHECK(v == 0.3f);  // any other order loses the digits of 0.3
    // (((0 + 1) + (2 + 3)) + ((4 + 5) + 6)): what cancels in a pair leaves the rest as it is
    const std::vector<double> large{1e8, -1e8, 0.25, 0.5, 3e8, -3e8, 0.3};
    std::vector<float> got(7);
    run_threads(7, [&](const Group& g) {
      Tensor x = full({70000}, large[static_cast<size_t>(g.rank())]);
      const Tensor least = g.all_reduce(x, "min");
      g.all_reduce_(x);
      got[static_cast<size_t>(g.rank())] = x.select(0, 69999).item<float>();
      if (least.select(0, 3).item<float>() != -3e8f) throw Error("min");
    });
    for (const float v : got) CHECK(v == 0.75f + 0.3f);
  }

  TEST_CASE("long messages, of which each rank sums a part") {
    std::vector<std::vector<double>> got(3);
    std::vector<double> want;
    for (int i = 0; i < 2000; ++i) want.push_back(6.0 * i + 3);
    run_threads(3, [&](const Group& g) {
      Tensor x = arange(0, 2000, 1, {Dtype::f64}) * (g.rank() + 1) + g.rank();
      for (int repeat = 0; repeat < 3; ++repeat) {
        Tensor sum = x.clone();
        g.all_reduce_(sum);
        got[static_cast<size_t>(g.rank())] = sum.to_vector<double>();
      }
    });
    for (const auto& sum : got) CHECK(sum == want);
  }

  TEST_CASE("ranks have the caller's modes and their share of its threads") {
    std::atomic<int> wrong{0};
    const int before = num_threads();
    set_num_threads(4);
    {
      const NoGrad off;
      run_threads(2, [&](const Group&) { wrong += grad_enabled() || num_threads() != 2; });
    }
    run_threads(8, [&](const Group&) { wrong += !grad_enabled() || num_threads() != 1; });
    set_num_threads(before);
    CHECK(wrong == 0);
  }

  TEST_CASE("an error of one rank wakes the others and is what the caller sees") {
    std::vector<std::string> heard(3);
    const auto listen = [&](const Group& g) {
      try {
        g.barrier();
      } catch (const CommError& e) {
        heard[static_cast<size_t>(g.rank())] = e.what();
        throw;
      }
    };
    const std::string seen = message_of<ShapeError>([&] {
      run_threads(3, [&](const Group& g) {
        if (g.rank() == 1) throw ShapeError("this rank's input does not fit");
        listen(g);
      });
    });
    CHECK(seen == "this rank's input does not fit");
    for (const size_t r : {size_t{0}, size_t{2}})
      CHECK(heard[r] == "barrier: rank 1 failed: this rank's input does not fit");

    // of several errors of their own, the lowest rank's
    CHECK(message_of<ValueError>(
              [] { run_threads(4, [](const Group& g) { throw ValueError(str("rank ", g.rank())); }); }) == "rank 0");
    // what is no std::exception passes, too
    bool caught = false;
    try {
      run_threads(2, [](const Group& g) {
        if (g.rank() == 0) throw 7;
        g.barrier();
      });
    } catch (int seven) { caught = seven == 7; }
    CHECK(caught);
  }

  TEST_CASE("ranks that ask for different things are told both") {
    const auto clash = [](const std::function<void(const ProcessGroup&, Tensor&)>& first,
                          const std::function<void(const ProcessGroup&, Tensor&)>& second) {
      return message_of<CommError>([&] {
        run_threads(2, [&](const Group& g) {
          Tensor x = zeros({4});
          (g.rank() == 0 ? first : second)(g, x);
        });
      });
    };
    const auto reduce = [](const ProcessGroup& g, Tensor& x) { g.all_reduce_(x); };
    const auto gather = [](const ProcessGroup& g, Tensor& x) { (void)g.all_gather(x); };
    const auto has = [](const std::string& text, std::initializer_list<const char*> parts) {
      for (const char* part : parts)
        if (text.find(part) == std::string::npos) return false;
      return true;
    };
    CHECK(has(clash(reduce, gather), {"rank 0 calls all_reduce of 4 f32", "rank 1 all_gather of 4 f32", "same order"}));
    CHECK(has(clash(reduce,
                    [](const ProcessGroup& g, Tensor&) {
                      Tensor y = zeros({5}, Dtype::f64);
                      g.all_reduce_(y);
                    }),
              {"all_reduce of 4 f32", "all_reduce of 5 f64"}));
    const auto turned = [](const ProcessGroup& g) { return zeros(g.rank() == 0 ? Shape{2, 3} : Shape{3, 2}); };
    const auto reduce_turned = [&](const ProcessGroup& g, Tensor&) { (void)g.all_reduce(turned(g)); };
    CHECK(has(clash(reduce_turned, reduce_turned), {"all_reduce of 6 f32 [2, 3] but", "all_reduce of 6 f32 [3, 2];"}));
    const auto cat_turned = [&](const ProcessGroup& g, Tensor&) { (void)g.all_gather_cat(turned(g).unsqueeze(0)); };
    CHECK(has(clash(cat_turned, cat_turned), {"[0, 2, 3] but", "[0, 3, 2];"}));
    CHECK(has(clash([](const ProcessGroup& g, Tensor& x) { g.broadcast_(x, 0); },
                    [](const ProcessGroup& g, Tensor& x) { g.broadcast_(x, 1); }),
              {"from rank 0", "from rank 1"}));
    CHECK(has(clash(reduce, [](const ProcessGroup&, Tensor&) {}),
              {"rank 1 has returned", "rank 0 waits in all_reduce of 4 f32"}));
    CHECK(message_of<ValueError>([] { run_threads(0, [](const Group&) {}); }).find("got 0") != std::string::npos);
    CHECK(message_of<ValueError>([] {
            run_threads(2, [](const Group& g) {
              Tensor x = zeros({1});
              g.broadcast_(x, 2);
            });
          }).find("root 2") != std::string::npos);
  }

  TEST_CASE("a long send to a rank that does not receive") {
    std::string heard;
    std::atomic<bool> over{false};
    run_threads(2, [&](const Group& g) {
      if (g.rank() == 0) {
        g.set_timeout(0.1);
        heard = message_of<CommError>([&] { g.send(ones({1 << 20}), 1); });
        over = true;
      }
      while (!over) std::this_thread::yield();
    });
    CHECK(heard.find("rank 1 of 2 did not receive send of 1048576 f32 to rank 1 in 0.1 s; nothing was heard of it") !=
          std::string::npos);
  }

  TEST_CASE("a group that outlives its threads says so") {
    Group kept;
    run_threads(2, [&](const Group& g) {
      if (g.rank() == 0) kept = g;
    });
    CHECK(message_of<CommError>([&] { kept.barrier(); }).find("rank 1 has returned") != std::string::npos);
  }

  TEST_CASE("a link that is slow changes no bit, and holds messages back") {
    const auto ends = comm::thread_transports(3);
    std::vector<double> results(3);
    std::vector<std::thread> threads;
    const auto begin = std::chrono::steady_clock::now();
    for (size_t r = 0; r < 3; ++r)
      threads.emplace_back([&, r] {
        const Group g(comm::over(comm::slow_link(ends[r], {.seconds = 0.02, .bytes_per_second = 4e6})));
        Tensor x = full({25000}, static_cast<double>(r) + 1);
        g.all_reduce_(x);
        results[r] = sum(x).item<double>();
      });
    for (std::thread& t : threads) t.join();
    for (const double v : results) CHECK(v == 6.0 * 25000);
    // two messages of a third of 100 KB, twice, and two delays: never less
    const double least = 4.0 / 3 * 1e5 / 4e6 + 2 * 0.02;
    CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() > least);
  }

  TEST_CASE("ranks that meet over messages, and say where they are after a failure") {
    const auto ends = comm::thread_transports(3);
    std::vector<std::vector<std::string>> said(3), said_in_part(3);
    std::vector<std::string> shared(3);
    std::vector<std::thread> threads;
    for (size_t r = 0; r < 3; ++r)
      threads.emplace_back([&, r] {
        const auto all = comm::meet_over(ends[r]);
        shared[r] = all->share(r == 0 ? "of rank 0" : "", 10);
        const auto part = all->split(r == 1 ? 1 : 0, -static_cast<int>(r), 0, 0);
        if (r != 1) said_in_part[r] = part->gather(str("rank ", r), 10);  // 2 before 0
        all->host()->run({});
        if (r != 2) said[r] = all->gather(str("rank ", r, " waits"), 0.2);
      });
    for (std::thread& t : threads) t.join();
    CHECK(shared == std::vector<std::string>(3, "of rank 0"));
    CHECK(said_in_part[0] == std::vector<std::string>{"rank 2", "rank 0"});
    CHECK(said_in_part[2] == said_in_part[0]);
    CHECK(said[0] == std::vector<std::string>{"rank 0 waits", "rank 1 waits", ""});
    CHECK(said[1] == said[0]);
  }

  TEST_CASE("ranks of several machines: each machine's sum first, and the same bits") {
    struct Placed final : comm::Transport {  // says that a machine has so many ranks
      Placed(std::shared_ptr<Transport> t, int n) : Transport(t->rank(), t->size()), inner(std::move(t)), each(n) {}
      std::string place(int r) const override { return str(" on host", r / each); }
      int64_t send(int to, int tag, const void* p, size_t n) override {
        if (to / each != rank() / each) far += n;
        return inner->send(to, tag, p, n);
      }
      int64_t receive(int from, int tag, void* p, size_t n) override { return inner->receive(from, tag, p, n); }
      bool done(int64_t number) override { return inner->done(number); }
      void cancel(int64_t number) noexcept override { inner->cancel(number); }
      void idle(int turns, bool own) override { inner->idle(turns, own); }
      void announce(const std::string& what) noexcept override { inner->announce(what); }
      std::string failure() override { return inner->failure(); }
      bool has_left(int r) override { return inner->has_left(r); }
      std::shared_ptr<Transport> inner;
      int each;
      size_t far = 0;  // bytes to other machines
    };
    for (const std::pair<int, int>& machines_of : {std::pair{4, 2}, {6, 2}, {8, 4}, {6, 3}, {3, 2}})
      for (const Dtype d : {Dtype::f32, Dtype::bf16, Dtype::f64, Dtype::i32}) {
        const int ranks = machines_of.first, each = machines_of.second;
        CAPTURE(ranks);
        CAPTURE(each);
        CAPTURE(d);
        const auto n = static_cast<size_t>(ranks);
        // a rest that does not divide, and several pieces
        const int64_t count = d == Dtype::f32 ? 400003 : 3001;
        std::vector<std::vector<double>> near(n), far(n);
        std::vector<size_t> sent(n);
        const auto run = [&](bool placed, std::vector<std::vector<double>>& results) {
          const auto ends = comm::thread_transports(ranks);
          std::vector<std::thread> threads;
          for (size_t r = 0; r < n; ++r)
            threads.emplace_back([&, r] {
              const auto end = std::make_shared<Placed>(ends[r], placed ? each : ranks);
              const Group g(comm::over(end));
              Generator gen(r);
              Tensor x = (randn({count}, Dtype::f64, &gen) * 1000).to(d);
              const Tensor least = g.all_reduce(x, "min");
              end->far = 0;
              g.all_reduce_(x, is_floating(d) ? "mean" : "sum");
              sent[r] = end->far;
              results[r] = cat({x, least}).to_vector<double>();
            });
          for (std::thread& t : threads) t.join();
        };
        run(false, near);
        run(true, far);
        for (size_t r = 0; r < n; ++r) CHECK((near[r] == near[0] && far[r] == near[0]));
        if (each == 3 || ranks == 3 || d != Dtype::f32) continue;  // no power of two, or machines of unequal size
        // a machine of R ranks and M machines: 2 (M - 1) / M of the tensor through its link, and the messages' heads
        const int machines = ranks / each;
        size_t through = 0;
        for (int r = 0; r < each; ++r) through += sent[static_cast<size_t>(r)];
        CHECK(static_cast<double>(through) < 1.01 * 2 * (machines - 1) / machines * 4 * static_cast<double>(count));
      }
  }
}
