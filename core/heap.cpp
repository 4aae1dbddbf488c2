// std::bad_alloc never leaves the library: the linker takes these in place of operator new (--wrap, in the
// CMakeLists.txt above this folder), in all that libweft is made of. Memory still comes from the program's own operator
// new, so that either side may free what the other took.
#include <cstddef>
#include <new>

#include "weft/core/error.h"

extern "C" {

void* __real__Znwm(size_t);
void* __real__Znam(size_t);
void* __real__ZnwmSt11align_val_t(size_t, std::align_val_t);

void* __wrap__Znwm(size_t n) {
  try {
    return __real__Znwm(n);
  } catch (const std::bad_alloc&) { weft::detail::heap_exhausted(n); }
}

void* __wrap__Znam(size_t n) {
  try {
    return __real__Znam(n);
  } catch (const std::bad_alloc&) { weft::detail::heap_exhausted(n); }
}

void* __wrap__ZnwmSt11align_val_t(size_t n, std::align_val_t a) {
  try {
    return __real__ZnwmSt11align_val_t(n, a);
  } catch (const std::bad_alloc&) { weft::detail::heap_exhausted(n); }
}

// What the containers throw for sizes beyond any memory.
[[noreturn]] void __wrap__ZSt17__throw_bad_allocv() { weft::detail::heap_exhausted(0); }
[[noreturn]] void __wrap__ZSt28__throw_bad_array_new_lengthv() { weft::detail::heap_exhausted(0); }
}
