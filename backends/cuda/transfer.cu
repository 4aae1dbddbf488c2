#include "weft/backends/cuda/transfer.h"

#include <algorithm>
#include <cstring>

#include "weft/backends/cuda/memory.h"
#include "weft/core/error.h"

namespace weft::cuda {
namespace {

constexpr size_t kStaged = size_t{8} << 20;  // bytes that pass through one block of pinned memory

bool pinned(const void* p) {
  cudaPointerAttributes a{};
  return pinned_cache().owns(p) || (ok(cudaPointerGetAttributes(&a, p)) && a.type == cudaMemoryTypeHost);
}

/// Pinned memory until the end of the scope, and until the copies from it are done; null where there is none.
class Staging {
 public:
  explicit Staging(size_t bytes) : p_(pinned_cache().allocate(bytes)) {}
  ~Staging() {
    if (p_) pinned_cache().deallocate(p_);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  void* get() const { return p_; }

 private:
  void* p_;
};

cudaStream_t stream_of(const PinnedCache::Queue& q) { return static_cast<cudaStream_t>(q.stream); }

/// Between two cards: each one's stream waits for the other's, the host for none.
void copy_between(void* dst, int to, const void* src, int from, size_t bytes) {
  DeviceState &target = state(to), &source = state(from);
  cudaStream_t s = current_stream(to), made = current_stream(from);
  refuse_capture(s, "a copy between cards");
  refuse_capture(made, "a copy between cards");
  target.reach(source);
  const auto wait = [](DeviceState& device, cudaStream_t waits, DeviceState& other, cudaStream_t other_stream) {
    cudaEvent_t e = other.mark(other_stream);
    const OnDevice on(device.index());
    const bool done = e && ok(cudaStreamWaitEvent(waits, e, 0));
    if (e) other.end_mark(e);
    if (done) return;
    const OnDevice there(other.index());
    check(cudaStreamSynchronize(other_stream), "cudaStreamSynchronize");
  };
  wait(target, s, source, made);
  {
    const OnDevice on(to);
    check(cudaMemcpyPeerAsync(dst, to, src, from, bytes, s), "cudaMemcpyPeerAsync");
  }
  wait(source, made, target, s);  // before the source's memory is used again
}

void wait_for(int device, cudaStream_t s) {
  check(cudaStreamSynchronize(s), "cudaStreamSynchronize");
  state(device).raise_fault();
}

}  // namespace

PinnedCache& pinned_cache() {
  static auto* cache = new PinnedCache({
      .allocate = [](size_t bytes) -> void* {
        const DuringCapture allowed;
        void* p = nullptr;
        const cudaError_t e = cudaHostAlloc(&p, bytes, cudaHostAllocPortable);
        if (e == cudaErrorMemoryAllocation) {
          (void)ok(e);
          return nullptr;
        }
        check(e, "cudaHostAlloc");
        return p;
      },
      .release =
          [](void* p) {
            const DuringCapture allowed;
            (void)ok(cudaFreeHost(p));
          },
      .mark = [](const PinnedCache::Queue& q) -> void* { return state(q.device).mark(stream_of(q)); },
      .reached =
          [](void* mark, bool wait) {
            const DuringCapture allowed;
            auto* e = static_cast<cudaEvent_t>(mark);
            return ok(wait ? cudaEventSynchronize(e) : cudaEventQuery(e));
          },
      .end = [](const PinnedCache::Queue& q, void* mark) { state(q.device).end_mark(static_cast<cudaEvent_t>(mark)); },
      .wait =
          [](const PinnedCache::Queue& q) {
            const OnDevice on(q.device, std::nothrow);
            (void)ok(cudaStreamSynchronize(stream_of(q)));
          },
  });
  return *cache;
}

void* allocate_pinned(size_t bytes) {
  void* p = pinned_cache().allocate(bytes);
  if (!p) raise<OutOfMemory>("cuda: no pinned memory for ", bytes, " bytes");
  return p;
}

void upload_bytes(void* dst, const void* host, size_t bytes) {
  const int device = cuda::device();
  cudaStream_t s = current_stream(device);
  for (size_t at = 0; at < bytes; at += kStaged) {
    const size_t n = std::min(kStaged, bytes - at);
    const Staging staging(n);
    const void* from = static_cast<const char*>(host) + at;
    if (staging.get()) from = std::memcpy(staging.get(), from, n);  // else the driver stages it, and may wait
    check(cudaMemcpyAsync(static_cast<char*>(dst) + at, from, n, cudaMemcpyHostToDevice, s), "cudaMemcpyAsync");
    pinned_cache().used(staging.get(), {device, s});
  }
}

void copy_bytes(void* dst, Device to, const void* src, Device from, size_t bytes, bool non_blocking) {
  if (bytes == 0) return;
  const bool down = to.type == DeviceType::cpu, up = from.type == DeviceType::cpu;
  if (!down && !up && to.index != from.index) return copy_between(dst, to.index, src, from.index, bytes);
  const int device = down ? from.index : to.index;
  const OnDevice on(device);
  cudaStream_t s = current_stream(device);
  const void* host = down ? dst : src;
  const bool beside = (down || up) && pinned(host);
  if (up && !beside) {
    refuse_capture(s, "a copy from the host, but from pinned memory and non_blocking");
    return upload_bytes(dst, src, bytes);
  }
  const bool waits = (down || up) && !(beside && non_blocking);
  if (waits) refuse_capture(s, "a copy that the host waits for");
  check(cudaMemcpyAsync(dst, src, bytes,
                        down ? cudaMemcpyDeviceToHost : (up ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToDevice), s),
        "cudaMemcpyAsync");
  if (waits) return wait_for(device, s);
  if (beside && capture_of(s)) pinned_cache().keep(host);
  else if (beside) pinned_cache().used(host, {device, s});
}

}  // namespace weft::cuda
