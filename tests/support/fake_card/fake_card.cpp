#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "support/fake_card/cuda_runtime.h"

namespace fake_card {

struct Stream {
  int device;
  std::deque<std::function<bool()>> work;  // false: it has to wait
  unsigned long long capture = 0;
};
struct Event {
  int device;
  uint64_t recorded = 0, reached = 0;  // how often
  unsigned long long capture = 0;
};

namespace {

constexpr size_t kCapacity = size_t{1} << 30;

struct Failure {
  cudaError_t error;
  int times;
};
struct Block {
  int device;
  size_t bytes;
};
struct World {
  int devices = 2;
  std::map<std::string, int> calls;
  std::map<std::string, Failure> failures;
  std::vector<std::unique_ptr<Stream>> streams;
  std::map<int, Stream*> default_streams;
  std::map<char*, Block> memory;   // of the cards
  std::map<char*, size_t> pinned;  // of the host
  std::vector<char*> given_back;   // readable for ever
  int pageable = 0, captures = 0;  // captures: those that go on
  unsigned long long last_capture = 0;
  bool spoilt = false, pools = true;
};
World& w = *new World;  // never destroyed, as the backend's state
thread_local int t_device = 0;
thread_local cudaError_t t_error = cudaSuccess;
thread_local cudaStreamCaptureMode t_mode = cudaStreamCaptureModeGlobal;

cudaError_t end(cudaError_t e) {
  if (e != cudaSuccess) t_error = e;
  return e;
}
/// Counts the call; the error that it is to have.
cudaError_t called(const char* function) {
  ++w.calls[function];
  const auto f = w.failures.find(function);
  if (f == w.failures.end() || f->second.times == 0) return cudaSuccess;
  --f->second.times;
  return f->second.error;
}
/// What must not be called while anybody captures, unless the thread says that it may.
cudaError_t called_outside(const char* function) {
  const cudaError_t e = called(function);
  if (e != cudaSuccess || w.captures == 0 || t_mode == cudaStreamCaptureModeRelaxed) return e;
  w.spoilt = true;
  return cudaErrorStreamCaptureUnsupported;
}

Stream& stream_of(Stream* s) {
  if (s) return *s;
  Stream*& d = w.default_streams[t_device];
  if (!d) {
    w.streams.push_back(std::make_unique<Stream>(Stream{t_device, {}, 0}));
    d = w.streams.back().get();
  }
  return *d;
}
void put(Stream& s, std::function<bool()> work) {
  if (!s.capture) s.work.push_back(std::move(work));
}
bool step() {
  bool moved = false;
  for (size_t i = 0; i < w.streams.size(); ++i)
    while (!w.streams[i]->work.empty() && w.streams[i]->work.front()()) {
      w.streams[i]->work.pop_front();
      moved = true;
    }
  return moved;
}
/// Runs the one stream, and others only as far as it waits for them.
void run(Stream& s) {
  while (!s.work.empty()) {
    if (s.work.front()()) s.work.pop_front();
    else if (!step()) std::abort();  // it waits for ever
  }
}

cudaError_t take(void** p, size_t bytes) {
  if (taken(t_device) + bytes > kCapacity) return cudaErrorMemoryAllocation;
  *p = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  w.memory[static_cast<char*>(*p)] = {t_device, bytes};
  return cudaSuccess;
}
template <class T> cudaError_t release(std::map<char*, T>& from, void* p) {
  if (!from.erase(static_cast<char*>(p))) return cudaErrorInvalidValue;
  w.given_back.push_back(static_cast<char*>(p));
  return cudaSuccess;
}
template <class T> bool inside(const std::map<char*, T>& blocks, const void* p, size_t (*bytes)(const T&)) {
  auto at = blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (at == blocks.begin()) return false;
  --at;
  return static_cast<const char*>(p) < at->first + bytes(at->second);
}
bool is_pinned(const void* p) {
  return inside<size_t>(w.pinned, p, [](const size_t& n) { return n; });
}

}  // namespace

void reset(int count) {
  run_all();
  World fresh;
  fresh.devices = count;
  // what the backend keeps for ever stays known: memory, streams and their events
  fresh.streams = std::move(w.streams);
  fresh.default_streams = std::move(w.default_streams);
  fresh.memory = std::move(w.memory);
  fresh.pinned = std::move(w.pinned);
  fresh.given_back = std::move(w.given_back);
  fresh.last_capture = w.last_capture;
  w = std::move(fresh);
  t_device = 0;
  t_error = cudaSuccess;
}
int calls(const std::string& function) { return w.calls[function]; }
void fail(const std::string& function, cudaError_t e, int times) { w.failures[function] = {e, times}; }
void launch(Stream* s, std::function<void()> kernel) {
  put(stream_of(s), [kernel = std::move(kernel)] {
    kernel();
    return true;
  });
}
void run_all() {
  while (step()) {}
}
size_t taken(int device) {
  size_t n = 0;
  for (const auto& [p, b] : w.memory) n += b.device == device ? b.bytes : 0;
  return n;
}
int pageable_copies() { return w.pageable; }
void begin_capture(Stream* s) {
  s->capture = ++w.last_capture;
  ++w.captures;
  w.spoilt = false;
}
bool end_capture(Stream* s) {
  s->capture = 0;
  --w.captures;
  return !w.spoilt;
}
void set_memory_pools(bool supported) { w.pools = supported; }

}  // namespace fake_card

