// Where a profiler hears of kernels, of backward's nodes and of memory. While none runs, each place costs one load.
// Knows no profiler: train/profiler.h has one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "weft/core/device.h"

namespace weft {

namespace nn {
class Module;
}

namespace detail {

struct KernelCall;  // core/kernel_call.h

/// Names an open scope of a profiler; session 0: none.
struct ProfileToken {
  uint32_t session = 0, index = 0, thread = 0;
};

/// A profiler. The tables of functions live as long as the process: a thread may still call one after the profiler
/// stopped.
struct ProfileListener {
  ProfileToken (*kernel)(const KernelCall& call) noexcept;
  ProfileToken (*call)(const nn::Module& m) noexcept;
  /// A node of backward, or another part of it; `module` is what the node kept.
  ProfileToken (*backward)(const char* name, uint32_t module) noexcept;
  void (*leave)(ProfileToken token) noexcept;
  /// A number for the module that the calling thread is in, for nodes to keep. 0: none.
  uint32_t (*module)() noexcept;
  void (*allocated)(uint64_t storage, size_t bytes, Device device) noexcept;
  void (*freed)(uint64_t storage) noexcept;
};
extern WEFT_API std::atomic<const ProfileListener*> profile_listener;
/// Profilers and recordings (core/recording.h) that there are: what only they ask for costs one load without them.
extern WEFT_API std::atomic<int> observers;
inline bool observed() { return observers.load(std::memory_order_relaxed) != 0; }
inline const ProfileListener* profiling() { return profile_listener.load(std::memory_order_relaxed); }

/// Leaves at its end, also when the scope ends with an exception.
class ProfileScope {
 public:
  ProfileScope() = default;
  ProfileScope(const ProfileListener& l, ProfileToken token) : listener_(&l), token_(token) {}
  ~ProfileScope() {
    if (token_.session != 0) [[unlikely]]
      listener_->leave(token_);
  }
  void enter(const ProfileListener& l, ProfileToken token) { listener_ = &l, token_ = token; }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  const ProfileListener* listener_ = nullptr;
  ProfileToken token_;
};
inline ProfileScope profile_backward(const char* name, uint32_t module = 0) {
  if (const ProfileListener* l = profiling()) [[unlikely]]
    return {*l, l->backward(name, module)};
  return {};
}

}  // namespace detail
}  // namespace weft
