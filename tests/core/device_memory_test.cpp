// The caching allocator over memory that the host cannot touch: addresses here are numbers, and looking at one would
// crash.
#include <doctest/doctest.h>

#include <map>
#include <utility>
#include <vector>

#include "weft/core/allocator.h"
#include "weft/core/error.h"

using namespace weft;

namespace {

/// A device of `capacity` bytes, handed out from an address that belongs to nobody.
struct FakeDevice {
  explicit FakeDevice(size_t bytes, size_t of_blocks = CachingAllocator::kAlignment)
      : capacity(bytes), alignment(of_blocks) {}
  size_t capacity, alignment, used = 0;
  uintptr_t next = uintptr_t{1} << 46;
  std::map<uintptr_t, size_t> segments;
  CachingAllocator allocator{"fake:0",
                             {.allocate = [this](size_t n) -> void* {
                                if (used + n > capacity) return nullptr;
                                used += n;
                                const uintptr_t at = next;
                                next += n + (size_t{1} << 20);  // no two segments touch
                                segments[at] = n;
                                return reinterpret_cast<void*>(at);
                              },
                              .release =
                                  [this](void* p, size_t n) {
                                    const auto it = segments.find(reinterpret_cast<uintptr_t>(p));
                                    REQUIRE(it != segments.end());
                                    REQUIRE(it->second == n);
                                    segments.erase(it);
                                    used -= n;
                                  },
                              .host_memory = false,
                              .alignment = alignment}};
};

constexpr size_t kMiB = size_t{1} << 20;

}  // namespace

TEST_SUITE("allocator") {
  TEST_CASE("device memory: blocks lie in segments, are aligned and do not overlap") {
    FakeDevice fake(size_t{1} << 30);
    std::map<uintptr_t, size_t> live;
    uint32_t random = 7;
    for (int step = 0; step < 4000; ++step) {
      random = random * 1664525u + 1013904223u;
      const size_t bytes = (random >> 8) % 5 == 0 ? (random >> 4) % (4 * kMiB) : (random >> 12) % 5000;
      if (live.size() > 100) {
        const auto it = std::next(live.begin(), static_cast<std::ptrdiff_t>((random >> 16) % live.size()));
        fake.allocator.deallocate(reinterpret_cast<void*>(it->first), it->second);
        live.erase(it);
      }
      const auto at = reinterpret_cast<uintptr_t>(fake.allocator.allocate(bytes));
      REQUIRE(at % CachingAllocator::kAlignment == 0);
      const auto [it, fresh] = live.emplace(at, bytes);
      REQUIRE(fresh);
      if (it != live.begin()) REQUIRE(std::prev(it)->first + std::prev(it)->second <= at);
      if (std::next(it) != live.end()) REQUIRE(at + bytes <= std::next(it)->first);
      const auto segment = std::prev(fake.segments.upper_bound(at));
      REQUIRE(at + bytes <= segment->first + segment->second);
    }
    CHECK(fake.allocator.stats().reserved == fake.used);
    CHECK(fake.allocator.stats().allocations == 4000);
    for (const auto& [at, bytes] : live) fake.allocator.deallocate(reinterpret_cast<void*>(at), bytes);
    CHECK(fake.allocator.stats().active == 0);
  }

  TEST_CASE("device memory: every block is aligned as the source says, and counted as what it takes") {
    FakeDevice fake(size_t{1} << 30, 512);
    std::vector<std::pair<void*, size_t>> all;
    for (size_t bytes = 0; bytes < 2 * kMiB; bytes += bytes / 9 + 1) {
      void* p = fake.allocator.allocate(bytes);
      REQUIRE(reinterpret_cast<uintptr_t>(p) % 512 == 0);
      REQUIRE(fake.allocator.stats().active % 512 == 0);
      all.emplace_back(p, bytes);
    }
    for (auto [p, bytes] : all) fake.allocator.deallocate(p, bytes);
    CHECK(fake.allocator.stats().active == 0);
    CHECK_THROWS_AS(fake.allocator.allocate(SIZE_MAX), OutOfMemory);
  }

  TEST_CASE("device memory: what is freed is used again, and large segments go back") {
    FakeDevice fake(size_t{1} << 30);
    void* a = fake.allocator.allocate(8 * kMiB);
    fake.allocator.deallocate(a, 8 * kMiB);
    CHECK(fake.allocator.allocate(8 * kMiB) == a);
    CHECK(fake.allocator.stats().system_allocations == 1);
    fake.allocator.deallocate(a, 8 * kMiB);
    fake.allocator.empty_cache();
    CHECK(fake.segments.empty());
    CHECK(fake.allocator.stats().reserved == 0);
  }

  TEST_CASE("device memory: out of memory empties the cache, tries once more, then says what is held") {
    FakeDevice fake(64 * kMiB);
    void* a = fake.allocator.allocate(40 * kMiB);
    fake.allocator.deallocate(a, 40 * kMiB);
    void* b = fake.allocator.allocate(60 * kMiB);  // fits only when the cached 40 MiB went back
    CHECK(fake.allocator.stats().system_allocations == 2);
    std::string text;
    try {
      (void)fake.allocator.allocate(10 * kMiB);
    } catch (const OutOfMemory& e) { text = e.what(); }
    CHECK(text.find("fake:0: out of memory: 10485760 bytes requested") == 0);
    fake.allocator.deallocate(b, 60 * kMiB);
    CHECK(fake.allocator.allocate(10 * kMiB) != nullptr);
  }
}
