// The ranks that mpirun, srun or weft-run started.
#pragma once

#include <string>

#include "weft/core/choice.h"
#include "weft/distributed/process_group.h"
#include "weft/distributed/slow_link.h"

namespace weft {

/// What carries the messages.
enum class CommBackend : uint8_t { automatic, none, mpi, nccl };
constexpr auto mode_words(CommBackend) {
  return make_words("init_process_group: backend", "auto", "none", "mpi", "nccl");
}

struct InitOptions {
  /// mpi: over host memory. nccl: between the ranks' CUDA devices, each rank's being the one of its number on the
  /// machine
  /// (`group.local_rank()`); host memory goes over MPI where a launcher started the ranks, else through the devices.
  /// auto: where a launcher started this process as one of several ranks, nccl if there are CUDA devices and its
  /// plugin, else mpi; otherwise this process alone.
  Choice<CommBackend> backend = CommBackend::automatic;
  /// Seconds that a call waits for the other ranks, and so do the start and the end of the process; calls and the end
  /// wait as `set_timeout` says later, the end never less than this. MPI cannot give up starting: where a rank has not
  /// called init_process_group by then, the others say so on stderr and end with status 3.
  double timeout = 600;
  /// nccl without MPI: a file that is not there yet, on a disk that all ranks see. RANK and WORLD_SIZE in the
  /// environment say who this rank is, LOCAL_RANK and LOCAL_WORLD_SIZE who on its machine (without them: all are on
  /// this one).
  std::string file = {};
  /// mpi: messages take at least as long, to see how a program would do on a slower network.
  comm::Link simulated_link = {};
};

/// The group of all ranks of the job; the same one whenever it is called. The ranks of a machine share its cores: where
/// neither OMP_NUM_THREADS nor WEFT_NUM_THREADS says otherwise, each takes its share of those that they may run on, and
/// never more threads than its own mask has cores.
/// Errors: CommError where the plugin for the launcher's MPI or for NCCL is missing (it says what to install), the
/// launcher is another MPI's, or a rank has no CUDA device.
WEFT_API ProcessGroup init_process_group(const InitOptions& o = {});

/// "rank 0 of 2 on HOST: cores 0,1, 1 thread", for logs.
WEFT_API std::string describe(const ProcessGroup& group);

}  // namespace weft
