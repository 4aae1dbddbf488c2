// A progress bar on the terminal: the one thing of weft that prints, and only when asked for.
// Knows nothing of what progresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "weft/core/export.h"

namespace weft::io {

/// One line on standard error, redrawn in place at most ten times a second:
///     optimise [##########--------------]  50/120  loss 12.41  0:18 left
/// Silent when standard error is no terminal.
class WEFT_API Progress {
 public:
  /// A bar of `total` steps. `label` stands before it.
  Progress(std::string label, int64_t total);
  /// Ends the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// `done` of the total steps are done; `note` stands beside the bar.
  void update(int64_t done, std::string_view note = {});
  /// False when nothing is drawn: a note that is costly to make may be left out.
  bool shown() const { return terminal_; }

 private:
  std::string label_;
  int64_t total_;
  bool terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point begin_, last_{};
};

}  // namespace weft::io
