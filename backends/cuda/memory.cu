#include "weft/backends/cuda/memory.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "weft/backends/cuda/fault.h"
#include "weft/core/error.h"

namespace weft::cuda {
namespace {

constexpr uint64_t kGraphs = UINT64_MAX;  // in the place of a capture: all graphs of the stream
constexpr size_t kBlockAlignment = 512;   // as cudaMalloc gives: no kernel's choice depends on which block it got

FaultPlaces& fault_places() {
  static auto* places = new FaultPlaces;
  return *places;
}

std::string_view chosen_allocator() {
  const char* value = std::getenv("WEFT_CUDA_ALLOCATOR");
  return value && *value ? value : "caching";
}

}  // namespace

bool known_allocator(const char* value) {
  return !value || !*value || std::string_view(value) == "caching" || std::string_view(value) == "direct";
}

DeviceState::Pool::Pool(DeviceState& device, cudaStream_t s, bool of_capture)
    : stream(s),
      captured(of_capture),
      memory("cuda:" + std::to_string(device.index_),
             {.allocate =
                  [this, &device](size_t n) {
                    if (captured) segments.reserve(segments.size() + 1);
                    void* p = device.take(n, stream, device.pools_supported_ && !captured);
                    if (captured && p) segments.emplace_back(p, n);
                    return p;
                  },
              .release =
                  [this, &device](void* p, size_t n) {
                    if (!captured)
                      device.give(p, n, stream, device.pools_supported_);  // else its graph may still use it
                  },
              .host_memory = false,
              .alignment = kBlockAlignment}) {}

void DeviceState::open(int index) {
  index_ = index;
  direct_ = chosen_allocator() == "direct";
  const OnDevice on(index);
  const DuringCapture allowed;
  int pools = 0;
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, index), "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, index), "cudaDeviceGetAttribute");
  pools_supported_ = pools != 0;
  void* p = nullptr;
  check(cudaHostAlloc(&p, sizeof(Fault), cudaHostAllocMapped), "cudaHostAlloc");
  fault_ = new (p) Fault;
}

void* DeviceState::take(size_t n, cudaStream_t s, bool queued) {
  if (limit_ && reserved_ + n > limit_) return nullptr;
  const DuringCapture allowed;
  void* p = nullptr;
  const cudaError_t e = queued ? cudaMallocAsync(&p, n, s) : cudaMalloc(&p, n);
  if (e == cudaErrorMemoryAllocation) {
    (void)ok(e);
    return nullptr;
  }
  check(e, queued ? "cudaMallocAsync" : "cudaMalloc");
  reserved_ += n;
  return p;
}

void DeviceState::give(void* p, size_t n, cudaStream_t s, bool queued) noexcept {
  const OnDevice on(index_, std::nothrow);
  const DuringCapture allowed;
  (void)ok(queued ? cudaFreeAsync(p, s) : cudaFree(p));
  reserved_ -= n;
}

DeviceState::Pool& DeviceState::pool_of_current_stream() {
  cudaStream_t s = current_stream(index_);
  if (const auto t = taking_.find(s); t != taking_.end()) return *t->second;
  return pool_of(s, capture_of(s));
}

DeviceState::Pool& DeviceState::pool_of(cudaStream_t s, uint64_t capture) {
  std::unique_ptr<Pool>& p = pools_[{s, capture}];
  if (!p) {
    p = std::make_unique<Pool>(*this, s, capture != 0);
    p->memory.set_limit(limit_);  // for its messages
  }
  return *p;
}

void* DeviceState::allocate(size_t bytes) {
  const OnDevice on(index_);
  std::lock_guard lock(mutex_);
  if (direct_) return allocate_direct(bytes);
  Pool& pool = pool_of_current_stream();
  void* p = nullptr;
  try {
    p = pool.memory.allocate(bytes);
  } catch (const OutOfMemory&) {
    empty_pools();  // what other streams cache may be enough
    for (auto& [key, other] : pools_)
      if (!capture_of(other->stream)) (void)ok(cudaStreamSynchronize(other->stream));
    p = pool.memory.allocate(bytes);
  }
  try {
    live_.emplace(p, Live{&pool, {}});
  } catch (...) {
    pool.memory.deallocate(p, bytes);
    throw;
  }
  return p;
}

