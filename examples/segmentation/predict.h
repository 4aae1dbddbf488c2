// Photos with what a network sees in them.
// Knows files; no training.
#pragma once

#include <string>
#include <vector>

#include "evaluate.h"

struct PredictOptions {
  std::vector<std::string> photos;  ///< files and folders
  std::string out = ".";            ///< folder
  int64_t side = -1;                ///< shorter side of what the network sees; 0: the photo's, -1: the model's
  RunOn on;
};

/// Writes for each photo NAME_overlay.png (the photo beside itself under the classes' colours, and a legend) and
/// NAME_labels.png (the classes' numbers, in their colours). Gives the files. IoError that names a photo that cannot be
/// read.
std::vector<std::string> predict(Model& model, const PredictOptions& o);
