// The CPU's services: memory in huge pages and a cache per thread in front of the shared one.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "weft/backends/cpu/register.h"
#include "weft/core/allocator.h"
#include "weft/core/error.h"
#include "weft/core/fn/integer.h"
#include "weft/core/fork.h"
#include "weft/core/host.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace {

using Extended = CachingAllocator::Extended;
constexpr size_t kHugePage = size_t{2} << 20;

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/// The pages that the shared allocator holds. Called under its lock.
class Pages {
 public:
  /// The arena's addresses are kept by nobody: they lie so far below those that the kernel gives to others that it can
  /// grow. A reservation would count against `ulimit -v`, and so against everything else in the process. Not further
  /// below than 256 GiB: ThreadSanitizer ends a process that maps memory more than 1.5 TiB below the top, and up to 1
  /// TiB is chance.
  void* start(size_t bytes) {
    if (!room_for(bytes)) return nullptr;
    void* given = mmap(nullptr, bytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (given == MAP_FAILED) return nullptr;
    munmap(given, bytes + kHugePage);
    const uintptr_t aligned = fn::round_up(reinterpret_cast<uintptr_t>(given), kHugePage);
    for (int shift = 38; shift >= 32; --shift) {
      const uintptr_t below = uintptr_t{1} << shift;
      if (aligned <= 2 * below) continue;
      void* at = reinterpret_cast<void*>(aligned - below);
      if (const Extended result = map(at, bytes); result == Extended::yes) return at;
      else if (result == Extended::no_memory) return nullptr;
    }
    void* at = reinterpret_cast<void*>(aligned);  // free a moment ago
    return map(at, bytes) == Extended::yes ? at : nullptr;
  }
  Extended extend(void* at, size_t bytes) { return room_for(bytes) ? map(at, bytes) : Extended::no_memory; }
  void release(void* p, size_t bytes) {
    munmap(p, bytes);
    held_ -= bytes;
  }

 private:
  Extended map(void* at, size_t bytes) {
    void* p = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                   -1, 0);
    if (p == MAP_FAILED) return errno == EEXIST ? Extended::taken : Extended::no_memory;
    if (p != at) {  // a kernel before 4.17, which takes the address for a hint
      munmap(p, bytes);
      return Extended::taken;
    }
    madvise(at, bytes, MADV_HUGEPAGE);
    held_ += bytes;
    return Extended::yes;
  }

  /// The kernel promises any amount and ends the process that uses it: asked for beforehand. `ulimit` it keeps itself.
  bool room_for(size_t bytes) {
    if (bytes <= unchecked_) {
      unchecked_ -= bytes;
      return true;
    }
    const size_t room = detail::available_memory(), promised = held_ - std::min(held_, resident());
    if (room != SIZE_MAX && (promised > room || bytes > room - promised)) return false;
    unchecked_ = std::min(room / 16, size_t{64} << 20);
    return true;
  }
  /// Of the process's own memory, what has been touched.
  static size_t resident() {
    size_t all = 0, pages = 0, shared = 0;
    if (std::FILE* f = std::fopen("/proc/self/statm", "re")) {
      if (std::fscanf(f, "%zu %zu %zu", &all, &pages, &shared) != 3) pages = shared = 0;
      std::fclose(f);
    }
    return (pages - std::min(pages, shared)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  }

  size_t held_ = 0;
  size_t unchecked_ = 0;  // may be taken before looking again
};

CachingAllocator& shared() {
  // never destroyed: tensors of static storage may outlive it otherwise
  static auto* a = [] {
    auto* pages = new Pages;
    auto* made = new CachingAllocator("cpu", {.allocate = [pages](size_t n) { return pages->start(n); },
                                              .release = [pages](void* p, size_t n) { pages->release(p, n); },
                                              .page = kHugePage,
                                              .extend = [pages](void* at, size_t n) { return pages->extend(at, n); }});
    weft::detail::hold_over_fork(made->mutex());
    return made;
  }();
  return *a;
}

// Small blocks that this thread freed and may take again without a lock.
struct ThreadCache {
  static constexpr int kClasses = 36;          // up to 64 KiB
  static constexpr size_t kBytes = 256 << 10;  // of one class, at most
  void* list[kClasses] = {};
  int count[kClasses] = {};
  ~ThreadCache();
  void flush();
};
std::atomic<int64_t> g_active{0};  // of blocks that go through thread caches
std::atomic<int64_t> g_peak{0};
std::atomic<uint64_t> g_count{0};

thread_local ThreadCache* t_cache = nullptr;  // null before first use and after the thread's end began
thread_local bool t_ended = false;

ThreadCache::~ThreadCache() {
  t_cache = nullptr;
  t_ended = true;
  flush();
}

void ThreadCache::flush() {
  for (int c = 0; c < kClasses; ++c) {
    if (list[c]) shared().give(c, list[c]);
    list[c] = nullptr;
    count[c] = 0;
  }
}

ThreadCache* thread_cache() {
  if (t_cache || t_ended) return t_cache;
  thread_local ThreadCache mine;
  return t_cache = &mine;
}

void*& next_of(void* p) { return *static_cast<void**>(p); }

class CpuBackend final : public Backend {
 public:
  int device_count() const override { return 1; }
  std::string info(int) const override { return "cpu, " + std::to_string(num_threads()) + " threads"; }

