// Stacks that take turns on one OS thread; the sanitizers are told of every switch.
// Knows nothing of CUDA.
#pragma once

#include <cstddef>

#include "support/sanitizers.h"

#if defined(WEFT_WITH_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__) || defined(WEFT_FIBER_UCONTEXT)
#include <ucontext.h>
#endif

namespace support {

/// A stack with a function on it. Used by one OS thread; the destructor does not unwind what still runs there.
class Fiber {
 public:
  /// The stack that the caller is on.
  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Makes the next switch to this fiber begin `entry`, which must not return. What ran here before is abandoned.
  void prepare(void (*entry)());
  /// Has been prepared.
  bool has_stack() const { return stack_ != nullptr; }
  /// Call on the host's own fiber before the first switch from it.
  void adopt_current();

  /// Continues `to` where it left off; returns when somebody switches back. No order of memory is implied.
  static void switch_to(Fiber& from, Fiber& to);
  /// What the thread sanitizer takes for the running thread from now on. Inlined: it counts calls and returns per
  /// thread.
  static WEFT_NOT_TRACED_INLINE void pose_as([[maybe_unused]] Fiber& f) {
#if defined(WEFT_WITH_TSAN)
    __tsan_switch_to_fiber(f.tsan_, __tsan_switch_to_fiber_no_sync);
#endif
  }

 private:
  friend void fiber_arrived();

  char* stack_ = nullptr;
#if !defined(__x86_64__) || defined(WEFT_FIBER_UCONTEXT)
  ucontext_t context_;
#else
  void* top_ = nullptr;
#endif
  [[maybe_unused]] void* tsan_ = nullptr;
  [[maybe_unused]] void* asan_fake_ = nullptr;
  [[maybe_unused]] const void* asan_bottom_ = nullptr;
  [[maybe_unused]] size_t asan_size_ = 0;
};

/// An entry function calls this first.
void fiber_arrived();

/// Orders memory for the thread sanitizer: what is done before release(tag) is seen after acquire(tag).
void release(const void* tag);
void acquire(const void* tag);

}  // namespace support
