#include "weft/backends/cuda/services.h"

#include <cuda_runtime.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "weft/backends/cuda/register.h"
#include "weft/core/allocator.h"
#include "weft/core/backend.h"
#include "weft/core/error.h"

namespace weft::cuda {

void check(int e, const char* what) {
  if (e == cudaSuccess) [[likely]]
    return;
  (void)cudaGetLastError();  // not the next call's
  raise<DeviceError>("cuda: ", what, ": ", cudaGetErrorString(static_cast<cudaError_t>(e)));
}

namespace {

constexpr int kMostDevices = 16;

thread_local int t_device = -1;  // what cudaSetDevice was last told here
thread_local cudaStream_t t_stream[kMostDevices] = {};

void use(int device) {
  if (t_device == device) return;
  check(cudaSetDevice(device), "cudaSetDevice");
  t_device = device;
}

struct Site {
  const char* op;
  int64_t dim;
};
std::mutex g_sites_mutex;
std::vector<Site> g_sites{{"", 0}};

struct DeviceState;

/// Memory that was allocated on one stream; it is used again in that stream's order.
struct Pool {
  Pool(DeviceState& device, cudaStream_t s);
  cudaStream_t stream;
  CachingAllocator memory;
};

struct Live {
  Pool* pool;
  std::vector<cudaStream_t> others;  // that use it too
};

/// What a device owns. Never destroyed: the driver may be gone by then.
struct DeviceState {
  int index = 0;
  std::once_flag ready;
  std::mutex mutex;
  std::unordered_map<cudaStream_t, std::unique_ptr<Pool>> pools;
  std::unordered_map<void*, Live> live;
  std::vector<cudaStream_t> retired;  // streams that nobody holds any more
  Fault* fault = nullptr;
  int multiprocessors = 0;
  size_t limit = 0, reserved = 0;  // of all pools together

