// A progress bar on the terminal: the one thing of weft that prints, and only when asked for.
// Knows nothing of what progresses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weft/core/export.h"

namespace weft::io {

/// Options of Progress.
struct ProgressOptions {
  /// Where standard error is no terminal: a plain line at most so often, and at the end if there was one before; 0:
  /// none.
  double line_seconds = 10;
  int64_t done_before = 0;  ///< the step that a run goes on from: rate and time left are of the steps after it
};

/// One line on standard error, redrawn in place at most ten times a second:
///     optimise [##########--------------]  50/120  loss 12.41  3.9/s  0:18 left
/// The rate is that of all steps so far; where it is below 1 a second: 2.5 s each.
class WEFT_API Progress {
 public:
  /// A bar of `total` steps. `label` stands before it.
  Progress(std::string label, int64_t total, const ProgressOptions& o = {});
  /// Ends the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// `done` of the total steps are done; `note` stands beside the bar.
  void update(int64_t done, std::string_view note = {});
  /// Whether an update before the last would be drawn now: a note that is costly to make may be left out.
  bool shown() const;

 private:
  std::string label_;
  int64_t total_;
  ProgressOptions o_;
  bool terminal_, drawn_ = false;
  double begin_, last_;  // seconds of the steady clock
};

}  // namespace weft::io
