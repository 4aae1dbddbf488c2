// Pictures to learn from: files and folders, and random pieces of them.
// Knows nothing of networks.
#pragma once

#include <weft/weft.h>

#include <string>
#include <vector>

/// The picture files that the arguments name: files as they are, of folders all .png, .jpg and .jpeg, by name. IoError
/// where there is none.
std::vector<std::string> picture_files(const std::vector<std::string>& files_and_folders);

/// "wave" of "folder/wave.png".
std::string stem(const std::string& path);

/// A picture as [1, 3, size, size] with 0..255, RGB; `squash` the whole of it, else the square in its middle.
weft::Tensor load_square(const std::string& path, int64_t size, bool squash);

/// Photos in memory.
class Photos {
 public:
  explicit Photos(const std::vector<std::string>& files);
  /// A batch [N, 3, size, size], 0..255, RGB: each sample a square of a random photo, as large as the photo at most,
  /// scaled, perhaps mirrored, and with other colours; none is plain. Takes its chances from `g`.
  weft::Tensor random_batch(int64_t n, int64_t size, weft::Generator& g) const;
  /// Photos step * n, step * n + 1, ... (from the beginning again after the last), the square in the middle of each,
  /// unchanged.
  weft::Tensor batch_in_turn(int64_t n, int64_t size, int64_t step) const;

 private:
  weft::Tensor random_piece(int64_t size, weft::Generator& g) const;
  std::vector<weft::Tensor> images_;  // u8 [H, W, 3]
};
