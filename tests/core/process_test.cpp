// What depends on the process: children of fork(), the threads that it starts with, and limits of its memory.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/sanitizers.h"
#include "support/throws.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/layer/conv.h"
#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/reduce/sort.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/distributed/thread_group.h"

using namespace weft;

namespace {

Tensor counted(const Shape& shape, Dtype dtype = Dtype::f32) {
  return (arange(0, shape.numel(), 1, Dtype::f64) * (2.0 / static_cast<double>(shape.numel())) - 0.9)
      .reshape(shape)
      .to(dtype);
}

[[maybe_unused]] size_t addresses() {
  size_t pages = 0;
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  if (!f || std::fscanf(f, "%zu", &pages) != 1) pages = 0;
  if (f) std::fclose(f);
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_SUITE("process") {
  TEST_CASE("a child of a process with threads computes what its parent does, on one thread") {
    set_num_threads(2);
    const auto work = [] {
      const Tensor a = counted({200, 200}), b = counted({200, 200}, Dtype::f64), x = counted({2, 8, 40, 40});
      Tensor w = counted({16, 8, 3, 3}).set_requires_grad();
      sum(square(conv2d(x, w, {}, {.padding = 1}))).backward();
      return sum(matmul(a, a)).item<double>() + sum(matmul(b, b)).item<double>() + sum(w.grad()).item<double>() +
             sum(counted({1 << 20})).item<double>();
    };
    const double mine = work();
    CHECK(support::in_child([&] {
            if (num_threads() != 1) return 1;
            // other numbers of threads agree within rounding; f32 sums of these sizes have 5 digits
            const auto right = [&] { return std::abs(work() - mine) <= 1e-4 * std::abs(mine); };
            if (!right()) return 2;
            set_num_threads(2);
            if (num_threads() != 1 || !right()) return 3;
            bool ok = false;
            std::thread([&] { ok = num_threads() == 1 && right(); }).join();
            return ok ? 0 : 4;
          }) == 0);
    CHECK(work() == mine);
    // a child's child, too
    CHECK(support::in_child([&] {
            return support::in_child([&] { return num_threads() == 1 && std::isfinite(work()) ? 0 : 1; });
          }) == 0);
  }

#ifndef WEFT_WITH_ASAN  // its own allocator's locks do not outlive a fork: the child would wait for ever
  TEST_CASE("a child made while other threads allocate can allocate") {
    std::atomic<bool> stop = false;
    std::vector<std::thread> others;
    for (int t = 0; t < 2; ++t)
      others.emplace_back([&] {
        for (int64_t n = 1; !stop; n = n * 7 % 3'000'017) (void)empty({n});
      });
    int failed = 0;
    for (int i = 0; i < 30; ++i)
      failed += support::in_child([] {
                  for (int64_t n = 1; n < 8'000'000; n *= 3) (void)zeros({n});
                  empty_cache();
                  return 0;
                }) != 0;
    stop = true;
    for (std::thread& t : others) t.join();
    CHECK(failed == 0);
  }
#endif

  TEST_CASE("first ops around a fork" * doctest::skip()) {
    std::atomic<int> others = 0;
    std::thread first([&] {
      ++others;
      (void)ones({3});
    });
    while (others == 0) continue;
    CHECK(support::in_child([] { return sum(ones({3})).item<double>() == 3 ? 0 : 1; }) == 0);
    first.join();
  }

  TEST_CASE("a child made while another thread registers the backends can work") {
    int failed = 0;
    for (int i = 0; i < 20; ++i) failed += support::run_again("first ops around a fork", {}) != 0;
    CHECK(failed == 0);
  }

  TEST_CASE("threads at the start" * doctest::skip()) {
    CHECK(num_threads() == std::atoi(std::getenv("WEFT_TEST_THREADS")));
    bool same = false;
    std::thread([&] { same = num_threads() == std::atoi(std::getenv("WEFT_TEST_THREADS")); }).join();
    CHECK(same);
  }

  TEST_CASE("num_threads starts at what the variables say, else at the cores of the affinity mask") {
    const char* self = "threads at the start";
    CHECK(support::run_again(self, {{"WEFT_NUM_THREADS", "3"}, {"WEFT_TEST_THREADS", "3"}}) == 0);
    CHECK(support::run_again(self, {{"WEFT_NUM_THREADS", ""}, {"OMP_NUM_THREADS", "5"}, {"WEFT_TEST_THREADS", "5"}}) ==
          0);
    CHECK(support::run_again(self, {{"WEFT_NUM_THREADS", ""}, {"OMP_NUM_THREADS", ""}, {"WEFT_TEST_THREADS", "1"}},
                             1) == 0);
  }

  TEST_CASE("a wrong number of threads" * doctest::skip()) {
    const std::string text = "WEFT_NUM_THREADS: '" + std::string(std::getenv("WEFT_NUM_THREADS")) +
                             "' is no number from 1 to 4096; correct it or unset it";
    for (int i = 0; i < 2; ++i) {  // every time
      CHECK_THROWS_WITH_AS((void)num_threads(), text.c_str(), ValueError);
      CHECK_THROWS_AS((void)sum(ones({1 << 20})), ValueError);
    }
  }

  TEST_CASE("WEFT_NUM_THREADS that is no number is an error that says so") {
    for (const char* wrong : {"lots", "0", "-2", "4097", "2 cores", "1e3", "99999999999"}) {
      CAPTURE(wrong);
      CHECK(support::run_again("a wrong number of threads", {{"WEFT_NUM_THREADS", wrong}}) == 0);
    }
  }

  TEST_CASE("cores of a rank's thread" * doctest::skip()) {
    const int expected = std::atoi(std::getenv("WEFT_TEST_CORES"));
    run_threads(2, [&](const ProcessGroup&) {
      CHECK(support::cores() == expected);
      (void)sum(counted({1 << 18}));
      (void)matmul(counted({64, 64}), counted({64, 64}));
      CHECK(support::cores() == expected);
    });
  }

  TEST_CASE("threads that weft starts may run wherever the process may, whatever OpenMP binds") {
    const std::string cores = std::to_string(support::cores());
#ifdef __clang__  // LLVM's OpenMP binds any thread when it opens its first parallel region
    const std::vector<const char*> binds{"false"};
#else
    const std::vector<const char*> binds{"false", "true", "close", "spread"};
#endif
    for (const char* bind : binds) {
      CAPTURE(bind);
      CHECK(support::run_again("cores of a rank's thread", {{"OMP_PROC_BIND", bind}, {"WEFT_TEST_CORES", cores}}) == 0);
      CHECK(support::run_again("cores of a rank's thread", {{"OMP_PROC_BIND", bind}, {"WEFT_TEST_CORES", "1"}}, 1) ==
            0);
    }
  }

#if !defined(WEFT_WITH_ASAN) && !defined(WEFT_WITH_TSAN)
  TEST_CASE("under ulimit -v every op that does not fit throws OutOfMemory, and what fits goes on") {
    const Tensor x = zeros({80'000'000}, Dtype::u8), f = counted({20'000'000});
    const std::vector<std::function<void()>> ops{
        [&] { (void)topk(x, 2); },
        [&] { (void)sort(f); },
        [&] { (void)argsort(x); },
        [&] { (void)nonzero(f); },
        [&] { (void)f.to_vector<double>(); },
        [&] { (void)x.to_vector<int64_t>(); },
        [&] { (void)x.to(Dtype::f64); },
        [&] { (void)empty({100'000'000}); },
    };
    empty_cache();
    for (size_t i = 0; i < ops.size(); ++i) {
      CAPTURE(i);
      CHECK(support::in_child([&] {
              const size_t most = addresses() + (size_t{150} << 20);
              const rlimit limit{most, most};
              setrlimit(RLIMIT_AS, &limit);
              try {
                ops[i]();
                return 1;
              } catch (const OutOfMemory& e) {
                if (std::string(e.what()).find("out of memory") == std::string::npos) return 2;
              } catch (const std::exception&) { return 3; }
              return sum(ones({1000})).item<float>() == 1000 ? 0 : 4;
            }) == 0);
    }
  }

  TEST_CASE("when the heap gives nothing more, small objects throw OutOfMemory, too") {
    CHECK(support::in_child([] {
            std::vector<Tensor> kept(2'000'000);
            Tensor w = ones({3}).set_requires_grad();
            (void)(w * w + w);
            const size_t most = addresses() + (size_t{8} << 20);
            const rlimit limit{most, most};
            setrlimit(RLIMIT_AS, &limit);
            try {
              for (Tensor& t : kept) t = w * w + w;
            } catch (const OutOfMemory& e) {
              kept.clear();
              return sum(w * w).item<float>() == 3 ? 0 : 2;
            } catch (const std::exception&) { return 3; }
            return 1;
          }) == 0);
  }
#endif

  TEST_CASE("a tensor that no machine can hold is refused before anything is touched") {
    const MemoryStats before = memory_stats();
    for (const int64_t n : {int64_t{1} << 40, int64_t{1} << 45, int64_t{1} << 50}) {
      const std::string text = support::message_of<OutOfMemory>([&] { (void)empty({n}); });
      CHECK(text.find("cpu: out of memory: " + std::to_string(4 * n) + " bytes requested; active ") == 0);
    }
    CHECK(memory_stats().active == before.active);
    CHECK(memory_stats().reserved <= before.reserved);
  }
}
