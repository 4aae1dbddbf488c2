// Pictures: PNG and JPEG files as u8 tensors [H, W, C], label maps as i64 [H, W], their way to and from what networks
// take, and resizing.
// Knows tensors only. Built without the codecs (WEFT_IMAGE=OFF), reading and writing throw NotSupported.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/choice.h"
#include "weft/core/tensor.h"
#include "weft/io/input_output.h"

namespace weft::io {

/// Options of read_image.
struct ReadImageOptions {
  /// 1 grey, 3 RGB, 4 RGBA; 0 as the file has it (2: grey with alpha). Alpha that is dropped is laid over white.
  int channels = 3;
  /// Bits per channel of the result: 8 gives u8; 16 gives i32 with 0..65535 (PNG only, 8-bit files are scaled).
  int bits = 8;
  /// Larger pictures are refused.
  int64_t max_pixels = int64_t{1} << 28;
  /// A JPEG is decoded at 1/2, 1/4 or 1/8 of its size (rounded up) as long as the shorter side keeps at least so many
  /// pixels: from the low frequencies alone, in less time, with the values of Pillow's draft mode. 0: at its own size.
  int64_t reduce_to = 0;
};

/// Reads a PNG (1 to 16 bits; grey, palette, RGB, with or without alpha) or a JPEG (grey, colour, CMYK or YCCK) -> [H,
/// W, C], turned upright as its EXIF entry says. Grey from colour is 0.299 R + 0.587 G + 0.114 B of the stored values,
/// rounded; a declared gamma changes nothing. CMYK is taken as Adobe stores it, without colour profiles: R = 255 (1 -
/// C)(1 - K). The content decides, not the name. IoError names the file and what is wrong with it; nothing is allocated
/// that the file's size does not justify. A palette gives its colours here; masks of classes want read_labels.
WEFT_API Tensor read_image(const Input& from, const ReadImageOptions& o = {});
/// The same from memory; `name` stands for the file in errors.
inline Tensor read_image(std::span<const std::byte> bytes, std::string_view name, const ReadImageOptions& o = {}) {
  return read_image({bytes, std::string(name)}, o);
}

/// Options of write_image.
struct WriteImageOptions {
  int quality = 92;  ///< of JPEG, 1..100
};

/// Writes [H, W], or [H, W, C] with C = 1 to 4, atomically, as the name ends: .png (u8, or 16 bits from i32 with
/// 0..65535), .jpg or .jpeg (u8, C = 1 or 3).
WEFT_API void write_image(const Tensor& image, const std::string& path, const WriteImageOptions& o = {});

/// The bytes of the .png file that write_image makes of it.
[[nodiscard]] WEFT_API std::vector<std::byte> png_bytes(const Tensor& image);

/// Reads a label map (a mask of classes) -> i64 [H, W]: the numbers that a PNG stores, as indices of its palette (1, 2,
/// 4 or 8 bits) or grey (1 to 16 bits, not scaled to 255), turned upright as its EXIF entry says. IoError for what
/// would change classes silently: colours, alpha, JPEG.
WEFT_API Tensor read_labels(const Input& from, int64_t max_pixels = int64_t{1} << 28);
/// The same from memory; `name` stands for the file in errors.
inline Tensor read_labels(std::span<const std::byte> bytes, std::string_view name,
                          int64_t max_pixels = int64_t{1} << 28) {
  return read_labels({bytes, std::string(name)}, max_pixels);
}

/// The colours R, G, B of the indices 0, 1, 2, ...; at most 256.
using Palette = std::vector<std::array<uint8_t, 3>>;
/// Writes integers or bools [H, W] as a PNG of 8-bit palette indices, atomically; the name ends in .png. Without a
/// palette: that of Pascal VOC, 256 colours. ValueError for a label that is negative or has no colour. (More than 256
/// classes: write_image stores i32 as 16 bits of grey, which read_labels reads.)
WEFT_API void write_labels(const Tensor& labels, const std::string& path, const Palette& palette = {});

/// [H, W, C] of u8 (0..255) -> f32 [1, C, H, W] with the same values, stored channels-last as convolutions like it.
WEFT_API Tensor image_to_batch(const Tensor& image);
/// f32 [1, C, H, W] or [C, H, W] -> u8 [H, W, C], clamped to 0..255 and rounded. NaN becomes 0.
WEFT_API Tensor batch_to_image(const Tensor& x);

/// The kernel of a resize: area averages, Lanczos (a = 3) is sharper, nearest takes the one pixel under the centre of
/// each (as Pillow; `floor((i + 0.5) * in / out)`) and makes no new values.
enum class ResizeFilter { area, lanczos, nearest };
constexpr auto mode_words(ResizeFilter) { return make_words("resize_image: filter", "area", "lanczos", "nearest"); }
/// [H, W, C] of u8 or f32 -> [height, width, C]: separable, antialiased (the kernel widens when shrinking, as in
/// Pillow). `nearest` also takes [H, W], and every dtype: it is the one for labels.
WEFT_API Tensor resize_image(const Tensor& image, int64_t height, int64_t width,
                             Choice<ResizeFilter> filter = ResizeFilter::lanczos);

}  // namespace weft::io
