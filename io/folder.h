// What lies in folders, in an order that does not depend on the file system. Internal to io and data.
// Knows names only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::io {

/// The regular files, or the folders, right in `folder` (links are followed), sorted by bytes; names that begin with a
/// dot are left out. IoError when it is no folder or cannot be read.
std::vector<std::string> files_in(const std::string& folder);
std::vector<std::string> folders_in(const std::string& folder);
/// Files in `folder` and all folders below it, as paths from it, sorted.
std::vector<std::string> files_below(const std::string& folder);

/// Whether `name` ends in .png, .jpg or .jpeg, in capitals too.
bool is_picture_name(std::string_view name);
/// Whether `name` ends so; `end` in small letters.
bool has_ending(std::string_view name, std::string_view end);
/// The path without the last ".xyz" of its last part.
std::string without_ending(const std::string& path);
/// folder/name.
std::string join_path(const std::string& folder, const std::string& name);
/// Whether there is a regular file, or a folder, of that path.
bool is_file(const std::string& path);
bool is_folder(const std::string& path);

/// Sorts by the numbers in the names: slice2 before slice10, 002 beside 2.
void sort_by_numbers(std::vector<std::string>& names);

}  // namespace weft::io
