// How a kernel reports an index that is out of range.
#pragma once

#include "weft/backends/cuda/fault.h"
#include "weft/backends/cuda/launch.h"

namespace weft::cuda {

/// The first report stays until the host has read it; the index must not be used then.
__device__ inline void report_fault(Fault* f, int32_t site, int64_t index, int64_t size) {
  if (atomicCAS(&f->claimed, 0, 1) != 0) return;
  f->site = site;
  f->index = index;
  f->size = size;
  __threadfence_system();  // before the host sees that it is there
  *const_cast<volatile int32_t*>(&f->published) = 1;
}

}  // namespace weft::cuda
