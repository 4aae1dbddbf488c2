// numpy's files: .npy with one array, .npz with several.
// Knows tensors only; a file that lies about itself is refused before anything is allocated for it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/state_dict.h"
#include "weft/io/input_output.h"
#include "weft/io/load.h"

namespace weft::io {

/// Reads one array: f64 f32 f16 i64 i32 i16 i8 u16 u8 bool (numpy has no bf16), little-endian or big-endian; u32 and
/// u64 as the options say. Arrays in Fortran order come as a view with such strides. The data is mapped where it is
/// little-endian and aligned, as in io::load. IoError names the file and what is wrong with it, NotSupported its dtype.
/// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
WEFT_API Tensor load_npy(const Input& from, const LoadOptions& o = {});
/// What the header of an array says, whatever its dtype. The name is empty.
WEFT_API TensorInfo npy_info(const Input& from);
/// Writes one array in row-major order. DtypeError for bf16.
WEFT_API void save_npy(const Tensor& x, const Output& to);

/// Reads all arrays of a .npz (stored or deflated; checksums are verified), in their order. Those of other dtypes are
/// listed in `foreign`, as by io::load.
WEFT_API StateDict load_npz(const Input& from, const LoadOptions& o = {});

/// A .npz that is open: what it holds, whatever the dtypes, and its arrays one by one. As SafetensorsFile.
class WEFT_API NpzFile {
 public:
  /// Reads the directory and the arrays' headers. IoError as load_npz. Bytes must live as long as this.
  explicit NpzFile(const Input& from);
  /// The same with a file's bytes; `name` stands for the file in errors.
  NpzFile(std::span<const std::byte> bytes, std::string_view name) : NpzFile(Input(bytes, std::string(name))) {}
  /// In the order of the archive, named without `.npy`.
  const std::vector<TensorInfo>& arrays() const;
  /// Whether there is an array of that name.
  bool contains(std::string_view name) const;
  /// ValueError when there is none of that name; NotSupported when weft cannot hold it.
  Tensor load(std::string_view name, const LoadOptions& o = {}) const;
  /// All of them; those that weft cannot hold are `foreign`.
  StateDict load(const LoadOptions& o = {}) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

/// Writes a .npz; `compress` deflates. Metadata is not stored. NotSupported for arrays of 2 GiB
/// and files of 4 GiB (io::save has no such limit), and when the dict has foreign arrays.
WEFT_API void save_npz(const StateDict& dict, const Output& to, Only<bool> compress = false);

/// The readers with the bytes of a file in memory; `name` stands for the file in errors.
inline Tensor load_npy(std::span<const std::byte> bytes, std::string_view name, const LoadOptions& o = {}) {
  return load_npy({bytes, std::string(name)}, o);
}
inline TensorInfo npy_info(std::span<const std::byte> bytes, std::string_view name) {
  return npy_info({bytes, std::string(name)});
}
inline StateDict load_npz(std::span<const std::byte> bytes, std::string_view name, const LoadOptions& o = {}) {
  return load_npz({bytes, std::string(name)}, o);
}

}  // namespace weft::io
