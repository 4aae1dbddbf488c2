// Files that come with a program.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

/// `path` if there is such a file or folder; else the file of that name in share/weft beside the program's bin folder,
/// if there is one; else `path` again, for the reader to complain about.
inline std::string shipped(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code none;
  const fs::path name = fs::path(path).filename();
  if (path.empty() || name.empty() || fs::exists(path, none)) return path;
  const fs::path self = fs::read_symlink("/proc/self/exe", none);
  const fs::path file = (self.parent_path() / ".." / "share" / "weft" / name).lexically_normal();
  return fs::is_regular_file(file, none) ? file.string() : path;
}
