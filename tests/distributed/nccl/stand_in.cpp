// In NCCL's place: its functions over host memory, for ranks that are threads of one process. Calls are noted and
// carried out by a thread for each communicator, as a card would; the first answer is always ncclInProgress.
#include "stand_in.h"

#include <nccl.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "weft/core/error.h"
#include "weft/distributed/reduce_ranks.h"

namespace {

using weft::ReduceOp;

struct Op {
  char kind = 0;  // Broadcast, All_reduce, reduce_Scatter, all_Gather, send (>), receive (<)
  const void* in = nullptr;
  void* out = nullptr;
  size_t count = 0;
  ncclDataType_t type = ncclInt8;
  ncclRedOp_t op = ncclSum;
  int peer = 0;
};

size_t size_of(ncclDataType_t t) {
  switch (t) {
    case ncclInt8:
    case ncclUint8: return 1;
    case ncclFloat16:
    case ncclBfloat16: return 2;
    case ncclInt64:
    case ncclFloat64: return 8;
    default: return 4;
  }
}

void reduce(const Op& o, void* out, const std::vector<const void*>& parts, size_t count) {
  const auto n = static_cast<int64_t>(count);
  const ReduceOp op = o.op == ncclSum   ? ReduceOp::sum
                      : o.op == ncclAvg ? ReduceOp::mean
                      : o.op == ncclMin ? ReduceOp::min
                      : o.op == ncclMax ? ReduceOp::max
                                        : ReduceOp::product;
  const auto as = [&]<class T, class A> {
    weft::comm::reduce_ranks<T, A>(static_cast<T*>(out), parts, n, op, parts.size());
  };
  switch (o.type) {
    case ncclFloat32: return as.operator()<float, float>();
    case ncclFloat64: return as.operator()<double, double>();
    case ncclFloat16: return as.operator()<weft::f16, float>();
    case ncclBfloat16: return as.operator()<weft::bf16, float>();
    case ncclInt64: return as.operator()<int64_t, int64_t>();
    case ncclInt32: return as.operator()<int32_t, int32_t>();
    case ncclUint8: return as.operator()<uint8_t, uint8_t>();
    case ncclInt8: return as.operator()<int8_t, int8_t>();
    default: std::abort();
  }
}

/// Ranks that belong together.
struct Group {
  explicit Group(int n) : size(n) {}
  const int size;
  std::atomic<int> joined{0};
  std::mutex mutex;
  std::condition_variable changed;
  struct Meeting {
    std::map<int, Op> ops;
    int left = 0;
    bool done = false;
  };
  std::map<uint64_t, Meeting> meetings;                       // by number of the collective
  std::map<std::pair<int, int>, std::deque<const Op*>> mail;  // from, to
  std::set<const Op*> taken;
  std::map<int, std::pair<int, int>> split;  // colour and key of each rank
  int split_left = 0;
  std::map<int, std::shared_ptr<Group>> parts;
};

std::mutex g_mutex;
std::map<std::string, std::shared_ptr<Group>> g_groups;
std::map<const void*, std::pair<uint64_t, uint64_t>> g_streams;  // queued, ended
std::map<int, std::vector<std::string>> g_calls;
std::atomic<bool> g_fails{false};
std::atomic<int> g_aborted{0};

}  // namespace

struct ncclComm {
  std::shared_ptr<Group> group;
  int rank = 0;
  std::atomic<bool> aborted{false};
  bool announced = false;  // it was said that the last call is in progress
  std::mutex mutex;
  std::condition_variable changed;
  struct Job {
    std::vector<Op> ops;
    const void* stream;
  };
  std::deque<Job> jobs;
  bool ends = false;
  uint64_t number = 0;
  std::thread thread;

