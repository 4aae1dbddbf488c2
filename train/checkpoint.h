// Checkpoints: all that a run needs to go on bit for bit, in one file that appears whole or not at all.
// Knows what gives and takes a StateDict, and no module or optimiser by name.
//
//     training::Checkpoint checkpoint("runs/a", {.keep_last = 3});
//     checkpoint.add("model", model).add("optimizer", opt).add("generator", default_generator());
//     int64_t step = checkpoint.resume().value_or(0);
//     ...
//     checkpoint.save(++step, {.metric = miou});
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/generator.h"
#include "weft/core/state_dict.h"
#include "weft/io/safetensors.h"

namespace weft::training {

struct CheckpointHead;

/// Options of Checkpoint.
struct CheckpointOptions {
  int64_t keep_last = 3;         ///< older files are removed after a save; 0: all stay
  bool keep_best = true;         ///< beside them the one with the best metric, as best.safetensors
  bool higher_is_better = true;  ///< of two metrics
  bool background = true;        ///< a thread writes; `save` takes as long as a copy of the tensors
  /// Told of each file that `resume` refuses: its name and the reason. None: a line on standard error.
  std::function<void(const std::string& reason)> on_refused = {};
};
/// Options of Checkpoint::save.
struct SaveOptions {
  std::optional<double> metric = std::nullopt;  ///< what `keep_best` compares; NaN is never the best
};

/// The files of one run, FOLDER/step-00001200.safetensors, readable by anybody: tensors are named PART.KEY, so are the
/// texts of the metadata. Beside them it has `weft.format` (1), `weft.step`, `weft.parts`, `weft.metric` where there
/// is one, and `weft.crc32`: zlib's CRC-32 of the whole file, in which the checksum's own eight digits count as zeros.
///
/// Used by one thread and one process at a time. What a killed run leaves is removed by the next save.
class WEFT_API Checkpoint {
 public:
  /// Makes the folder where there is none. IoError; ValueError for a negative `keep_last`.
  explicit Checkpoint(std::string folder, CheckpointOptions o = {});
  /// Waits for the file that is being written. Its error is lost: call `wait` for it.
  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  /// Adds a part: whatever has `state_dict() const` and `load_state_dict(dict)`, a generator, or a number. It must
  /// outlive this object. ValueError for a name that is taken, or has other characters than letters, digits, - and _.
  template <io::Stateful T> Checkpoint& add(const std::string& name, T& part) {
    return add_part({name, [&part] { return StateDict(std::as_const(part).state_dict()); },
                     [&part](const StateDict& dict) { part.load_state_dict(dict); }});
  }
  Checkpoint& add(const std::string& name, Generator& generator);
  Checkpoint& add(const std::string& name, int64_t& value);
  Checkpoint& add(const std::string& name, double& value);

  /// Copies all parts and writes them as the file of that step. Throws what the save before failed with, if it did, and
  /// saves nothing then; the next call saves. ValueError where the folder has checkpoints that `resume` was not asked
  /// for: they are another run's.
  void save(int64_t step, const SaveOptions& o = {});
  /// Waits until the last save is on the disk. Throws what it failed with.
  void wait();
  /// Loads the newest file that is whole into all parts, or, where it throws, into none, and gives its step; empty
  /// where there are no files. A file that is cut off, altered or of a newer format is refused, and the one before is
  /// tried, the best one last. IoError where all are refused; ValueError for a file whose parts are not those of this
  /// run, or do not fit them.
  std::optional<int64_t> resume();

  /// The newest file; empty where there is none.
  std::optional<std::string> latest() const;
  /// The file of the best metric; empty where there is none.
  std::optional<std::string> best() const;
  /// The metric of that file, as far as `save` and `resume` have seen it.
  std::optional<double> best_metric() const { return best_metric_; }

 private:
  struct Part {
    std::string name;
    std::function<StateDict()> save;
    std::function<void(const StateDict&)> load;
  };
  Checkpoint& add_part(Part part);
  StateDict copy() const;
  void load(const StateDict& dict, const std::string& path);
  void write(const CheckpointHead& head, const StateDict& dict, bool best) const;
  std::string path(std::string_view name) const;

  std::string folder_;
  CheckpointOptions o_;
  std::vector<Part> parts_;
  struct Pending;
  std::unique_ptr<Pending> pending_;                    // the save that is under way
  std::optional<double> best_metric_, pending_metric_;  // the second: of the save that is under way
  bool owned_ = false;                                  // the folder's files are this run's
};

/// The state of one part of a checkpoint's file, as after `resume`:
///     model.load_state_dict(training::read_part("runs/a/best.safetensors", "model"));
/// IoError for a file that `resume` refuses; ValueError, with the names that there are, for another part.
[[nodiscard]] WEFT_API StateDict read_part(const std::string& path, std::string_view part);

}  // namespace weft::training
