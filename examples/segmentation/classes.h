// What the classes of a data set are called and how they are coloured.
// Knows no picture.
#pragma once

#include <weft/weft.h>

#include <string>
#include <vector>

struct Classes {
  std::vector<std::string> names;
  weft::io::Palette palette;  ///< of the classes, in their order
  int64_t ignore_index = 255;

  int64_t size() const { return static_cast<int64_t>(names.size()); }
  /// With black for whatever has no colour, up to ignore_index: for files of labels.
  weft::io::Palette file_palette() const;
};

/// CamVid's eleven, which the drawn scenes have too; 11 is ignored.
Classes camvid_classes();
/// Pascal VOC's 21; 255 is ignored.
Classes voc_classes();
/// From a file with a class a line, "NAME" or "NAME R G B", or from "road,sky,car". Colours that are not given are
/// VOC's. IoError, with file and line, for what is no class.
Classes read_classes(const std::string& file_or_list, int64_t ignore_index);
/// "sky 128 128 128\n...": what `read_classes` reads.
std::string class_lines(const Classes& classes);
/// The inverse; `from` names the text in errors.
Classes parse_classes(const std::string& lines, const std::string& from, int64_t ignore_index);