  explicit ncclComm(std::shared_ptr<Group> g, int r) : group(std::move(g)), rank(r) {
    ++group->joined;
    thread = std::thread([this] { work(); });
  }
  ~ncclComm() {
    {
      const std::lock_guard lock(mutex);
      ends = true;
    }
    changed.notify_all();
    { const std::lock_guard lock(group->mutex); }
    group->changed.notify_all();
    thread.join();
  }
  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return ends || !jobs.empty(); });
      if (jobs.empty()) return;
      const Job job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      carry_out(job.ops);
      {
        const std::lock_guard streams(g_mutex);
        ++g_streams[job.stream].second;
      }
      lock.lock();
    }
  }
  template <class F> void wait(std::unique_lock<std::mutex>& lock, const F& f) {
    while (!aborted && !f()) group->changed.wait_for(lock, std::chrono::milliseconds(1));
  }
  void carry_out(const std::vector<Op>& ops) {
    std::unique_lock lock(group->mutex);
    for (const Op& o : ops)
      if (o.kind == '>') group->mail[{rank, o.peer}].push_back(&o);
    group->changed.notify_all();
    for (const Op& o : ops) {
      if (o.kind == '>') continue;
      if (o.kind == '<') {
        auto& box = group->mail[{o.peer, rank}];
        wait(lock, [&] { return !box.empty(); });
        if (aborted) return;
        const Op* from = box.front();
        box.pop_front();
        std::memcpy(o.out, from->in, o.count * size_of(o.type));
        group->taken.insert(from);
        group->changed.notify_all();
        continue;
      }
      const uint64_t mine = number++;
      Group::Meeting& m = group->meetings[mine];
      m.ops[rank] = o;
      bool same = true;
      for (const auto& [r, other] : m.ops) same &= other.kind == o.kind && other.count == o.count;
      if (same && static_cast<int>(m.ops.size()) == group->size)  // others would never end
        collective(m), m.done = true, group->changed.notify_all();
      wait(lock, [&] { return m.done; });
      if (aborted) return;
      if (++m.left == group->size) group->meetings.erase(mine);
    }
    for (const Op& o : ops)
      if (o.kind == '>') wait(lock, [&] { return group->taken.erase(&o) > 0; });
  }
  void collective(Group::Meeting& m) const {
    std::vector<const void*> parts;
    const Op& first = m.ops[0];
    const size_t bytes = first.count * size_of(first.type);
    const auto at = [](const void* p, size_t n) { return static_cast<const char*>(p) + n; };
    std::map<int, std::vector<char>> results;
    for (auto& [r, o] : m.ops) {
      std::vector<char>& result = results[r];
      parts.clear();
      if (o.kind == 'B') result.assign(at(m.ops[o.peer].in, 0), at(m.ops[o.peer].in, bytes));
      if (o.kind == 'A' || o.kind == 'S') {
        for (auto& [other, p] : m.ops) parts.push_back(at(p.in, o.kind == 'S' ? bytes * static_cast<size_t>(r) : 0));
        result.resize(bytes);
        reduce(o, result.data(), parts, o.count);
      }
      if (o.kind == 'G')
        for (auto& [other, p] : m.ops) result.insert(result.end(), at(p.in, 0), at(p.in, bytes));
    }
    for (auto& [r, o] : m.ops) std::memcpy(o.out, results[r].data(), results[r].size());
  }
};

namespace {

thread_local int t_depth = 0;
thread_local std::vector<Op> t_ops;
thread_local ncclComm_t t_comm = nullptr;
thread_local const void* t_stream = nullptr;

ncclResult_t put(ncclComm_t comm, std::vector<Op> ops, const void* stream) {
  if (ops.empty()) return ncclSuccess;
  {
    const std::lock_guard lock(g_mutex);
    ++g_streams[stream].first;
  }
  const std::lock_guard lock(comm->mutex);
  comm->jobs.push_back({std::move(ops), stream});
  comm->announced = false;
  comm->changed.notify_all();
  return ncclInProgress;
}
ncclResult_t call(const char* name, const Op& o, ncclComm_t comm, const void* stream) {
  if (!comm || comm->aborted) return ncclInvalidArgument;
  {
    const std::lock_guard lock(g_mutex);
    g_calls[comm->rank].push_back(weft::str(name, ' ', o.count, " type ", static_cast<int>(o.type), " op ",
                                            static_cast<int>(o.op), " peer ", o.peer));
  }
  if (t_depth == 0) return put(comm, {o}, stream);
  t_ops.push_back(o), t_comm = comm, t_stream = stream;
  return ncclSuccess;
}

}  // namespace

