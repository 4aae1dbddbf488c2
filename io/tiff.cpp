#include "weft/io/stored.h"
#include "weft/io/volume_formats.h"

#if defined(WEFT_HAS_TIFF)
#include <tiffio.h>

#include <algorithm>
#include <charconv>
#include <cstdarg>
#include <cstring>
#include <memory>

#include "weft/core/factory.h"
#endif

namespace weft::io {

bool is_tiff(Bytes bytes) {
  using namespace std::string_view_literals;
  const std::string_view begin(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 4));
  return begin == "II*\0"sv || begin == "MM\0*"sv || begin == "II+\0"sv || begin == "MM\0+"sv;
}

#if !defined(WEFT_HAS_TIFF)

Volume read_tiff(const Source& source) { source.not_supported("weft was built without libtiff (WEFT_TIFF=OFF)"); }

#else

namespace {

/// The file in memory, as libtiff reads it, and the last error or warning.
struct Memory {
  const Source& source;
  uint64_t at = 0;
  char error[160] = "", warning[160] = "";
};

tmsize_t read_some(thandle_t handle, void* out, tmsize_t n) {
  auto& m = *static_cast<Memory*>(handle);
  const uint64_t size = m.source.bytes.size(), left = m.at < size ? size - m.at : 0;
  const auto take = std::min(static_cast<uint64_t>(std::max<tmsize_t>(n, 0)), left);
  if (take > 0) std::memcpy(out, m.source.bytes.data() + m.at, take);
  m.at += take;
  return static_cast<tmsize_t>(take);
}
tmsize_t write_nothing(thandle_t, void*, tmsize_t) { return 0; }
toff_t seek_to(thandle_t handle, toff_t offset, int whence) {
  auto& m = *static_cast<Memory*>(handle);
  m.at = offset + (whence == SEEK_CUR ? m.at : whence == SEEK_END ? m.source.bytes.size() : 0);
  return m.at;
}
int close_nothing(thandle_t) { return 0; }
toff_t size_of(thandle_t handle) { return static_cast<Memory*>(handle)->source.bytes.size(); }

int keep_error(TIFF*, void* memory, const char*, const char* format, va_list arguments) {
  auto& m = *static_cast<Memory*>(memory);
  std::vsnprintf(m.error, sizeof m.error, format, arguments);
  return 1;  // the process's handler is not called
}
int keep_warning(TIFF*, void* memory, const char*, const char* format, va_list arguments) {
  auto& m = *static_cast<Memory*>(memory);
  std::vsnprintf(m.warning, sizeof m.warning, format, arguments);
  return 1;
}

using Tiff = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

[[noreturn]] void fail(const Memory& m, const std::string& what) {
  const char* why = m.error[0] ? m.error : m.warning;
  m.source.fail(what + (why[0] ? ": " + printable(why) : ""));
}

/// Most bytes that a byte of a compression can stand for.
uint64_t ratio_of(int compression) {
  switch (compression) {
    case COMPRESSION_NONE: return 1;
    case COMPRESSION_PACKBITS: return 64;
    case COMPRESSION_LZW: return 2731;  // 4096 bytes in 12 bits
    case COMPRESSION_DEFLATE:
    case COMPRESSION_ADOBE_DEFLATE: return 1032;
    default: return 1 << 15;  // zstd: 128 KiB in 4 bytes
  }
}

/// A page; its numbers are the next one's too.
struct Page {
  uint32_t width = 0, height = 0;
  uint16_t bits = 1, format = SAMPLEFORMAT_UINT;
  bool same_as(const Page& o) const {
    return width == o.width && height == o.height && bits == o.bits && format == o.format;
  }
  uint64_t row_bytes() const { return uint64_t{width} * bits / 8; }
};

Stored stored_of(const Source& source, const Page& p) {
  auto is = [&](int format, int bits) { return p.format == format && p.bits == bits; };
  for (Dtype d : {Dtype::u8, Dtype::u16})
    if (is(SAMPLEFORMAT_UINT, static_cast<int>(itemsize(d) * 8))) return Stored::held(weft::name(d), d);
  for (Dtype d : {Dtype::i8, Dtype::i16, Dtype::i32, Dtype::i64})
    if (is(SAMPLEFORMAT_INT, static_cast<int>(itemsize(d) * 8))) return Stored::held(weft::name(d), d);
  for (Dtype d : {Dtype::f16, Dtype::f32, Dtype::f64})
    if (is(SAMPLEFORMAT_IEEEFP, static_cast<int>(itemsize(d) * 8))) return Stored::held(weft::name(d), d);
  if (is(SAMPLEFORMAT_UINT, 32)) return Stored::integer("u32", Stored::Integer::u32);
  if (is(SAMPLEFORMAT_UINT, 64)) return Stored::integer("u64", Stored::Integer::u64);
  const char* kinds[] = {
      "?", "unsigned integers", "integers", "floats", "untyped data", "complex integers", "complex numbers"};
  source.not_supported(
      weft::str("has ", kinds[p.format <= 6 ? p.format : 0], " of ", p.bits, " bits, which weft does not read"));
}

/// What the current page says of itself; what weft does not read is refused.
Page read_page(TIFF* tiff, const Source& source) {
  Page p;
  uint16_t samples = 1, photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE;
  uint32_t depth = 1;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &p.width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &p.height) ||
      p.width == 0 || p.height == 0)
    source.fail("has a page without a size");
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &p.bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &p.format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_IMAGEDEPTH, &depth);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
  if (samples != 1)
    source.not_supported(weft::str("has ", samples,
                                   " samples a pixel, which is a colour picture and no volume; tifffile",
                                   " writes 3 or 4 slices as slices with photometric='minisblack'"));
  if (photometric > PHOTOMETRIC_MASK || photometric == PHOTOMETRIC_RGB)
    source.not_supported(weft::str("stores colours (photometric ", photometric, "), which no volume has"));
  if (depth != 1) source.not_supported(weft::str("has pages with a depth of ", depth, ", which weft does not read"));
  if (!TIFFIsCODECConfigured(compression))
    source.not_supported(weft::str("is compressed by the scheme ", compression, ", which this libtiff does not have"));
  return p;
}

