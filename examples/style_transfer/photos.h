// Pictures to learn from: files and folders, and pieces of them.
// Knows nothing of networks.
#pragma once

#include <weft/weft.h>

#include <string>
#include <vector>

#include "../common/picture_files.h"

/// "wave" of "folder/wave.png".
std::string stem(const std::string& path);

/// A picture as [1, 3, size, size] with 0..255, RGB; `squash` the whole of it, else the square in its middle.
weft::Tensor load_square(const std::string& path, int64_t size, bool squash);

/// Pieces of photos, a dataset: the photos are kept in memory, and each sample is a piece [3, size, size] of one,
/// 0..255, RGB.
class Photos {
 public:
  /// `augment`: a square at random, as large as the photo at most, scaled, perhaps mirrored, with other colours, and
  /// not plain; otherwise the square in the middle.
  Photos(const std::vector<std::string>& files, int64_t size, bool augment);
  int64_t size() const { return static_cast<int64_t>(images_.size()); }
  weft::Tensor get(int64_t i, weft::Generator& g) const;

 private:
  std::vector<weft::Tensor> images_;  // u8 [H, W, 3]
  int64_t size_;
  bool augment_;
};
