#include "support/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "support/sanitizers.h"

#if defined(WEFT_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__) && !defined(WEFT_FIBER_UCONTEXT)
// Saves what a call must preserve and changes the stack: a few nanoseconds, where swapcontext makes two system calls.
extern "C" void weft_fiber_switch(void** save_top, void* top);
asm(R"(
  .pushsection .text
  .type weft_fiber_switch, @function
weft_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size weft_fiber_switch, . - weft_fiber_switch
  .popsection
)");
#endif

namespace support {
namespace {

// Frames of unoptimised, instrumented code are large. Pages are taken when touched.
#if defined(WEFT_WITH_ASAN) || defined(WEFT_WITH_TSAN)
constexpr size_t kStack = size_t{512} << 10;
#else
constexpr size_t kStack = size_t{128} << 10;
#endif
constexpr size_t kGuard = size_t{64} << 10;  // an overflow faults

Fiber* g_left = nullptr;     // the fiber that the last switch came from
Fiber* g_arrived = nullptr;  // and the one that it went to

}  // namespace

WEFT_NOT_TRACED Fiber::~Fiber() {
  if (!stack_) return;
#if defined(WEFT_WITH_TSAN)
  __tsan_destroy_fiber(tsan_);
#endif
#if defined(WEFT_WITH_ASAN)
  __asan_unpoison_memory_region(stack_, kStack);
#endif
  munmap(stack_ - kGuard, kStack + kGuard);
}

WEFT_NOT_TRACED void Fiber::adopt_current() {
#if defined(WEFT_WITH_TSAN)
  tsan_ = __tsan_get_current_fiber();
#endif
}

WEFT_NOT_TRACED void Fiber::prepare(void (*entry)()) {
  if (!stack_) {
    void* p = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                   0);
    if (p == MAP_FAILED || mprotect(p, kGuard, PROT_NONE) != 0) throw std::bad_alloc();
    stack_ = static_cast<char*>(p) + kGuard;
  }
#if defined(WEFT_WITH_ASAN)
  __asan_unpoison_memory_region(stack_, kStack);  // frames of what was abandoned
#endif
#if defined(WEFT_WITH_TSAN)
  if (tsan_) __tsan_destroy_fiber(tsan_);
  tsan_ = __tsan_create_fiber(0);
#endif
  asan_fake_ = nullptr;
  asan_bottom_ = stack_;
  asan_size_ = kStack;
#if defined(__x86_64__) && !defined(WEFT_FIBER_UCONTEXT)
  // As if `entry` had been called: a return address (none) on a 16-byte boundary less 8, below it what the switch pops.
  auto** top = reinterpret_cast<void**>(stack_ + kStack) - 1;
  *top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  top_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kStack;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
}

WEFT_NOT_TRACED void fiber_arrived() {
#if defined(WEFT_WITH_ASAN)
  // The bounds of the stack that was left are learnt here: nobody else knows those of the host.
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(g_arrived->asan_fake_, &bottom, &size);
  g_left->asan_bottom_ = bottom;
  g_left->asan_size_ = size;
#endif
}

WEFT_NOT_TRACED void Fiber::switch_to(Fiber& from, Fiber& to) {
  g_left = &from;
  g_arrived = &to;
#if defined(WEFT_WITH_ASAN)
  __sanitizer_start_switch_fiber(&from.asan_fake_, to.asan_bottom_, to.asan_size_);
#endif
  pose_as(to);
#if defined(__x86_64__) && !defined(WEFT_FIBER_UCONTEXT)
  weft_fiber_switch(&from.top_, to.top_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
  fiber_arrived();
}

WEFT_NOT_TRACED void release([[maybe_unused]] const void* tag) {
#if defined(WEFT_WITH_TSAN)
  __tsan_release(const_cast<void*>(tag));
#endif
}
WEFT_NOT_TRACED void acquire([[maybe_unused]] const void* tag) {
#if defined(WEFT_WITH_TSAN)
  __tsan_acquire(const_cast<void*>(tag));
#endif
}

}  // namespace support
