#include "weft/distributed/communicator.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "weft/core/error.h"
#include "weft/core/parallel.h"
#include "weft/distributed/transport.h"

namespace weft::comm {

Transport::~Transport() = default;

const char* name(Collective c) {
  switch (c) {
    case Collective::barrier: return "barrier";
    case Collective::broadcast: return "broadcast";
    case Collective::all_reduce: return "all_reduce";
    case Collective::all_gather: return "all_gather";
    case Collective::reduce_scatter: return "reduce_scatter";
    case Collective::all_to_all: return "all_to_all";
    case Collective::send: return "send";
    case Collective::recv: return "recv";
  }
  return "?";
}

std::string text(const Call& c) {
  if (c.kind == Collective::barrier) return "barrier";
  std::string s = str(name(c.kind), " of ", c.count, " ", c.dtype);
  if (c.kind == Collective::all_reduce || c.kind == Collective::reduce_scatter) {
    constexpr const char* kOps[] = {"", " (mean)", " (min)", " (max)", " (product)"};
    s += kOps[static_cast<int>(c.op)];
  }
  if (c.kind == Collective::broadcast || c.kind == Collective::recv) s += str(" from rank ", c.peer);
  if (c.kind == Collective::send) s += str(" to rank ", c.peer);
  return s;
}

struct Work::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::exception_ptr error;
};
Work::Work() : state_(std::make_unique<State>()) {}
Work::~Work() = default;
void Work::wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->done; });
  if (state_->error) std::rethrow_exception(state_->error);
}
bool Work::done() const {
  const std::lock_guard lock(state_->mutex);
  return state_->done;
}

struct Communicator::Queue {
  struct Job {
    Call call;
    std::shared_ptr<Work> work;
  };
  std::mutex mutex, turn;  // of what is below; of whoever performs
  std::condition_variable changed;
  std::deque<Job> jobs;
  bool busy = false, ends = false;
  std::thread thread;
};

Communicator::Communicator(int rank, int size) : rank_(rank), size_(size), queue_(std::make_unique<Queue>()) {}
Communicator::~Communicator() { stop(); }

void Communicator::stop() {
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->ends = true;
  }
  queue_->changed.notify_all();
  if (queue_->thread.joinable()) queue_->thread.join();
}

void Communicator::run(const Call& c) {
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

std::shared_ptr<Work> Communicator::start(Call c) {
  auto work = std::make_shared<Work>();
  {
    const std::lock_guard lock(queue_->mutex);
    if (!queue_->thread.joinable()) queue_->thread = std::thread([this] { this->work(); });
    queue_->jobs.push_back({std::move(c), work});
  }
  queue_->changed.notify_all();
  return work;
}

namespace {
thread_local bool t_own_thread = false;
}
bool is_own_thread() { return t_own_thread; }

void Communicator::work() {
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
      perform(job.call);
    } catch (...) { error = std::current_exception(); }
    {
      const std::lock_guard own(job.work->state_->mutex);
      job.work->state_->done = true;
      job.work->state_->error = error;
    }
    job.work->state_->changed.notify_all();
    lock.lock();
    queue_->busy = false;
  }
}

namespace {

class Alone final : public Communicator {
 public:
  Alone() : Communicator(0, 1) {}
  ~Alone() override { stop(); }
  std::shared_ptr<Communicator> split(int colour, int /*key*/) override { return colour < 0 ? nullptr : alone(); }

 private:
  void perform(const Call& c) override {
    WEFT_CHECK(c.kind != Collective::send && c.kind != Collective::recv, ValueError, name(c.kind),
               ": a group of one rank has nobody to talk to");
    if (c.count > 0 && c.out != c.in) std::memcpy(c.out, c.in, static_cast<size_t>(c.count) * itemsize(c.dtype));
  }
};

}  // namespace

std::shared_ptr<Communicator> alone() { return std::make_shared<Alone>(); }

}  // namespace weft::comm
