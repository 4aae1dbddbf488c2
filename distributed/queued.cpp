#include "weft/distributed/queued.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "weft/core/parallel.h"
#include "weft/core/profile.h"

namespace weft::comm {
namespace {

thread_local bool t_own_thread = false;

}  // namespace

bool is_own_thread() { return t_own_thread; }

struct Queued::Queue {
  class Started;
  struct Job {
    Call call;
    std::shared_ptr<Started> work;
  };
  std::mutex mutex, turn;  // of what is below; of whoever performs
  std::condition_variable changed;
  std::deque<Job> jobs;
  bool busy = false, ends = false;
  std::thread thread;
};

class Queued::Queue::Started final : public Work {
 public:
  void wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
    if (error_) std::rethrow_exception(error_);
  }
  bool done() const override {
    const std::lock_guard lock(mutex_);
    return done_;
  }
  void end(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
      error_ = std::move(error);
    }
    changed_.notify_all();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::exception_ptr error_;
};

Queued::Queued(int rank, int size) : Communicator(rank, size), queue_(std::make_unique<Queue>()) {}
Queued::~Queued() { stop(); }

void Queued::stop() {
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->ends = true;
  }
  queue_->changed.notify_all();
  if (queue_->thread.joinable()) queue_->thread.join();
}

void Queued::run(const Call& c) {
  {
    std::unique_lock lock(queue_->mutex);
    if (queue_->jobs.empty() && !queue_->busy) {
      const std::lock_guard turn(queue_->turn);
      lock.unlock();
      return perform(c);
    }
  }
  start(c)->wait();
}

std::shared_ptr<Work> Queued::start(Call c) {
  auto work = std::make_shared<Queue::Started>();
  {
    const std::lock_guard lock(queue_->mutex);
    if (!queue_->thread.joinable()) queue_->thread = std::thread([this] { this->work(); });
    queue_->jobs.push_back({std::move(c), work});
  }
  queue_->changed.notify_all();
  return work;
}

void Queued::work() {
  t_own_thread = true;
  set_num_threads(1);
  detail::leave_binding();
  std::unique_lock lock(queue_->mutex);
  for (;;) {
    queue_->changed.wait(lock, [this] { return queue_->ends || !queue_->jobs.empty(); });
    if (queue_->jobs.empty()) return;
    Queue::Job job = std::move(queue_->jobs.front());
    queue_->jobs.pop_front();
    queue_->busy = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      const std::lock_guard turn(queue_->turn);
      const detail::ProfileScope profile = detail::profile_backward(name(job.call.kind));
      perform(job.call);
    } catch (...) { error = std::current_exception(); }
    job.work->end(std::move(error));
    lock.lock();
    queue_->busy = false;
  }
}

}  // namespace weft::comm