std::vector<std::string> stand_in::calls(int rank) {
  const std::lock_guard lock(g_mutex);
  return std::exchange(g_calls[rank], {});
}
uint64_t stand_in::queued(const void* stream) {
  const std::lock_guard lock(g_mutex);
  return g_streams[stream].first;
}
uint64_t stand_in::ended(const void* stream) {
  const std::lock_guard lock(g_mutex);
  return g_streams[stream].second;
}
int stand_in::aborted() { return g_aborted; }
void stand_in::fail(bool yes) { g_fails = yes; }

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<int> made{0};
  std::memset(id, 0, sizeof *id);
  std::strcpy(id->internal, std::to_string(++made).c_str());
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int n, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidUsage;
  const std::lock_guard lock(g_mutex);
  std::shared_ptr<Group>& g = g_groups[id.internal];
  if (!g) g = std::make_shared<Group>(n);
  *comm = new ncclComm(g, rank);
  return ncclInProgress;
}
ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* part, ncclConfig_t*) {
  Group& g = *comm->group;
  std::unique_lock lock(g.mutex);
  g.changed.wait(lock, [&] { return g.split_left == 0; });  // of the split before
  g.split[comm->rank] = {color, key};
  if (static_cast<int>(g.split.size()) == g.size) {
    for (const auto& [r, of] : g.split) {
      int members = 0;
      for (const auto& [other, theirs] : g.split) members += theirs.first == of.first;
      if (!g.parts[of.first]) g.parts[of.first] = std::make_shared<Group>(members);
    }
    g.split_left = g.size;
    g.changed.notify_all();
  }
  g.changed.wait(lock, [&] { return g.split_left > 0; });
  int rank = 0;
  for (const auto& [r, of] : g.split)
    if (of.first == color && std::pair(of.second, r) < std::pair(key, comm->rank)) ++rank;
  *part = color == NCCL_SPLIT_NOCOLOR ? nullptr : new ncclComm(g.parts[color], rank);
  if (--g.split_left == 0) g.split.clear(), g.parts.clear(), g.changed.notify_all();
  return ncclInProgress;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  ++g_aborted;
  comm->aborted = true;
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (!comm) return ncclInvalidArgument;
  const std::lock_guard lock(comm->mutex);
  const bool met = comm->announced && comm->group->joined == comm->group->size;
  *state = g_fails ? ncclRemoteError : met ? ncclSuccess : ncclInProgress;
  comm->announced = true;
  return ncclSuccess;
}
ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  *rank = comm->rank;
  return ncclSuccess;
}
ncclResult_t ncclCommCount(const ncclComm_t comm, int* n) {
  *n = comm->group->size;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t r) { return r == ncclRemoteError ? "remote process exited" : "an error"; }
const char* ncclGetLastError(ncclComm_t) { return "the stand-in said so"; }

ncclResult_t ncclAllReduce(const void* in, void* out, size_t n, ncclDataType_t t, ncclRedOp_t op, ncclComm_t c,
                           cudaStream_t s) {
  return call("AllReduce", {'A', in, out, n, t, op, 0}, c, s);
}
ncclResult_t ncclBroadcast(const void* in, void* out, size_t n, ncclDataType_t t, int root, ncclComm_t c,
                           cudaStream_t s) {
  return call("Broadcast", {'B', in, out, n, t, ncclSum, root}, c, s);
}
ncclResult_t ncclReduceScatter(const void* in, void* out, size_t n, ncclDataType_t t, ncclRedOp_t op, ncclComm_t c,
                               cudaStream_t s) {
  return call("ReduceScatter", {'S', in, out, n, t, op, 0}, c, s);
}
ncclResult_t ncclAllGather(const void* in, void* out, size_t n, ncclDataType_t t, ncclComm_t c, cudaStream_t s) {
  return call("AllGather", {'G', in, out, n, t, ncclSum, 0}, c, s);
}
ncclResult_t ncclSend(const void* in, size_t n, ncclDataType_t t, int peer, ncclComm_t c, cudaStream_t s) {
  return call("Send", {'>', in, nullptr, n, t, ncclSum, peer}, c, s);
}
ncclResult_t ncclRecv(void* out, size_t n, ncclDataType_t t, int peer, ncclComm_t c, cudaStream_t s) {
  return call("Recv", {'<', nullptr, out, n, t, ncclSum, peer}, c, s);
}
ncclResult_t ncclGroupStart() {
  ++t_depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  if (--t_depth > 0) return ncclSuccess;
  return put(t_comm, std::exchange(t_ops, {}), t_stream);
}

}  // extern "C"
