// Pictures and masks as datasets give them. Internal to data.
// Knows io's readers, no layout of folders.
#pragma once

#include <string>
#include <vector>

#include "weft/data/datasets.h"

namespace weft::data {

/// u8 [channels, H, W], stored pixel by pixel.
Tensor read_picture(const std::string& path, int channels, int64_t reduce_to = 0);
/// i64 [H, W] of the picture's size, with the labels that `o` names.
Tensor read_mask(const std::string& path, const Tensor& picture, const std::string& picture_path, const MaskOptions& o);
/// ValueError for options that no picture can be read with.
void check_options(const char* what, int channels);

/// "a, b, c and 4 more", for messages.
std::string some_of(const std::vector<std::string>& names);

/// A line of a text file that is neither empty nor a comment.
struct Line {
  int64_t number;
  std::string text;
};
/// Without line ends and blanks around; IoError for a file without such lines.
std::vector<Line> read_lines(const std::string& path);

}  // namespace weft::data