  Pool& pool(cudaStream_t s) {
    std::unique_ptr<Pool>& p = pools[s];
    if (!p) {
      p = std::make_unique<Pool>(*this, s);
      p->memory.set_limit(limit);  // for its messages
    }
    return *p;
  }
};

Pool::Pool(DeviceState& device, cudaStream_t s)
    : stream(s),
      memory("cuda:" + std::to_string(device.index), {.allocate = [&device, s](size_t n) -> void* {
                                                        if (device.limit && device.reserved + n > device.limit)
                                                          return nullptr;
                                                        use(device.index);
                                                        void* p = nullptr;
                                                        if (cudaMallocAsync(&p, n, s) == cudaSuccess) {
                                                          device.reserved += n;
                                                          return p;
                                                        }
                                                        (void)cudaGetLastError();
                                                        return nullptr;
                                                      },
                                                      .release =
                                                          [&device, s](void* p, size_t n) {
                                                            use(device.index);
                                                            (void)cudaFreeAsync(p, s);
                                                            device.reserved -= n;
                                                          },
                                                      .host_memory = false}) {}

DeviceState& state(int device) {
  static DeviceState* all = [] {
    auto* s = new DeviceState[kMostDevices];
    for (int i = 0; i < kMostDevices; ++i) s[i].index = i;
    return s;
  }();
  DeviceState& s = all[device];
  std::call_once(s.ready, [&] {  // asked for with every launch: no lock after the first time
    use(device);
    void* p = nullptr;
    check(cudaHostAlloc(&p, sizeof(Fault), cudaHostAllocMapped), "cudaHostAlloc");
    s.fault = new (p) Fault{};
    check(cudaDeviceGetAttribute(&s.multiprocessors, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
  });
  return s;
}

/// What a kernel of this device reported; the device has been waited for.
void raise_fault(int device) {
  Fault& f = *state(device).fault;
  if (f.site == 0) [[likely]]
    return;
  const Fault seen = f;
  f = {};
  Site site;
  {
    std::lock_guard lock(g_sites_mutex);
    site = g_sites[static_cast<size_t>(seen.site)];
  }
  raise<ValueError>(site.op, ": index ", seen.index, " is out of range for dimension ", site.dim, " of size ",
                    seen.size, " (on cuda:", device, "; noticed after the kernel ran, its result is not valid)");
}

bool pinned(const void* p) {
  cudaPointerAttributes a{};
  if (cudaPointerGetAttributes(&a, p) == cudaSuccess) return a.type == cudaMemoryTypeHost;
  (void)cudaGetLastError();
  return false;
}

}  // namespace

int device() { return t_device < 0 ? 0 : t_device; }
void* stream() { return t_stream[device()]; }
int multiprocessors() { return state(device()).multiprocessors; }
Fault* fault() { return state(device()).fault; }

int32_t fault_site(const char* op, int64_t dim) {
  std::lock_guard lock(g_sites_mutex);
  for (size_t i = 1; i < g_sites.size(); ++i)
    if (g_sites[i].dim == dim && std::strcmp(g_sites[i].op, op) == 0) return static_cast<int32_t>(i);
  g_sites.push_back({op, dim});
  return static_cast<int32_t>(g_sites.size() - 1);
}

void Scratch::reset(size_t bytes) {
  if (p_) backend(DeviceType::cuda).deallocate(p_, bytes_, device_);
  p_ = nullptr;
  bytes_ = bytes;
  device_ = cuda::device();
  if (bytes) p_ = backend(DeviceType::cuda).allocate(bytes, device_);
}

namespace {

/// Pinned memory that small uploads of a thread pass through: a copy from pageable memory may make the host wait.
/// Segments are used in turn; one is used again when the copies from it are done, which by then they are.
class Staging {
 public:
  /// Room for `bytes` that stays as it is until a copy that is put into `s` next has read it; null for too many.
  void* take(size_t bytes, cudaStream_t s) {
    if (bytes > kSegment) return nullptr;
    if (!memory_) {
      void* p = nullptr;
      check(cudaHostAlloc(&p, kSegments * kSegment, cudaHostAllocDefault), "cudaHostAlloc");
      memory_ = static_cast<char*>(p);
      for (cudaEvent_t& e : events_) check(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "cudaEventCreate");
      stream_ = s;
    }
    if (used_ + bytes > kSegment || s != stream_) {
      check(cudaEventRecord(events_[segment_], stream_), "cudaEventRecord");
      segment_ = (segment_ + 1) % kSegments;
      check(cudaEventSynchronize(events_[segment_]), "cudaEventSynchronize");
      used_ = 0;
      stream_ = s;
    }
    void* p = memory_ + segment_ * kSegment + used_;
    used_ += (bytes + 63) / 64 * 64;
    return p;
  }

 private:
  static constexpr size_t kSegment = size_t{512} << 10, kSegments = 8;
  char* memory_ = nullptr;  // never freed: at the end of a thread the driver may be gone
  cudaEvent_t events_[kSegments] = {};
  cudaStream_t stream_ = nullptr;
  size_t segment_ = 0, used_ = 0;
};

}  // namespace

Upload::Upload(const void* host, size_t bytes) : memory_(bytes) {
  thread_local Staging staging[kMostDevices];
  auto s = static_cast<cudaStream_t>(stream());
  if (void* p = staging[cuda::device()].take(bytes, s)) host = std::memcpy(p, host, bytes);
  check(cudaMemcpyAsync(memory_.as(), host, bytes, cudaMemcpyHostToDevice, s), "cudaMemcpyAsync");
}

namespace {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int count) : count_(count) {}

  int device_count() const override { return count_; }
  DeviceProperties properties(int device) const override {
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, device), "cudaGetDeviceProperties");
    return {.name = p.name,
            .total_memory = p.totalGlobalMem,
            .multiprocessors = p.multiProcessorCount,
            .major = p.major,
            .minor = p.minor};
  }
  std::string info(int device) const override {
    const DeviceProperties p = properties(device);
    return str("cuda:", device, ", ", p.name, ", ", p.total_memory >> 20, " MiB, compute capability ", p.major, ".",
               p.minor);
  }
  void activate(int device) override { use(device); }

