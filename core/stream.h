// Queues of work of a device and marks in them. On the CPU, where everything is done when a call returns, all streams
// are the caller itself and an event is a moment.
#pragma once

#include <memory>

#include "weft/core/device.h"

namespace weft {

class Event;

/// A queue of a device: what is put into one stream runs in order, different streams may overlap. Ops go to the calling
/// thread's current stream of their tensors' device. Copies name the same queue.
class WEFT_API Stream {
 public:
  /// A new queue.
  explicit Stream(Device device);
  /// The one that the calling thread's ops on `device` go to; at first the device's default stream.
  static Stream current(Device device);
  /// The device it belongs to.
  Device device() const { return device_; }
  /// cudaStream_t on CUDA.
  void* handle() const { return handle_.get(); }
  /// Waits until all that was put into it is done.
  void synchronize() const;
  /// What is put into it from now on starts after `event`; the caller does not wait.
  void wait(const Event& event) const;

 private:
  Stream(Device device, std::shared_ptr<void> handle) : device_(device), handle_(std::move(handle)) {}
  Device device_;
  std::shared_ptr<void> handle_;
};

/// Makes a stream the calling thread's current one on its device until the end of the scope.
class WEFT_API StreamGuard {
 public:
  explicit StreamGuard(const Stream& stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  Stream stream_;  // lives as long as ops may go to it
  void* before_;
};

/// A mark in a stream.
class WEFT_API Event {
 public:
  explicit Event(Device device);
  /// Into `stream`, or into the calling thread's current one.
  void record(const Stream& stream);
  void record();
  /// Has the stream got there?
  bool done() const;
  /// Waits until the stream got there.
  void synchronize() const;
  /// Milliseconds from `start` to this mark; both done.
  double elapsed_ms(const Event& start) const;
  /// The device it belongs to.
  Device device() const { return device_; }
  /// cudaEvent_t on CUDA.
  void* handle() const { return handle_.get(); }

 private:
  Device device_;
  std::shared_ptr<void> handle_;
};

}  // namespace weft
