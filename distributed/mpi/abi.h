// What libweft and its MPI plugin say to each other. The plugin is built against one MPI and loaded under that one's
// mpirun: the libraries' interfaces differ.
#pragma once

#include <memory>
#include <string>

#include "weft/distributed/transport.h"

namespace weft::comm::mpi {

constexpr int kAbi = 2;
constexpr const char* kConnectName = "weft_mpi_connect";

/// Joins the ranks that mpirun started, at most once in a process. False: `why` says why not. `seconds`: how long
/// it waits for the other ranks, after which it says so and ends the process with status 3, and the least
/// that the end of the process does.
using Connect = bool (*)(int abi, double seconds, std::shared_ptr<Transport>& transport, std::string& why);

}  // namespace weft::comm::mpi
