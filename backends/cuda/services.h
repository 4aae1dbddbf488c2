// What the CUDA backend's host code shares: the current stream, scratch memory, errors, copies. Definitions in
// errors.cu, memory.cu, transfer.cu and copy.cu.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/core/device.h"

namespace weft {
struct TensorRef;
struct MutTensorRef;
}  // namespace weft

namespace weft::cuda {

/// Error that names the failed call and CUDA's reason, unless `e` (a cudaError_t) is success.
void check(int e, const char* what);
/// The same for the start of a kernel, which it names.
void check_launch(int e, const void* kernel);
/// The calling thread's current stream on its current device (a cudaStream_t).
void* stream();
/// NotSupported where that stream is being captured into a graph: `what` would not be done anew when the graph runs.
void refuse_capture(const char* what);
/// Of the calling thread's current device.
int device();
int multiprocessors();

/// Device memory until the end of the scope, from the caching allocator. Freed in stream order: the kernels that were
/// started before may still be using it.
class Scratch {
 public:
  Scratch() = default;
  explicit Scratch(size_t bytes) { reset(bytes); }
  ~Scratch() { reset(0); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void reset(size_t bytes);
  template <class T = void> T* as() const { return static_cast<T*>(p_); }

 private:
  void* p_ = nullptr;
  size_t bytes_ = 0;
  int device_ = 0;
};

/// A copy of host bytes on the device, in stream order; `host` may change as soon as this returns.
class Upload {
 public:
  Upload(const void* host, size_t bytes);
  template <class T> const T* as() const { return memory_.as<const T>(); }

 private:
  Scratch memory_;
};

/// dst = src: one shape, one dtype, any strides.
void move(const MutTensorRef& dst, const TensorRef& src);

/// Where the kernels of the current device report what they must not follow (fault.h).
struct Fault;
Fault* fault();
/// Number of a place that may report: of an index along `dim`, or of what `what` says.
int32_t fault_site(const char* op, int64_t dim, const char* what = "");

}  // namespace weft::cuda
