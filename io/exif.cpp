#include <cstring>

#include "weft/core/factory.h"
#include "weft/io/codec.h"

namespace weft::io {

int exif_orientation(Bytes bytes) {
  constexpr size_t kPrefix = 6;  // JPEG's "Exif" and two bytes of 0; PNG has none, though some write it
  if (bytes.size() >= kPrefix && std::memcmp(bytes.data(), "Exif\0", kPrefix - 1) == 0) bytes = bytes.subspan(kPrefix);
  const auto* p = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t n = bytes.size();
  if (n < 8) return 1;
  bool little = p[0] == 'I';
  auto u16 = [&](size_t at) -> size_t {
    return at + 2 > n ? 0 : little ? p[at] | p[at + 1] << 8 : p[at] << 8 | p[at + 1];
  };
  auto u32 = [&](size_t at) -> size_t { return little ? u16(at) | u16(at + 2) << 16 : u16(at) << 16 | u16(at + 2); };
  size_t directory = u32(4), entries = u16(directory);
  for (size_t i = 0; i < entries; ++i) {
    size_t at = directory + 2 + 12 * i;
    if (at + 12 > n) break;
    if (u16(at) == 0x0112 && u16(at + 8) >= 1 && u16(at + 8) <= 8) return static_cast<int>(u16(at + 8));
  }
  return 1;
}

Tensor upright(const Tensor& x, int orientation) {
  if (orientation == 1) return x;
  bool swap = orientation >= 5;  // rows are columns
  bool flip_y = orientation == 3 || orientation == 4 || orientation == 7 ||
                orientation == 8;  // of the stored picture's axis
  bool flip_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Shape shape = x.shape();
  int64_t h = shape[0], w = shape[1], out_h = swap ? w : h, out_w = swap ? h : w;
  shape[0] = out_h;
  shape[1] = out_w;
  size_t pixel = x.nbytes() / static_cast<size_t>(h * w);
  Tensor y = empty(shape, x.dtype());
  const auto* in = static_cast<const std::byte*>(x.raw_data());
  auto* out = static_cast<std::byte*>(y.mut_raw_data());
  for (int64_t i = 0; i < out_h; ++i)
    for (int64_t j = 0; j < out_w; ++j, out += pixel) {
      int64_t u = flip_y ? out_h - 1 - i : i, v = flip_x ? out_w - 1 - j : j;
      std::memcpy(out, in + static_cast<size_t>(swap ? v * w + u : u * w + v) * pixel, pixel);
    }
  return y;
}

}  // namespace weft::io
