// Owns the bytes behind tensors, with the device they live on and the version counter that views share.
// Knows nothing of shapes or autograd.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "weft/core/device.h"
#include "weft/core/ref.h"

namespace weft {

/// Bytes on a device, shared by all views. Whoever takes a writable pointer bumps the version.
class Storage : public RefCounted {
 public:
  /// `bytes` from the device's caching allocator, uninitialised.
  WEFT_API Storage(size_t bytes, Device device);
  /// Borrowed memory (a mapped file, a user's buffer); `release` runs at the end.
  WEFT_API Storage(void* data, size_t bytes, Device device, std::function<void()> release);
  WEFT_API ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// The first byte, on the device.
  void* data() const { return data_; }
  /// Size of the memory.
  size_t bytes() const { return bytes_; }
  /// Where it lies.
  Device device() const { return device_; }
  /// Never reused in a process: the key of caches of packed weights.
  uint64_t id() const { return id_; }
  /// Grows with every taking of a writable pointer: `bump`.
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump() { version_.fetch_add(1, std::memory_order_relaxed); }
  /// Asks that the caches that hold something made from this storage hear of its end.
  void mark_cached() { cached_.store(true, std::memory_order_relaxed); }

  /// `f(id)` is called when a storage that was marked ends. Set once by a backend.
  WEFT_API static void on_cached_release(void (*f)(uint64_t id));

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  uint64_t id_;
  std::atomic<uint32_t> version_{0};
  std::atomic<bool> cached_{false};
  Device device_;
  std::function<void()>* release_ = nullptr;
};
/// How a Ref ends a storage.
inline void destroy(Storage* s) { delete s; }

}  // namespace weft
