// A page about a run, in one file: curves, pictures, tables.
// Knows the lines of a CsvLog and pictures; nothing of models.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "weft/core/tensor.h"

namespace weft::training {

/// A line of a log.
struct LogPoint {
  int64_t step;  ///< of the run
  double value;  ///< what was logged
};
/// The scalars of a CsvLog's file by name, each in the file's order. IoError for a file that is no such log.
[[nodiscard]] WEFT_API std::map<std::string, std::vector<LogPoint>> read_csv_log(const std::string& path);

/// Options of write_report.
struct ReportOptions {
  std::string title = "Training";                               ///< of the page
  std::vector<std::pair<std::string, Tensor>> pictures = {};    ///< caption, and u8 as io::write_image takes
  std::vector<std::pair<std::string, std::string>> texts = {};  ///< heading, and lines that are shown as they stand
};
/// Writes a page that any browser shows, without a network: a chart for each name of the log's scalars ("train/loss"
/// and "val/loss" share one, by what stands behind the last slash), pictures and texts. The file appears whole or not
/// at all. IoError for a log that cannot be read; errors of pictures are those of io::png_bytes.
///     training::write_report("runs/a/report.html", "runs/a/log.csv", {.texts = {{"Classes", matrix.str()}}});
WEFT_API void write_report(const std::string& path, const std::string& csv_log, const ReportOptions& o = {});

}  // namespace weft::training
