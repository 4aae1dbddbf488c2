#include "weft/distributed/init.h"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>

#include "weft/core/backend.h"
#include "weft/core/parallel.h"
#include "weft/distributed/mpi/abi.h"
#include "weft/distributed/nccl/abi.h"

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

bool several_were_started() {
  const Launcher* from = launcher();
  return from && std::atoi(std::getenv(from->size)) > 1;
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

/// A plugin's function; `started` and `missing` go into its errors.
template <class Function>
Function load(const std::filesystem::path& file, const char* function, const std::string& started,
              const char* missing) {
  std::error_code none;
  WEFT_CHECK(std::filesystem::exists(file, none), CommError, "init_process_group: there is no ", file.string(), started,
             "; ", missing);
  void* plugin = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed
  WEFT_CHECK(plugin, CommError, "init_process_group: ", dlerror(), started, "; install that library");
  const auto f = reinterpret_cast<Function>(dlsym(plugin, function));
  WEFT_CHECK(f, CommError, "init_process_group: ", file.string(), " is no plugin of weft");
  return f;
}

/// What init_process_group returns.
std::optional<ProcessGroup>& all_ranks() {
  static auto* group = new std::optional<ProcessGroup>;  // ends after static objects
  return *group;
}

std::shared_ptr<comm::Transport> connect_mpi(double seconds) {
  const Launcher* from = launcher();
  const std::filesystem::path file = plugin_file(from);
  const std::string started = from ? str(" (", from->name, " started this process, ", from->size, "=",
                                         std::getenv(from->size), ")")
                                   : "";
  const auto connect = load<comm::mpi::Connect>(
      file, comm::mpi::kConnectName, started,
      "build weft where that MPI is installed (Debian: libopenmpi-dev or libmpich-dev), with -DWEFT_MPI=ON");
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
  static const std::shared_ptr<comm::Transport> joined = transport;
  std::atexit([] {  // comes before the plugin's own handler, which waits
    if (all_ranks()) joined->end_within(all_ranks()->timeout());
  });
  return transport;
}

std::filesystem::path nccl_file() {
  const char* named = variable("WEFT_NCCL_PLUGIN");
  return named ? named : beside_libweft("libweft_nccl.so");
}

/// A number of at least `least` from the environment; `otherwise` where there is none.
int number(const char* name, int least, int otherwise) {
  const char* text = variable(name);
  if (!text) return otherwise;
  int n = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), n);
  WEFT_CHECK(error == std::errc() && !*end && n >= least, ValueError, "init_process_group: ", name,
             " must be a number of at least ", least, ", got ", text);
  return n;
}

std::shared_ptr<comm::Rendezvous> meet(const InitOptions& o) {
  if (several_were_started()) return comm::meet_over(connect_mpi(o.timeout));
  const int size = number("WORLD_SIZE", 1, 0), rank = number("RANK", 0, -1);
  WEFT_CHECK(
      size > 0 && rank >= 0 && !o.file.empty(), CommError,
      "init_process_group: the ranks of NCCL find each other by MPI (mpirun, srun or weft-run starts them), or by "
      "RANK and WORLD_SIZE in the environment and a `file` that all see");
  WEFT_CHECK(rank < size, ValueError, "init_process_group: RANK=", rank, " is not below WORLD_SIZE=", size);
  const int local_size = number("LOCAL_WORLD_SIZE", 1, size), local_rank = number("LOCAL_RANK", 0, rank % local_size);
  WEFT_CHECK(local_rank < local_size, ValueError, "init_process_group: LOCAL_RANK=", local_rank,
             " is not below LOCAL_WORLD_SIZE=", local_size);
  return comm::meet_in_file(o.file, rank, size, local_rank, local_size);
}

ProcessGroup connect_nccl(const InitOptions& o) {
  const auto connect = load<comm::nccl::Connect>(nccl_file(), comm::nccl::kConnectName, "",
                                                 "build weft where NCCL is installed, with -DWEFT_NCCL=ON");
  WEFT_CHECK(has_backend(DeviceType::cuda), CommError,
             "init_process_group: NCCL takes a CUDA device for each rank: ", load_cuda_backend());
  const std::shared_ptr<comm::Rendezvous> ranks = meet(o);
  const int cards = device_count(DeviceType::cuda);
  WEFT_CHECK(ranks->local_rank() < cards, CommError, "init_process_group: rank ", ranks->rank(), " is number ",
             ranks->local_rank(), " of ", ranks->local_size(), " on its machine, which has ", cards,
             cards == 1 ? " CUDA device" : " CUDA devices", "; start one rank for each, or take backend mpi");
  std::shared_ptr<comm::Communicator> made;
  WEFT_CHECK(connect(comm::nccl::kAbi, ranks, Device(DeviceType::cuda, ranks->local_rank()), o.timeout, made),
             CommError, "init_process_group: ", nccl_file().string(), " is another version's plugin");
  return ProcessGroup(made);
}

