// What libweft and its HDF5 plugin agree on. Knows no HDF5.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weft/core/shape.h"

namespace weft::io::hdf5 {

inline constexpr const char* kPluginName = "libweft_hdf5.so";
inline constexpr const char* kRegisterName = "weft_register_hdf5";
/// Raised with every change below.
inline constexpr int kAbi = 1;

struct Dataset {
  std::string name;  // the path, without its first slash
  Shape shape;
  std::string dtype;      // numpy's word without byte order, "f4", "b1"; in words where weft has no such dtype
  bool readable = false;  // whether `dtype` is such a word
  size_t itemsize = 0;
  uint64_t packed = 0;    // bytes that it takes in the file
  bool filtered = false;  // compressed, or otherwise packed
};

/// An open file. All calls raise IoError that begins with the file's path.
class File {
 public:
  virtual ~File() = default;
  virtual const std::vector<Dataset>& datasets() const = 0;
  /// Elements [start, start + size) of a readable dataset, little-endian, row-major.
  virtual void read(size_t dataset, const Shape& start, const Shape& size, void* out) const = 0;
};

using Open = std::unique_ptr<File> (*)(const std::string& path);
/// Null for another kAbi.
using Register = Open (*)(int abi);

}  // namespace weft::io::hdf5
