// Cores that other processes use too. Threads of an OpenMP team that wait for each other spin for milliseconds; where
// one of them stands in another process' queue, the rest keep the free cores from it, and a step takes 10 to 40 times
// as long. GNU's runtime lets them sleep at once where it counts more threads than cores.
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "weft/core/parallel.h"

namespace weft::detail {
namespace {

constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kEvery = 200 * kMillisecond, kHold = 2000 * kMillisecond;
// Threads put off their cores in a second: some 30 on cores of their own, 200 on shared ones.
constexpr double kCrowded = 100;

int64_t now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// The cores that OpenMP counts.
int cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  return sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
}

/// A thread that does nothing but count, while it is on.
class Counted {
 public:
  void on() {
    if (on_) return;
    on_ = true;
    try {
      std::thread([this] {
        join_count();
        std::unique_lock lock(mutex_);
        off_.wait(lock, [this] { return !on_; });
      }).detach();
    } catch (const std::system_error&) { on_ = false; }  // the system gives no thread: it works as before
  }
  void off() {
    const std::lock_guard lock(mutex_);
    on_ = false;
    off_.notify_one();
  }
  bool is_on() const { return on_; }

 private:
  std::atomic<bool> on_ = false;
  std::mutex mutex_;
  std::condition_variable off_;
};

struct Watch {
  std::mutex mutex;
  int64_t time = 0, switches = 0;  // of the last look
  int64_t crowded = 0;             // when the cores were last seen crowded
  bool before = false;             // so at the last look; once may be chance
  Counted counted;
};

void look(int64_t time) {
  static auto* w = new Watch;  // its thread may outlive static objects
  const std::unique_lock lock(w->mutex, std::try_to_lock);
  if (!lock || num_threads() < cores()) return;
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const double seconds = 1e-9 * static_cast<double>(time - w->time);
  const bool many = w->time > 0 && static_cast<double>(used.ru_nivcsw - w->switches) > kCrowded * seconds;
  if (many && (w->before || w->counted.is_on())) {
    w->crowded = time;
    w->counted.on();
  } else if (w->counted.is_on() && time - w->crowded > kHold) {
    w->counted.off();
  }
  w->time = time, w->switches = used.ru_nivcsw, w->before = many;
}

}  // namespace

void notice_crowding() {
  static std::atomic<int64_t> next{0};
  const int64_t time = now();
  if (time < next.load(std::memory_order_relaxed)) return;
  next.store(time + kEvery, std::memory_order_relaxed);
  look(time);
}

}  // namespace weft::detail
