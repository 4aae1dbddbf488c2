#include "weft/core/backend.h"

#include <atomic>
#include <mutex>

#include "weft/core/error.h"
#include "weft/core/kernels.h"

namespace weft {
namespace {
std::atomic<Backend*> g_backends[kDeviceTypes];
}

namespace detail {
void ensure_backends() {
  static std::once_flag once;
  std::call_once(once, [] { register_cpu_backend(); });
}
}  // namespace detail

void register_backend(DeviceType type, Backend* b) {
  g_backends[static_cast<int>(type)].store(b, std::memory_order_release);
}

bool has_backend(DeviceType type) {
  if (type == DeviceType::cpu) detail::ensure_backends();
  return g_backends[static_cast<int>(type)].load(std::memory_order_acquire) != nullptr;
}

Backend& backend(DeviceType type) {
  Backend* b = g_backends[static_cast<int>(type)].load(std::memory_order_acquire);
  if (!b) [[unlikely]] {
    WEFT_CHECK(has_backend(type), DeviceError, "device: no ", name(type), " backend is registered in this process");
    b = g_backends[static_cast<int>(type)].load(std::memory_order_acquire);
  }
  return *b;
}

MemoryStats memory_stats(Device d) { return backend(d.type).memory_stats(d.index); }
void reset_peak_memory_stats(Device d) { backend(d.type).reset_peak_memory_stats(d.index); }
void empty_cache(Device d) { backend(d.type).empty_cache(d.index); }
void set_memory_limit(size_t bytes, Device d) { backend(d.type).set_memory_limit(bytes, d.index); }
void synchronize(Device d) { backend(d.type).synchronize(d.index); }

}  // namespace weft
