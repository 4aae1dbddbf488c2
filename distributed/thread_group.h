// A process group whose ranks are threads of this process.
// Owns the threads; must not know what they work on.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "weft/distributed/process_group.h"
#include "weft/distributed/transport.h"

namespace weft {

/// Runs `body(group)` on `ranks` threads at once and returns when all are done. Each rank has the caller's grad mode,
/// autocast and algorithm of f32 convolutions, and its share of the caller's threads. A rank that throws, or returns
/// while others wait for it, fails the collectives of all others with a CommError; then the first exception (of the
/// lowest rank that did not just hear of another's) is thrown on.
///     run_threads(2, [&](const ProcessGroup& group) { ... group.all_reduce_(x) ... });
/// Errors: ValueError for ranks < 1; CommError for a message that nobody received.
WEFT_API void run_threads(int ranks, const std::function<void(const ProcessGroup& group)>& body);

namespace comm {
/// Both ends of connections between threads that the caller starts, one for each rank.
WEFT_API std::vector<std::shared_ptr<Transport>> thread_transports(int ranks);
}  // namespace comm

}  // namespace weft
