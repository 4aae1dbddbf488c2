// Messages over MPI. The only file that knows mpi.h; everything asks and nothing waits, so that deadlines hold.
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "weft/core/error.h"
#include "weft/distributed/mpi/abi.h"
#include "weft/distributed/seconds.h"

namespace weft::comm::mpi {
namespace {

constexpr int kAnnouncement = 1024;  // bytes

void check(int rc, const char* what) {
  if (rc == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int n = 0;
  MPI_Error_string(rc, text, &n);
  raise<CommError>(what, ": ", text);
}

/// Ends the process where MPI's own calls, which only wait, do not return in time.
class Watchdog {
 public:
  explicit Watchdog(double seconds) : seconds_(seconds), thread_([this] { watch(); }) {}
  ~Watchdog() {
    phase("");
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  /// What begins now; "": nothing more.
  void phase(const char* name) {
    const std::lock_guard lock(mutex_);
    phase_ = name;
    changed_.notify_one();
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, as_duration(seconds_), [this] { return !*phase_; })) return;
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    const char* rank = "?";
    for (const char* name : {"SLURM_PROCID", "PMI_RANK", "OMPI_COMM_WORLD_RANK"})
      if (const char* value = std::getenv(name)) rank = value;
    std::fprintf(
        stderr,
        "weft: init_process_group: rank %s on %s waited for the other ranks for %g s, lastly in %s: one has not "
        "called init_process_group, is stopped or has ended; the job is ended (a longer wait: timeout in "
        "InitOptions)\n",
        rank, host.data(), seconds_, phase_);
    _exit(3);
  }

  double seconds_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const char* phase_ = "the start";
  std::thread thread_;
};

class MpiTransport final : public Transport {
 public:
  MpiTransport(MPI_Comm messages, MPI_Comm announcements, int rank, int size, int local_rank, int local_size,
               double seconds)
      : Transport(rank, size),
        messages_(messages),
        announcements_(announcements),
        local_rank_(local_rank),
        local_size_(local_size),
        seconds_(seconds),
        left_(static_cast<size_t>(size)) {
    std::array<char, MPI_MAX_PROCESSOR_NAME> own{};
    int n = 0;
    MPI_Get_processor_name(own.data(), &n);
    std::vector<char> all(own.size() * static_cast<size_t>(size));
    check(MPI_Allgather(own.data(), MPI_MAX_PROCESSOR_NAME, MPI_CHAR, all.data(), MPI_MAX_PROCESSOR_NAME, MPI_CHAR,
                        messages_),
          "MPI_Allgather");
    for (int r = 0; r < size; ++r) places_.emplace_back(str(" on ", all.data() + own.size() * static_cast<size_t>(r)));
    listen();
  }

  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  int64_t most_tag() const override {
    int* most = nullptr;
    int there = 0;
    MPI_Comm_get_attr(messages_, MPI_TAG_UB, static_cast<void*>(&most), &there);
    return there ? *most : 32767;
  }
  std::string place(int rank) const override { return places_[static_cast<size_t>(rank)]; }

  int64_t send(int to, int tag, const void* p, size_t n) override {
    MPI_Request r;
    check(MPI_Isend(p, static_cast<int>(n), MPI_BYTE, to, tag, messages_, &r), "MPI_Isend");
    return keep(r);
  }
  int64_t receive(int from, int tag, void* p, size_t n) override {
    MPI_Request r;
    check(MPI_Irecv(p, static_cast<int>(n), MPI_BYTE, from, tag, messages_, &r), "MPI_Irecv");
    return keep(r);
  }
  bool done(int64_t number) override {
    const std::lock_guard lock(mutex_);
    const auto at = pending_.find(number);
    int flag = 0;
    const int rc = MPI_Test(&at->second, &flag, MPI_STATUS_IGNORE);
    if (rc != MPI_SUCCESS || flag) pending_.erase(at);
    check(rc, "MPI_Test");
    return flag != 0;
  }
  void cancel(int64_t number) noexcept override {
    const std::lock_guard lock(mutex_);
    const auto at = pending_.find(number);
    if (at == pending_.end()) return;
    // What is under way cannot be taken back: the process goes on to fail, and its memory stays until then.
    MPI_Cancel(&at->second);
    MPI_Request_free(&at->second);
    pending_.erase(at);
  }
  void idle(int turns, bool own_thread) override {
    if (turns < (own_thread ? 10 : 2000)) sched_yield();
    else usleep(turns < 20000 ? 20 : 200);
  }

  void announce(const std::string& what) noexcept override {
    {
      const std::lock_guard lock(mutex_);
      if (announced_) return;
      announced_ = true;
    }
    tell(failed_text_, what);
  }
  std::string failure() override {
    const std::lock_guard lock(mutex_);
    int flag = 1;
    while (heard_.empty() && flag) {
      MPI_Status status;
      if (MPI_Test(&listening_, &flag, &status) != MPI_SUCCESS || !flag) break;
      if (their_text_[0])
        heard_ = str("rank ", status.MPI_SOURCE, place(status.MPI_SOURCE), " failed: ", their_text_.data());
      else left_[static_cast<size_t>(status.MPI_SOURCE)] = true;
      listen();
    }
    return heard_;
  }
  bool has_left(int rank) override {
    const std::lock_guard lock(mutex_);
    return left_[static_cast<size_t>(rank)];
  }

