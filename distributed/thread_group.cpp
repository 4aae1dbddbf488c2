#include "weft/distributed/thread_group.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>
#include <vector>

#include "weft/autograd/grad_mode.h"
#include "weft/core/parallel.h"
#include "weft/distributed/transport.h"

namespace weft {
namespace {

/// Where messages lie between a send and its receive.
struct Hub {
  explicit Hub(int ranks) : state(static_cast<size_t>(ranks)) {}

  enum class State : uint8_t { works, left, failed };
  struct Message {
    std::vector<char> copy;  // of a short one
    const char* at = nullptr;
    size_t bytes = 0;
    std::shared_ptr<bool> taken;  // of a long one, which lies with its sender; guarded by the mutex
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::tuple<int, int, int>, std::deque<Message>> mail;  // from, to, tag
  std::vector<State> state;
  std::string failure;
  int failed_rank = 0;
};

class ThreadTransport final : public comm::Transport {
 public:
  ThreadTransport(std::shared_ptr<Hub> hub, int rank, int size) : Transport(rank, size), hub_(std::move(hub)) {}

  int64_t send(int to, int tag, const void* p, size_t n) override {
    Hub::Message m;
    m.bytes = n;
    const bool is_short = n <= kShort;
    if (is_short) m.copy.assign(static_cast<const char*>(p), static_cast<const char*>(p) + n);
    else m.at = static_cast<const char*>(p), m.taken = std::make_shared<bool>(false);
    const std::lock_guard lock(hub_->mutex);
    const int64_t number = next_++;
    pending_[number] = {.taken = m.taken, .sent = true};
    hub_->mail[{rank(), to, tag}].push_back(std::move(m));
    hub_->changed.notify_all();
    return number;
  }
  int64_t receive(int from, int tag, void* p, size_t n) override {
    const std::lock_guard lock(hub_->mutex);
    const int64_t number = next_++;
    pending_[number] = {.from = from, .tag = tag, .to = p, .most = n};
    return number;
  }
  bool done(int64_t number) override {
    std::unique_lock lock(hub_->mutex);
    const Pending mine = pending_.at(number);
    if (mine.sent) {
      if (mine.taken && !*mine.taken) return false;
      pending_.erase(number);
      return true;
    }
    auto at = hub_->mail.find({mine.from, rank(), mine.tag});
    if (at == hub_->mail.end() || at->second.empty()) return false;
    Hub::Message m = std::move(at->second.front());
    at->second.pop_front();
    pending_.erase(number);
    lock.unlock();
    if (const size_t n = std::min(m.bytes, mine.most)) std::memcpy(mine.to, m.at ? m.at : m.copy.data(), n);
    if (m.taken) {
      lock.lock();
      *m.taken = true;
      hub_->changed.notify_all();
    }
    return true;
  }
  void cancel(int64_t number) noexcept override {
    std::unique_lock lock(hub_->mutex);
    const auto at = pending_.find(number);
    if (at == pending_.end()) return;
    const std::shared_ptr<bool> taken = at->second.taken;
    pending_.erase(at);
    if (!taken || *taken) return;
    size_t gone = 0;  // nobody reads what its sender gives up
    for (auto& [key, list] : hub_->mail)
      gone += std::erase_if(list, [&](const Hub::Message& m) { return m.taken == taken; });
    if (gone == 0) hub_->changed.wait(lock, [&] { return *taken; });  // it is being read
  }
  void idle(int turns, bool own_thread) override {
    if (turns < 50 && !own_thread) return std::this_thread::yield();
    std::unique_lock lock(hub_->mutex);
    hub_->changed.wait_for(lock, std::chrono::microseconds(turns < 1000 ? 50 : 1000));
  }
  void announce(const std::string& what) noexcept override {
    const std::lock_guard lock(hub_->mutex);
    if (hub_->failure.empty()) hub_->failure = what, hub_->failed_rank = rank();
    hub_->changed.notify_all();
  }
  std::string failure() override {
    const std::lock_guard lock(hub_->mutex);
    if (hub_->failure.empty() || hub_->failed_rank == rank()) return {};
    return str("rank ", hub_->failed_rank, " failed: ", hub_->failure);
  }
  bool has_left(int other) override {
    const std::lock_guard lock(hub_->mutex);
    return hub_->state[static_cast<size_t>(other)] != Hub::State::works;
  }

 private:
  static constexpr size_t kShort = 16384;
  struct Pending {
    int from = 0, tag = 0;
    void* to = nullptr;
    size_t most = 0;
    std::shared_ptr<bool> taken;
    bool sent = false;
  };
  std::shared_ptr<Hub> hub_;
  std::map<int64_t, Pending> pending_;
  int64_t next_ = 0;
};

}  // namespace

void run_threads(int ranks, const std::function<void(const ProcessGroup& group)>& body) {
  WEFT_CHECK(ranks >= 1, ValueError, "run_threads: needs at least 1 rank, got ", ranks);
  const auto hub = std::make_shared<Hub>(ranks);
  const detail::ThreadMode mode = detail::thread_mode();
  const int share = std::max(1, num_threads() / ranks);
  std::mutex mutex;
  std::exception_ptr own, heard;
  int own_rank = ranks, heard_rank = ranks;

  const auto work = [&](int rank) {
    const auto transport = std::make_shared<ThreadTransport>(hub, rank, ranks);
    const auto ends = [&](Hub::State state) {
      const std::lock_guard lock(hub->mutex);
      hub->state[static_cast<size_t>(rank)] = state;
      hub->changed.notify_all();
    };
    const auto failed = [&](const char* what, bool heard_of) {
      transport->announce(what);
      bool is_own = !heard_of;
      {
        const std::lock_guard lock(hub->mutex);
        is_own = is_own || hub->failed_rank == rank;
      }
      ends(Hub::State::failed);
      const std::lock_guard lock(mutex);
      std::exception_ptr& first = is_own ? own : heard;
      int& first_rank = is_own ? own_rank : heard_rank;
      if (rank < first_rank) first = std::current_exception(), first_rank = rank;
    };
    try {
      detail::thread_mode() = mode;
      set_num_threads(share);
      detail::leave_binding();
      body(ProcessGroup(comm::over(transport)));
      ends(Hub::State::left);
    } catch (const CommError& e) { failed(e.what(), true); } catch (const std::exception& e) {
      failed(e.what(), false);
    } catch (...) { failed("an exception of no standard type", false); }
  };

  std::vector<std::thread> threads;
  try {
    for (int r = 0; r < ranks; ++r) threads.emplace_back(work, r);
  } catch (const std::exception& e) {  // no more threads: those that run must not wait for the rest
    ThreadTransport(hub, static_cast<int>(threads.size()), ranks).announce(e.what());
    for (std::thread& t : threads) t.join();
    throw;
  }
  for (std::thread& t : threads) t.join();
  if (own || heard) std::rethrow_exception(own ? own : heard);
  for (const auto& [way, messages] : hub->mail)
    WEFT_CHECK(messages.empty() || !hub->failure.empty(), CommError, "send: rank ", std::get<1>(way),
               " ended without receiving a message of rank ", std::get<0>(way));
}

std::vector<std::shared_ptr<comm::Transport>> comm::thread_transports(int ranks) {
  const auto hub = std::make_shared<Hub>(ranks);
  std::vector<std::shared_ptr<Transport>> ends;
  for (int r = 0; r < ranks; ++r) ends.push_back(std::make_shared<ThreadTransport>(hub, r, ranks));
  return ends;
}

}  // namespace weft
