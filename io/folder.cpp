#include "weft/io/folder.h"

#include <algorithm>
#include <filesystem>

#include "weft/core/error.h"

namespace weft::io {

namespace fs = std::filesystem;

namespace {

/// Calls f(iterator) for all that lies in `folder`, deep down or not.
template <class Iterator, class F> void walk(const std::string& folder, fs::directory_options options, const F& f) {
  std::error_code error;
  WEFT_CHECK(fs::is_directory(folder, error), IoError, folder, ": ",
             fs::exists(folder, error) ? "is no folder" : "there is no such folder");
  Iterator at(folder, options, error);
  for (; !error && at != Iterator(); at.increment(error)) {
    const bool hidden = at->path().filename().string().starts_with(".");
    if constexpr (requires { at.disable_recursion_pending(); })
      if (hidden) at.disable_recursion_pending();
    if (!hidden) f(at);
  }
  WEFT_CHECK(!error, IoError, folder, ": cannot be read: ", error.message());
}

std::vector<std::string> entries(const std::string& folder, bool folders) {
  std::vector<std::string> names;
  walk<fs::directory_iterator>(folder, fs::directory_options::none, [&](const fs::directory_iterator& at) {
    std::error_code error;
    if (folders ? at->is_directory(error) : at->is_regular_file(error)) names.push_back(at->path().filename().string());
  });
  std::sort(names.begin(), names.end());
  return names;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Below, equal or above 0, as strcmp.
int compare_by_numbers(std::string_view a, std::string_view b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]) ? -1 : 1;
      ++i, ++j;
      continue;
    }
    auto number = [](std::string_view s, size_t& at) {
      while (at < s.size() && s[at] == '0') ++at;
      const size_t begin = at;
      while (at < s.size() && is_digit(s[at])) ++at;
      return s.substr(begin, at - begin);
    };
    const std::string_view x = number(a, i), y = number(b, j);
    if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
    if (const int c = x.compare(y); c != 0) return c;
  }
  return i < a.size() ? 1 : j < b.size() ? -1 : 0;
}

}  // namespace

std::vector<std::string> files_in(const std::string& folder) { return entries(folder, false); }
std::vector<std::string> folders_in(const std::string& folder) { return entries(folder, true); }

std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::vector<fs::path> above = {fs::canonical(folder, error)};  // the folders that lead to an entry, without links
  walk<fs::recursive_directory_iterator>(
      folder, fs::directory_options::follow_directory_symlink, [&](const fs::recursive_directory_iterator& at) {
        if (at->is_regular_file(error)) names.push_back(at->path().lexically_relative(folder).string());
        if (!at->is_directory(error)) return;
        above.resize(static_cast<size_t>(at.depth()) + 1);
        fs::path real = fs::canonical(at->path(), error);
        WEFT_CHECK(std::find(above.begin(), above.end(), real) == above.end(), IoError, at->path().string(),
                   ": is a link to a folder that it lies in");
        above.push_back(std::move(real));
      });
  std::sort(names.begin(), names.end());
  return names;
}

bool has_ending(std::string_view name, std::string_view end) {
  if (name.size() < end.size()) return false;
  name.remove_prefix(name.size() - end.size());
  return std::equal(name.begin(), name.end(), end.begin(),
                    [](char c, char e) { return (c >= 'A' && c <= 'Z' ? c + 32 : c) == e; });
}

bool is_picture_name(std::string_view name) {
  return has_ending(name, ".png") || has_ending(name, ".jpg") || has_ending(name, ".jpeg");
}

std::string without_ending(const std::string& path) {
  const size_t dot = path.rfind('.'), slash = path.rfind('/');
  return dot == std::string::npos || (slash != std::string::npos && dot < slash) ? path : path.substr(0, dot);
}

std::string join_path(const std::string& folder, const std::string& name) { return (fs::path(folder) / name).string(); }

bool is_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

void sort_by_numbers(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    const int c = compare_by_numbers(a, b);
    return c != 0 ? c < 0 : a < b;
  });
}

}  // namespace weft::io
