// One checkpoint as a file, with its checksum. Internal to train.
// Knows a dict and a path; nothing of runs and folders.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "weft/core/state_dict.h"

namespace weft::training {

/// What a file says of itself beside its parts.
struct CheckpointHead {
  int64_t step = 0;
  std::vector<std::string> parts;
  std::optional<double> metric;
};

/// Writes the dict and the head, atomically.
void write_checkpoint(StateDict dict, const CheckpointHead& head, const std::string& path);

/// A whole file. IoError that names it, and why it is refused.
StateDict read_checkpoint(const std::string& path, CheckpointHead& head);

/// "a, b, c"
std::string listed(const std::vector<std::string>& names);

}  // namespace weft::training
