#include "weft/io/codec.h"

#if defined(WEFT_HAS_IMAGE)

#include <png.h>
#include <zlib.h>

#include <csetjmp>
#include <cstring>

#include "weft/core/factory.h"

namespace weft::io {

// libpng reports errors by longjmp. Each function that calls it between setjmp and return (the *_step functions) holds
// trivial locals only; what needs a destructor lives in its caller.

namespace {

constexpr int64_t kMaxRatio = 1040;  // raw bytes per byte of file: deflate's 1032, plus the filter bytes

struct Failure {
  char text[160] = "";
};

void on_error(png_structp png, png_const_charp message) {
  auto* f = static_cast<Failure*>(png_get_error_ptr(png));
  std::strncpy(f->text, message, sizeof f->text - 1);
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

struct Reader {
  Bytes bytes;
  size_t at = 0;
  Failure failure;
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void read_bytes(png_structp png, png_bytep out, size_t n) {
  auto* r = static_cast<Reader*>(png_get_io_ptr(png));
  if (n > r->bytes.size() - r->at) png_error(png, "the file is truncated");
  std::memcpy(out, r->bytes.data() + r->at, n);
  r->at += n;
}

bool header_step(Reader& r) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  png_set_read_fn(r.png, &r, read_bytes);
  png_set_user_limits(r.png, 1u << 20, 1u << 20);
  png_set_chunk_malloc_max(r.png, 8u << 20);
  png_set_chunk_cache_max(r.png, 64);
  png_set_keep_unknown_chunks(r.png, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
  png_read_info(r.png, r.info);
  return true;
}

/// Has libpng give the stored colours in 8 or 16 bits, a palette's as RGB; no more: its grey and its blending follow a
/// gAMA chunk.
bool transform_step(Reader& r, int bits) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  png_set_expand(r.png);  // palette and fewer than 8 bits to 8 bits, tRNS to alpha
  if (bits == 16) {
    png_set_expand_16(r.png);
    png_set_swap(r.png);
  } else {
    png_set_scale_16(r.png);
  }
  png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  return true;
}

/// Has libpng give the stored numbers, in one or two bytes each.
bool labels_step(Reader& r) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  png_set_packing(r.png);
  png_set_swap(r.png);
  png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  return true;
}

bool rows_step(Reader& r, png_bytepp rows) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  png_read_image(r.png, rows);
  png_read_end(r.png, nullptr);
  return true;
}

struct Writer {
  std::vector<std::byte> out;
  bool out_of_memory = false;
  Failure failure;
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

void write_bytes(png_structp png, png_bytep p, size_t n) {
  auto* w = static_cast<Writer*>(png_get_io_ptr(png));
  try {  // an exception must not cross libpng
    auto* b = reinterpret_cast<std::byte*>(p);
    w->out.insert(w->out.end(), b, b + n);
    return;
  } catch (...) { w->out_of_memory = true; }
  png_error(png, "out of memory");
}

bool write_step(Writer& w, uint32_t height, uint32_t width, int channels, int bits, const png_color* palette,
                int colours, png_bytepp rows) {
  if (setjmp(png_jmpbuf(w.png))) return false;
  constexpr int kTypes[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                            PNG_COLOR_TYPE_RGB_ALPHA};
  png_set_write_fn(w.png, &w, write_bytes, nullptr);
  png_set_user_limits(w.png, 1u << 20, 1u << 20);
  png_set_IHDR(w.png, w.info, width, height, bits, colours ? PNG_COLOR_TYPE_PALETTE : kTypes[channels - 1],
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (colours) png_set_PLTE(w.png, w.info, palette, colours);
  png_write_info(w.png, w.info);
  if (bits == 16) png_set_swap(w.png);
  png_write_image(w.png, rows);
  png_write_end(w.png, nullptr);
  return true;
}

}  // namespace

bool is_png(Bytes bytes) {
  return bytes.size() >= 8 && png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, 8) == 0;
}

namespace {

[[noreturn]] void fail(const Source& source, const Reader& r) {
  source.fail(std::string("is no valid PNG: ") + r.failure.text);
}

/// Starts a reader that lives in the caller's frame, where the steps may jump.
void begin(Reader& r, const Source& source, const ReadImageOptions& o) {
  r.bytes = source.bytes;
  r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r.failure, on_error, on_warning);
  if (r.png) r.info = png_create_info_struct(r.png);
  if (!r.info) source.fail("libpng cannot start");
  if (!header_step(r)) fail(source, r);
  check_size(source, o, png_get_image_height(r.png, r.info), png_get_image_width(r.png, r.info),
             static_cast<int64_t>(png_get_rowbytes(r.png, r.info)), kMaxRatio);
}

/// All rows -> u8 [H, bytes of a row].
Tensor read_rows(Reader& r, const Source& source) {
  int64_t height = png_get_image_height(r.png, r.info),
          row_bytes = static_cast<int64_t>(png_get_rowbytes(r.png, r.info));
  Tensor raw = empty({height, row_bytes}, Dtype::u8);
  std::vector<png_bytep> rows(static_cast<size_t>(height));
  for (int64_t y = 0; y < height; ++y) rows[static_cast<size_t>(y)] = raw.mut_data<uint8_t>() + y * row_bytes;
  if (!rows_step(r, rows.data())) fail(source, r);
  return raw;
}

/// The orientation in a picture's eXIf chunk, which may stand before or behind its data. (Older versions of libpng know
/// no such chunk.) libpng has read the file to its end before: the chunks are whole.
int orientation(Bytes bytes) {
  auto u32 = [&](size_t at) {
    size_t v = 0;
    for (size_t i = at; i < at + 4; ++i) v = v << 8 | std::to_integer<size_t>(bytes[i]);
    return v;
  };
  for (size_t at = 8; at + 12 <= bytes.size();) {
    size_t size = u32(at);
    if (size > bytes.size() - at - 12) break;
    if (std::memcmp(bytes.data() + at + 4, "eXIf", 4) == 0) {
      const auto* chunk = reinterpret_cast<const Bytef*>(bytes.data() + at + 4);
      if (::crc32(0, chunk, static_cast<uInt>(size + 4)) == u32(at + 8 + size))
        return exif_orientation(bytes.subspan(at + 8, size));
    }
    at += size + 12;
  }
  return 1;
}

}  // namespace

