// fork() copies a lock that another thread holds, and the child would wait for ever: that thread is not in it.
#pragma once

#include <mutex>

#include "weft/core/export.h"

namespace weft::detail {

/// fork() takes m before it copies the process, and both processes release it. Of nested locks the inner one is given
/// first. For what registers the backends alone, which fork() waits for.
void hold_over_fork(std::mutex& m);
/// Held while backends are registered.
std::mutex& registration_mutex();

}  // namespace weft::detail
