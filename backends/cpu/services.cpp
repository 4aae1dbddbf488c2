// The CPU's services: memory with huge pages and a cache per thread in front of the shared one.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "weft/backends/cpu/register.h"
#include "weft/core/allocator.h"
#include "weft/core/error.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// mmap gives 4 KiB alignment: ask for one huge page more and cut both ends.
void* map_segment(size_t bytes) {
  void* raw = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                   0);
  if (raw == MAP_FAILED) return nullptr;
  uintptr_t begin = reinterpret_cast<uintptr_t>(raw), aligned = (begin + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned != begin) munmap(raw, aligned - begin);
  if (size_t tail = begin + kHugePage - aligned) munmap(reinterpret_cast<void*>(aligned + bytes), tail);
  madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
  return reinterpret_cast<void*>(aligned);
}

CachingAllocator& shared() {
  // never destroyed: tensors of static storage may outlive it otherwise
  static auto* a = new CachingAllocator("cpu", {map_segment, [](void* p, size_t n) { munmap(p, n); }});
  return *a;
}

// Small blocks that this thread freed and may take again without a lock.
struct ThreadCache {
  static constexpr int kClasses = 36;          // up to 64 KiB
  static constexpr size_t kBytes = 256 << 10;  // of one class, at most
  void* list[kClasses] = {};
  int count[kClasses] = {};
  ~ThreadCache();
};
std::atomic<int64_t> g_active{0};  // of blocks that go through thread caches
std::atomic<int64_t> g_peak{0};
std::atomic<uint64_t> g_count{0};

thread_local ThreadCache* t_cache = nullptr;  // null before first use and after the thread's end began
thread_local bool t_ended = false;

ThreadCache::~ThreadCache() {
  t_cache = nullptr;
  t_ended = true;
  for (int c = 0; c < kClasses; ++c)
    if (list[c]) shared().give(c, list[c]);
}

ThreadCache* cache() {
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
    if (ThreadCache* t = cache()) [[likely]] {
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
    ThreadCache* t = cache();
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
  void empty_cache(int) override { shared().empty_cache(); }
  void set_memory_limit(size_t bytes, int) override { shared().set_limit(bytes); }
};

}  // namespace

void register_services() {
  static auto* backend = new CpuBackend;
  register_backend(DeviceType::cpu, backend);
}

}  // namespace weft::cpu
