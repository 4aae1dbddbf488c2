// The memory of a card: caching allocators over the driver's, a block's streams, what a device owns beside it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/backends/cuda/runtime.h"
#include "weft/core/allocator.h"
#include "weft/core/backend.h"

namespace weft::cuda {

inline constexpr int kMostDevices = 16;

/// What a device owns. Never destroyed: the driver may be gone by then.
class DeviceState {
 public:
  /// Asks the driver what the device can do. Called once.
  void open(int index);

  void* allocate(size_t bytes);
  void deallocate(void* p, size_t bytes) noexcept;
  /// The block waits for the stream, too, when it is freed.
  void record_stream(void* p, cudaStream_t s);
  void empty_cache();
  MemoryStats stats();
  void reset_peak();
  void set_limit(size_t bytes);

  cudaStream_t new_stream();
  void free_stream(cudaStream_t s) noexcept;
  /// A graph that runs in `s` is there, and is there no more. All of them share memory that nobody else gets: they run
  /// one after the other. The last one gives it back to the driver.
  void add_graph(cudaStream_t s);
  void end_graph(cudaStream_t s) noexcept;
  /// What is allocated on the stream `capturing` is memory of the graphs of `s`, until `took_graph`.
  void take_graph(cudaStream_t capturing, cudaStream_t s);
  void took_graph(cudaStream_t capturing) noexcept;

  /// A mark in the stream, from a store of them; null where that failed.
  cudaEvent_t mark(cudaStream_t s) noexcept;
  void end_mark(cudaEvent_t e) noexcept;  ///< back into the store
  /// `s` goes on when `other` has got here; where the device cannot be told so, the host waits for `other`.
  void order(cudaStream_t s, cudaStream_t other) noexcept;

  /// While a graph is made nobody can wait for the whole device. Held by those who make one (shared) and who wait.
  std::shared_mutex& making() { return making_mutex_; }

  /// This device may read and write the memory of `from` without a way over the host, if the machine allows it.
  void reach(DeviceState& from);
  /// ValueError where a kernel has reported something. The device, or a stream of it, has been waited for.
  void raise_fault();

  Fault* fault() const { return fault_; }
  int multiprocessors() const { return multiprocessors_; }
  int index() const { return index_; }

 private:
  /// Memory that was allocated on one stream; it is used again in that stream's order. What is allocated during a
  /// capture belongs to its graph, which may run at any time: it is used again within that capture alone, or, in graphs
  /// of captured models, by those of the stream.
  struct Pool {
    Pool(DeviceState& device, cudaStream_t s, bool captured);
    cudaStream_t stream;
    bool captured;
    int graphs = 0;                                  // that use it
    std::vector<std::pair<void*, size_t>> segments;  // of a capture
    CachingAllocator memory;
  };
  struct Live {
    Pool* pool;                        // null: the driver's own block (direct_)
    std::vector<cudaStream_t> others;  // that use it too, each once
    bool graphs = false;               // a graph that was captured uses it: nobody may have it again
  };

  /// The driver's memory, in the stream's order or (not `queued`) at once; null where there is no more.
  void* take(size_t n, cudaStream_t s, bool queued);
  void give(void* p, size_t n, cudaStream_t s, bool queued) noexcept;
  Pool& pool_of(cudaStream_t s, uint64_t capture);
  Pool& pool_of_current_stream();
  void empty_pools() noexcept;
  void* allocate_direct(size_t bytes);

  int index_ = 0, multiprocessors_ = 0;
  bool pools_supported_ = false, direct_ = false;
  Fault* fault_ = nullptr;
  std::mutex mutex_;
  std::map<std::pair<cudaStream_t, uint64_t>, std::unique_ptr<Pool>> pools_;  // by stream and capture
  std::map<cudaStream_t, Pool*> taking_;                                      // by stream that is captured
  std::unordered_map<void*, Live> live_;
  MemoryStats direct_stats_;
  size_t limit_ = 0, reserved_ = 0;  // of all pools together
  bool reached_[kMostDevices] = {};

  std::shared_mutex making_mutex_;
  std::mutex streams_mutex_;
  std::vector<cudaStream_t> retired_;  // streams that nobody holds any more
  size_t streams_ = 0;
  std::vector<cudaEvent_t> events_;  // of mark(), unused
  size_t event_count_ = 0;
};

/// Opened at the first call.
DeviceState& state(int device);
/// Is the value of WEFT_CUDA_ALLOCATOR one of those that there are?
bool known_allocator(const char* value);

}  // namespace weft::cuda
