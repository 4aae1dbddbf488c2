// What the tests ask of the library that stands in for NCCL (stand_in.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stand_in {

/// NCCL's functions as they were called, "AllReduce 5 f32 sum", in one rank's order; forgotten with it.
std::vector<std::string> calls(int rank);
/// Calls that were put into a stream, and those of them that have ended.
uint64_t queued(const void* stream);
uint64_t ended(const void* stream);
/// Communicators that were given up.
int aborted();
/// From now on every communicator says that another rank failed.
void fail(bool yes);

}  // namespace stand_in
