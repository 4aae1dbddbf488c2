#include "weft/core/backend.h"

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <utility>

#include "weft/core/error.h"
#include "weft/core/fork.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {
std::atomic<Backend*> g_backends[kDeviceTypes];
}

namespace detail {
void ensure_backends() {
  static std::atomic<bool> done{false};
  if (done.load(std::memory_order_acquire)) return;
  std::lock_guard lock(registration_mutex());
  if (done.load(std::memory_order_relaxed)) return;
  register_cpu_backend();
  done.store(true, std::memory_order_release);
}
void activate_device(Device d) { backend(d.type).activate(d.index); }
}  // namespace detail

DeviceProperties Backend::properties(int device) const { return {.name = info(device)}; }

void* Backend::allocate_pinned(size_t bytes) { return allocate(bytes, 0); }
void Backend::deallocate_pinned(void* p, size_t bytes) noexcept { deallocate(p, bytes, 0); }

// Without queues an event is a moment.
using Clock = std::chrono::steady_clock;
void* Backend::new_event(int) { return new Clock::time_point(Clock::now()); }
void Backend::free_event(int, void* event) noexcept { delete static_cast<Clock::time_point*>(event); }
void Backend::record_event(int, void* event, void*) { *static_cast<Clock::time_point*>(event) = Clock::now(); }
double Backend::elapsed_ms(void* from, void* to) {
  return std::chrono::duration<double, std::milli>(*static_cast<Clock::time_point*>(to) -
                                                   *static_cast<Clock::time_point*>(from))
      .count();
}

void register_backend(DeviceType type, Backend* b) {
  g_backends[static_cast<int>(type)].store(b, std::memory_order_release);
}

bool has_backend(DeviceType type) {
  if (type == DeviceType::cpu) detail::ensure_backends();
  else if (type == DeviceType::cuda && !g_backends[static_cast<int>(type)].load(std::memory_order_acquire))
    load_cuda_backend();
  return g_backends[static_cast<int>(type)].load(std::memory_order_acquire) != nullptr;
}

Backend& backend(DeviceType type) {
  Backend* b = g_backends[static_cast<int>(type)].load(std::memory_order_acquire);
  if (!b) [[unlikely]] {
    if (!has_backend(type)) {
      WEFT_CHECK(type != DeviceType::cuda, DeviceError, "cuda: ", load_cuda_backend());
      raise<DeviceError>("device: no ", name(type), " backend is registered in this process");
    }
    b = g_backends[static_cast<int>(type)].load(std::memory_order_acquire);
  }
  return *b;
}

MemoryStats memory_stats(Device d) { return backend(d.type).memory_stats(d.index); }
void reset_peak_memory_stats(Device d) { backend(d.type).reset_peak_memory_stats(d.index); }
void empty_cache(Device d) { backend(d.type).empty_cache(d.index); }
void set_memory_limit(size_t bytes, Device d) { backend(d.type).set_memory_limit(bytes, d.index); }
void synchronize(Device d) {
  backend(d.type).synchronize(d.index);
  check_device(d);
}
int device_count(DeviceType type) { return has_backend(type) ? backend(type).device_count() : 0; }
DeviceProperties device_properties(Device d) { return backend(d.type).properties(d.index); }

namespace {
std::atomic<bool> g_any_failed{false};
std::mutex g_failures_mutex;
std::map<std::pair<DeviceType, int>, std::string> g_failures;
}  // namespace
void fail_device(Device d, const std::string& why) {
  const std::lock_guard lock(g_failures_mutex);
  if (why.empty()) g_failures.erase({d.type, d.index});
  else g_failures[{d.type, d.index}] = why;
  g_any_failed = !g_failures.empty();
}
void check_device(Device d) {
  if (!g_any_failed.load(std::memory_order_relaxed)) [[likely]]
    return;
  const std::lock_guard lock(g_failures_mutex);
  const auto at = g_failures.find({d.type, d.index});
  WEFT_CHECK(at == g_failures.end(), CommError, d, ": ", at->second);
}

namespace {
std::atomic<bool> g_tf32{false};
}
void set_float32_matmul_precision(std::string_view precision) {
  WEFT_CHECK(precision == "highest" || precision == "high", ValueError,
             "set_float32_matmul_precision: unknown precision \"", precision, "\"; expected highest or high");
  g_tf32.store(precision == "high", std::memory_order_relaxed);
}
bool tf32_allowed() { return g_tf32.load(std::memory_order_relaxed); }

}  // namespace weft