/// For tools that watch every block: each is the driver's own.
void* DeviceState::allocate_direct(size_t bytes) {
  refuse_capture(current_stream(index_), "memory with WEFT_CUDA_ALLOCATOR=direct");
  void* p = take(std::max<size_t>(bytes, 1), nullptr, false);
  if (!p)
    raise<OutOfMemory>("cuda:", index_, ": out of memory: ", bytes, " bytes requested; active ", direct_stats_.active,
                       ", limit ", limit_ ? std::to_string(limit_) : "none", " (WEFT_CUDA_ALLOCATOR=direct)");
  try {
    live_.emplace(p, Live{nullptr, {}});
  } catch (...) {
    (void)ok(cudaFree(p));
    reserved_ -= std::max<size_t>(bytes, 1);
    throw;
  }
  direct_stats_.active += bytes;
  direct_stats_.peak_active = std::max(direct_stats_.peak_active, direct_stats_.active);
  ++direct_stats_.allocations;
  ++direct_stats_.system_allocations;
  return p;
}

void DeviceState::deallocate(void* p, size_t bytes) noexcept {
  const OnDevice on(index_, std::nothrow);
  std::lock_guard lock(mutex_);
  const auto it = live_.find(p);
  Live& block = it->second;
  if (!block.pool) {
    (void)ok(cudaDeviceSynchronize());
    (void)ok(cudaFree(p));
    reserved_ -= std::max<size_t>(bytes, 1);
    direct_stats_.active -= bytes;
  } else {
    for (cudaStream_t other : block.others) {
      if (!block.pool->captured && capture_of(other)) block.graphs = true;
      else order(block.pool->stream, other);
    }
    if (!block.graphs) block.pool->memory.deallocate(p, bytes);
  }
  live_.erase(it);
}

void DeviceState::record_stream(void* p, cudaStream_t s) {
  std::lock_guard lock(mutex_);
  const auto it = live_.find(p);
  if (it == live_.end() || !it->second.pool || it->second.pool->stream == s) return;
  Live& block = it->second;
  if (!block.pool->captured && capture_of(s)) block.graphs = true;
  else if (std::find(block.others.begin(), block.others.end(), s) == block.others.end()) block.others.push_back(s);
}

void DeviceState::empty_pools() noexcept {
  for (auto& [key, pool] : pools_)
    if (!pool->captured && !capture_of(pool->stream)) pool->memory.empty_cache();
}

void DeviceState::empty_cache() {
  const OnDevice on(index_);
  {
    std::lock_guard lock(mutex_);
    empty_pools();
  }
  const std::unique_lock nobody_makes(making_mutex_);
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  raise_fault();
  if (!pools_supported_) return;
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, index_), "cudaDeviceGetDefaultMemPool");
  check(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
}

MemoryStats DeviceState::stats() {
  std::lock_guard lock(mutex_);
  MemoryStats sum = direct_stats_;
  sum.reserved = sum.active;
  for (auto& [key, pool] : pools_) {
    const MemoryStats m = pool->memory.stats();
    sum.active += m.active;
    sum.peak_active += m.peak_active;
    sum.reserved += m.reserved;
    sum.cached += m.cached;
    sum.allocations += m.allocations;
    sum.system_allocations += m.system_allocations;
  }
  sum.limit = limit_;
  return sum;
}

void DeviceState::reset_peak() {
  std::lock_guard lock(mutex_);
  direct_stats_.peak_active = direct_stats_.active;
  for (auto& [key, pool] : pools_) pool->memory.reset_peak();
}

void DeviceState::set_limit(size_t bytes) {
  std::lock_guard lock(mutex_);
  limit_ = bytes;
  for (auto& [key, pool] : pools_) pool->memory.set_limit(bytes);
}

cudaStream_t DeviceState::new_stream() {
  const OnDevice on(index_);
  std::lock_guard lock(streams_mutex_);
  cudaStream_t s = nullptr;
  if (!retired_.empty()) {
    s = retired_.back();
    retired_.pop_back();
    return s;
  }
  retired_.reserve(streams_ + 1);  // free_stream must not fail
  check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreate");
  ++streams_;
  return s;
}

/// Its memory pool, and tensors in it, may live on: it is kept for the next one who asks.
void DeviceState::free_stream(cudaStream_t s) noexcept {
  std::lock_guard lock(streams_mutex_);
  retired_.push_back(s);
}

void DeviceState::add_graph(cudaStream_t s) {
  std::lock_guard lock(mutex_);
  ++pool_of(s, kGraphs).graphs;
}

