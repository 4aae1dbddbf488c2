// Pictures: PNG and JPEG files as u8 tensors [H, W, C], their way to and from what networks take, and resizing.
// Knows tensors only. Built without the codecs (WEFT_IMAGE=OFF), reading and writing throw NotSupported.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weft/core/tensor.h"

namespace weft::io {

struct ReadImageOptions {
  /// 1 grey, 3 RGB, 4 RGBA; 0 as the file has it (2: grey with alpha). Alpha that is dropped is laid over white.
  int channels = 3;
  /// Bits per channel of the result: 8 gives u8; 16 gives i32 with 0..65535 (PNG only, 8-bit files are scaled).
  int bits = 8;
  /// Larger pictures are refused.
  int64_t max_pixels = int64_t{1} << 28;
};

/// Reads a PNG (1 to 16 bits; grey, palette, RGB, with or without alpha) or a JPEG (grey or colour; turned upright as its
/// EXIF entry says) -> [H, W, C]. The content decides, not the name. IoError names the file and what is wrong with it; nothing
/// is allocated that the file's size does not justify.
WEFT_API Tensor read_image(const std::string& path, const ReadImageOptions& o = {});
/// The same from memory; `name` stands for the file in errors.
WEFT_API Tensor read_image(std::span<const std::byte> bytes, std::string_view name, const ReadImageOptions& o = {});

struct WriteImageOptions {
  int quality = 92;  ///< of JPEG, 1..100
};

/// Writes [H, W], or [H, W, C] with C = 1 to 4, atomically, as the name ends: .png (u8, or 16 bits from i32 with 0..65535),
/// .jpg or .jpeg (u8, C = 1 or 3).
WEFT_API void write_image(const Tensor& image, const std::string& path, const WriteImageOptions& o = {});

/// [H, W, C] of u8 (0..255) -> f32 [1, C, H, W] with the same values, stored channels-last as convolutions like it.
WEFT_API Tensor image_to_batch(const Tensor& image);
/// f32 [1, C, H, W] or [C, H, W] -> u8 [H, W, C], clamped to 0..255 and rounded. NaN becomes 0.
WEFT_API Tensor batch_to_image(const Tensor& x);

/// The kernel of a resize: area averages, Lanczos (a = 3) is sharper.
enum class ResizeFilter { area, lanczos };
/// [H, W, C] of u8 or f32 -> [height, width, C]: separable, antialiased (the kernel widens when shrinking, as in Pillow).
WEFT_API Tensor resize_image(const Tensor& image, int64_t height, int64_t width,
                             ResizeFilter filter = ResizeFilter::lanczos);

}  // namespace weft::io
