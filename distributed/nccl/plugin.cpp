// libweft_nccl.so: collectives between cards, by NCCL. A call is queued on a stream of the group's own, between an
// event of the caller's stream and one that the caller's stream waits for; the host goes on. A thread looks after the
// calls that have not ended: NCCL has no deadline, and does not say which rank is missing.
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "weft/core/backend.h"
#include "weft/core/error.h"
#include "weft/core/storage.h"
#include "weft/core/stream.h"
#include "weft/distributed/nccl/abi.h"
#include "weft/distributed/seconds.h"

namespace weft::comm::nccl {
namespace {

constexpr std::chrono::milliseconds kLook{20};
constexpr double kSecondsToTell = 60;  // at most: that ranks have to say where they are, after a deadline

constexpr ncclDataType_t kBytes = ncclInt8;  // of calls that add nothing

ncclDataType_t type_of(const Call& c) {
  switch (c.dtype) {
    case Dtype::f32: return ncclFloat32;
    case Dtype::f64: return ncclFloat64;
    case Dtype::f16: return ncclFloat16;
    case Dtype::bf16: return ncclBfloat16;
    case Dtype::i64: return ncclInt64;
    case Dtype::i32: return ncclInt32;
    case Dtype::u8:
    case Dtype::boolean: return ncclUint8;
    case Dtype::i8: return ncclInt8;
    case Dtype::i16:
    case Dtype::u16: break;
  }
  raise<DtypeError>(name(c.kind), ": NCCL adds no ", c.dtype, "; convert to i32 first");
}
/// Of bools the sum is "or", the product "and".
ncclRedOp_t op_of(const Call& c) {
  const bool is_bool = c.dtype == Dtype::boolean;
  switch (c.op) {
    case ReduceOp::sum: return is_bool ? ncclMax : ncclSum;
    case ReduceOp::mean: return ncclAvg;
    case ReduceOp::min: return ncclMin;
    case ReduceOp::max: return ncclMax;
    case ReduceOp::product: return is_bool ? ncclMin : ncclProd;
  }
  return ncclSum;
}

/// Elements of `in` and `out`.
std::pair<int64_t, int64_t> elements(const Call& c, int size) {
  int64_t all = 0;
  for (const int64_t n : c.each) all += n;
  switch (c.kind) {
    case Collective::barrier: return {0, 0};
    case Collective::broadcast:
    case Collective::all_reduce: return {c.count, c.count};
    case Collective::all_gather: return {c.count, c.each.empty() ? c.count * size : all};
    case Collective::reduce_scatter: return {c.count * size, c.count};
    case Collective::all_to_all: return {c.count * size, c.count * size};
    case Collective::send: return {c.count, 0};
    case Collective::recv: return {0, c.count};
  }
  return {0, 0};
}

ncclConfig_t config() {
  ncclConfig_t c = NCCL_CONFIG_INITIALIZER;
  c.blocking = 0;  // a rank that does not come must not hold this one for ever
  return c;
}

/// A call that was queued, as its Work and the thread that looks after it see it.
struct Started {
  explicit Started(Device card) : end(card) {}
  Call call;
  uint64_t number = 0;  // of the group's calls
  double seconds = 0;   // its deadline
  Clock::time_point deadline;
  Event end;
};
std::string text(const Started& s) { return comm::text(s.call, s.number); }

class Nccl final : public Communicator, public std::enable_shared_from_this<Nccl> {
 public:
  Nccl(std::shared_ptr<Rendezvous> ranks, Device card, double seconds)
      : Communicator(ranks->rank(), ranks->size()), ranks_(std::move(ranks)), card_(card), stream_(card) {
    timeout = seconds;
  }
  ~Nccl() override {
    {
      std::unique_lock lock(mutex_);
      // What was queued ends, or runs into its deadline.
      changed_.wait(lock, [&] { return started_.empty() || !failure_.empty() || !watch_.joinable(); });
      ends_ = true;
    }
    changed_.notify_all();
    if (watch_.joinable()) watch_.join();
    if (comm_) (void)ncclCommDestroy(comm_);
  }
  int local_rank() const override { return ranks_->local_rank(); }
  int local_size() const override { return ranks_->local_size(); }
  bool reaches(DeviceType) const override { return true; }

