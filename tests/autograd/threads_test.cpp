// Distinct graphs on several threads at once: modes, generators and gradients are each thread's own; shared leaves
// accumulate. The suite's name makes the thread sanitizer build and run it.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "support/ops.h"
#include "weft/autograd/engine.h"
#include "weft/core/backend.h"
#include "weft/core/generator.h"
#include "weft/core/parallel.h"

using namespace weft;

namespace {

/// Runs f(index) on `count` threads at once and rethrows nothing: f reports through doctest-free means.
template <class F> void together(int count, F f) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      ++ready;
      while (ready < count) std::this_thread::yield();
      f(i);
    });
  for (std::thread& t : threads) t.join();
}

double work(double start) {
  Tensor x = full({4, 8}, start, Dtype::f64).set_requires_grad(), w = full({8, 3}, 0.5, Dtype::f64).set_requires_grad();
  for (int step = 0; step < 20; ++step) {
    const Tensor y = sum(tanh(matmul(x, w)) * softmax(x, 1).narrow(1, 0, 3));
    x.zero_grad();
    w.zero_grad();
    y.backward();
    const NoGrad off;
    w.add_(w.grad(), -0.1);
  }
  return sum(w).item<double>();
}

}  // namespace

TEST_SUITE("threads") {
  TEST_CASE("each thread trains its own graph and gets what it gets alone") {
    std::vector<double> alone, got(4);
    for (int i = 0; i < 4; ++i) alone.push_back(work(0.1 * (i + 1)));
    together(4, [&](int i) {
      set_num_threads(1);
      got[static_cast<size_t>(i)] = work(0.1 * (i + 1));
    });
    CHECK(got == alone);
  }

  TEST_CASE("grad mode, autocast and generators belong to the thread") {
    std::atomic<int> wrong{0};
    manual_seed(1);
    const std::vector<float> first = rand({5}).to_vector<float>();
    together(2, [&](int i) {
      if (i == 0) {
        const NoGrad off;
        const Autocast half(Dtype::bf16);
        for (int k = 0; k < 1000; ++k) wrong += grad_enabled();
      } else {
        for (int k = 0; k < 1000; ++k) wrong += !grad_enabled() || detail::thread_mode().autocast;
      }
      manual_seed(1);
      wrong += rand({5}).to_vector<float>() != first;
    });
    CHECK(wrong == 0);
  }

  TEST_CASE("graphs that share a leaf accumulate into it") {
    Tensor w = ones({64}).set_requires_grad();
    together(4, [&](int i) {
      for (int k = 0; k < 50; ++k) sum(w * static_cast<double>(i + 1)).backward();
    });
    CHECK(w.grad().to_vector<double>() == std::vector<double>(64, 500));
  }

  TEST_CASE("memory made on one thread may be freed on another") {
    const size_t before = memory_stats().active;
    std::vector<Tensor> made(200);
    together(2, [&](int i) {
      for (size_t k = static_cast<size_t>(i); k < made.size(); k += 2)
        made[k] = full({static_cast<int64_t>(100 * (k + 1))}, 1.0);
    });
    together(2, [&](int i) {
      for (size_t k = static_cast<size_t>(1 - i); k < made.size(); k += 2) made[k] = Tensor();
    });
    CHECK(memory_stats().active == before);
  }

  TEST_CASE("a graph built on one thread is walked and freed on another") {
    Tensor x = ones({8}).set_requires_grad(), y;
    std::thread builder([&] { y = sum(x * x * x); });
    builder.join();
    std::thread walker([&] {
      y.backward();
      y = Tensor();
    });
    walker.join();
    CHECK(x.grad().to_vector<double>() == std::vector<double>(8, 3));
  }
}
