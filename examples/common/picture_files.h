// Pictures that a command line names.
#pragma once

#include <weft/weft.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

/// The picture files that the arguments name: files as they are, of folders all .png, .jpg and .jpeg, by name. IoError
/// where there is none.
inline std::vector<std::string> picture_files(const std::vector<std::string>& files_and_folders) {
  std::vector<std::string> out;
  for (const std::string& path : files_and_folders) {
    std::error_code none;
    if (!std::filesystem::is_directory(path, none)) {
      out.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (const std::filesystem::directory_entry& e : std::filesystem::directory_iterator(path)) {
      std::string ending = e.path().extension().string();
      std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
      if (ending == ".png" || ending == ".jpg" || ending == ".jpeg") found.push_back(e.path().string());
    }
    if (found.empty()) weft::raise<weft::IoError>(path, ": holds no .png or .jpg");
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}
