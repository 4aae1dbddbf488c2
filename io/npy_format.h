// The .npy format in memory, shared by .npy and .npz. Internal to io.
// Knows no zip archive.
#pragma once

#include <string>

#include "weft/io/file.h"

namespace weft::io {

/// The array in `source`, which must end with it.
Tensor parse_npy(const Source& source);
/// Magic, version and header of an array, padded so that the data is 64-byte aligned.
std::string npy_header(const Tensor& x);

}  // namespace weft::io
