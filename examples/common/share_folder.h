// Where files lie that come with a program.
#pragma once

#include <filesystem>
#include <system_error>

/// share/weft beside the program's bin folder.
inline std::filesystem::path share_folder() {
  std::error_code none;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", none);
  return (self.parent_path() / ".." / "share" / "weft").lexically_normal();
}
