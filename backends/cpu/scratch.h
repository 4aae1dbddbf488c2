// Working memory of a kernel, from the caching allocator: after warm-up no request reaches the system.
// Knows nothing of what is kept in it.
#pragma once

#include <cstddef>

#include "weft/core/export.h"

namespace weft::cpu {

/// `bytes` of uninitialised memory, 64-byte aligned, given back at the end of the scope. 0 bytes give null.
class Scratch {
 public:
  explicit Scratch(size_t bytes = 0);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  /// Forgets what was there and takes `bytes` anew.
  void reset(size_t bytes);
  template <class T = void> WEFT_INLINE T* as() const { return static_cast<T*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace weft::cpu