/// Bytes of the file that the current page's data takes. IoError unless they can stand for so many pixels.
uint64_t packed_size(TIFF* tiff, const Source& source, const Page& p) {
  const uint64_t file = source.bytes.size();
  uint64_t raw = 0;
  const bool overflows = __builtin_mul_overflow(p.row_bytes(), uint64_t{p.height}, &raw);
  uint16_t compression = COMPRESSION_NONE;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
  const bool tiled = TIFFIsTiled(tiff) != 0;
  const uint32_t parts = tiled ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
  uint64_t packed = 0;
  for (uint32_t i = 0; i < parts && packed <= file && parts <= file; ++i) {
    const uint64_t size = TIFFGetStrileByteCount(tiff, i);
    packed = size > file ? file + 1 : packed + size;
  }
  const uint64_t part = static_cast<uint64_t>(std::max<tmsize_t>(tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff), 0));
  const uint64_t ratio = ratio_of(compression);
  if (overflows || parts == 0 || parts > file || packed > file || raw / ratio > packed || part == 0 ||
      (tiled && part / ratio > packed))
    source.fail(weft::str("claims ", p.width, " x ", p.height, " pixels of ", p.bits, " bits, impossible in its ", file,
                          " bytes"));
  return packed;
}

void read_strips(TIFF* tiff, const Memory& m, const Page& p, std::byte* out) {
  uint32_t rows = p.height;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
  rows = std::min(rows, p.height);
  if (rows == 0) m.source.fail("has strips without rows");
  for (uint32_t y = 0, strip = 0; y < p.height; y += std::min(rows, p.height - y), ++strip) {
    const auto size = static_cast<tmsize_t>(p.row_bytes() * std::min(rows, p.height - y));
    if (TIFFReadEncodedStrip(tiff, strip, out + y * p.row_bytes(), size) != size)
      fail(m, weft::str("its strip ", strip, " cannot be read"));
  }
}

void read_tiles(TIFF* tiff, const Memory& m, const Page& p, std::byte* out) {
  uint32_t width = 0, height = 0;
  TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &width);
  TIFFGetField(tiff, TIFFTAG_TILELENGTH, &height);
  const auto size = TIFFTileSize(tiff);
  const uint64_t item = p.bits / 8;
  if (width == 0 || height == 0 || static_cast<uint64_t>(size) != width * item * height)
    m.source.fail(weft::str("has tiles of ", width, " x ", height, " pixels in ", size, " bytes"));
  std::vector<std::byte> tile(static_cast<size_t>(size));
  for (uint64_t y = 0; y < p.height; y += height)
    for (uint64_t x = 0; x < p.width; x += width) {
      const uint32_t number = TIFFComputeTile(tiff, static_cast<uint32_t>(x), static_cast<uint32_t>(y), 0, 0);
      if (TIFFReadEncodedTile(tiff, number, tile.data(), size) != size)
        fail(m, weft::str("its tile ", number, " cannot be read"));
      const uint64_t bytes = std::min<uint64_t>(width, p.width - x) * item;
      for (uint64_t row = 0; row < std::min<uint64_t>(height, p.height - y); ++row)
        std::memcpy(out + (y + row) * p.row_bytes() + x * item, tile.data() + row * width * item, bytes);
    }
}

