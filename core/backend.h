// The services of a device: memory, copies, waiting. Kernels are elsewhere (core/kernels.h).
// A backend registers itself once; nothing here knows a concrete one.
#pragma once

#include <cstddef>
#include <string>

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

/// About ten services that a device offers.
class WEFT_API Backend {
 public:
  virtual ~Backend() = default;
  virtual int device_count() const = 0;
  /// One line for people: "cpu, 2 threads".
  virtual std::string info(int device) const = 0;
  /// 64-byte aligned, never null (not even for 0 bytes); OutOfMemory otherwise.
  virtual void* allocate(size_t bytes, int device) = 0;
  virtual void deallocate(void* p, size_t bytes, int device) noexcept = 0;
  /// One of both devices is this backend's, the other may be the CPU's. On return `src` may be freed, and what went to the
  /// CPU may be read.
  virtual void copy(void* dst, Device dst_device, const void* src, Device src_device, size_t bytes) = 0;
  /// Waits until all kernels and copies that were started on `device` are done.
  virtual void synchronize(int device) = 0;
  virtual MemoryStats memory_stats(int device) const = 0;
  virtual void reset_peak_memory_stats(int device) = 0;
  virtual void empty_cache(int device) = 0;
  virtual void set_memory_limit(size_t bytes, int device) = 0;
};

/// Defined by backends/cpu: sets the CPU's kernels and registers its services. Called once, on first use of any device.
void register_cpu_backend();

/// Makes `backend` serve devices of that type. A second registration replaces the first.
WEFT_API void register_backend(DeviceType type, Backend* backend);
/// The backend of a type; DeviceError that says what is missing otherwise.
WEFT_API Backend& backend(DeviceType type);
WEFT_API bool has_backend(DeviceType type);

WEFT_API MemoryStats memory_stats(Device d = {});
WEFT_API void reset_peak_memory_stats(Device d = {});
/// Gives what is cached and unused back to the system.
WEFT_API void empty_cache(Device d = {});
/// Upper bound of what is taken from the system; 0 removes it.
WEFT_API void set_memory_limit(size_t bytes, Device d = {});
WEFT_API void synchronize(Device d = {});

}  // namespace weft
