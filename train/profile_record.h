// What a profiler records: a log for each thread, written without a lock and read at any time. Internal to train.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/core/kernels.h"
#include "weft/nn/module.h"
#include "weft/train/profiler.h"

namespace weft::training::detail {

enum class ProfileKind : uint8_t { kernel, backward, module, range };

/// A call. Times are nanoseconds since the session began.
struct ProfileEvent {
  int64_t begin = 0;
  const KernelSlot* slot = nullptr;  // of a kernel
  uint32_t name = 0, module = 0;     // numbers of a name and of a module
  uint32_t parent = 0;               // 1 + the number of the call around it; 0: none
  ProfileKind kind = ProfileKind::kernel;
  Dtype dtype = Dtype::f32;
  Device device;
  int64_t flop = 0, read = 0, written = 0;
  void *device_begin = nullptr, *device_end = nullptr;  // events of a device that runs beside the CPU
};
/// A block of memory that was allocated, or the end of one.
struct ProfileBlock {
  int64_t time = 0;
  uint64_t storage = 0;
  int64_t bytes = 0;  // -1: a storage that is freed
  Device device;
  uint32_t name = 0, module = 0, parent = 0;  // the op that names itself; as above
};

struct FinishedEvent : ProfileEvent {
  int64_t end = 0;
  double device_start_ms = 0, device_ms = 0;  // on its device's own clock
};
struct FinishedBlock : ProfileBlock {
  const KernelSlot* slot = nullptr;
};

/// What a thread did.
struct ProfileThread {
  std::vector<FinishedEvent> events;
  std::vector<FinishedBlock> blocks;
};
struct ProfileData {
  std::vector<ProfileThread> threads;
  std::vector<int64_t> steps;  // where each ended
  int64_t duration = 0, dropped = 0;
};

/// A list that one thread appends to while others read what is published.
template <class T> class ProfileLog {
 public:
  explicit ProfileLog(int64_t most) : most_(static_cast<size_t>(most)), chunks_((most_ + kChunk - 1) / kChunk) {}
  size_t size() const { return size_.load(std::memory_order_acquire); }
  T& operator[](size_t i) { return chunks_[i / kChunk][i % kChunk]; }
  /// The next one, which publish() shows to readers; null where the list is full.
  T* next() {
    const size_t i = size_.load(std::memory_order_relaxed);
    if (i == most_) return nullptr;
    if (!chunks_[i / kChunk]) chunks_[i / kChunk].reset(new T[kChunk]);
    return &(*this)[i];
  }
  void publish() { size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  static constexpr size_t kChunk = 2048;
  size_t most_;
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::atomic<size_t> size_{0};
};

/// A thread's log. The lower part is the thread's own.
struct ThreadLog {
  explicit ThreadLog(int64_t most) : events(most), blocks(most) { open.reserve(64); }
  struct Event : ProfileEvent {
    std::atomic<int64_t> end{0};  // 0: open
  };
  struct Block : ProfileBlock {
    std::atomic<const KernelSlot*> slot{nullptr};  // the kernel that got it
  };
  ProfileLog<Event> events;
  ProfileLog<Block> blocks;
  std::atomic<int64_t> dropped{0};
  uint32_t number = 0;  // among the threads

  struct Open {
    uint32_t event, module_before;
  };
  std::vector<Open> open;
  uint32_t module = 0;
  std::vector<size_t> pending;                     // blocks that no kernel got yet
  std::unordered_map<uint64_t, uint32_t> modules;  // by the number of a state
};

/// Names for as long as the process lives, by numbers from 1.
uint32_t number_of_name(std::string_view name);
const std::string& name_of(uint32_t number);
/// Modules likewise; the parent's number is 0 for the outermost.
struct ModuleName {
  std::string path;
  uint32_t parent;
};
const ModuleName& module_of(uint32_t number);

/// Opens a range in the log of the calling thread.
weft::detail::ProfileScope open_range(std::string_view name);

/// What is recorded between start and stop.
class ProfileSession {
 public:
  ProfileSession(const nn::Module* model, int64_t max_events);
  ~ProfileSession();
  /// Makes it the one that listens. ValueError if there is another.
  static void reserve(const std::shared_ptr<ProfileSession>& s);
  void listen();
  void stop();
  /// The calling thread keeps its log no longer.
  void forget();
  /// The one that was reserved, or null.
  static std::shared_ptr<ProfileSession> current();

  int64_t now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start_).count();
  }
  void step();
  ProfileData data();
  uint32_t number() const { return number_; }
  std::shared_ptr<ThreadLog> add_thread();
  /// The number of m, which is called while module number `around` is.
  uint32_t module_number(const nn::Module& m, uint32_t around);
  /// Once for each device: the moment from which its times are measured.
  void mark_device(Device d);

 private:
  void add_tree(const nn::Module& root, uint32_t number, const std::string& prefix);
  std::mutex mutex_;
  std::vector<std::shared_ptr<ThreadLog>> threads_;
  std::unordered_map<uint64_t, uint32_t> numbers_;    // by the number of a state
  std::unordered_map<uint32_t, nn::Module> modules_;  // the first of each name
  std::map<std::pair<int, int>, void*> device_starts_;
  std::vector<int64_t> steps_;
  std::chrono::steady_clock::time_point start_;
  int64_t stopped_ = -1, max_events_;
  uint32_t number_;
};

/// What a kernel computes and moves; zero where it is not counted.
struct KernelCost {
  int64_t flop = 0, read = 0, written = 0;
};
KernelCost cost_of(const weft::detail::KernelCall& call);

/// "conv", "conv2d backward", "Conv2d".
std::string label_of(const FinishedEvent& e);
/// The op that a block is for: the kernel that got it, or the op or call in which it was allocated.
std::string label_of(const ProfileThread& t, const FinishedBlock& b);
const char* word_of(ProfileKind kind);

/// Bytes of a device that were allocated, or freed where negative, in the order of time.
struct MemoryChange {
  const ProfileThread* thread;
  const FinishedBlock* block;  // that was allocated
  int64_t bytes, time = 0;
};
std::vector<MemoryChange> memory_changes(const ProfileData& data, Device device);

std::vector<ProfileRow> rows_of(const ProfileData& data, ProfileBy by);
std::string table_of(const ProfileData& data, const ProfileTableOptions& o);
void write_trace(const ProfileData& data, const std::string& path);
std::string memory_of(const ProfileData& data, Device device, int64_t rows);
std::string allocator_summary(Device device);

}  // namespace weft::training::detail