  void end_within(double seconds) override { seconds_ = std::max(seconds_, seconds); }
  /// The end of the process. Ranks that failed end the job: the others could wait for ever.
  void finish() {
    if (announced_ || !failure().empty()) end_job();
    std::array<char, kAnnouncement> nothing{};
    tell(nothing, "");
    MPI_Request r;
    const auto begin = std::chrono::steady_clock::now();
    int flag = MPI_Ibarrier(messages_, &r) == MPI_SUCCESS ? 0 : 1;
    for (int turns = 0; !flag && MPI_Test(&r, &flag, MPI_STATUS_IGNORE) == MPI_SUCCESS && !flag; ++turns) {
      if (!failure().empty()) end_job();
      if (std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() > seconds_) {
        std::fprintf(stderr,
                     "weft: rank %d ended %g s ago and others did not; the job is ended (a longer wait: timeout in "
                     "InitOptions, or set_timeout)\n",
                     rank(), seconds_);
        end_job();
      }
      idle(turns, false);
    }
    for (int turns = 0; turns < 1000 && !all_left(); ++turns) idle(turns, false), (void)failure();
    int unread = 0;
    if (MPI_Status s; MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, messages_, &unread, &s) == MPI_SUCCESS && unread) {
      std::fprintf(stderr, "weft: send: rank %d ended without receiving a message of rank %d; the job is ended\n",
                   rank(), s.MPI_SOURCE);
      _exit(3);  // the others are in MPI_Finalize, where MPICH's MPI_Abort may hang
    }
    MPI_Cancel(&listening_);
    MPI_Wait(&listening_, MPI_STATUS_IGNORE);
    MPI_Comm_free(&announcements_);
    MPI_Comm_free(&messages_);
    MPI_Finalize();
  }

 private:
  int64_t keep(MPI_Request r) {
    const std::lock_guard lock(mutex_);
    pending_[next_] = r;
    return next_++;
  }
  bool all_left() const {
    for (int r = 0; r < size(); ++r)
      if (r != rank() && !left_[static_cast<size_t>(r)]) return false;
    return true;
  }
  void end_job() {
    usleep(500000);  // the others say what they heard before the launcher ends them
    MPI_Abort(messages_, 3);
  }
  /// What to all others; "": this rank has left.
  void tell(std::array<char, kAnnouncement>& text, const std::string& what) noexcept {
    std::strncpy(text.data(), what.c_str(), text.size() - 1);
    for (int r = 0; r < size(); ++r)
      if (MPI_Request request;
          r != rank() && MPI_Isend(text.data(), kAnnouncement, MPI_CHAR, r, 0, announcements_, &request) == MPI_SUCCESS)
        MPI_Request_free(&request);
  }
  void listen() {
    check(MPI_Irecv(their_text_.data(), kAnnouncement, MPI_CHAR, MPI_ANY_SOURCE, 0, announcements_, &listening_),
          "MPI_Irecv");
  }

  MPI_Comm messages_, announcements_;
  int local_rank_, local_size_;
  double seconds_;
  std::vector<std::string> places_;
  std::mutex mutex_;
  std::map<int64_t, MPI_Request> pending_;
  int64_t next_ = 0;
  MPI_Request listening_ = MPI_REQUEST_NULL;
  std::array<char, kAnnouncement> failed_text_{}, their_text_{};
  std::string heard_;
  std::vector<bool> left_;
  bool announced_ = false;
};

std::shared_ptr<MpiTransport>& joined() {
  static auto* t = new std::shared_ptr<MpiTransport>;  // used at exit
  return *t;
}

}  // namespace
}  // namespace weft::comm::mpi

extern "C" __attribute__((visibility("default"))) bool weft_mpi_connect(
    int abi, double seconds, std::shared_ptr<weft::comm::Transport>& transport, std::string& why) {
  using namespace weft::comm::mpi;
  if (abi != kAbi) {
    why = "the plugin is of another version of weft";
    return false;
  }
  int begun = 0, level = MPI_THREAD_SINGLE;
  Watchdog watchdog(seconds);
  MPI_Initialized(&begun);
  watchdog.phase("MPI_Init_thread");
  if (!begun) MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level);
  else MPI_Query_thread(&level);
  if (level < MPI_THREAD_MULTIPLE) {
    why = "MPI does not let several threads call it; initialise it with MPI_THREAD_MULTIPLE, or leave that to weft";
    return false;
  }
  MPI_Comm messages, announcements, node;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  watchdog.phase("MPI_Comm_dup");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &messages), "MPI_Comm_dup");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &announcements), "MPI_Comm_dup");
  MPI_Comm_set_errhandler(messages, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(announcements, MPI_ERRORS_RETURN);
  int rank = 0, size = 1, local_rank = 0, local_size = 1;
  MPI_Comm_rank(messages, &rank);
  MPI_Comm_size(messages, &size);
  watchdog.phase("MPI_Comm_split_type");
  check(MPI_Comm_split_type(messages, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
  MPI_Comm_rank(node, &local_rank);
  MPI_Comm_size(node, &local_size);
  MPI_Comm_free(&node);
  watchdog.phase("MPI_Allgather");
  joined() = std::make_shared<MpiTransport>(messages, announcements, rank, size, local_rank, local_size, seconds);
  static const pid_t process = getpid();  // a child of fork() says no farewell
  if (!begun)
    std::atexit([] {
      if (getpid() == process) joined()->finish();
    });
  transport = joined();
  return true;
}
