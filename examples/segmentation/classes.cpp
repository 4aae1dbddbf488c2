#include "classes.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

using namespace weft;

namespace {

/// Pascal VOC's colour of a number: its bits, three by three, from the highest bit of each channel down.
std::array<uint8_t, 3> voc_colour(int64_t number) {
  std::array<uint8_t, 3> colour{};
  for (int bit = 7; number > 0; --bit, number >>= 3)
    for (int c = 0; c < 3; ++c) colour[static_cast<size_t>(c)] |= static_cast<uint8_t>((number >> c & 1) << bit);
  return colour;
}

}  // namespace

io::Palette Classes::file_palette() const {
  io::Palette all = palette;
  while (std::ssize(all) <= std::min<int64_t>(ignore_index, 255)) all.push_back({0, 0, 0});
  return all;
}

Classes camvid_classes() {
  Classes c{data::CamVid::classes(),
            {{128, 128, 128},
             {128, 0, 0},
             {192, 192, 128},
             {128, 64, 128},
             {60, 40, 222},
             {128, 128, 0},
             {192, 128, 128},
             {64, 64, 128},
             {64, 0, 128},
             {64, 64, 0},
             {0, 128, 192}},
            data::CamVid::kIgnore};
  c.names.resize(static_cast<size_t>(data::CamVid::kClasses));
  return c;
}

Classes voc_classes() {
  Classes c{data::VOCSegmentation::classes(), {}, data::VOCSegmentation::kIgnore};
  for (int64_t i = 0; i < c.size(); ++i) c.palette.push_back(voc_colour(i));
  return c;
}

std::string class_lines(const Classes& classes) {
  std::string lines;
  for (size_t i = 0; i < classes.names.size(); ++i) {
    lines += classes.names[i];
    for (const uint8_t v : classes.palette[i]) lines += ' ' + std::to_string(v);
    lines += '\n';
  }
  return lines;
}

Classes parse_classes(const std::string& lines, const std::string& from, int64_t ignore_index) {
  Classes classes;
  classes.ignore_index = ignore_index;
  std::istringstream in(lines);
  std::string line;
  std::set<std::string> seen;
  for (int number = 1; std::getline(in, line); ++number) {
    std::istringstream words(line);
    std::string name, rest;
    if (!(words >> name) || name.starts_with("#")) continue;
    std::array<int, 3> rgb{};
    std::array<uint8_t, 3> colour = voc_colour(classes.size());
    if (words >> rgb[0]) {
      words >> rgb[1] >> rgb[2];
      const bool fits = std::all_of(rgb.begin(), rgb.end(), [](int v) { return v >= 0 && v <= 255; });
      WEFT_CHECK(words && fits, IoError, from, ": line ", number, " is no class and colour: '", line, "'");
      for (size_t i = 0; i < 3; ++i) colour[i] = static_cast<uint8_t>(rgb[i]);
    } else {
      words.clear();
    }
    WEFT_CHECK(!(words >> rest), IoError, from, ": line ", number, " has '", rest, "' where a colour would be");
    WEFT_CHECK(seen.insert(name).second, IoError, from, ": line ", number, " names the class '", name, "' again");
    classes.names.push_back(name);
    classes.palette.push_back(colour);
  }
  WEFT_CHECK(classes.size() >= 2 && classes.size() <= 256, IoError, from, ": has ", classes.size(),
             " classes; 2 to 256 are possible");
  return classes;
}

Classes read_classes(const std::string& file_or_list, int64_t ignore_index) {
  if (std::ifstream file(file_or_list); std::filesystem::is_regular_file(file_or_list) && file) {
    std::ostringstream text;
    text << file.rdbuf();
    return parse_classes(text.str(), file_or_list, ignore_index);
  }
  WEFT_CHECK(file_or_list.find(',') != std::string::npos, IoError, file_or_list,
             ": is neither a file of classes nor a list such as road,sky,car");
  std::string lines = file_or_list;
  std::replace(lines.begin(), lines.end(), ',', '\n');
  return parse_classes(lines, "--classes", ignore_index);
}
