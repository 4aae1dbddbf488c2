// Checkpoints: everything that a run needs to go on bit for bit, in one file that appears whole or not at all.
//
//     train::Checkpoint checkpoint("runs/a", {.keep_last = 3});
//     checkpoint.add("model", model), checkpoint.add("optimizer", opt), checkpoint.add("loader", loader);
//     checkpoint.add("generator", default_generator());
//     int64_t step = checkpoint.resume().value_or(0);
//     ...
//     checkpoint.save(++step, {.metric = miou});
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "weft/core/generator.h"
#include "weft/core/state_dict.h"

namespace weft::train {

struct CheckpointOptions {
  int64_t keep_last = 3;       ///< older files are removed after a save; 0: all stay
  bool keep_best = true;       ///< beside them the one with the best metric, as best.safetensors
  bool higher_is_better = true;
  bool background = true;      ///< a thread writes; save() takes as long as a copy of the tensors
};
struct SaveOptions {
  std::optional<double> metric = std::nullopt;
};

/// The files of one run: FOLDER/step-00001200.safetensors, readable by anybody; entries are NAME.KEY.
class WEFT_API Checkpoint {
 public:
  explicit Checkpoint(std::string folder, const CheckpointOptions& o = {});
  /// Waits for the file that is being written; an error of it is lost (call `wait` for it).
  ~Checkpoint();
  /// Whatever has `StateDict state_dict() const` and `load_state_dict(const StateDict&)`. It must outlive this object.
  template <class T> void add(const std::string& name, T& part);
  void add(const std::string& name, Generator& g);
  void add(const std::string& name, int64_t& value);
  void add(const std::string& name, double& value);

  /// Takes a copy of all parts now and writes it. Throws the error of the save before it, if that failed.
  void save(int64_t step, const SaveOptions& o = {});
  /// Waits until the last save is on the disk. Throws what it failed with.
  void wait();
  /// Loads the newest file that is whole, by its checksum, into all parts or none, and gives its step; empty where
  /// there is no file. Files that are cut off, altered or of a newer version are told through `on_refused`, and the one
  /// before is tried.
  std::optional<int64_t> resume();
  /// The file of the best metric so far; empty where there is none.
  std::optional<std::string> best() const;
};

}  // namespace weft::train
