#include "weft/io/checksum.h"

#include <zlib.h>

#include <array>
#include <bit>
#include <cstring>

namespace weft::io {

static_assert(std::endian::native == std::endian::little);

namespace {

/// table[k][b]: what byte b, followed by k zero bytes, adds to the remainder.
constexpr auto kCastagnoli = [] {
  std::array<std::array<uint32_t, 256>, 8> table{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t r = b;
    for (int bit = 0; bit < 8; ++bit) r = r >> 1 ^ (r & 1 ? 0x82f63b78u : 0);
    table[0][b] = r;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t b = 0; b < 256; ++b) table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
  return table;
}();

}  // namespace

uint32_t crc32(uint32_t crc, const void* data, size_t size) {
  return static_cast<uint32_t>(::crc32_z(crc, static_cast<const Bytef*>(data), size));
}

uint32_t crc32c(uint32_t crc, const void* data, size_t size) {
  const auto* p = static_cast<const unsigned char*>(data);
  uint32_t r = ~crc;
  for (; size >= 8; size -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    word ^= r;
    r = 0;
    for (size_t k = 0; k < 8; ++k) r ^= kCastagnoli[7 - k][word >> (8 * k) & 255];
  }
  for (; size > 0; --size, ++p) r = r >> 8 ^ kCastagnoli[0][(r ^ *p) & 255];
  return ~r;
}

}  // namespace weft::io
