// parallel_for: every index once, whatever the number of threads; nested calls are serial.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "weft/core/error.h"
#include "weft/core/parallel.h"

using namespace weft;

TEST_SUITE("parallel") {
  TEST_CASE("each index is visited once") {
    const int before = num_threads();
    for (const int threads : {1, 2, 3}) {
      set_num_threads(threads);
      for (const int64_t n : {0, 1, 7, 100, 1001}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
        parallel_for(n, 10, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        for (auto& s : seen) REQUIRE(s == 1);
      }
    }
    set_num_threads(before);
  }

  TEST_CASE("small work stays on the caller, nested work is serial") {
    int pieces = 0;
    parallel_for(10, 10, [&](int64_t begin, int64_t end) { pieces += begin == 0 && end == 10; });
    CHECK(pieces == 1);
    std::atomic<int> inner{0}, outer{0};
    parallel_for(1000, 1, [&](int64_t, int64_t) {
      ++outer;
      parallel_for(1000, 1, [&](int64_t, int64_t) { ++inner; });
    });
    if (outer > 1) CHECK(inner == outer);
    CHECK(inner >= outer);
  }

  TEST_CASE("less than one thread is refused, and more than a machine can start") {
    CHECK_THROWS_AS(set_num_threads(0), ValueError);
    CHECK_THROWS_AS(set_num_threads(1000000), ValueError);
  }

  TEST_CASE("what a piece throws reaches the caller") {
    const int before = num_threads();
    set_num_threads(2);
    CHECK_THROWS_AS(parallel_for(100, 1, [](int64_t, int64_t) { throw std::logic_error("piece"); }), std::logic_error);
    std::atomic<int> seen = 0;
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { seen += static_cast<int>(end - begin); });
    CHECK(seen == 100);
    set_num_threads(before);
  }
}
