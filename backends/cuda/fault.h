// How a kernel's report reaches the host, as nobody waits for kernels: the host looks when it next waits for the
// device, and raises ValueError in the op's name. Knows no CUDA.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "weft/core/error.h"

namespace weft::cuda {

/// One report. Lies in host memory that the device can write. A thread of a kernel claims it, writes it and publishes
/// it behind a fence (report_fault in fault.cuh); the host reads what is published only, and then frees the claim.
struct Fault {
  int32_t claimed = 0;
  int32_t site = 0;  ///< who reports, see FaultPlaces
  int64_t index = 0, size = 0;
  int32_t published = 0;
};

/// What was published since the last call, which may be reported anew from now on.
inline std::optional<Fault> take_fault(Fault& f) {
  std::atomic_ref published(f.published);
  if (published.load(std::memory_order_acquire) == 0) [[likely]]
    return std::nullopt;
  static std::mutex mutex;  // of threads that wait for one device
  std::lock_guard lock(mutex);
  if (published.load(std::memory_order_acquire) == 0) return std::nullopt;
  Fault seen;  // the claim is the kernels' until it is freed
  seen.site = f.site, seen.index = f.index, seen.size = f.size;
  published.store(0, std::memory_order_relaxed);
  std::atomic_ref(f.claimed).store(0, std::memory_order_release);
  return seen;
}

/// Who may report: an op, and what it then says, or the axis along which its indices lie.
struct FaultPlace {
  std::string op, what;
  int64_t dim = 0;
  [[noreturn]] void raise(const Fault& f, int device) const {
    const std::string late = str(" (on cuda:", device, "; noticed after the kernel ran, its result is not valid)");
    if (!what.empty()) weft::raise<ValueError>(op, ": ", what, late);
    weft::raise<ValueError>(op, ": index ", f.index, " is out of range for dimension ", dim, " of size ", f.size, late);
  }
};

/// Numbers of such places, from 1 on.
class FaultPlaces {
 public:
  int32_t number(const char* op, const char* what, int64_t dim) {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < places_.size(); ++i)
      if (places_[i].dim == dim && places_[i].op == op && places_[i].what == what) return static_cast<int32_t>(i + 1);
    places_.push_back({op, what, dim});
    return static_cast<int32_t>(places_.size());
  }
  FaultPlace operator[](int32_t number) const {
    std::lock_guard lock(mutex_);
    return places_[static_cast<size_t>(number - 1)];
  }

 private:
  mutable std::mutex mutex_;
  std::vector<FaultPlace> places_;
};

}  // namespace weft::cuda
