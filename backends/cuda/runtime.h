// CUDA's runtime as the host code of this folder calls it: errors that stay with nobody else, the device of a scope,
// captures of streams into graphs.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <new>

#include "weft/backends/cuda/services.h"

namespace weft::cuda {

/// Did the call work? Its error is taken from the runtime, so that no later call is blamed for it.
inline bool ok(cudaError_t e) noexcept {
  if (e == cudaSuccess) return true;
  (void)cudaGetLastError();
  return false;
}

/// The calling thread's device until the end of the scope. The runtime is asked for the one before: users and other
/// libraries change it, too.
class OnDevice {
 public:
  explicit OnDevice(int device) { check(change(device), "cudaSetDevice"); }
  OnDevice(int device, std::nothrow_t) noexcept { (void)ok(change(device)); }
  ~OnDevice() {
    if (before_ >= 0) (void)ok(cudaSetDevice(before_));
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  cudaError_t change(int device) noexcept {
    int now = -1;
    if (ok(cudaGetDevice(&now)) && now == device) return cudaSuccess;
    const cudaError_t e = cudaSetDevice(device);
    if (e == cudaSuccess) before_ = now;
    return e;
  }
  int before_ = -1;
};

/// Number of the capture that the stream takes part in; 0 for none. The default stream takes part in none.
inline uint64_t capture_of(cudaStream_t s) noexcept {
  if (!s) return 0;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  unsigned long long id = 0;
  if (!ok(cudaStreamGetCaptureInfo(s, &status, &id))) return 0;
  return status == cudaStreamCaptureStatusNone ? 0 : id;
}

/// Until the end of the scope the calling thread may ask the driver for memory though a stream is being captured.
class DuringCapture {
 public:
  DuringCapture() noexcept { (void)ok(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  ~DuringCapture() { (void)ok(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  DuringCapture(const DuringCapture&) = delete;
  DuringCapture& operator=(const DuringCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// The calling thread's current stream on `device`.
cudaStream_t& current_stream(int device) noexcept;
void refuse_capture(cudaStream_t s, const char* what);

}  // namespace weft::cuda
