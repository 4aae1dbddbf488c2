// The one owner of threads: every parallel loop of weft goes through here (OpenMP underneath, so that oneDNN and
// OpenBLAS share the team).
#pragma once

#include <algorithm>
#include <cstdint>

#include "weft/core/export.h"
#include "weft/core/fn/integer.h"

namespace weft {

/// Threads of a parallel loop on this thread: WEFT_NUM_THREADS (ValueError if no number), else OMP_NUM_THREADS, else
/// the cores that the process may run on, but no more than the CPU quota, rounded up, pays for. 1 in a child of fork().
WEFT_API int num_threads();
/// Of the calling thread from now on (and of oneDNN and OpenBLAS, when called from it). ValueError below 1.
/// A child that fork() made of a process with several threads has no team and cannot get one: it computes on one
/// thread, whatever is set. A process that forks before its first parallel op leaves the child all of them.
WEFT_API void set_num_threads(int n);

/// Work below this many elements is done by the caller alone: a fork and join costs about as much.
inline constexpr int64_t kSerialBelow = 16384;

namespace detail {
WEFT_API void run_parallel(int64_t chunks, void (*body)(void* ctx, int64_t chunk), void* ctx);
WEFT_API bool in_parallel();
/// For threads that weft starts: they run where the process was allowed to when it began, not on the one core that
/// OpenMP's binding (OMP_PROC_BIND) confined their maker to. After set_num_threads.
WEFT_API void leave_binding();
/// For threads that weft starts to work beside others': OpenMP counts them. GNU's runtime lets threads that wait for
/// their team spin for milliseconds, unless there are more threads than cores; then they give their core away at once.
/// Before leave_binding: a team may bind its maker.
WEFT_API void join_count();
/// Before a team starts: looks now and then whether other processes use its cores, and lets waiting threads sleep at
/// once while they do.
WEFT_API void notice_crowding();
}  // namespace detail

/// Calls f(begin, end) for pieces that cover [0, n), on several threads when n > grain. Pieces do not depend on
/// anything but n, grain and num_threads(). The first exception of f is thrown here, after all pieces. Nested calls run
/// serially.
template <class F> void parallel_for(int64_t n, int64_t grain, const F& f) {
  if (n <= 0) return;
  int64_t pieces = n <= grain ? 1 : std::min<int64_t>(num_threads(), fn::ceil_div(n, grain));
  if (pieces <= 1) {
    f(int64_t{0}, n);
    return;
  }
  struct Ctx {
    const F* f;
    int64_t n, pieces;
  } ctx{&f, n, pieces};
  detail::run_parallel(
      pieces,
      [](void* p, int64_t i) {
        const Ctx& c = *static_cast<Ctx*>(p);
        (*c.f)(c.n * i / c.pieces, c.n * (i + 1) / c.pieces);
      },
      &ctx);
}

}  // namespace weft
