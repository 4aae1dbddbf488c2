// How a kernel reports an index that is out of range.
#pragma once

#include "weft/backends/cuda/launch.h"

namespace weft::cuda {

/// The first report stays until the host has read it; the index must not be used then.
__device__ inline void report_fault(Fault* f, int32_t site, int64_t index, int64_t size) {
  if (atomicCAS(&f->site, 0, site) != 0) return;
  f->index = index;
  f->size = size;
}

}  // namespace weft::cuda
