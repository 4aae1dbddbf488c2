// Checksums of bytes, which formats ask for.
// Knows no format.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/core/export.h"

namespace weft::io {

/// The CRC-32 of zip, PNG and zlib, of `size` bytes behind those that have `crc`; 0 begins.
WEFT_API uint32_t crc32(uint32_t crc, const void* data, size_t size);
/// The same with Castagnoli's polynomial (RFC 3720), as iSCSI and TensorFlow's records have it.
WEFT_API uint32_t crc32c(uint32_t crc, const void* data, size_t size);

}  // namespace weft::io
