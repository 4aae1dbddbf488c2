#include "weft/distributed/init.h"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>

#include "weft/core/parallel.h"
#include "weft/distributed/mpi/abi.h"

namespace weft {
namespace {

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? value : nullptr;
}

/// What started this process, by what it leaves in the environment.
struct Launcher {
  const char* name;
  const char* size;    // the variable that holds the number of ranks
  const char* plugin;  // for its MPI; null: whichever there is
};
constexpr std::array kLaunchers = {
    Launcher{"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "libweft_mpi_openmpi.so"},
    Launcher{"MPICH's mpirun", "PMI_SIZE", "libweft_mpi_mpich.so"},
    Launcher{"srun", "SLURM_STEP_NUM_TASKS", nullptr},
};
const Launcher* launcher() {
  for (const Launcher& l : kLaunchers)
    if (variable(l.size)) return &l;
  return nullptr;
}

std::filesystem::path beside_libweft(const char* file) {
  Dl_info here{};
  if (!dladdr(reinterpret_cast<void*>(&init_process_group), &here) || !here.dli_fname) return file;
  return std::filesystem::path(here.dli_fname).parent_path() / file;
}

/// The plugin that fits the launcher, else the first that there is.
std::filesystem::path plugin_file(const Launcher* from) {
  if (const char* named = variable("WEFT_MPI_PLUGIN")) return named;
  if (from && from->plugin) return beside_libweft(from->plugin);
  for (const char* name : {"libweft_mpi_openmpi.so", "libweft_mpi_mpich.so"})
    if (std::error_code none; std::filesystem::exists(beside_libweft(name), none)) return beside_libweft(name);
  return beside_libweft("libweft_mpi_openmpi.so");
}

std::shared_ptr<comm::Transport> connect_mpi(double seconds) {
  const Launcher* from = launcher();
  const std::filesystem::path file = plugin_file(from);
  const std::string started = from ? str(" (", from->name, " started this process, ", from->size, "=",
                                         std::getenv(from->size), ")")
                                   : "";
  std::error_code none;
  WEFT_CHECK(std::filesystem::exists(file, none), CommError, "init_process_group: there is no ", file.string(), started,
             "; build weft where that MPI is installed (Debian: libopenmpi-dev or libmpich-dev), with -DWEFT_MPI=ON");
  void* plugin = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed
  WEFT_CHECK(plugin, CommError, "init_process_group: ", dlerror(), started, "; install that MPI's libraries");
  const auto connect = reinterpret_cast<comm::mpi::Connect>(dlsym(plugin, comm::mpi::kConnectName));
  WEFT_CHECK(connect, CommError, "init_process_group: ", file.string(), " is no plugin of weft");
  std::string why;
  std::shared_ptr<comm::Transport> transport;
  WEFT_CHECK(connect(comm::mpi::kAbi, seconds, transport, why), CommError, "init_process_group: ", file.string(), ": ",
             why);
  if (from) {
    const int expected = std::atoi(std::getenv(from->size));
    WEFT_CHECK(transport->size() == expected, CommError, "init_process_group: ", from->name, " started ", expected,
               " ranks, but ", file.string(), " sees ", transport->size(),
               ": it was built for another MPI; take that one's mpirun, or name the plugin in WEFT_MPI_PLUGIN");
  }
  return transport;
}

using Mask = std::array<uint64_t, CPU_SETSIZE / 64>;
Mask own_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  Mask m{};
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set)) m[static_cast<size_t>(i) / 64] |= uint64_t{1} << (i % 64);
  return m;
}
int count(const Mask& m) {
  int n = 0;
  for (const uint64_t word : m) n += __builtin_popcountll(word);
  return n;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

/// Each rank's threads: its share of the cores that the ranks of its machine may run on.
void share_cores(const ProcessGroup& group) {
  const Mask mine = own_mask();
  std::string text(sizeof mine, '\0');
  std::memcpy(text.data(), mine.data(), sizeof mine);
  Mask all{};
  int ranks = 0;
  for (const std::string& one : group.all_gather(host_name() + '\n' + text)) {
    const size_t line = one.size() - sizeof mine;
    if (one.compare(0, line - 1, host_name()) != 0) continue;
    Mask m;
    std::memcpy(m.data(), one.data() + line, sizeof m);
    for (size_t i = 0; i < m.size(); ++i) all[i] |= m[i];
    ++ranks;
  }
  const bool asked = variable("OMP_NUM_THREADS") || variable("WEFT_NUM_THREADS");
  const int share = std::max(1, std::min(count(mine), count(all) / std::max(1, ranks)));
  if (!asked) return set_num_threads(std::min(num_threads(), share));
  if (num_threads() <= count(mine)) return;
  if (group.rank() == 0)
    std::fprintf(stderr,
                 "weft: %d threads were asked for, but the launcher bound the rank to %d of the cores; it takes %d"
                 " (mpirun --bind-to none lifts that)\n",
                 num_threads(), count(mine), count(mine));
  set_num_threads(std::max(1, count(mine)));
}

}  // namespace

ProcessGroup init_process_group(const InitOptions& o) {
  WEFT_CHECK(o.timeout > 0, ValueError, "init_process_group: timeout must be positive, got ", o.timeout);
  static std::mutex mutex;
  static auto* made = new std::optional<ProcessGroup>;  // ends after static objects
  const std::lock_guard lock(mutex);
  if (*made) return **made;
  const Launcher* from = launcher();
  const bool several = from && std::atoi(std::getenv(from->size)) > 1;
  if (o.backend == CommBackend::none || (o.backend == CommBackend::automatic && !several))
    return *(*made = ProcessGroup());
  const std::shared_ptr<comm::Transport> transport = connect_mpi(o.timeout);
  share_cores(ProcessGroup(comm::over(transport)));
  const ProcessGroup group(comm::over(transport));
  group.set_timeout(o.timeout);
  return *(*made = group);
}

std::string describe(const ProcessGroup& group) {
  std::string cores;
  const Mask m = own_mask();
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (m[static_cast<size_t>(i) / 64] >> (i % 64) & 1) cores += str(cores.empty() ? "" : ",", i);
  return str("rank ", group.rank(), " of ", group.size(), " on ", host_name(), ": cores ", cores, ", ", num_threads(),
             num_threads() == 1 ? " thread" : " threads");
}

}  // namespace weft
