// The caching allocator over pages of arenas: merging, what is held, giving back, steady steps, and failing requests.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "weft/core/allocator.h"
#include "weft/core/error.h"

using namespace weft;

namespace {

constexpr size_t kMegabyte = size_t{1} << 20;

/// `capacity` bytes of real memory in one range of addresses, each page of which may be taken and given back.
struct FakeHost {
  static constexpr size_t kPage = 2 * kMegabyte, kRange = size_t{4} << 30;
  explicit FakeHost(size_t bytes) : capacity(bytes) {
    range = static_cast<char*>(
        mmap(nullptr, kRange, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    base = range + (kPage - reinterpret_cast<uintptr_t>(range) % kPage);
  }
  ~FakeHost() { munmap(range, kRange); }
  size_t capacity, used = 0, calls = 0, most_addresses = 0;
  char *range, *base;
  std::vector<bool> taken = std::vector<bool>(kRange / kPage);
  size_t next_arena = 0;
  size_t foreign = SIZE_MAX;  // a page that somebody else has

  bool mark(void* at, size_t n, bool to) {
    const auto first = static_cast<size_t>(static_cast<char*>(at) - base) / kPage;
    REQUIRE(n % kPage == 0);
    REQUIRE(reinterpret_cast<uintptr_t>(at) % kPage == 0);
    for (size_t i = first; i < first + n / kPage; ++i) {
      if (i == foreign) return false;
      REQUIRE(taken[i] != to);
      taken[i] = to;
      most_addresses = std::max(most_addresses, (i + 1) * kPage);
    }
    used = to ? used + n : used - n;
    ++calls;
    return true;
  }
  CachingAllocator allocator{"fake",
                             {.allocate = [this](size_t n) -> void* {
                                if (used + n > capacity) return nullptr;
                                char* at = base + next_arena;
                                next_arena += size_t{1} << 30;
                                mark(at, n, true);
                                return at;
                              },
                              .release =
                                  [this](void* p, size_t n) {
                                    madvise(p, n, MADV_DONTNEED);
                                    mark(p, n, false);
                                  },
                              .page = kPage,
                              .extend =
                                  [this](void* at, size_t n) {
                                    if (used + n > capacity) return CachingAllocator::Extended::no_memory;
                                    return mark(at, n, true) ? CachingAllocator::Extended::yes
                                                             : CachingAllocator::Extended::taken;
                                  }}};
};

struct Random {
  uint64_t state = 1;
  size_t operator()(size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33) % below;
  }
};

}  // namespace

TEST_SUITE("allocator") {
  TEST_CASE("arena: random blocks do not overlap, keep what is written, and what is held is what was taken") {
    FakeHost host(size_t{3} << 30);
    Random random;
    std::map<char*, std::pair<size_t, char>> live;
    size_t bytes_live = 0, peak = 0;
    for (int step = 0; step < 20000; ++step) {
      if (!live.empty() && (bytes_live > 300 * kMegabyte || random(5) < 2)) {
        auto it = std::next(live.begin(), static_cast<std::ptrdiff_t>(random(live.size())));
        const auto [n, mark] = it->second;
        REQUIRE(it->first[0] == mark);
        REQUIRE(it->first[n - 1] == mark);
        host.allocator.deallocate(it->first, n);
        bytes_live -= n;
        live.erase(it);
        continue;
      }
      const size_t kind = random(20);
      const size_t n = 1 + (kind == 0 ? random(40 * kMegabyte) : kind < 4 ? random(4 * kMegabyte) : random(100'000));
      auto* p = static_cast<char*>(host.allocator.allocate(n));
      REQUIRE(reinterpret_cast<uintptr_t>(p) % CachingAllocator::kAlignment == 0);
      const auto [it, fresh] = live.emplace(p, std::pair(n, static_cast<char>(step)));
      REQUIRE(fresh);
      if (it != live.begin()) REQUIRE(std::prev(it)->first + std::prev(it)->second.first <= p);
      if (std::next(it) != live.end()) REQUIRE(p + n <= std::next(it)->first);
      p[0] = p[n - 1] = static_cast<char>(step);
      bytes_live += n;
      peak = std::max(peak, bytes_live);
      if (step % 1000 == 0) REQUIRE(host.allocator.stats().reserved == host.used);
      if (step % 3000 == 0) host.allocator.empty_cache();
    }
    CHECK(host.allocator.stats().reserved == host.used);
    CHECK(host.most_addresses < 3 * peak);  // holes are filled again
    for (const auto& [p, block] : live) host.allocator.deallocate(p, block.first);
    CHECK(host.allocator.stats().active == 0);
    host.allocator.empty_cache();
    CHECK(host.allocator.stats().reserved == 0);  // whole slabs go back, too
    CHECK(host.used == 0);
  }

  TEST_CASE("arena: a block that grows takes the place of its smaller self") {
    FakeHost host(size_t{2} << 30);
    for (size_t n = 2; n <= 300; n += 3) {
      void* p = host.allocator.allocate(n * kMegabyte);
      host.allocator.deallocate(p, n * kMegabyte);
    }
    const MemoryStats s = host.allocator.stats();
    CHECK(s.reserved <= s.peak_active + s.peak_active / 8 + CachingAllocator::kFloor);
    CHECK(host.most_addresses <= s.reserved);
  }

  TEST_CASE("arena: sizes that grow beside others that stay, large and small, stay within the bound") {
    for (const size_t least : {size_t{1000}, 200'000 * size_t{1}, 3 * kMegabyte}) {
      CAPTURE(least);
      FakeHost host(size_t{3} << 30);
      Random random;
      std::vector<void*> fixed;
      for (size_t size = least; size < 30 * least; size += least / 2) {
        std::vector<std::pair<void*, size_t>> step;
        const size_t count = least < kMegabyte ? 40 * kMegabyte / least : 12;  // a step in which every third goes early
        for (size_t i = 0; i < count; ++i) {
          const size_t n = size + random(size / 4);
          step.emplace_back(host.allocator.allocate(n), n);
          if (i % 3 == 2) {
            host.allocator.deallocate(step[step.size() - 2].first, step[step.size() - 2].second);
            step.erase(step.end() - 2);
          }
        }
        for (auto [p, n] : step) host.allocator.deallocate(p, n);
        fixed.push_back(host.allocator.allocate(5000));
      }
      const MemoryStats s = host.allocator.stats();
      CHECK(static_cast<double>(s.reserved) <= 1.3 * static_cast<double>(s.peak_active));
      for (void* p : fixed) host.allocator.deallocate(p, 5000);
    }
  }

  TEST_CASE("arena: what goes back beside a hole that is about to be filled") {
    {
      FakeHost host(size_t{2} << 30);
      void* kept = nullptr;
      size_t kept_bytes = 0;
      for (size_t n = 4'000'000; n <= 100'000'000; n += 3'000'000) {
        void* p = host.allocator.allocate(n);
        void* half = host.allocator.allocate(n / 2);
        if (kept) host.allocator.deallocate(kept, kept_bytes);
        kept = half;
        kept_bytes = n / 2;
        host.allocator.deallocate(p, n);
        REQUIRE(host.allocator.stats().reserved == host.used);
      }
      const MemoryStats s = host.allocator.stats();
      CHECK(static_cast<double>(s.reserved) <= 1.3 * static_cast<double>(s.peak_active));
      host.allocator.deallocate(kept, kept_bytes);
    }
    for (uint64_t seed = 1; seed <= 60; ++seed) {  // some dozens of them met a merged hole
      CAPTURE(seed);
      FakeHost host(size_t{1} << 30);
      Random random{seed};
      std::map<char*, size_t> live;
      const size_t least = 100'000 * (1 + random(40)), keep = 1 + random(12);
      size_t most = least + kMegabyte * (1 + random(60));
      for (int step = 0; step < 400; ++step) {
        most += random(3) ? 0 : random(500'000);
        if (live.size() < keep + random(3)) {
          const size_t n = least + random(most - least);
          char* p = nullptr;
          try {
            p = static_cast<char*>(host.allocator.allocate(n));
          } catch (const OutOfMemory&) { continue; }
          const auto it = live.emplace(p, n).first;
          if (it != live.begin()) REQUIRE(std::prev(it)->first + std::prev(it)->second <= p);
          if (std::next(it) != live.end()) REQUIRE(p + n <= std::next(it)->first);
        } else {
          const auto it = std::next(live.begin(), static_cast<std::ptrdiff_t>(random(live.size())));
          host.allocator.deallocate(it->first, it->second);
          live.erase(it);
        }
        REQUIRE(host.allocator.stats().reserved == host.used);
      }
      for (const auto& [p, n] : live) host.allocator.deallocate(p, n);
      host.allocator.empty_cache();
      CHECK(host.used == 0);
    }
  }

  TEST_CASE("arena: a step that repeats itself soon makes no call, however its blocks lie") {
    FakeHost host(size_t{3} << 30);
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      CAPTURE(seed);
      const auto step = [&] {
        Random random{seed};
        std::vector<std::pair<void*, size_t>> live;
        for (int i = 0; i < 400; ++i) {
          if (live.size() > 20 && random(2)) {
            const size_t k = random(live.size());
            host.allocator.deallocate(live[k].first, live[k].second);
            live.erase(live.begin() + static_cast<std::ptrdiff_t>(k));
          } else {
            const size_t n = 1 + (random(4) ? random(9 * kMegabyte) : random(900'000));
            live.emplace_back(host.allocator.allocate(n), n);
          }
        }
        for (auto [p, n] : live) host.allocator.deallocate(p, n);
      };
      for (int i = 0; i < 20; ++i) step();
      const size_t calls = host.calls;
      for (int i = 0; i < 20; ++i) step();
      CHECK(host.calls == calls);
    }
  }

  TEST_CASE("arena: out of memory, what is free goes back first, and the rest goes on") {
    FakeHost host(100 * kMegabyte);
    std::vector<void*> blocks;
    for (int i = 0; i < 9; ++i) blocks.push_back(host.allocator.allocate(10 * kMegabyte));
    for (size_t i = 0; i < 9; i += 2) {
      host.allocator.deallocate(blocks[i], 10 * kMegabyte);
      blocks[i] = nullptr;
    }
    // 50 MiB are free in pieces of 10: they go back, and one range is made of them
    void* large = host.allocator.allocate(55 * kMegabyte);
    CHECK(host.used <= 100 * kMegabyte);
    const size_t active = host.allocator.stats().active;
    CHECK_THROWS_AS((void)host.allocator.allocate(30 * kMegabyte), OutOfMemory);
    CHECK_THROWS_AS((void)host.allocator.allocate(SIZE_MAX - 100), OutOfMemory);
    CHECK(host.allocator.stats().active == active);
    CHECK(host.allocator.stats().reserved <= active + 10 * kMegabyte);  // nothing is kept of a request that failed
    host.allocator.deallocate(large, 55 * kMegabyte);
    large = host.allocator.allocate(30 * kMegabyte);
    host.allocator.set_limit(host.used + 10 * kMegabyte);
    CHECK_THROWS_AS((void)host.allocator.allocate(60 * kMegabyte), OutOfMemory);
    host.allocator.deallocate(large, 30 * kMegabyte);
    for (void* p : blocks)
      if (p) host.allocator.deallocate(p, 10 * kMegabyte);
    host.allocator.empty_cache();
    CHECK(host.used == 0);
  }

  TEST_CASE("arena: addresses that somebody else has begin another arena") {
    FakeHost host(size_t{2} << 30);
    host.foreign = 20;
    std::vector<void*> blocks;
    for (int i = 0; i < 20; ++i) blocks.push_back(host.allocator.allocate(6 * kMegabyte));
    CHECK(host.allocator.stats().reserved == host.used);
    CHECK(host.next_arena == size_t{2} << 30);
    for (void* p : blocks) host.allocator.deallocate(p, 6 * kMegabyte);
    host.allocator.empty_cache();
    CHECK(host.used == 0);
  }
}