/// The value of `key=` in ImageJ's description; 0 where there is none.
double described(std::string_view text, std::string_view key) {
  const size_t at = text.find("\n" + std::string(key) + "=");
  double v = 0;
  if (at != std::string_view::npos) std::from_chars(text.data() + at + key.size() + 2, text.data() + text.size(), v);
  return v > 0 ? v : 0;
}

/// ImageJ stores pixels per unit, and the distance of slices in its description.
void read_spacing(TIFF* tiff, const Source& source, int64_t pages, Volume& volume) {
  const char* description = nullptr;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEDESCRIPTION, &description)) return;
  const std::string_view text(description);
  if (!text.starts_with("ImageJ=")) return;
  if (const double images = described(text, "images"); images > static_cast<double>(pages))
    source.not_supported(weft::str("has ", pages, " pages for ImageJ's ", images,
                                   " slices, which weft does not read; save it as an image sequence"));
  float x = 0, y = 0;
  if (TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &x) && x > 0) volume.spacing[2] = 1.0 / static_cast<double>(x);
  if (TIFFGetField(tiff, TIFFTAG_YRESOLUTION, &y) && y > 0) volume.spacing[1] = 1.0 / static_cast<double>(y);
  if (const double z = described(text, "spacing"); z > 0) volume.spacing[0] = z;
}

Tiff open_tiff(Memory& memory) {
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  if (!options) memory.source.fail("libtiff cannot start");
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_error, &memory);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), keep_warning, &memory);
  // libtiff's own buffers: a directory's tables, a strip or tile before and behind its decoder
  constexpr tmsize_t kLeast = 64 << 20;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), static_cast<tmsize_t>(memory.source.bytes.size()) * 4 + kLeast);
  Tiff tiff(TIFFClientOpenExt("TIFF", "rm", &memory, read_some, write_nothing, seek_to, close_nothing, size_of, nullptr,
                              nullptr, options.get()),
            TIFFClose);
  if (!tiff) fail(memory, "is no valid TIFF");
  return tiff;
}

/// Calls f(number) for the pages, without thumbnails and masks; each is current then.
template <class F> void each_page(TIFF* tiff, Memory& memory, const F& f) {
  int64_t number = 0;
  do {
    uint32_t kind = 0;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SUBFILETYPE, &kind);
    if ((kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) == 0) f(number++);
    memory.error[0] = memory.warning[0] = '\0';
  } while (TIFFReadDirectory(tiff));
  // Pages that form a ring end with a warning only.
  if (memory.error[0] || memory.warning[0]) fail(memory, weft::str("its page ", number, " cannot be read"));
}

}  // namespace

Volume read_tiff(const Source& source) {
  Memory memory{source};
  const Tiff tiff = open_tiff(memory);
  Page page;
  std::optional<Stored> stored;
  int64_t count = 0;
  uint64_t packed = 0;
  each_page(tiff.get(), memory, [&](int64_t number) {
    const Page p = read_page(tiff.get(), source);
    if (number == 0) stored = stored_of(source, p), page = p;
    if (!p.same_as(page))
      source.fail(weft::str("its page ", number, " is ", p.width, " x ", p.height, " pixels of ", p.bits,
                            " bits, the first ", page.width, " x ", page.height, " of ", page.bits));
    packed += packed_size(tiff.get(), source, p);
    if (packed > source.bytes.size()) source.fail(weft::str("its first ", number + 1, " pages share data"));
    ++count;
  });
  if (count == 0) source.fail("has no pages");

  const Shape shape{count, int64_t{page.height}, int64_t{page.width}};
  size_t size = 0;
  if (!checked_bytes(shape, stored->bits, size)) source.fail(weft::str("has the impossible shape ", shape));
  auto raw = std::make_shared<Tensor>(empty({static_cast<int64_t>(size)}, Dtype::u8));
  auto* out = static_cast<std::byte*>(raw->mut_raw_data());
  Volume volume;
  if (!TIFFSetDirectory(tiff.get(), 0)) fail(memory, "cannot be read again");
  each_page(tiff.get(), memory, [&](int64_t number) {
    std::byte* at = out + static_cast<uint64_t>(number) * page.height * page.row_bytes();
    if (TIFFIsTiled(tiff.get())) read_tiles(tiff.get(), memory, page, at);
    else read_strips(tiff.get(), memory, page, at);
    if (number == 0) read_spacing(tiff.get(), source, count, volume);
  });
  const Source numbers{{out, size}, source.name, raw};
  volume.data = read_stored(numbers, 0, shape, *stored, "", stored->widened != Stored::Integer::none);
  return volume;
}

#endif

}  // namespace weft::io
