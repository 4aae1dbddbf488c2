// Copies between host and cards, and the host memory that they go through. Definitions in transfer.cu.
#pragma once

#include "weft/backends/cuda/pinned_cache.h"
#include "weft/core/device.h"

namespace weft::cuda {

/// That of all devices.
PinnedCache& pinned_cache();
/// OutOfMemory where the cache has none.
void* allocate_pinned(size_t bytes);
/// What Backend::copy promises.
void copy_bytes(void* dst, Device to, const void* src, Device from, size_t bytes, bool non_blocking);
/// Host bytes onto the current device, in stream order; the host may change them as soon as this returns, and did not
/// wait.
void upload_bytes(void* dst, const void* host, size_t bytes);

}  // namespace weft::cuda