Tensor read_png(const Source& source, const ReadImageOptions& o) {
  Reader r;
  begin(r, source, o);
  if (!transform_step(r, o.bits)) fail(source, r);
  int64_t height = png_get_image_height(r.png, r.info), width = png_get_image_width(r.png, r.info),
          channels = png_get_channels(r.png, r.info);
  WEFT_ASSERT(static_cast<int64_t>(png_get_rowbytes(r.png, r.info)) == width * channels * (o.bits / 8));
  Tensor x = read_rows(r, source), raw = x;
  if (o.bits == 16) {
    x = empty({height, width, channels}, Dtype::i32);
    int32_t* out = x.mut_data<int32_t>();
    const uint8_t* in = raw.data<uint8_t>();
    for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[2 * i] | in[2 * i + 1] << 8;
  }
  x = to_channels(x.view({height, width, channels}), o.channels == 0 ? channels : o.channels);
  return upright(x, orientation(source.bytes));
}

Tensor read_png_labels(const Source& source, int64_t max_pixels) {
  Reader r;
  begin(r, source, {.max_pixels = max_pixels});
  int type = png_get_color_type(r.png, r.info);
  if (type == PNG_COLOR_TYPE_GRAY_ALPHA) source.fail("has an alpha channel, which no label map has");
  if (type != PNG_COLOR_TYPE_PALETTE && type != PNG_COLOR_TYPE_GRAY)
    source.fail("holds colours, not labels (a palette or grey); read_image reads them");
  if (!labels_step(r)) fail(source, r);
  int64_t height = png_get_image_height(r.png, r.info), width = png_get_image_width(r.png, r.info);
  Tensor raw = read_rows(r, source), labels = empty({height, width}, Dtype::i64);
  WEFT_ASSERT(raw.size(1) == width || raw.size(1) == 2 * width);
  const uint8_t* in = raw.data<uint8_t>();
  int64_t* out = labels.mut_data<int64_t>();
  bool wide = raw.size(1) != width;
  for (int64_t i = 0; i < labels.numel(); ++i) out[i] = wide ? in[2 * i] | in[2 * i + 1] << 8 : in[i];
  return upright(labels, orientation(source.bytes));
}

std::vector<std::byte> encode_png(const Tensor& image, const Palette& palette) {
  int64_t height = image.size(0), width = image.size(1), channels = image.size(2);
  WEFT_CHECK(height > 0 && width > 0 && height <= 1 << 20 && width <= 1 << 20, ShapeError, "write_image: a picture of ",
             image.shape(), " cannot be a PNG");
  Tensor raw = image;
  int bits = 8;
  if (image.dtype() == Dtype::i32) {
    bits = 16;
    raw = empty({height, width, channels * 2}, Dtype::u8);
    uint8_t* out = raw.mut_data<uint8_t>();
    const int32_t* in = image.data<int32_t>();
    for (int64_t i = 0; i < image.numel(); ++i) {
      WEFT_CHECK(in[i] >= 0 && in[i] <= 65535, ValueError, "write_image: the value ", in[i], " is outside 0..65535");
      out[2 * i] = static_cast<uint8_t>(in[i]);
      out[2 * i + 1] = static_cast<uint8_t>(in[i] >> 8);
    }
  }
  std::vector<png_bytep> rows(static_cast<size_t>(height));
  int64_t row_bytes = width * channels * (bits / 8);
  auto* p = const_cast<uint8_t*>(raw.data<uint8_t>());
  for (int64_t y = 0; y < height; ++y) rows[static_cast<size_t>(y)] = p + y * row_bytes;

  std::vector<png_color> colours;
  for (const auto& c : palette) colours.push_back({c[0], c[1], c[2]});
  Writer w;
  w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w.failure, on_error, on_warning);
  if (w.png) w.info = png_create_info_struct(w.png);
  bool written = w.info &&
                 write_step(w, static_cast<uint32_t>(height), static_cast<uint32_t>(width), static_cast<int>(channels),
                            bits, colours.data(), static_cast<int>(colours.size()), rows.data());
  WEFT_CHECK(written, IoError, "write_image: libpng: ", w.failure.text);
  return std::move(w.out);
}

}  // namespace weft::io

#endif
