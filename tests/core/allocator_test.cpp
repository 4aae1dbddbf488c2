// The caching allocator: alignment, reuse, statistics, limits.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>

#include "support/throws.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"

using namespace weft;

TEST_SUITE("allocator") {
  TEST_CASE("blocks are aligned to 64 bytes and do not overlap") {
    std::vector<Tensor> all;
    for (const int64_t n : {1, 3, 17, 100, 1000, 5000, 70'000, 300'000, 3'000'000})
      for (int i = 0; i < 3; ++i) {
        all.push_back(empty({n}, Dtype::u8));
        REQUIRE(reinterpret_cast<uintptr_t>(all.back().raw_data()) % 64 == 0);
        std::memset(all.back().mut_raw_data(), static_cast<int>(all.size()), static_cast<size_t>(n));
      }
    for (size_t i = 0; i < all.size(); ++i) {
      const auto* p = all[i].data<uint8_t>();
      REQUIRE(p[0] == i + 1);
      REQUIRE(p[all[i].numel() - 1] == i + 1);
    }
  }

  TEST_CASE("an empty tensor has a pointer, and costs nothing") {
    const size_t before = memory_stats().active;
    const Tensor x = empty({0});
    CHECK(x.raw_data() != nullptr);
    CHECK(memory_stats().active - before <= 64);
  }

  TEST_CASE("what is freed is used again: the second round asks the system for nothing") {
    const auto round = [] {
      std::vector<Tensor> all;
      for (int64_t n = 1; n < 4'000'000; n *= 3) all.push_back(empty({n}));
      while (all.size() > 3) all.erase(all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2));
      for (int64_t n = 5; n < 1'000'000; n *= 7) all.push_back(empty({n}));
    };
    round();
    round();
    const uint64_t system = memory_stats().system_allocations, served = memory_stats().allocations;
    for (int i = 0; i < 20; ++i) round();
    CHECK(memory_stats().system_allocations == system);
    CHECK(memory_stats().allocations > served);
  }

  TEST_CASE("statistics: active, peak, cached") {
    const MemoryStats before = memory_stats();
    reset_peak_memory_stats();
    {
      const Tensor x = empty({1 << 20}, Dtype::u8), y = empty({1 << 20}, Dtype::u8);
      CHECK(memory_stats().active >= before.active + (2u << 20));
    }
    const MemoryStats after = memory_stats();
    CHECK(after.active == before.active);
    CHECK(after.peak_active >= before.active + (2u << 20));
    CHECK(after.reserved >= after.active);
    CHECK(after.cached <= after.reserved);
    empty_cache();
    CHECK(memory_stats().reserved <= after.reserved);
  }

  TEST_CASE("a limit is kept, and the error says requested, active, cached and allowed") {
    empty_cache();
    const size_t limit = memory_stats().reserved + (64u << 20);
    set_memory_limit(limit);
    const std::string text = support::message_of<OutOfMemory>([] { (void)empty({int64_t{1} << 30}, Dtype::u8); });
    set_memory_limit(0);
    for (const char* word : {"active", "cached", "limit"}) {
      INFO(text);
      CHECK(text.find(word) != std::string::npos);
    }
    CHECK(empty({int64_t{80} << 20}, Dtype::u8).defined());
    empty_cache();
  }

  TEST_CASE("a request beyond any memory is an error, not a crash") {
    const size_t active = memory_stats().active;
    CHECK_THROWS_AS((void)empty({int64_t{1} << 55}, Dtype::u8), OutOfMemory);
    CHECK(memory_stats().active == active);
  }
}
