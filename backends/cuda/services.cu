// The services of core/backend.h.
#include "weft/backends/cuda/services.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "weft/backends/cuda/device_graph.h"
#include "weft/backends/cuda/memory.h"
#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/transfer.h"
#include "weft/core/error.h"

namespace weft::cuda {
namespace {

cudaStream_t stream_of(void* s) { return static_cast<cudaStream_t>(s); }
cudaEvent_t event_of(void* e) { return static_cast<cudaEvent_t>(e); }

/// Of the environment; empty where it has none.
std::string_view setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

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
  void activate(int device) override { check(cudaSetDevice(device), "cudaSetDevice"); }

  void* allocate(size_t bytes, int device) override { return state(device).allocate(bytes); }
  void deallocate(void* p, size_t bytes, int device) noexcept override { state(device).deallocate(p, bytes); }
  void copy(void* dst, Device to, const void* src, Device from, size_t bytes, bool non_blocking) override {
    copy_bytes(dst, to, src, from, bytes, non_blocking);
  }
  void* allocate_pinned(size_t bytes) override { return cuda::allocate_pinned(bytes); }
  void deallocate_pinned(void* p, size_t) noexcept override { pinned_cache().deallocate(p); }

  bool asynchronous() const override { return true; }
  void synchronize(int device) override {
    const OnDevice on(device);
    refuse_capture(cuda::current_stream(device), "a wait for the device");
    const std::unique_lock nobody_makes(state(device).making());
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    state(device).raise_fault();
  }

  MemoryStats memory_stats(int device) const override { return state(device).stats(); }
  void reset_peak_memory_stats(int device) override { state(device).reset_peak(); }
  void empty_cache(int device) override {
    refuse_capture(cuda::current_stream(device), "an emptied cache");
    state(device).empty_cache();
    pinned_cache().empty();
  }
  void set_memory_limit(size_t bytes, int device) override { state(device).set_limit(bytes); }

  void* new_stream(int device) override { return state(device).new_stream(); }
  void free_stream(int device, void* stream) noexcept override { state(device).free_stream(stream_of(stream)); }
  void* current_stream(int device) override { return cuda::current_stream(device); }
  void set_stream(int device, void* stream) override { cuda::current_stream(device) = stream_of(stream); }
  void synchronize_stream(int device, void* stream) override {
    const OnDevice on(device);
    refuse_capture(stream_of(stream), "a wait for the stream");
    check(cudaStreamSynchronize(stream_of(stream)), "cudaStreamSynchronize");
    state(device).raise_fault();
  }
  void record_stream(void* p, int device, void* stream) override { state(device).record_stream(p, stream_of(stream)); }
  void* new_event(int device) override {
    const OnDevice on(device);
    cudaEvent_t e = nullptr;
    check(cudaEventCreate(&e), "cudaEventCreate");
    return e;
  }
  void free_event(int, void* event) noexcept override { (void)ok(cudaEventDestroy(event_of(event))); }
  void record_event(int device, void* event, void* stream) override {
    const OnDevice on(device);
    check(cudaEventRecord(event_of(event), stream_of(stream)), "cudaEventRecord");
  }
  void wait_event(int device, void* stream, void* event) override {
    const OnDevice on(device);
    check(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0), "cudaStreamWaitEvent");
  }
  void synchronize_event(int device, void* event) override {
    check(cudaEventSynchronize(event_of(event)), "cudaEventSynchronize");
    state(device).raise_fault();
  }
  bool event_done(int, void* event) override {
    const DuringCapture allowed;
    const cudaError_t e = cudaEventQuery(event_of(event));
    if (e == cudaErrorNotReady) return ok(e);
    check(e, "cudaEventQuery");
    return true;
  }
  double elapsed_ms(void* from, void* to) override {
    float ms = 0;
    check(cudaEventElapsedTime(&ms, event_of(from), event_of(to)), "cudaEventElapsedTime");
    return ms;
  }

  bool makes_graphs() const override { return graphs_; }
  std::unique_ptr<DeviceGraph> make_graph(int device, const std::function<void()>& work) override {
    return cuda::make_graph(device, work);
  }

 private:
  int count_;
  bool graphs_ = setting("WEFT_CUDA_GRAPHS") != "0" && setting("WEFT_CUDA_ALLOCATOR") != "direct";
};

}  // namespace

const char* register_services() {
  static std::string why;
  if (const char* allocator = std::getenv("WEFT_CUDA_ALLOCATOR"); !known_allocator(allocator)) {
    why = str("WEFT_CUDA_ALLOCATOR is \"", allocator, "\"; expected caching or direct");
    return why.c_str();
  }
  if (const std::string_view graphs = setting("WEFT_CUDA_GRAPHS"); !graphs.empty() && graphs != "0" && graphs != "1") {
    why = str("WEFT_CUDA_GRAPHS is \"", graphs, "\"; expected 0 or 1");
    return why.c_str();
  }
  int count = 0;
  const cudaError_t e = cudaGetDeviceCount(&count);
  if (e == cudaSuccess && count > 0) {
    static auto* backend = new CudaBackend(count < kMostDevices ? count : kMostDevices);
    register_backend(DeviceType::cuda, backend);
    return nullptr;
  }
  (void)ok(e);
  int driver = 0;
  (void)ok(cudaDriverGetVersion(&driver));
  if (driver == 0) why = "there is no NVIDIA driver on this machine";
  else if (e == cudaErrorInsufficientDriver)
    why = str("the NVIDIA driver is too old: it knows CUDA ", driver / 1000, ".", driver % 1000 / 10, ", needed is ",
              CUDART_VERSION / 1000, ".", CUDART_VERSION % 1000 / 10);
  else why = str("there is no CUDA device on this machine (", cudaGetErrorString(e), ")");
  return why.c_str();
}

}  // namespace weft::cuda
