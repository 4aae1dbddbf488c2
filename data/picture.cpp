#include "weft/data/picture.h"

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "weft/io/folder.h"
#include "weft/io/image.h"

namespace weft::data {

Tensor read_picture(const std::string& path, int channels, int64_t reduce_to) {
  return io::read_image(path, {.channels = channels, .reduce_to = reduce_to}).permute({2, 0, 1});
}

Tensor read_mask(const std::string& path, const Tensor& picture, const std::string& picture_path,
                 const MaskOptions& o) {
  Tensor mask = io::read_labels(path);
  WEFT_CHECK(mask.size(0) == picture.size(1) && mask.size(1) == picture.size(2), IoError, path, ": is ", mask.size(0),
             " x ", mask.size(1), " pixels, its picture ", picture_path, " ", picture.size(1), " x ", picture.size(2));
  if (o.labels.empty() && o.num_classes == 0) return mask;
  int64_t* p = mask.mut_data<int64_t>();
  auto found = o.labels.end();
  for (int64_t i = 0, n = mask.numel(); i < n; ++i) {
    auto fail = [&](const auto&... why) {
      raise<IoError>(path, ": has the unknown label ", p[i], " at [", i / mask.size(1), ", ", i % mask.size(1), "]",
                     why...);
    };
    if (!o.labels.empty()) {
      if (found == o.labels.end() || found->first != p[i]) found = o.labels.find(p[i]);  // neighbours are mostly alike
      if (found == o.labels.end()) fail("; `labels` does not name it");
      p[i] = found->second;
    }
    if (o.num_classes > 0 && (p[i] < 0 || p[i] >= o.num_classes) && p[i] != o.ignore_index)
      fail("; there are ", o.num_classes, " classes, and ", o.ignore_index, " to be ignored");
  }
  return mask;
}

void check_options(const char* what, int channels) {
  WEFT_CHECK(channels == 1 || channels == 3 || channels == 4, ValueError, what, ": channels ", channels,
             " must be 1, 3 or 4");
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) out += (i ? ", " : "") + names[i];
  return names.size() > kShown ? str(out, " and ", names.size() - kShown, " more") : out;
}

std::vector<Line> read_lines(const std::string& path) {
  WEFT_CHECK(io::is_file(path), IoError, path, ": there is no such file");
  std::ifstream file(path);
  WEFT_CHECK(file.good(), IoError, path, ": cannot be opened");
  std::vector<Line> lines;
  std::string text;
  for (int64_t number = 1; std::getline(file, text); ++number) {
    constexpr const char* kBlanks = " \t\r";
    const size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string::npos || text[begin] == '#') continue;
    lines.push_back({number, text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin)});
  }
  WEFT_CHECK(!file.bad(), IoError, path, ": cannot be read");
  WEFT_CHECK(!lines.empty(), IoError, path, ": is empty");
  return lines;
}

}  // namespace weft::data
