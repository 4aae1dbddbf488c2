#include "weft/distributed/thread_group.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "weft/autograd/grad_mode.h"
#include "weft/core/parallel.h"

namespace weft {
namespace {

using Request = ProcessGroup::Request;
using Collective = ProcessGroup::Collective;

const char* collective_name(Collective c) {
  switch (c) {
    case Collective::all_gather: return "all_gather";
    case Collective::all_reduce: return "all_reduce";
    case Collective::broadcast: return "broadcast";
    default: return "barrier";
  }
}
std::string request_text(const Request& r) {
  if (r.collective == Collective::barrier) return "barrier";
  std::string text = str(collective_name(r.collective), " of ", r.count, " ", r.dtype);
  if (r.collective == Collective::broadcast) text += str(" from rank ", r.root);
  return text;
}
bool agree(const Request& a, const Request& b) {
  return a.collective == b.collective && a.dtype == b.dtype && a.count == b.count && a.root == b.root;
}

/// Elements [begin, end) of the sum, for all ranks: results may lie over what was summed.
template <class T> void sum_ranks(const std::vector<Request>& ranks, int64_t begin, int64_t end) {
  constexpr int64_t kBlock = 512;
  T sum[kBlock];
  for (int64_t at = begin; at < end; at += kBlock) {
    const int64_t n = std::min(kBlock, end - at);
    std::copy_n(static_cast<const T*>(ranks[0].in) + at, n, sum);
    for (size_t r = 1; r < ranks.size(); ++r)
      for (int64_t i = 0; i < n; ++i) sum[i] += static_cast<const T*>(ranks[r].in)[at + i];
    for (const Request& to : ranks) std::copy_n(sum, n, static_cast<T*>(to.out) + at);
  }
}

/// What rank `me` does of the work when all requests are here and agree. Nobody writes what another reads.
void perform(const std::vector<Request>& ranks, int me) {
  const Request& mine = ranks[static_cast<size_t>(me)];
  const size_t bytes = static_cast<size_t>(mine.count) * itemsize(mine.dtype);
  if (bytes == 0) return;
  switch (mine.collective) {
    case Collective::all_gather:
      for (size_t r = 0; r < ranks.size(); ++r)
        std::memcpy(static_cast<char*>(mine.out) + r * bytes, ranks[r].in, bytes);
      break;
    case Collective::all_reduce: {
      const auto all = static_cast<int64_t>(ranks.size());
      const int64_t begin = mine.count * me / all, end = mine.count * (me + 1) / all;
      if (mine.dtype == Dtype::f32) sum_ranks<float>(ranks, begin, end);
      else if (mine.dtype == Dtype::f64) sum_ranks<double>(ranks, begin, end);
      else sum_ranks<int64_t>(ranks, begin, end);
      break;
    }
    case Collective::broadcast:
      if (const void* from = ranks[static_cast<size_t>(mine.root)].in; mine.out != from)
        std::memcpy(mine.out, from, bytes);
      break;
    case Collective::barrier: break;
  }
}

/// Where the ranks meet: before the work, and after it, as nobody may leave while others read its memory.
class Meeting {
 public:
  explicit Meeting(int ranks) : requests_(static_cast<size_t>(ranks)), state_(static_cast<size_t>(ranks)) {}

  void join(int rank, const Request& r) {
    std::unique_lock lock(mutex_);
    requests_[static_cast<size_t>(rank)] = r;
    state_[static_cast<size_t>(rank)] = State::waits;
    if (failure_.empty()) look_for_trouble();
    if (!meet(lock)) {
      state_[static_cast<size_t>(rank)] = State::failed;
      throw CommError(str(collective_name(r.collective), ": ", failure_));
    }
    lock.unlock();
    perform(requests_, rank);
    lock.lock();
    (void)meet(lock);  // whoever could fail is here
  }
  void leave(int rank) {
    std::lock_guard lock(mutex_);
    state_[static_cast<size_t>(rank)] = State::left;
    if (failure_.empty()) look_for_trouble();
  }
  /// True if this is the failure that the others will hear of, or one of the rank's own.
  bool fail(int rank, const std::string& what) {
    std::lock_guard lock(mutex_);
    State& s = state_[static_cast<size_t>(rank)];
    const bool own = s != State::failed;
    s = State::failed;
    if (failure_.empty()) set_failure(str("rank ", rank, " failed: ", what));
    return own;
  }

