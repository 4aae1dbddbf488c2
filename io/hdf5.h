// HDF5 files: what they hold, and their datasets whole or in parts. libhdf5 is in a plugin, libweft_hdf5.so, which is
// loaded on first use. Knows tensors only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/state_dict.h"
#include "weft/io/load.h"

namespace weft::io {

/// An HDF5 file that is open, for one thread or several: f64 f32 f16, integers of 8 to 64 bits and h5py's bool, in
/// either byte order, with the filters that libhdf5 has. Others (text, compounds, complex numbers) are listed, and
/// asking for one is NotSupported, by name. libhdf5 reads the file: keep to files whose origin you know.
///     io::Hdf5File file("volume.h5");
///     Tensor slab = file.load("raw", {0, 0, 0}, {16, 512, 512});
class WEFT_API Hdf5File {
 public:
  /// IoError for what is no HDF5 file; NotSupported where there is no plugin or no libhdf5.
  explicit Hdf5File(const std::string& path);
  /// Of all groups, named by their paths without the first slash, in the order of names; dtypes in numpy's words.
  const std::vector<TensorInfo>& datasets() const;
  /// Whether there is a dataset of that path.
  bool contains(std::string_view name) const;
  /// ValueError when there is none of that name. IoError for a dataset that cannot be read, or that claims more than
  /// its bytes in the file can hold.
  Tensor load(std::string_view name, const LoadOptions& o = {}) const;
  /// The elements [start, start + size) of each axis. ShapeError when they do not lie inside.
  Tensor load(std::string_view name, const Shape& start, const Shape& size, const LoadOptions& o = {}) const;
  /// All of them; those that weft cannot hold are `foreign`.
  StateDict load(const LoadOptions& o = {}) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

}  // namespace weft::io