  /// All ranks call it once.
  void connect() {
    ncclUniqueId id{};
    if (rank() == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    const std::string text = ranks_->share(std::string(id.internal, sizeof id.internal), timeout);
    text.copy(id.internal, sizeof id.internal);
    backend(card_.type).activate(card_.index);
    ncclConfig_t c = config();
    const std::unique_lock lock(mutex_);
    begin("init_process_group");
    settle(ncclCommInitRankConfig(&comm_, size(), id, rank(), &c), "ncclCommInitRankConfig");
    ranks_->all_met();
    watch_ = std::thread([this] { watch(); });
  }

  void run(const Call& c) override {
    if (c.device.type != DeviceType::cpu) return hand_over(*queue(c));
    if (const auto host = host_group()) return host->run(c);
    through_card(c);
  }

  std::shared_ptr<Work> start(Call c) override {
    struct OnCard final : Work {
      OnCard(std::shared_ptr<Nccl> g, std::shared_ptr<Started> c) : group(std::move(g)), call(std::move(c)) {}
      void wait() override { group->hand_over(*call); }
      bool done() const override { return call->end.done(); }
      std::shared_ptr<Nccl> group;
      std::shared_ptr<Started> call;
    };
    if (c.device.type != DeviceType::cpu) return std::make_shared<OnCard>(shared_from_this(), queue(c));
    if (const auto host = host_group()) return host->start(std::move(c));
    through_card(c);
    return finished();
  }

  std::shared_ptr<Communicator> split(int colour, int key) override {
    ncclComm_t part = nullptr;
    {
      backend(card_.type).activate(card_.index);
      const std::unique_lock lock(mutex_);
      begin("split");
      ncclConfig_t c = config();
      settle(ncclCommSplit(comm_, colour < 0 ? NCCL_SPLIT_NOCOLOR : colour, key, &part, &c), "ncclCommSplit");
      if (part) settle(ncclSuccess, "ncclCommSplit", part);
    }
    int new_rank = 0, new_size = 0;
    if (part) {
      check(ncclCommUserRank(part, &new_rank), "ncclCommUserRank");
      check(ncclCommCount(part, &new_size), "ncclCommCount");
    }
    std::shared_ptr<Rendezvous> ranks = ranks_->split(colour, key, new_rank, new_size);
    if (!part) return nullptr;
    auto made = std::make_shared<Nccl>(std::move(ranks), card_, timeout);
    made->comm_ = part;
    made->watch_ = std::thread([m = made.get()] { m->watch(); });
    return made;
  }

 private:
  std::shared_ptr<Communicator> host_group() const {
    std::shared_ptr<Communicator> host = ranks_->host();
    if (host) host->timeout = timeout.load();
    return host;
  }
  /// Before a call of NCCL, whose last ones may have failed. The mutex is held.
  void begin(const char* op) const {
    WEFT_CHECK(failure_.empty(), CommError, op, ": the group failed before: ", failure_);
  }
  void check(ncclResult_t r, const char* what) const {
    if (r == ncclSuccess || r == ncclInProgress) return;
    raise<CommError>("nccl: ", what, " on rank ", rank(), ": ", ncclGetErrorString(r), "; ", ncclGetLastError(comm_),
                     " (NCCL_DEBUG=INFO says more)");
  }
  /// Waits until NCCL has taken the call: the first calls connect the ranks. The mutex is held.
  void settle(ncclResult_t r, const char* what, ncclComm_t comm = nullptr) {
    if (!comm) comm = comm_;
    const Clock::time_point begin = Clock::now();
    while (r == ncclInProgress || (r == ncclSuccess && comm)) {
      ncclResult_t state = ncclSuccess;
      r = ncclCommGetAsyncError(comm, &state);
      if (r == ncclSuccess) r = state;
      if (r == ncclSuccess) return;
      if (r == ncclInProgress) {
        if (std::chrono::duration<double>(Clock::now() - begin).count() > timeout) {
          abandon(str("nccl: ", what, ": not all of ", size(), " ranks came within ", timeout.load(), " s"));
          raise<CommError>(failure_);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    }
    try {
      check(r, what);
    } catch (const CommError& e) {
      abandon(e.what());
      throw;
    }
  }
  /// The group is of no more use. The mutex is held.
  void abandon(const std::string& why) {
    failure_ = why;
    fail_device(card_, "its last results are undefined, for a call between ranks failed: " + why);
    changed_.notify_all();
    if (ncclComm_t gone = std::exchange(comm_, nullptr)) (void)ncclCommAbort(gone);
  }

  /// Puts the call into the group's stream.
  std::shared_ptr<Started> queue(const Call& c) {
    WEFT_CHECK(c.device == card_, DeviceError, name(c.kind), ": this rank's group reaches ", card_,
               ", the tensor is on ", c.device,
               "; a rank's card is the one of its number on the machine, group.local_rank()");
    backend(card_.type).activate(card_.index);
    const std::unique_lock lock(mutex_);
    begin(name(c.kind));
    std::shared_ptr<Started> call;
    if (spare_.empty()) call = std::make_shared<Started>(card_);
    else call = std::move(spare_.back()), spare_.pop_back();
    call->call = c;
    call->number = ++number_;
    call->seconds = timeout;
    call->deadline = Clock::now() + as_duration(call->seconds);
    call->end.record();
    stream_.wait(call->end);
    launch(c);
    call->end.record(stream_);
    if (started_.empty()) changed_.notify_all();
    started_.push_back(call);
    return call;
  }
  void launch(const Call& c) {
    const auto stream = static_cast<cudaStream_t>(stream_.handle());
    const auto count = static_cast<size_t>(c.count), bytes = count * itemsize(c.dtype);
    const auto part = [&](const void* p, int r) {
      return static_cast<char*>(const_cast<void*>(p)) + bytes * static_cast<size_t>(r);
    };
    const auto group = [&](const auto& calls) {
      check(ncclGroupStart(), "ncclGroupStart");
      ncclResult_t r = calls();
      const ncclResult_t end = ncclGroupEnd();
      if (r == ncclSuccess || r == ncclInProgress) r = end;
      settle(r, name(c.kind));
    };
    switch (c.kind) {
      case Collective::barrier:
        return settle(ncclAllReduce(c.in, c.out, 1, ncclInt32, ncclSum, comm_, stream), "ncclAllReduce");
      case Collective::broadcast:
        return settle(ncclBroadcast(c.in, c.out, bytes, kBytes, c.peer, comm_, stream), "ncclBroadcast");
      case Collective::all_reduce:
        return settle(ncclAllReduce(c.in, c.out, count, type_of(c), op_of(c), comm_, stream), "ncclAllReduce");
      case Collective::reduce_scatter:
        return settle(ncclReduceScatter(c.in, c.out, count, type_of(c), op_of(c), comm_, stream), "ncclReduceScatter");
      case Collective::send: return settle(ncclSend(c.in, bytes, kBytes, c.peer, comm_, stream), "ncclSend");
      case Collective::recv: return settle(ncclRecv(c.out, bytes, kBytes, c.peer, comm_, stream), "ncclRecv");
      case Collective::all_gather:
        if (c.each.empty()) return settle(ncclAllGather(c.in, c.out, bytes, kBytes, comm_, stream), "ncclAllGather");
        return group([&] {
          ncclResult_t r = ncclSuccess;
          char* to = static_cast<char*>(c.out);
          for (int i = 0; i < size() && (r == ncclSuccess || r == ncclInProgress); ++i) {
            const size_t n = static_cast<size_t>(c.each[static_cast<size_t>(i)]) * itemsize(c.dtype);
            if (n > 0) r = ncclBroadcast(c.in, to, n, kBytes, i, comm_, stream);
            to += n;
          }
          return r;
        });
      case Collective::all_to_all:
        return group([&] {
          ncclResult_t r = ncclSuccess;
          for (int i = 0; i < size() && (r == ncclSuccess || r == ncclInProgress); ++i) {
            r = ncclSend(part(c.in, i), bytes, kBytes, i, comm_, stream);
            if (r == ncclSuccess || r == ncclInProgress) r = ncclRecv(part(c.out, i), bytes, kBytes, i, comm_, stream);
          }
          return r;
        });
    }
  }

  /// The calling thread's stream goes on when the call has ended.
  void hand_over(const Started& call) {
    {
      const std::lock_guard lock(mutex_);
      begin(name(call.call.kind));
    }
    Stream::current(card_).wait(call.end);
  }
  /// Waits on the host.
  void end(const Started& call) {
    for (;;) {
      const bool done = call.end.done();  // also of what was abandoned
      {
        const std::lock_guard lock(mutex_);
        begin(name(call.call.kind));
      }
      if (done) return;
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  /// Host memory, where nothing but the cards exchanges any.
  void through_card(Call c) {
    const auto [ins, outs] = elements(c, size());
    const auto bytes = [&](int64_t n) { return static_cast<size_t>(n) * itemsize(c.dtype); };
    constexpr size_t kLeast = sizeof(int32_t);  // of a barrier
    const Storage in(std::max(bytes(ins), kLeast), card_), out(std::max(bytes(outs), kLeast), card_);
    Backend& b = backend(card_.type);
    if (ins) b.copy(in.data(), card_, c.in, Device(), bytes(ins), false);
    void* host = std::exchange(c.out, out.data());
    c.in = in.data(), c.device = card_;
    const std::shared_ptr<Started> call = queue(c);
    hand_over(*call);
    end(*call);
    if (outs) b.copy(host, Device(), out.data(), card_, bytes(outs), false);
  }

  /// Looks after calls that have not ended: their deadlines, and what NCCL says of the other ranks.
  void watch() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ends_ || (!started_.empty() && failure_.empty()); });
      if (ends_) return;
      if (forget_ended()) continue;
      ncclResult_t state = ncclSuccess;
      if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess || (state != ncclSuccess && state != ncclInProgress)) {
        abandon(str(text(*started_.front()), " on rank ", rank(), ": ", ncclGetErrorString(state),
                    ": another rank or the network failed (NCCL_DEBUG=INFO says more)"));
        continue;
      }
      if (Clock::now() < started_.front()->deadline) {
        changed_.wait_for(lock, kLook, [&] { return ends_; });
        continue;
      }
      const std::shared_ptr<Started> late = started_.front();
      lock.unlock();
      const std::string why = who_is_missing(*late);
      lock.lock();
      if (!late->end.done()) abandon(why);
    }
  }
  /// Takes what has ended from the calls that are looked after. None are left?
  bool forget_ended() {
    while (!started_.empty() && started_.front()->end.done()) {
      if (started_.front().use_count() == 1) spare_.push_back(std::move(started_.front()));
      started_.pop_front();
    }
    if (started_.empty()) changed_.notify_all();
    return started_.empty();
  }
  std::string who_is_missing(const Started& late) {
    const std::string mine = text(late);
    const double seconds = std::min(kSecondsToTell, late.seconds);
    std::vector<std::string> all;
    try {
      all = ranks_->gather(mine, seconds);
    } catch (const std::exception&) { all.resize(static_cast<size_t>(size())); }
    std::string silent;
    for (int r = 0; r < size(); ++r) {
      const std::string& theirs = all[static_cast<size_t>(r)];
      if (r == rank() || theirs == mine) continue;
      if (!theirs.empty())
        return str("rank ", rank(), " waits in ", mine, " but rank ", r, " in ", theirs,
                   "; every rank must call the same collectives in the same order");
      silent += str(silent.empty() ? "" : ", ", r);
    }
    if (silent.empty())
      return str("all ", size(), " ranks reached ", mine, ", which did not end in ", late.seconds,
                 " s: their cards do not hear each other (NCCL_DEBUG=INFO says more)");
    return str("rank ", silent, " of ", size(), " did not reach ", mine, " in ", late.seconds, " s, or ", seconds,
               " s more (a longer wait: TimeoutScope, or timeout in InitOptions)");
  }

  std::shared_ptr<Rendezvous> ranks_;
  Device card_;
  Stream stream_;
  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  ncclComm_t comm_ = nullptr;
  std::deque<std::shared_ptr<Started>> started_;
  std::vector<std::shared_ptr<Started>> spare_;
  uint64_t number_ = 0;
  std::string failure_;
  bool ends_ = false;
  std::thread watch_;
};

}  // namespace
}  // namespace weft::comm::nccl

extern "C" __attribute__((visibility("default"))) bool weft_nccl_connect(
    int abi, const std::shared_ptr<weft::comm::Rendezvous>& ranks, weft::Device card, double seconds,
    std::shared_ptr<weft::comm::Communicator>& made) {
  using namespace weft::comm::nccl;
  if (abi != kAbi) return false;
  auto group = std::make_shared<Nccl>(ranks, card, seconds);
  group->connect();
  made = std::move(group);
  return true;
}
