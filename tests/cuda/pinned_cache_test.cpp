// Pinned host memory: when a block may be used again.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <set>
#include <vector>

#include "weft/backends/cuda/pinned_cache.h"

namespace {

using weft::cuda::PinnedCache;
using Queue = PinnedCache::Queue;

/// Queues that get where they are told to.
struct Devices {
  size_t most = size_t{4} << 30, held = 0;
  std::map<void*, size_t> blocks;
  std::map<void*, Queue> marks;  // that are not ended
  std::set<void*> reached;
  std::vector<Queue> waited;
  bool marks_fail = false;
  intptr_t next = 1;
  PinnedCache cache{{
      .allocate = [this](size_t n) -> void* {
        if (held + n > most) return nullptr;
        held += n;
        // addresses of nobody: the cache does not look at the memory
        void* p = reinterpret_cast<void*>((next++) << 32);
        blocks[p] = n;
        return p;
      },
      .release =
          [this](void* p) {
            held -= blocks.at(p);
            blocks.erase(p);
          },
      .mark = [this](const Queue& q) -> void* {
        if (marks_fail) return nullptr;
        void* m = reinterpret_cast<void*>(next++);
        marks.emplace(m, q);
        return m;
      },
      .reached =
          [this](void* m, bool wait) {
            REQUIRE(marks.count(m));
            if (wait) reached.insert(m);
            return reached.count(m) > 0;
          },
      .end =
          [this](const Queue& q, void* m) {
            REQUIRE(marks.at(m) == q);
            marks.erase(m);
          },
      .wait = [this](const Queue& q) { waited.push_back(q); },
  }};
  /// All that queue q was told is done.
  void finish(const Queue& q) {
    for (const auto& [m, of] : marks)
      if (of == q) reached.insert(m);
  }
};

constexpr Queue kFirst{0, nullptr}, kSecond{1, nullptr};
constexpr size_t kMiB = size_t{1} << 20;

}  // namespace

TEST_SUITE_BEGIN("cuda pinned memory");

TEST_CASE("a block is given out again when every queue has got there") {
  Devices d;
  void* p = d.cache.allocate(kMiB);
  d.cache.used(static_cast<char*>(p) + 100, kFirst);
  d.cache.used(p, kSecond);
  d.cache.deallocate(p);
  CHECK(d.cache.allocate(kMiB) != p);
  d.finish(kSecond);
  CHECK(d.cache.allocate(kMiB) != p);
  d.finish(kFirst);
  CHECK(d.cache.allocate(kMiB) == p);
  CHECK(d.marks.empty());
  d.cache.deallocate(p);
  CHECK(d.cache.allocate(kMiB - 5) == p);  // nobody copied since, and the size is nearly the same
}

TEST_CASE("a block has one mark for each queue, behind its last copy") {
  Devices d;
  void* p = d.cache.allocate(10);
  for (int i = 0; i < 1000; ++i) d.cache.used(p, kFirst);
  CHECK(d.marks.size() == 1);
  d.cache.used(p, kFirst);
  d.finish(kFirst);
  d.cache.used(p, kFirst);  // after what is done
  d.cache.deallocate(p);
  CHECK(d.cache.allocate(10) != p);
}

TEST_CASE("memory of others is left alone") {
  Devices d;
  int x = 0;
  void* p = d.cache.allocate(4096);
  CHECK_FALSE(d.cache.owns(&x));
  d.cache.used(&x, kFirst);
  d.cache.used(static_cast<char*>(p) + 4096, kFirst);
  d.cache.used(static_cast<char*>(p) - 1, kFirst);
  CHECK(d.marks.empty());
  CHECK(d.cache.owns(static_cast<char*>(p) + 4095));
}

TEST_CASE("where no mark can be had the queue is waited for") {
  Devices d;
  void* p = d.cache.allocate(10);
  d.marks_fail = true;
  d.cache.used(p, kSecond);
  CHECK(d.waited == std::vector<Queue>{kSecond});
  d.cache.deallocate(p);
  CHECK(d.cache.allocate(10) == p);
}

TEST_CASE("what waits is bounded: then the oldest is waited for") {
  Devices d;
  const auto copied = [&] {
    void* p = d.cache.allocate(64 * kMiB);
    d.cache.used(p, kFirst);
    d.cache.deallocate(p);
    return p;
  };
  void* oldest = copied();
  std::set<void*> others;
  for (int i = 0; i < 3; ++i) others.insert(copied());
  CHECK(others.size() == 3);
  CHECK(others.count(oldest) == 0);
  CHECK(d.reached.empty());
  CHECK(copied() == oldest);
  CHECK(d.reached.size() == 1);
  CHECK(d.held == 256 * kMiB);
}

TEST_CASE("without memory the cache gives back what it has, and waits for it") {
  Devices d;
  d.most = 3 * kMiB;
  void *p = d.cache.allocate(kMiB), *q = d.cache.allocate(2 * kMiB);
  d.cache.used(q, kFirst);
  d.cache.deallocate(p);
  d.cache.deallocate(q);
  void* r = d.cache.allocate(3 * kMiB);
  CHECK(r != nullptr);
  CHECK(d.blocks.size() == 1);
  CHECK(d.marks.empty());
  CHECK(d.cache.allocate(1) == nullptr);
  CHECK(d.cache.allocate(SIZE_MAX) == nullptr);
  d.cache.deallocate(r);
  d.cache.empty();
  CHECK(d.held == 0);
}

TEST_CASE("a block that a graph reads is kept") {
  Devices d;
  void* p = d.cache.allocate(10);
  d.cache.keep(p);
  d.cache.used(p, kFirst);
  d.cache.deallocate(p);
  d.finish(kFirst);
  CHECK(d.cache.allocate(10) != p);
  d.cache.empty();
  CHECK(d.blocks.count(p) == 1);
}

TEST_SUITE_END();