using namespace fake_card;

const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorNotSupported: return "operation not supported";
    default: return "an error";
  }
}
cudaError_t cudaGetLastError() { return std::exchange(t_error, cudaSuccess); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = w.devices;
  return end(called("cudaGetDeviceCount"));
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = t_device;
  return end(called("cudaGetDevice"));
}
cudaError_t cudaSetDevice(int device) {
  if (const cudaError_t e = called("cudaSetDevice"); e != cudaSuccess) return end(e);
  if (device < 0 || device >= w.devices) return end(cudaErrorInvalidDevice);
  t_device = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  const cudaError_t e = called_outside("cudaDeviceSynchronize");
  if (e == cudaSuccess)
    for (size_t i = 0; i < w.streams.size(); ++i)
      if (w.streams[i]->device == t_device) run(*w.streams[i]);
  return end(e);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMemoryPoolsSupported ? w.pools : 4;
  return end(called("cudaDeviceGetAttribute"));
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {"made up", kCapacity, 4, 9, 0};
  return end(called("cudaGetDeviceProperties"));
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 1;
  return end(called("cudaDeviceCanAccessPeer"));
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return end(called("cudaDeviceEnablePeerAccess")); }

cudaError_t cudaMalloc(void** p, size_t bytes) {
  const cudaError_t e = called_outside("cudaMalloc");
  return end(e == cudaSuccess ? take(p, bytes) : e);
}
cudaError_t cudaFree(void* p) {
  const cudaError_t e = called_outside("cudaFree");
  return end(e == cudaSuccess ? release(w.memory, p) : e);
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t s) {
  const cudaError_t e = called("cudaMallocAsync");
  if (e != cudaSuccess) return end(e);
  if (stream_of(s).device != t_device) return end(cudaErrorInvalidResourceHandle);
  if (stream_of(s).capture) w.spoilt = true;  // memory of the graph, which nobody else may touch
  return end(take(p, bytes));
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t s) {
  const cudaError_t e = called("cudaFreeAsync");
  if (e != cudaSuccess) return end(e);
  return end(stream_of(s).device != t_device ? cudaErrorInvalidResourceHandle : release(w.memory, p));
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  if (const cudaError_t e = called_outside("cudaHostAlloc"); e != cudaSuccess) return end(e);
  *p = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  w.pinned[static_cast<char*>(*p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) {
  const cudaError_t e = called_outside("cudaFreeHost");
  return end(e == cudaSuccess ? release(w.pinned, p) : e);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  a->type = is_pinned(p)                                                         ? cudaMemoryTypeHost
            : inside<Block>(w.memory, p, [](const Block& b) { return b.bytes; }) ? cudaMemoryTypeDevice
                                                                                 : cudaMemoryTypeUnregistered;
  return end(called("cudaPointerGetAttributes"));
}
cudaError_t cudaMemcpyAsync(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const cudaError_t e = called("cudaMemcpyAsync"); e != cudaSuccess) return end(e);
  Stream& s = stream_of(stream);
  if (kind == cudaMemcpyHostToDevice && !is_pinned(src)) {
    ++w.pageable;
    run(s);
  }
  put(s, [=] {
    std::memcpy(dst, src, bytes);
    return true;
  });
  if (kind == cudaMemcpyHostToDevice && !is_pinned(src)) run(s);
  return cudaSuccess;
}
cudaError_t cudaMemcpyPeerAsync(void* dst, int, const void* src, int, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t e = called("cudaMemcpyPeerAsync"); e != cudaSuccess) return end(e);
  put(stream_of(stream), [=] {
    std::memcpy(dst, src, bytes);
    return true;
  });
  return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return end(called("cudaDeviceGetDefaultMemPool"));
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return end(called("cudaMemPoolTrimTo")); }
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, size_t) {
  return end(called("cudaMemPoolSetAccess"));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  if (const cudaError_t e = called("cudaStreamCreateWithFlags"); e != cudaSuccess) return end(e);
  w.streams.push_back(std::make_unique<Stream>(Stream{t_device, {}, 0}));
  *s = w.streams.back().get();
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const cudaError_t e = called("cudaStreamSynchronize"); e != cudaSuccess) return end(e);
  Stream& s = stream_of(stream);
  if (s.capture) {
    w.spoilt = true;
    return end(cudaErrorStreamCaptureUnsupported);
  }
  run(s);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t e, unsigned) {
  if (const cudaError_t error = called("cudaStreamWaitEvent"); error != cudaSuccess) return end(error);
  Stream& s = stream_of(stream);
  if (s.capture != e->capture) {
    w.spoilt = true;
    return end(cudaErrorStreamCaptureIsolation);
  }
  put(s, [e, wanted = e->recorded] { return e->reached >= wanted; });
  return cudaSuccess;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t s, cudaStreamCaptureStatus* status, unsigned long long* id) {
  *id = stream_of(s).capture;
  *status = *id ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return end(called("cudaStreamGetCaptureInfo"));
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, t_mode);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  if (const cudaError_t error = called("cudaEventCreate"); error != cudaSuccess) return end(error);
  *e = new Event{t_device};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) {
  delete e;
  return end(called("cudaEventDestroy"));
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream) {
  if (const cudaError_t error = called("cudaEventRecord"); error != cudaSuccess) return end(error);
  Stream& s = stream_of(stream);
  if (s.device != e->device) return end(cudaErrorInvalidResourceHandle);
  e->capture = s.capture;
  put(s, [e, number = ++e->recorded] {
    e->reached = number;
    return true;
  });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t e) {
  const cudaError_t error = called_outside("cudaEventQuery");
  return end(error != cudaSuccess ? error : (e->reached == e->recorded ? cudaSuccess : cudaErrorNotReady));
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  if (const cudaError_t error = called("cudaEventSynchronize"); error != cudaSuccess) return end(error);
  while (e->reached != e->recorded)
    if (!step()) std::abort();
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) {
  *ms = 1;
  return end(called("cudaEventElapsedTime"));
}
cudaError_t cudaFuncGetName(const char** name, const void*) {
  *name = "_ZN4weft4cuda11copy_kernelEv";
  return end(called("cudaFuncGetName"));
}