 private:
  enum class State : uint8_t { works, waits, left, failed };

  /// Waits for all ranks; false if the group fails before.
  bool meet(std::unique_lock<std::mutex>& lock) {
    const uint64_t round = round_;
    if (failure_.empty() && ++arrived_ == requests_.size()) {
      arrived_ = 0;
      ++round_;
      for (State& s : state_) s = State::works;
      changed_.notify_all();
      return true;
    }
    changed_.wait(lock, [&] { return round_ != round || !failure_.empty(); });
    return round_ != round;
  }
  void look_for_trouble() {
    const size_t none = state_.size();
    size_t waits = none, left = none;
    for (size_t r = none; r-- > 0;) {
      if (state_[r] == State::waits) waits = r;
      if (state_[r] == State::left) left = r;
    }
    if (waits == none) return;
    if (left != none)
      return set_failure(str("rank ", left, " has returned while rank ", waits, " waits in ",
                             request_text(requests_[waits]), "; every rank must call the same collectives"));
    for (size_t r = waits + 1; r < none; ++r)
      if (state_[r] == State::waits && !agree(requests_[r], requests_[waits]))
        return set_failure(str("rank ", waits, " calls ", request_text(requests_[waits]), " but rank ", r, " ",
                               request_text(requests_[r]),
                               "; every rank must call the same collectives in the same order"));
  }
  void set_failure(std::string what) {
    failure_ = std::move(what);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Request> requests_;
  std::vector<State> state_;
  size_t arrived_ = 0;
  uint64_t round_ = 0;
  std::string failure_;  // once set, the group is of no more use
};

class ThreadRank final : public ProcessGroup {
 public:
  ThreadRank(std::shared_ptr<Meeting> meeting, int rank, int size)
      : ProcessGroup(rank, size), meeting_(std::move(meeting)) {}

 private:
  void run(const Request& r) override { meeting_->join(rank(), r); }
  std::shared_ptr<Meeting> meeting_;
};

}  // namespace

void run_threads(int ranks, const std::function<void(const std::shared_ptr<ProcessGroup>& group)>& body) {
  WEFT_CHECK(ranks >= 1, ValueError, "run_threads: needs at least 1 rank, got ", ranks);
  const auto meeting = std::make_shared<Meeting>(ranks);
  const detail::ThreadMode mode = detail::thread_mode();
  const int share = std::max(1, num_threads() / ranks);
  std::mutex mutex;
  std::exception_ptr own, heard;
  int own_rank = ranks, heard_rank = ranks;

  const auto work = [&](int rank) {
    const auto failed = [&](const char* what) {
      const bool is_own = meeting->fail(rank, what);
      const std::lock_guard lock(mutex);
      std::exception_ptr& first = is_own ? own : heard;
      int& first_rank = is_own ? own_rank : heard_rank;
      if (rank < first_rank) first = std::current_exception(), first_rank = rank;
    };
    try {
      detail::thread_mode() = mode;
      set_num_threads(share);
      detail::leave_binding();
      body(std::make_shared<ThreadRank>(meeting, rank, ranks));
      meeting->leave(rank);
    } catch (const std::exception& e) { failed(e.what()); } catch (...) {
      failed("an exception of no standard type");
    }
  };

  std::vector<std::thread> threads;
  try {
    for (int r = 0; r < ranks; ++r) threads.emplace_back(work, r);
  } catch (const std::exception& e) {  // no more threads: those that run must not wait for the rest
    meeting->fail(static_cast<int>(threads.size()), e.what());
    for (std::thread& t : threads) t.join();
    throw;
  }
  for (std::thread& t : threads) t.join();
  if (own || heard) std::rethrow_exception(own ? own : heard);
}

}  // namespace weft