  void* allocate(size_t bytes, int device) override {
    use(device);
    DeviceState& s = state(device);
    std::lock_guard lock(s.mutex);
    Pool& pool = s.pool(t_stream[device]);
    void* p = nullptr;
    try {
      p = pool.memory.allocate(bytes);
    } catch (const OutOfMemory&) {
      // what other streams cache may be enough
      for (auto& [stream, other] : s.pools) other->memory.empty_cache();
      check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
      p = pool.memory.allocate(bytes);
    }
    s.live.emplace(p, Live{&pool, {}});
    return p;
  }
  void deallocate(void* p, size_t bytes, int device) noexcept override {
    DeviceState& s = state(device);
    std::lock_guard lock(s.mutex);
    auto it = s.live.find(p);
    for (cudaStream_t other : it->second.others) {  // its own stream goes on when the others have got here
      cudaEvent_t event = nullptr;
      if (cudaEventCreateWithFlags(&event, cudaEventDisableTiming) != cudaSuccess) continue;
      (void)cudaEventRecord(event, other);
      (void)cudaStreamWaitEvent(it->second.pool->stream, event, 0);
      (void)cudaEventDestroy(event);
    }
    it->second.pool->memory.deallocate(p, bytes);
    s.live.erase(it);
  }

  void copy(void* dst, Device to, const void* src, Device from, size_t bytes, bool non_blocking) override {
    if (bytes == 0) return;
    const bool down = to.type == DeviceType::cpu, up = from.type == DeviceType::cpu;
    const int device = down ? from.index : to.index;
    use(device);
    cudaStream_t s = t_stream[device];
    if (!down && !up && to.index != from.index) {
      // the source's stream first, as the bytes are made there
      check(cudaSetDevice(from.index), "cudaSetDevice");
      t_device = from.index;
      check(cudaStreamSynchronize(t_stream[from.index]), "cudaStreamSynchronize");
      use(device);
      check(cudaMemcpyPeerAsync(dst, to.index, src, from.index, bytes, s), "cudaMemcpyPeerAsync");
      return check(cudaStreamSynchronize(s), "cudaStreamSynchronize");
    }
    check(cudaMemcpyAsync(dst, src, bytes,
                          down ? cudaMemcpyDeviceToHost : (up ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToDevice), s),
          "cudaMemcpyAsync");
    if (!down && !up) return;
    const bool queued = pinned(down ? dst : src);
    if (queued && non_blocking) return;
    if (!down && !queued) return;  // pageable: read when the call returned
    check(cudaStreamSynchronize(s), "cudaStreamSynchronize");
    if (down) raise_fault(device);
  }
  void* allocate_pinned(size_t bytes) override {
    void* p = nullptr;
    const cudaError_t e = cudaHostAlloc(&p, bytes ? bytes : 1, cudaHostAllocPortable);
    if (e != cudaSuccess) {
      (void)cudaGetLastError();
      raise<OutOfMemory>("cuda: no pinned memory for ", bytes, " bytes: ", cudaGetErrorString(e));
    }
    return p;
  }
  void deallocate_pinned(void* p, size_t) noexcept override { (void)cudaFreeHost(p); }

  bool asynchronous() const override { return true; }
  void synchronize(int device) override {
    use(device);
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    raise_fault(device);
  }

