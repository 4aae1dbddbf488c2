// Files that come with a program.
#pragma once

#include <filesystem>
#include <string>

#include "share_folder.h"

/// `path` if there is such a file or folder; else the file of that name in share_folder(), if there is one; else `path`
/// again, for the reader to complain about.
inline std::string shipped(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code none;
  const fs::path name = fs::path(path).filename();
  if (path.empty() || name.empty() || fs::exists(path, none)) return path;
  const fs::path file = share_folder() / name;
  return fs::is_regular_file(file, none) ? file.string() : path;
}
