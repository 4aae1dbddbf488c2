// The services of a device: memory, copies, waiting. Kernels are elsewhere (core/kernels.h).
// A backend registers itself once; nothing here knows a concrete one.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "weft/core/device.h"

namespace weft {

/// What the caching allocator of a device holds, in bytes and counts.
struct MemoryStats {
  size_t active = 0;                ///< handed out now
  size_t peak_active = 0;           ///< most ever handed out (since reset_peak_memory_stats)
  size_t reserved = 0;              ///< taken from the system
  size_t cached = 0;                ///< reserved, not handed out
  size_t limit = 0;                 ///< 0: none
  uint64_t allocations = 0;         ///< requests served
  uint64_t system_allocations = 0;  ///< requests that went to the system
};

/// What a device is.
struct DeviceProperties {
  std::string name;          ///< as the driver says; "cpu"
  size_t total_memory = 0;   ///< bytes; 0: not known
  int multiprocessors = 0;   ///< of a GPU
  int major = 0, minor = 0;  ///< compute capability of a GPU
};

/// Kernels and copies of a device that start together, as often as wanted.
class WEFT_API DeviceGraph {
 public:
  DeviceGraph() = default;
  DeviceGraph(const DeviceGraph&) = delete;
  DeviceGraph& operator=(const DeviceGraph&) = delete;
  virtual ~DeviceGraph() = default;
  /// Puts them into the stream that was current when it was made. False, and nothing is done, where that takes no graph
  /// now.
  virtual bool launch() = 0;
  /// How many they are.
  virtual size_t size() const = 0;
};

/// The services that a device offers: memory and copies, and for devices that run beside the CPU queues of work. A
/// device without queues does everything on the caller's thread before it returns; the defaults below say so.
class WEFT_API Backend {
 public:
  virtual ~Backend() = default;
  /// Devices that there are; 0 where none is.
  virtual int device_count() const = 0;
  /// One line for people: "cpu, 2 threads".
  virtual std::string info(int device) const = 0;
  /// For programs that choose; the name is `info` unless the backend says more.
  virtual DeviceProperties properties(int device) const;
  /// Kernels and allocations of the calling thread go to `device` from now on.
  virtual void activate(int) {}
  /// 64-byte aligned, never null (not even for 0 bytes); OutOfMemory otherwise.
  virtual void* allocate(size_t bytes, int device) = 0;
  /// Takes a block back that `allocate` gave for as many bytes.
  virtual void deallocate(void* p, size_t bytes, int device) noexcept = 0;
  /// One of both devices is this backend's, the other may be the CPU's. On return `src` may be freed, and what went to
  /// the CPU may be read; with `non_blocking`, which takes effect for pinned host memory, neither before the stream got
  /// there.
  virtual void copy(void* dst, Device dst_device, const void* src, Device src_device, size_t bytes,
                    bool non_blocking) = 0;
  /// Host memory that the device reads and writes by itself. `bytes` as given to allocate_pinned.
  virtual void* allocate_pinned(size_t bytes);
  virtual void deallocate_pinned(void* p, size_t bytes) noexcept;
  /// Kernels run beside the caller: to look at a value is to wait. Ops then leave the checks of values to kernels.
  virtual bool asynchronous() const { return false; }
  /// Waits until all kernels and copies that were started on `device` are done.
  virtual void synchronize(int device) = 0;
  /// What the caching allocator holds; the peak begins anew; unused blocks go back to the system; an upper bound, 0 for
  /// none.
  virtual MemoryStats memory_stats(int device) const = 0;
  virtual void reset_peak_memory_stats(int device) = 0;
  virtual void empty_cache(int device) = 0;
  virtual void set_memory_limit(size_t bytes, int device) = 0;

  // Streams and events (core/stream.h). Null is the device's default stream.
  /// A stream of its own, and its end; the calling thread's current one on the device; waiting for one.
  virtual void* new_stream(int) { return nullptr; }
  virtual void free_stream(int, void*) noexcept {}
  virtual void* current_stream(int) { return nullptr; }  ///< of the calling thread
  virtual void set_stream(int, void*) {}
  virtual void synchronize_stream(int, void*) {}
  /// The block's memory is not given to others before the stream has done what it was told so far.
  virtual void record_stream(void*, int, void*) {}
  /// Events: made (null where the caller's thread does all), ended, put into a stream, waited for by the stream or by
  /// the caller, asked whether they are done; milliseconds between two that are.
  virtual void* new_event(int device);
  virtual void free_event(int device, void* event) noexcept;
  virtual void record_event(int device, void* event, void* stream);
  virtual void wait_event(int, void*, void*) {}  ///< the stream (second) goes on when the event (third) is done
  virtual void synchronize_event(int, void*) {}
  virtual bool event_done(int, void*) { return true; }
  virtual double elapsed_ms(void* from, void* to);

  /// Does it make graphs?
  virtual bool makes_graphs() const { return false; }
  /// What `work` starts on the calling thread, as a graph instead: the same kernels, with the same arguments and
  /// numbers at every launch. The memory that they work on must outlive it, but for what they take and give back
  /// themselves. Null, and `work` is not called, where the current stream takes no graph now. What `work` throws is
  /// passed on: NotSupported where a graph cannot hold what it does.
  virtual std::unique_ptr<DeviceGraph> make_graph(int, const std::function<void()>&) { return nullptr; }
};

/// Defined by backends/cpu: sets the CPU's kernels and registers its services. Called once, on first use of any device.
void register_cpu_backend();

/// Defined by backends/cuda: loads the plugin on first use and returns why there is no CUDA device, "" if there is one.
const std::string& load_cuda_backend();

/// Makes `backend` serve devices of that type. A second registration replaces the first.
WEFT_API void register_backend(DeviceType type, Backend* backend);
/// The backend of a type; DeviceError that says what is missing otherwise.
WEFT_API Backend& backend(DeviceType type);
/// Is there a device of that type? Looks for CUDA when first asked.
WEFT_API bool has_backend(DeviceType type);

/// What the device's allocator holds, and the most that it held since the last reset.
WEFT_API MemoryStats memory_stats(Device d = {});
/// The peak begins anew at what is held now.
WEFT_API void reset_peak_memory_stats(Device d = {});
/// Gives what is cached and unused back to the system.
WEFT_API void empty_cache(Device d = {});
/// Upper bound of what is taken from the system; 0 removes it.
WEFT_API void set_memory_limit(size_t bytes, Device d = {});
/// Waits until all that was started on the device is done.
WEFT_API void synchronize(Device d = {});
/// What the device computes is undefined from now on: to read it, or to wait for it, is a CommError with that text. ""
/// takes it back.
WEFT_API void fail_device(Device d, const std::string& why);
/// Throws if the device has failed.
WEFT_API void check_device(Device d);
/// Number of devices of a type, 0 if its backend is missing.
WEFT_API int device_count(DeviceType type);
/// Name, memory and compute capability of a device.
WEFT_API DeviceProperties device_properties(Device d = {});

/// How f32 products are computed on devices with reduced-precision units: "highest" in f32 (the default), "high" in
/// TF32 where the device has it (10 bits of mantissa). ValueError for anything else. PyTorch's switch of the same name.
WEFT_API void set_float32_matmul_precision(std::string_view precision);
/// Whether "high" is set.
WEFT_API bool tf32_allowed();

}  // namespace weft
