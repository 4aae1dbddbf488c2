// Seconds as users give them, for clocks. Knows nothing else of weft.
#pragma once

#include <algorithm>
#include <chrono>

namespace weft::comm {

using Clock = std::chrono::steady_clock;

/// At most thirty years, which also stands for longer and for ever.
inline Clock::duration as_duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::min(seconds, 1e9)));
}

}  // namespace weft::comm
