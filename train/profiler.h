// Where a program's time and memory go: per op and per module, forward and backward, as a table and as a trace.
// Knows kernels, nodes of backward and calls of modules by their names alone.
//
//     training::Profiler profiler(net, {.skip_steps = 2});
//     for (int i = 0; i < 5; ++i) {
//       train_step();
//       profiler.step();
//     }
//     profiler.stop();
//     std::cout << profiler.table() << profiler.memory_summary();
//     profiler.write_chrome_trace("trace.json");
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/profile.h"
#include "weft/nn/module.h"

namespace weft::training {

struct ProfilerOptions {
  /// Nothing is recorded before this many calls of `step`: caches and memory of the first steps are not the rule.
  int64_t skip_steps = 0;
  /// The most calls that are recorded of a thread, and the most blocks of memory taken or given back. Further ones are
  /// counted as dropped.
  int64_t max_events = int64_t{1} << 22;
};

enum class ProfileBy : uint8_t { op, module, op_module };
constexpr auto mode_words(ProfileBy) { return make_words("Profiler: by", "op", "module", "op,module"); }
enum class ProfileSort : uint8_t { self, total, calls, flop, bytes, memory };
constexpr auto mode_words(ProfileSort) {
  return make_words("Profiler: sort", "self", "total", "calls", "flop", "bytes", "memory");
}

/// A line of a profile. By "op": all calls of a kernel ("conv"), of backward of an op ("conv2d backward"), of a class
/// of modules ("Conv2d") or of a range. By "module": all that ran in the calls of a module and in backward of its ops.
/// By "op,module": a line for each pair.
/// What stands for the whole of a line, `total` and what follows, includes the calls inside: the kernels of a backward,
/// the modules below a module.
struct ProfileRow {
  std::string name;    ///< empty by "module"
  std::string module;  ///< dotted name as in named_modules; "(model)": the model itself; empty: none, or by "op"
  std::string kind;    ///< "kernel", "backward", "module" or "range"
  int64_t calls = 0;
  double self_ms = 0;             ///< without the calls inside; by "module" without the modules below
  double total_ms = 0;            ///< with them
  double backward_ms = 0;         ///< of the total, what was spent in backward
  double device_ms = 0;           ///< time of kernels on a device that runs beside the CPU
  int64_t flop = 0;               ///< of the kernels that docs/guide/profiling.md lists
  int64_t read = 0, written = 0;  ///< bytes of the kernels' tensors
  int64_t memory = 0;             ///< bytes allocated, whether freed later or not
};

struct ProfileTableOptions {
  Choice<ProfileBy> by = ProfileBy::op;
  Choice<ProfileSort> sort = ProfileSort::self;
  int64_t rows = 25;  ///< at most; 0: all
};

namespace detail {
class ProfileSession;
}

/// Records what all threads do from its construction to `stop`: calls of kernels, of modules (those of the library, and
/// classes that call through nn/call.h) and of backward's nodes; ranges; blocks of memory. One runs at a time:
/// ValueError for a second one. Tables and traces may be asked for at any time; a call that has not ended counts up to
/// now.
class WEFT_API Profiler {
 public:
  /// Modules get the path from the outermost module whose call runs: "ResNet.layer1.0.conv1".
  explicit Profiler(const ProfilerOptions& o = {});
  /// Modules of `model` have the names of `named_modules`: "layer1.0.conv1".
  explicit Profiler(const nn::Module& model, const ProfilerOptions& o = {});
  /// Stops.
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  /// Ends a step of the program.
  void step();
  /// Ends the record. Without effect when called again.
  void stop();
  bool is_running() const { return running_; }

  /// The lines, those with the largest self time first.
  std::vector<ProfileRow> totals(Choice<ProfileBy> by = ProfileBy::op) const;
  /// The lines as text, with shares of the time, FLOP and bytes per second.
  std::string table(const ProfileTableOptions& o = {}) const;
  /// Writes a file in Chrome's Trace Event Format, for ui.perfetto.dev or chrome://tracing: a track for each thread and
  /// for each device that runs beside the CPU, the steps, and the memory in use. It appears whole or not at all.
  /// IoError.
  void write_chrome_trace(const std::string& path) const;
  /// Of the blocks of memory that were allocated on `device` since the start: what is in use (at `stop`, or now) and
  /// what was when most was in use, by op and by module, and the `rows` largest blocks that are in use.
  std::string memory_summary(Device device = {}, int64_t rows = 10) const;

 private:
  void begin(const nn::Module* model, const ProfilerOptions& o);
  std::shared_ptr<detail::ProfileSession> session_;
  int64_t skip_;
  bool running_ = true;
};

/// A part of the program under a name of its own in the running profiler's tables and traces; without one it costs a
/// load:
///     { training::ProfileRange range("data"); batch = loader.next(); }
class WEFT_API ProfileRange {
 public:
  explicit ProfileRange(std::string_view name);
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;

 private:
  weft::detail::ProfileScope scope_;
};

/// `Profiler::memory_summary` of the profiler that runs, below what the device's allocator holds; without a profiler
/// the latter alone.
[[nodiscard]] WEFT_API std::string memory_summary(Device device = {}, int64_t rows = 10);

}  // namespace weft::training
