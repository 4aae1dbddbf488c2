#include "weft/autograd/deep_stack.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <exception>

#include "weft/core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_STACK_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_STACK_ASAN
#endif
#endif
#ifdef WEFT_STACK_ASAN
// of the sanitizer's interface: it must hear of every change of the stack
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old, size_t* size_old);
}
#endif

namespace weft::detail {
namespace {

constexpr size_t kStack = size_t{8} << 20, kGuard = size_t{64} << 10;  // an overflow faults

struct Memory {
  Memory() {
    p = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
             -1, 0);
    WEFT_CHECK(p != MAP_FAILED, OutOfMemory, "backward: no memory for a stack of ", kStack,
               " bytes; backward runs inside of its own formulas very deep");
    mprotect(p, kGuard, PROT_NONE);
  }
  ~Memory() { munmap(p, kStack + kGuard); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  char* bottom() const { return static_cast<char*>(p) + kGuard; }
  void* p;
};

struct Call {
  explicit Call(const std::function<void()>& g) : f(g) {}
  const std::function<void()>& f;
  std::exception_ptr error = nullptr;
  ucontext_t caller, callee;
  const void* bottom = nullptr;  // of the caller's stack, as the address sanitizer knows it
  size_t size = 0;
};

thread_local Call* t_call = nullptr;  // makecontext hands over integers only

// Left by a jump, not by a return: the thread sanitizer must not count it.
__attribute__((no_sanitize("thread"))) void entry() {
  Call& c = *t_call;
#ifdef WEFT_STACK_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &c.bottom, &c.size);
#endif
  try {
    c.f();
  } catch (...) { c.error = std::current_exception(); }
#ifdef WEFT_STACK_ASAN
  __sanitizer_start_switch_fiber(nullptr, c.bottom, c.size);
#endif
  setcontext(&c.caller);
}

}  // namespace

void on_new_stack(const std::function<void()>& f) {
  const Memory memory;
  Call c(f);
  getcontext(&c.callee);
  c.callee.uc_stack.ss_sp = memory.bottom();
  c.callee.uc_stack.ss_size = kStack;
  c.callee.uc_link = nullptr;
  makecontext(&c.callee, entry, 0);
  t_call = &c;
#ifdef WEFT_STACK_ASAN
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, memory.bottom(), kStack);
#endif
  swapcontext(&c.caller, &c.callee);
#ifdef WEFT_STACK_ASAN
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  if (c.error) std::rethrow_exception(c.error);
}

}  // namespace weft::detail