void DeviceState::end_graph(cudaStream_t s) noexcept {
  const OnDevice on(index_, std::nothrow);
  std::unique_lock nobody_makes(making_mutex_);
  std::lock_guard lock(mutex_);
  const auto it = pools_.find({s, kGraphs});
  Pool& pool = *it->second;
  if (--pool.graphs > 0 || pool.memory.stats().active > 0) return;
  for (const auto& [p, n] : pool.segments) give(p, n, s, false);
  pools_.erase(it);
}

void DeviceState::take_graph(cudaStream_t capturing, cudaStream_t s) {
  std::lock_guard lock(mutex_);
  taking_[capturing] = &pool_of(s, kGraphs);
}

void DeviceState::took_graph(cudaStream_t capturing) noexcept {
  std::lock_guard lock(mutex_);
  taking_.erase(capturing);
}

cudaEvent_t DeviceState::mark(cudaStream_t s) noexcept {
  const OnDevice on(index_, std::nothrow);
  cudaEvent_t e = nullptr;
  {
    std::lock_guard lock(streams_mutex_);
    if (!events_.empty()) {
      e = events_.back();
      events_.pop_back();
    } else {
      try {
        events_.reserve(event_count_ + 1);  // end_mark must not fail
      } catch (const std::bad_alloc&) { return nullptr; }
      if (!ok(cudaEventCreateWithFlags(&e, cudaEventDisableTiming))) return nullptr;
      ++event_count_;
    }
  }
  if (ok(cudaEventRecord(e, s))) return e;
  end_mark(e);
  return nullptr;
}

void DeviceState::end_mark(cudaEvent_t e) noexcept {
  std::lock_guard lock(streams_mutex_);
  events_.push_back(e);
}

void DeviceState::order(cudaStream_t s, cudaStream_t other) noexcept {
  const OnDevice on(index_, std::nothrow);
  const bool together = capture_of(s) == capture_of(other);  // a graph waits for nothing outside of it
  if (cudaEvent_t e = together ? mark(other) : nullptr) {
    const bool done = ok(cudaStreamWaitEvent(s, e, 0));
    end_mark(e);
    if (done) return;
  }
  const DuringCapture allowed;
  (void)ok(cudaStreamSynchronize(other));
}

void DeviceState::reach(DeviceState& from) {
  std::lock_guard lock(mutex_);
  if (reached_[from.index_]) return;
  reached_[from.index_] = true;
  int can = 0;
  if (!ok(cudaDeviceCanAccessPeer(&can, index_, from.index_)) || !can) return;
  const OnDevice on(index_);
  (void)ok(cudaDeviceEnablePeerAccess(from.index_, 0));  // cudaMalloc's memory; others may have done it already
  cudaMemPool_t pool = nullptr;
  if (!from.pools_supported_ || !ok(cudaDeviceGetDefaultMemPool(&pool, from.index_))) return;
  cudaMemAccessDesc access{};
  access.location.type = cudaMemLocationTypeDevice;
  access.location.id = index_;
  access.flags = cudaMemAccessFlagsProtReadWrite;
  (void)ok(cudaMemPoolSetAccess(pool, &access, 1));
}

void DeviceState::raise_fault() {
  if (const std::optional<Fault> f = take_fault(*fault_)) [[unlikely]]
    fault_places()[f->site].raise(*f, index_);
}

DeviceState& state(int device) {
  struct Opened {
    std::once_flag once;
    DeviceState state;
  };
  static auto* all = new Opened[kMostDevices];
  std::call_once(all[device].once, [device] { all[device].state.open(device); });
  return all[device].state;
}

// What services.h promises of the current device.

cudaStream_t& current_stream(int device) noexcept {
  thread_local cudaStream_t streams[kMostDevices] = {};
  return streams[device];
}

int device() {
  int now = 0;
  check(cudaGetDevice(&now), "cudaGetDevice");
  return now;
}
void* stream() { return current_stream(device()); }
int multiprocessors() { return state(device()).multiprocessors(); }
Fault* fault() { return state(device()).fault(); }
int32_t fault_site(const char* op, int64_t dim, const char* what) { return fault_places().number(op, what, dim); }

void Scratch::reset(size_t bytes) {
  if (p_) state(device_).deallocate(p_, bytes_);
  p_ = nullptr;
  if (bytes == 0) return;
  bytes_ = bytes;
  device_ = cuda::device();
  p_ = state(device_).allocate(bytes);
}

}  // namespace weft::cuda
