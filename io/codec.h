// What the PNG and JPEG wrappers offer to image.cpp. Internal to io.
// Knows neither library.
#pragma once

#include <vector>

#include "weft/io/file.h"
#include "weft/io/image.h"

namespace weft::io {

bool is_png(Bytes bytes);
bool is_jpeg(Bytes bytes);
/// u8 [H, W, C] with C = o.channels (or the file's own), upright; png: i32 when o.bits is 16.
Tensor read_png(const Source& source, const ReadImageOptions& o);
Tensor read_jpeg(const Source& source, const ReadImageOptions& o);
/// i64 [H, W]: the numbers that a palette or grey PNG stores, upright.
Tensor read_png_labels(const Source& source, int64_t max_pixels);
/// image: contiguous [H, W, C] on the host. A palette makes the one channel of u8 its indices.
std::vector<std::byte> encode_png(const Tensor& image, const Palette& palette = {});
std::vector<std::byte> encode_jpeg(const Tensor& image, int quality);

/// u8, or 16 bits in i32, [H, W, C] with C of 1 to 4 -> the same with `channels`. Grey is 0.299 R + 0.587 G + 0.114 B,
/// alpha that goes is laid over white: both of the stored values, whatever gamma a file declares.
Tensor to_channels(const Tensor& image, int64_t channels);

/// EXIF's orientation, 1..8; 1 when there is none. An EXIF block is a small TIFF file.
int exif_orientation(Bytes exif);
/// The picture [H, W, ...] as it should be seen: the stored one mirrored, turned or both.
Tensor upright(const Tensor& image, int orientation);

/// IoError unless the picture is within o.max_pixels and its raw bytes are at most `ratio` times the file's.
void check_size(const Source& source, const ReadImageOptions& o, int64_t height, int64_t width, int64_t row_bytes,
                int64_t ratio);

}  // namespace weft::io