  MemoryStats memory_stats(int device) const override {
    DeviceState& s = state(device);
    std::lock_guard lock(s.mutex);
    MemoryStats sum;
    for (auto& [stream, pool] : s.pools) {
      const MemoryStats m = pool->memory.stats();
      sum.active += m.active;
      sum.peak_active += m.peak_active;
      sum.reserved += m.reserved;
      sum.cached += m.cached;
      sum.allocations += m.allocations;
      sum.system_allocations += m.system_allocations;
    }
    sum.limit = s.limit;
    return sum;
  }
  void reset_peak_memory_stats(int device) override {
    each_pool(device, [](Pool& p) { p.memory.reset_peak(); });
  }
  void empty_cache(int device) override {
    each_pool(device, [](Pool& p) { p.memory.empty_cache(); });
    synchronize(device);
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
    check(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
  }
  void set_memory_limit(size_t bytes, int device) override {
    DeviceState& s = state(device);
    std::lock_guard lock(s.mutex);
    s.limit = bytes;
    for (auto& [stream, pool] : s.pools) pool->memory.set_limit(bytes);
  }

  void* new_stream(int device) override {
    use(device);
    DeviceState& d = state(device);
    std::lock_guard lock(d.mutex);
    cudaStream_t s = nullptr;
    if (d.retired.empty()) {
      check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreate");
    } else {
      s = d.retired.back();
      d.retired.pop_back();
    }
    return s;
  }
  void free_stream(int device, void* stream) noexcept override {
    // Its memory pool, and tensors in it, may live on: it is kept for the next one who asks.
    DeviceState& s = state(device);
    std::lock_guard lock(s.mutex);
    s.retired.push_back(static_cast<cudaStream_t>(stream));
  }
  void* current_stream(int device) override { return t_stream[device]; }
  void set_stream(int device, void* stream) override { t_stream[device] = static_cast<cudaStream_t>(stream); }
  void synchronize_stream(int device, void* stream) override {
    use(device);
    check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize");
    raise_fault(device);
  }
  void record_stream(void* p, int device, void* stream) override {
    DeviceState& s = state(device);
    std::lock_guard lock(s.mutex);
    auto it = s.live.find(p);
    if (it != s.live.end() && it->second.pool->stream != stream)
      it->second.others.push_back(static_cast<cudaStream_t>(stream));
  }
  void* new_event(int device) override {
    use(device);
    cudaEvent_t e = nullptr;
    check(cudaEventCreate(&e), "cudaEventCreate");
    return e;
  }
  void free_event(int, void* event) noexcept override { (void)cudaEventDestroy(static_cast<cudaEvent_t>(event)); }
  void record_event(int device, void* event, void* stream) override {
    use(device);
    check(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)), "cudaEventRecord");
  }
  void wait_event(int device, void* stream, void* event) override {
    use(device);
    check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0),
          "cudaStreamWaitEvent");
  }
  void synchronize_event(int device, void* event) override {
    check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
    raise_fault(device);
  }
  bool event_done(int, void* event) override {
    const cudaError_t e = cudaEventQuery(static_cast<cudaEvent_t>(event));
    if (e == cudaErrorNotReady) {
      (void)cudaGetLastError();
      return false;
    }
    check(e, "cudaEventQuery");
    return true;
  }
  double elapsed_ms(void* from, void* to) override {
    float ms = 0;
    check(cudaEventElapsedTime(&ms, static_cast<cudaEvent_t>(from), static_cast<cudaEvent_t>(to)),
          "cudaEventElapsedTime");
    return ms;
  }

 private:
  template <class F> void each_pool(int device, const F& f) {
    DeviceState& s = state(device);
    std::lock_guard lock(s.mutex);
    for (auto& [stream, pool] : s.pools) f(*pool);
  }
  int count_;
};

}  // namespace

const char* register_services() {
  static std::string why;
  int count = 0;
  const cudaError_t e = cudaGetDeviceCount(&count);
  if (e == cudaSuccess && count > 0) {
    static auto* backend = new CudaBackend(count < kMostDevices ? count : kMostDevices);
    register_backend(DeviceType::cuda, backend);
    return nullptr;
  }
  (void)cudaGetLastError();
  int driver = 0;
  (void)cudaDriverGetVersion(&driver);
  if (driver == 0) why = "there is no NVIDIA driver on this machine";
  else if (e == cudaErrorInsufficientDriver)
    why = str("the NVIDIA driver is too old: it knows CUDA ", driver / 1000, ".", driver % 1000 / 10, ", needed is ",
              CUDART_VERSION / 1000, ".", CUDART_VERSION % 1000 / 10);
  else why = str("there is no CUDA device on this machine (", cudaGetErrorString(e), ")");
  return why.c_str();
}

}  // namespace weft::cuda
