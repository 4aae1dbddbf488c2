// numpy's files: .npy with one array, .npz with several.
// Knows tensors only; a file that lies about itself is refused before anything is allocated for it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weft/core/state_dict.h"

namespace weft::io {

/// Reads one array: little-endian f64 f32 f16 i64 i32 u8 bool (numpy has no bf16). Arrays in Fortran order come as a view with
/// such strides. The data is mapped where it is aligned, as in io::load. IoError names the file and what is wrong with it.
/// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
WEFT_API Tensor load_npy(const std::string& path);
/// Writes one array, atomically, in row-major order. DtypeError for bf16.
WEFT_API void save_npy(const Tensor& x, const std::string& path);

/// Reads all arrays of a .npz (stored or deflated; checksums are verified), in their order.
WEFT_API StateDict load_npz(const std::string& path);
/// Writes a .npz, atomically; `compress` deflates. Metadata is not stored. NotSupported for arrays of 2 GiB
/// and files of 4 GiB: io::save has no such limit.
WEFT_API void save_npz(const StateDict& dict, const std::string& path, bool compress = false);

/// The same from memory; `name` stands for the file in errors.
WEFT_API Tensor load_npy(std::span<const std::byte> bytes, std::string_view name);
WEFT_API StateDict load_npz(std::span<const std::byte> bytes, std::string_view name);

}  // namespace weft::io
