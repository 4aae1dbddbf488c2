#include "weft/core/storage.h"

#include "weft/core/backend.h"

namespace weft {
namespace {
std::atomic<void (*)(uint64_t)> g_release{nullptr};

// A block of ids per thread: no shared counter on the path of every small tensor.
uint64_t next_id() {
  static std::atomic<uint64_t> blocks{0};
  thread_local uint64_t next = 0, end = 0;
  if (next == end) {
    next = blocks.fetch_add(1, std::memory_order_relaxed) << 20;
    end = next + (1u << 20);
  }
  return ++next;
}
}  // namespace

void Storage::on_cached_release(void (*f)(uint64_t)) { g_release.store(f, std::memory_order_release); }

Storage::Storage(size_t bytes, Device device) : bytes_(bytes), id_(next_id()), device_(device) {
  data_ = backend(device.type).allocate(bytes, device.index);
}

Storage::Storage(void* data, size_t bytes, Device device, std::function<void()> release)
    : data_(data),
      bytes_(bytes),
      id_(next_id()),
      device_(device),
      release_(new std::function<void()>(std::move(release))) {
  backend(device.type);  // kernels are there from the first tensor on, whoever owns its memory
}

Storage::~Storage() {
  if (cached_.load(std::memory_order_relaxed))
    if (auto f = g_release.load(std::memory_order_acquire)) f(id_);
  if (!release_) {
    backend(device_.type).deallocate(data_, bytes_, device_.index);
    return;
  }
  if (*release_) (*release_)();
  delete release_;
}

}  // namespace weft
