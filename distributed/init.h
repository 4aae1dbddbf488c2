// The ranks that mpirun, srun or weft-run started.
#pragma once

#include <string>

#include "weft/core/choice.h"
#include "weft/distributed/process_group.h"

namespace weft {

/// What carries the messages.
enum class CommBackend : uint8_t { automatic, none, mpi };
constexpr auto mode_words(CommBackend) { return make_words("init_process_group: backend", "auto", "none", "mpi"); }

struct InitOptions {
  /// auto: mpi where a launcher started this process as one of several ranks, else this process alone.
  Choice<CommBackend> backend = CommBackend::automatic;
  double timeout = 600;  ///< seconds that a call waits for the other ranks, and the end of the process too
};

/// The group of all ranks of the job; the same one whenever it is called. The ranks of a machine share its cores: where
/// neither OMP_NUM_THREADS nor WEFT_NUM_THREADS says otherwise, each takes its share of those that they may run on, and
/// never more threads than its own mask has cores.
/// Errors: CommError where the plugin for the launcher's MPI is missing (it says what to install), or the launcher is
/// another MPI's.
WEFT_API ProcessGroup init_process_group(const InitOptions& o = {});

/// "rank 0 of 2 on HOST: cores 0,1, 1 thread", for logs.
WEFT_API std::string describe(const ProcessGroup& group);

}  // namespace weft
