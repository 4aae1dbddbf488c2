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
  weft::DeviceProperties properties(int) const override { return {.name = info(0), .total_memory = memory}; }
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
  void activate(int) override { ++launches; }
  void copy(void* dst, weft::Device to, const void* src, weft::Device, size_t bytes, bool) override {
    ++copies;
    waits += to.type == weft::DeviceType::cpu;
    std::memcpy(dst, src, bytes);
  }
  bool asynchronous() const override { return beside; }
  void synchronize(int) override { ++waits; }
  void synchronize_stream(int, void*) override { ++waits; }
  void synchronize_event(int, void*) override { ++waits; }
  weft::MemoryStats memory_stats(int) const override {
    return {.active = active, .peak_active = peak, .allocations = allocations};
  }
  void reset_peak_memory_stats(int) override { peak = active.load(); }
  void empty_cache(int) override {}
  void set_memory_limit(size_t, int) override {}

  std::atomic<size_t> allocations = 0, deallocations = 0, copies = 0, active = 0, peak = 0;
  std::atomic<size_t> launches = 0, waits = 0;  ///< of kernels; of the host for the device
  std::atomic<bool> beside = false;             ///< says that kernels run beside the caller
  std::atomic<size_t> memory = 0;               ///< that it says it has in all
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

/// The counting device with the CPU's kernels, which say that they run beside the caller until the end of the scope.
struct BesideCaller {
  CountingBackend& counts = counting();
  weft::Device device{weft::DeviceType::custom};
  BesideCaller() {
    lend_cpu();
    counts.beside = true;
  }
  ~BesideCaller() { counts.beside = false; }
};
/// How often the host waits for the device in f(), and how many kernels it starts.
struct Counts {
  size_t waits, launches, copies;
};
template <class F> Counts counts_of(CountingBackend& c, const F& f) {
  const size_t waits = c.waits, launches = c.launches, copies = c.copies;
  f();
  return {c.waits - waits, c.launches - launches, c.copies - copies};
}

}  // namespace support
