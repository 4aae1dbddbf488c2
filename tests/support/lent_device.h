// A device from outside: a backend that counts its calls and lends the CPU's kernels. What it needs is what any backend
// needs: the services of core/backend.h and its kernels in the slots.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "weft/core/backend.h"
#include "weft/core/kernels.h"

namespace support {

class CountingBackend : public weft::Backend {
 public:
  int device_count() const override { return 1; }
  std::string info(int) const override { return "counts and lends the CPU's kernels"; }
  void* allocate(size_t bytes, int) override {
    ++allocations;
    active += bytes;
    peak = std::max<size_t>(peak, active);
    return std::aligned_alloc(64, (bytes + 64) / 64 * 64);
  }
  void deallocate(void* p, size_t bytes, int) noexcept override {
    ++deallocations;
    active -= bytes;
    std::free(p);
  }
  void copy(void* dst, weft::Device, const void* src, weft::Device, size_t bytes, bool) override {
    ++copies;
    std::memcpy(dst, src, bytes);
  }
  void synchronize(int) override {}
  weft::MemoryStats memory_stats(int) const override {
    return {.active = active, .peak_active = peak, .allocations = allocations};
  }
  void reset_peak_memory_stats(int) override { peak = active.load(); }
  void empty_cache(int) override {}
  void set_memory_limit(size_t, int) override {}

  std::atomic<size_t> allocations = 0, deallocations = 0, copies = 0, active = 0, peak = 0;
};

/// Registered as DeviceType::custom on first use, without kernels.
inline CountingBackend& counting() {
  static CountingBackend* b = [] {
    auto* made = new CountingBackend;
    weft::register_backend(weft::DeviceType::custom, made);
    return made;
  }();
  return *b;
}

/// And with the CPU's kernels.
inline void lend_cpu() {
  counting();
  for (weft::KernelSlot* slot : weft::KernelSlot::all()) slot->share(weft::DeviceType::cpu, weft::DeviceType::custom);
}

}  // namespace support