  void* allocate(size_t bytes, int) override {
    int c = bytes <= 65536 ? CachingAllocator::class_of(bytes) : ThreadCache::kClasses;
    if (c >= ThreadCache::kClasses) return shared().allocate(bytes);
    void* p;
    if (ThreadCache* t = thread_cache()) [[likely]] {
      if (!t->list[c]) [[unlikely]] {
        t->list[c] = shared().take(c, 8);
        for (void* q = t->list[c]; q; q = next_of(q)) ++t->count[c];
      }
      p = t->list[c];
      t->list[c] = next_of(p);
      --t->count[c];
    } else {
      p = shared().take(c, 1);
    }
    int64_t size = static_cast<int64_t>(CachingAllocator::class_size(c));
    int64_t now = g_active.fetch_add(size, std::memory_order_relaxed) + size;
    if (now > g_peak.load(std::memory_order_relaxed)) g_peak.store(now, std::memory_order_relaxed);
    g_count.store(g_count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // a figure, not a lock
    return p;
  }

  void deallocate(void* p, size_t bytes, int) noexcept override {
    int c = bytes <= 65536 ? CachingAllocator::class_of(bytes) : ThreadCache::kClasses;
    if (c >= ThreadCache::kClasses) return shared().deallocate(p, bytes);
    size_t size = CachingAllocator::class_size(c);
    g_active.fetch_sub(static_cast<int64_t>(size), std::memory_order_relaxed);
    ThreadCache* t = thread_cache();
    if (!t) {
      next_of(p) = nullptr;
      return shared().give(c, p);
    }
    next_of(p) = t->list[c];
    t->list[c] = p;
    if (static_cast<size_t>(++t->count[c]) * size > ThreadCache::kBytes && t->count[c] > 8) [[unlikely]] {
      shared().give(c, t->list[c]);
      t->list[c] = nullptr;
      t->count[c] = 0;
    }
  }

  void copy(void* dst, Device, const void* src, Device, size_t bytes, bool) override { std::memcpy(dst, src, bytes); }
  void synchronize(int) override {}

  MemoryStats memory_stats(int) const override {
    MemoryStats s = shared().stats();
    s.active += static_cast<size_t>(std::max<int64_t>(0, g_active.load(std::memory_order_relaxed)));
    s.peak_active += static_cast<size_t>(std::max<int64_t>(0, g_peak.load(std::memory_order_relaxed)));
    s.cached = s.reserved - std::min(s.reserved, s.active);
    s.allocations += g_count.load(std::memory_order_relaxed);
    return s;
  }
  void reset_peak_memory_stats(int) override {
    shared().reset_peak();
    g_peak.store(g_active.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  void empty_cache(int) override {
    if (ThreadCache* t = thread_cache()) t->flush();
    shared().empty_cache();
  }
  void set_memory_limit(size_t bytes, int) override { shared().set_limit(bytes); }
};

}  // namespace

void make_allocator() { shared(); }

void register_services() {
  static auto* backend = new CpuBackend;
  register_backend(DeviceType::cpu, backend);
}

}  // namespace weft::cpu
