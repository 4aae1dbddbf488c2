// The .npy format in memory, shared by .npy and .npz. Internal to io.
// Knows no zip archive.
#pragma once

#include <string>

#include "weft/io/stored.h"

namespace weft::io {

/// What stands before the data.
struct NpyHeader {
  Stored stored;
  bool fortran = false;
  Shape shape;
  size_t data_at = 0;
};

/// Bytes that the header takes, as its first 12 say; IoError when they are no .npy file's.
size_t npy_header_size(const Source& source);
/// The header at the begin of `source`, which may end with it.
NpyHeader read_npy_header(const Source& source);
/// The array in `source`, which must end with it.
Tensor parse_npy(const Source& source, bool widen);
/// Magic, version and header of an array, padded so that the data is 64-byte aligned.
std::string npy_header(const Tensor& x);

}  // namespace weft::io
