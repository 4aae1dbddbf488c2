#include "weft/core/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <vector>

#include "weft/core/error.h"
#include "weft/core/host.h"

namespace weft {
namespace {

constexpr int kMostThreads = 4096;  // OpenMP ends the process where it cannot start one

int initial_threads() {
  if (const char* named = std::getenv("WEFT_NUM_THREADS"); named && *named) {
    const std::string_view text = named;
    int n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    WEFT_CHECK(error == std::errc() && end == text.data() + text.size() && n >= 1 && n <= kMostThreads, ValueError,
               "WEFT_NUM_THREADS: '", text, "' is no number from 1 to ", kMostThreads, "; correct it or unset it");
    return n;
  }
  const int n = omp_get_max_threads();  // what the variable says, else the cores of the affinity mask
  if (std::getenv("OMP_NUM_THREADS")) return n;
  // More threads than the quota pays for spin while the group is stopped.
  const int quota = detail::cpu_quota();
  return quota > 0 ? std::min(n, quota) : n;
}

// In a child of fork() only the forking thread lives on: an OpenMP team would wait for the others for ever.
bool g_serial = false;    // this process is such a child
bool g_threaded = false;  // around a fork: there are other threads

void before_fork() {
  struct stat s {};  // one link for every thread, and two
  g_threaded = stat("/proc/self/task", &s) != 0 || s.st_nlink != 3;
}

void in_child() {
  if (!g_threaded) return;
  g_serial = true;
  omp_set_num_threads(1);  // heard by oneDNN and OpenBLAS
}

// Where the process may run. With OMP_PROC_BIND OpenMP has put this thread on its first place before anybody else could
// look; its places are then what the process began with.
cpu_set_t first_mask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  sched_getaffinity(0, sizeof mask, &mask);
  if (omp_get_proc_bind() == omp_proc_bind_false) return mask;
  for (int place = 0; place < omp_get_num_places(); ++place) {
    const int n = omp_get_place_num_procs(place);
    std::vector<int> ids(static_cast<size_t>(n));
    omp_get_place_proc_ids(place, ids.data());
    for (int id : ids)
      if (id >= 0 && id < CPU_SETSIZE) CPU_SET(id, &mask);
  }
  return mask;
}
const cpu_set_t g_mask = [] {
  pthread_atfork(before_fork, nullptr, in_child);
  return first_mask();
}();

// Per thread, like OpenMP's own setting: a loader's thread that asks for one gets one.
int& threads() {
  thread_local int n = [] {
    static std::atomic<int> first{0};  // no guarded static: fork() would copy the guard while it is held
    if (first == 0) first = initial_threads();
    omp_set_num_threads(g_serial ? 1 : first.load());
    return first.load();
  }();
  return n;
}

}  // namespace

int num_threads() { return g_serial || detail::in_parallel() ? 1 : threads(); }

void set_num_threads(int n) {
  WEFT_CHECK(n >= 1, ValueError, "set_num_threads: needs at least 1, got ", n);
  WEFT_CHECK(n <= kMostThreads, ValueError, "set_num_threads: at most ", kMostThreads, ", got ", n);
  threads() = n;
  omp_set_num_threads(g_serial ? 1 : n);
}

namespace detail {

bool in_parallel() { return omp_in_parallel(); }

void leave_binding() {
  pthread_setaffinity_np(pthread_self(), sizeof g_mask, &g_mask);
  if (g_serial || omp_get_proc_bind() == omp_proc_bind_false) return;
    // A thread's first team is what binds it, and its team with it: that is behind us after this one.
#pragma omp parallel num_threads(threads())
  pthread_setaffinity_np(pthread_self(), sizeof g_mask, &g_mask);
}

void join_count() {
  if (g_serial) return;
  // A team counts without its master: this one's other thread sleeps until the calling thread ends.
  std::atomic<int> started{0};
#pragma omp parallel num_threads(2)
  ++started;
}

void run_parallel(int64_t chunks, void (*body)(void*, int64_t), void* ctx) {
  if (g_serial) {
    for (int64_t i = 0; i < chunks; ++i) body(ctx, i);
    return;
  }
  notice_crowding();
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
