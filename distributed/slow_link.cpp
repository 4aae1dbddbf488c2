#include "weft/distributed/slow_link.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

#include "weft/core/error.h"
#include "weft/distributed/seconds.h"

namespace weft::comm {
namespace {

class SlowLink final : public Transport {
 public:
  SlowLink(std::shared_ptr<Transport> inner, const Link& link)
      : Transport(inner->rank(), inner->size()), inner_(std::move(inner)), link_(link) {}
  int local_rank() const override { return inner_->local_rank(); }
  int local_size() const override { return inner_->local_size(); }
  std::string place(int rank) const override { return inner_->place(rank); }
  int64_t most_tag() const override { return inner_->most_tag(); }

  int64_t send(int to, int tag, const void* p, size_t n) override {
    const std::lock_guard lock(mutex_);
    const double seconds = link_.bytes_per_second > 0 ? static_cast<double>(n) / link_.bytes_per_second : 0;
    free_ = std::max(free_, Clock::now()) + as_duration(seconds);
    waiting_.push_back({++last_, to, tag, p, n, free_ + as_duration(link_.seconds)});
    pass_on();
    return last_;
  }
  int64_t receive(int from, int tag, void* p, size_t n) override {
    const std::lock_guard lock(mutex_);
    passed_[++last_] = inner_->receive(from, tag, p, n);
    return last_;
  }
  bool done(int64_t number) override {
    const std::lock_guard lock(mutex_);
    pass_on();
    const auto at = passed_.find(number);
    if (at == passed_.end() || !inner_->done(at->second)) return false;
    passed_.erase(at);
    return true;
  }
  void cancel(int64_t number) noexcept override {
    const std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [&](const Waiting& w) { return w.number == number; });
    const auto at = passed_.find(number);
    if (at == passed_.end()) return;
    inner_->cancel(at->second);
    passed_.erase(at);
  }
  void idle(int turns, bool own_thread) override { inner_->idle(turns, own_thread); }
  void announce(const std::string& what) noexcept override { inner_->announce(what); }
  std::string failure() override { return inner_->failure(); }
  bool has_left(int rank) override { return inner_->has_left(rank); }

 private:
  struct Waiting {
    int64_t number;
    int to, tag;
    const void* p;
    size_t n;
    Clock::time_point due;
  };
  /// Messages whose time has come. Their senders ask for them until they are done.
  void pass_on() {
    for (const Clock::time_point now = Clock::now(); !waiting_.empty() && waiting_.front().due <= now;) {
      const Waiting& w = waiting_.front();
      passed_[w.number] = inner_->send(w.to, w.tag, w.p, w.n);
      waiting_.pop_front();
    }
  }

  std::shared_ptr<Transport> inner_;
  Link link_;
  std::mutex mutex_;
  std::deque<Waiting> waiting_;
  std::map<int64_t, int64_t> passed_;  // the caller's number, the inner transport's
  int64_t last_ = 0;
  Clock::time_point free_;
};

}  // namespace

std::shared_ptr<Transport> slow_link(std::shared_ptr<Transport> transport, const Link& link) {
  WEFT_CHECK(link.seconds >= 0 && link.seconds <= 1e6 && link.bytes_per_second >= 0 &&
                 (link.bytes_per_second == 0 || link.bytes_per_second >= 1),
             ValueError, "slow_link: seconds must be in [0, 1e6] and bytes_per_second 0 or at least 1, got ",
             link.seconds, " and ", link.bytes_per_second);
  return std::make_shared<SlowLink>(std::move(transport), link);
}

}  // namespace weft::comm
