#include "weft/core/storage.h"

#include <memory>
#include <vector>

#include "weft/core/backend.h"
#include "weft/core/recording.h"

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

// What is to be released while another release runs waits here: memory that keeps memory that keeps memory is given
// back by a loop.
thread_local std::vector<std::function<void()>*>* t_waiting = nullptr;

void run_release(std::function<void()>* f) {
  if (t_waiting) {
    t_waiting->push_back(f);
    return;
  }
  std::vector<std::function<void()>*> waiting{f};
  t_waiting = &waiting;
  while (!waiting.empty()) {
    const std::unique_ptr<std::function<void()>> next(waiting.back());
    waiting.pop_back();
    if (*next) (*next)();
  }
  t_waiting = nullptr;
}
}  // namespace

void Storage::on_cached_release(void (*f)(uint64_t)) { g_release.store(f, std::memory_order_release); }

Storage::Storage(size_t bytes, Device device) : bytes_(bytes), id_(next_id()), device_(device) {
  data_ = backend(device.type).allocate(bytes, device.index);
  if (detail::observed()) [[unlikely]] {
    if (const detail::ProfileListener* l = detail::profiling()) l->allocated(id_, bytes, device);
    if (detail::Recording* r = detail::Recording::current()) r->made(*this);
  }
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
    if (detail::observed()) [[unlikely]] {
      if (const detail::ProfileListener* l = detail::profiling()) l->freed(id_);
      if (detail::Recording* r = detail::Recording::current()) r->ended(*this);
    }
    backend(device_.type).deallocate(data_, bytes_, device_.index);
    return;
  }
  run_release(release_);
}

}  // namespace weft
