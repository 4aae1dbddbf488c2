// What the machine and the control groups (v1 and v2) leave to this process. Reads /proc and /sys; knows no allocator.
#pragma once

#include <cstddef>
#include <string>

#include "weft/core/export.h"

namespace weft::detail {

/// Bytes that can be taken before the kernel has to end a process: MemAvailable and free swap, and of every control
/// group its limit less what it uses and cannot drop. SIZE_MAX where nothing is known. `root` stands before /proc and
/// /sys.
WEFT_API size_t available_memory(const std::string& root = "");
/// CPUs that the control groups' quota pays for, rounded up; 0: no quota.
WEFT_API int cpu_quota(const std::string& root = "");

}  // namespace weft::detail