using Mask = std::array<uint64_t, CPU_SETSIZE / 64>;
/// The cores of a process; 0: this one.
Mask mask_of(pid_t process) {
  cpu_set_t set;
  CPU_ZERO(&set);
  Mask m{};
  if (sched_getaffinity(process, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set)) m[static_cast<size_t>(i) / 64] |= uint64_t{1} << (i % 64);
  return m;
}
Mask own_mask() { return mask_of(0); }
int count(const Mask& m) {
  int n = 0;
  for (const uint64_t word : m) n += __builtin_popcountll(word);
  return n;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

/// Each rank's threads: its share of the cores that the ranks of its machine may run on. The first rank of each machine
/// says what the launcher's binding takes from them.
void share_cores(const ProcessGroup& group) {
  struct Rank {
    Mask mask;
    int number, asked;  // threads; 0: not said
  };
  const bool asked = variable("OMP_NUM_THREADS") || variable("WEFT_NUM_THREADS");
  const Rank mine{own_mask(), group.rank(), asked ? num_threads() : 0};
  std::string text(sizeof mine, '\0');
  std::memcpy(text.data(), &mine, sizeof mine);
  Mask all{};
  int ranks = 0, first = group.rank();
  std::string cut;  // ranks that asked for more threads than their masks have cores
  for (const std::string& one : group.all_gather(host_name() + '\n' + text)) {
    const size_t line = one.size() - sizeof mine;
    if (one.compare(0, line - 1, host_name()) != 0) continue;
    Rank rank;
    std::memcpy(&rank, one.data() + line, sizeof rank);
    for (size_t i = 0; i < all.size(); ++i) all[i] |= rank.mask[i];
    if (rank.asked > count(rank.mask))
      cut += str(cut.empty() ? "" : ", ", rank.number, " (", rank.asked, " threads, ", count(rank.mask),
                 count(rank.mask) == 1 ? " core)" : " cores)");
    first = std::min(first, rank.number);
    ++ranks;
  }
  const int own = std::max(1, count(mine.mask)), share = std::max(1, std::min(own, count(all) / std::max(1, ranks)));
  set_num_threads(std::min(num_threads(), asked ? own : share));
  if (group.rank() != first) return;
  constexpr const char* kWayOut = " (mpirun --bind-to none lifts that)\n";
  if (!cut.empty())
    std::fprintf(stderr,
                 "weft: on %s the launcher bound ranks to fewer cores than the threads that were asked for; a core has "
                 "one: rank %s%s",
                 host_name().c_str(), cut.c_str(), kWayOut);
  else if (const int free = count(mask_of(getppid())); !asked && count(all) < free)
    std::fprintf(stderr, "weft: on %s the launcher bound %d ranks to %d of %d cores; rank %d takes %d %s%s",
                 host_name().c_str(), ranks, count(all), free, first, num_threads(),
                 num_threads() == 1 ? "thread" : "threads", kWayOut);
}

}  // namespace

ProcessGroup init_process_group(const InitOptions& o) {
  WEFT_CHECK(o.timeout > 0, ValueError, "init_process_group: timeout must be positive, got ", o.timeout);
  static std::mutex mutex;
  std::optional<ProcessGroup>& made = all_ranks();
  const std::lock_guard lock(mutex);
  if (made) return *made;
  const bool several = several_were_started();
  CommBackend kind = o.backend;
  if (kind == CommBackend::automatic) {
    std::error_code none;
    const bool cards = std::filesystem::exists(nccl_file(), none) && has_backend(DeviceType::cuda);
    if (several) kind = cards ? CommBackend::nccl : CommBackend::mpi;
    else kind = o.file.empty() ? CommBackend::none : CommBackend::nccl;
    WEFT_CHECK(kind != CommBackend::none || number("WORLD_SIZE", 1, 1) == 1, CommError,
               "init_process_group: WORLD_SIZE=", std::getenv("WORLD_SIZE"),
               " is set, but no launcher started ranks: start them with weft-run, mpirun or srun, "
               "name a `file` for NCCL, or take backend none for this process alone");
  }
  if (kind == CommBackend::none) return *(made = ProcessGroup());
  if (kind == CommBackend::nccl) {
    const ProcessGroup group = connect_nccl(o);
    share_cores(group);
    return *(made = group);
  }
  const std::shared_ptr<comm::Transport> transport = connect_mpi(o.timeout);
  {
    const ProcessGroup first(comm::over(transport));
    first.set_timeout(o.timeout);
    share_cores(first);
  }
  const bool slower = o.simulated_link.seconds > 0 || o.simulated_link.bytes_per_second > 0;
  const ProcessGroup group(comm::over(slower ? comm::slow_link(transport, o.simulated_link) : transport));
  group.set_timeout(o.timeout);
  return *(made = group);
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
