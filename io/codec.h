// What the PNG and JPEG wrappers offer to image.cpp. Internal to io.
// Knows neither library.
#pragma once

#include <vector>

#include "weft/io/file.h"
#include "weft/io/image.h"

namespace weft::io {

bool is_png(Bytes bytes);
bool is_jpeg(Bytes bytes);
/// u8 [H, W, C] with C = o.channels (or the file's own); png: i32 when o.bits is 16.
Tensor read_png(const Source& source, const ReadImageOptions& o);
Tensor read_jpeg(const Source& source, const ReadImageOptions& o);
/// image: contiguous [H, W, C] on the host.
std::vector<std::byte> encode_png(const Tensor& image);
std::vector<std::byte> encode_jpeg(const Tensor& image, int quality);

/// IoError unless the picture is within o.max_pixels and its raw bytes are at most `ratio` times the file's.
void check_size(const Source& source, const ReadImageOptions& o, int64_t height, int64_t width, int64_t row_bytes,
                int64_t ratio);

}  // namespace weft::io
