#include "weft/core/parallel.h"

#include <omp.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <thread>

#include "weft/core/error.h"

namespace weft {
namespace {

constexpr int kMostThreads = 4096;  // OpenMP ends the process where it cannot start one

int initial_threads() {
  if (const char* s = std::getenv("WEFT_NUM_THREADS"))
    if (int n = std::atoi(s); n > 0) return std::min(n, kMostThreads);
  return omp_get_max_threads();
}

// Per thread, like OpenMP's own setting: a loader's thread that asks for one gets one.
int& threads() {
  thread_local int n = [] {
    static const int first = initial_threads();
    omp_set_num_threads(first);
    return first;
  }();
  return n;
}

}  // namespace

int num_threads() { return detail::in_parallel() ? 1 : threads(); }

void set_num_threads(int n) {
  WEFT_CHECK(n >= 1, ValueError, "set_num_threads: needs at least 1, got ", n);
  WEFT_CHECK(n <= kMostThreads, ValueError, "set_num_threads: at most ", kMostThreads, ", got ", n);
  threads() = n;
  omp_set_num_threads(n);
}

namespace detail {

bool in_parallel() { return omp_in_parallel(); }

void run_parallel(int64_t chunks, void (*body)(void*, int64_t), void* ctx) {
  // weft's own loops do not throw; a user's may, and nothing may leave the region
  std::exception_ptr failed;
  std::atomic_flag taken = ATOMIC_FLAG_INIT;
#pragma omp parallel num_threads(static_cast <int>(chunks))
  {
    int64_t n = omp_get_num_threads();
    for (int64_t i = omp_get_thread_num(); i < chunks; i += n) try {
        body(ctx, i);
      } catch (...) {
        if (!taken.test_and_set()) failed = std::current_exception();
      }
  }
  if (failed) std::rethrow_exception(failed);
}

}  // namespace detail
}  // namespace weft
