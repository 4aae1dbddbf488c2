#include "weft/backends/cuda/device_graph.h"

#include <type_traits>
#include <utility>

#include "weft/backends/cuda/memory.h"
#include "weft/core/error.h"

namespace weft::cuda {
namespace {

/// What the calling thread starts on the device goes into a graph, from `begin` to `end` or the end of the scope. In a
/// stream of its own, for the default stream cannot be captured.
class Capture {
 public:
  explicit Capture(int device)
      : device_(device), stream_(state(device).new_stream()), before_(std::exchange(current_stream(device), stream_)) {}
  ~Capture() {
    if (begun_) {
      cudaGraph_t unfinished = nullptr;
      (void)ok(cudaStreamEndCapture(stream_, &unfinished));
      if (unfinished) (void)ok(cudaGraphDestroy(unfinished));
    }
    state(device_).took_graph(stream_);
    current_stream(device_) = before_;
    state(device_).free_stream(stream_);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  void begin() {
    state(device_).take_graph(stream_, before_);
    // other threads may ask the driver for what they like
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    begun_ = true;
  }
  cudaGraph_t end() {
    cudaGraph_t graph = nullptr;
    begun_ = false;
    check(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
    return graph;
  }

 private:
  int device_;
  cudaStream_t stream_, before_;
  bool begun_ = false;
};

class CudaGraph final : public DeviceGraph {
 public:
  explicit CudaGraph(int device) : device_(device), stream_(current_stream(device)) {
    state(device_).add_graph(stream_);
  }
  ~CudaGraph() override {
    const OnDevice on(device_, std::nothrow);
    if (launched_ && capture_of(stream_)) return;  // nobody can wait for it: it may still run
    if (launched_) {
      const DuringCapture allowed;
      (void)ok(cudaStreamSynchronize(stream_));
    }
    if (run_) (void)ok(cudaGraphExecDestroy(run_));
    state(device_).end_graph(stream_);
  }

  void take(const std::function<void()>& work) {
    const std::shared_lock nobody_waits(state(device_).making());
    Capture c(device_);
    c.begin();
    work();
    const std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, cudaError_t (*)(cudaGraph_t)> graph(c.end(),
                                                                                                  cudaGraphDestroy);
    check(cudaGraphGetNodes(graph.get(), nullptr, &size_), "cudaGraphGetNodes");
    const DuringCapture allowed;  // though others capture
    const cudaError_t e = cudaGraphInstantiate(&run_, graph.get(), 0);
    if (e == cudaErrorMemoryAllocation) {
      (void)ok(e);
      raise<OutOfMemory>("cuda:", device_, ": out of memory for a graph of ", size_, " kernels");
    }
    check(e, "cudaGraphInstantiate");
  }

  bool launch() override {
    if (capture_of(stream_)) return false;
    const OnDevice on(device_);
    check(cudaGraphLaunch(run_, stream_), "cudaGraphLaunch");
    launched_ = true;
    return true;
  }
  size_t size() const override { return size_; }

 private:
  int device_;
  cudaStream_t stream_;
  cudaGraphExec_t run_ = nullptr;
  size_t size_ = 0;
  bool launched_ = false;
};

}  // namespace

std::unique_ptr<DeviceGraph> make_graph(int device, const std::function<void()>& work) {
  const OnDevice on(device);
  if (capture_of(current_stream(device))) return nullptr;
  auto graph = std::make_unique<CudaGraph>(device);
  graph->take(work);
  return graph;
}

}  // namespace weft::cuda
