#include "weft/io/codec.h"

#if defined(WEFT_HAS_IMAGE)

#include <cstdio>
// jpeglib.h needs cstdio before it
#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "weft/core/factory.h"

namespace weft::io {

// libjpeg reports errors by a call that must not return: it jumps. As with PNG, the *_step functions, which jump, hold
// trivial locals only.

namespace {

// Raw bytes per byte of file. An 8x8 block takes at least a bit; of three components at least one has all its blocks.
constexpr int64_t kMaxRatio = 8 * 3 * 64;
constexpr int kMaxScans = 200;  // progressive files of a few bytes could ask for hours of work

struct ErrorManager : jpeg_error_mgr {
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX] = "";

  ErrorManager() {
    jpeg_std_error(this);
    error_exit = [](j_common_ptr c) {
      auto* self = static_cast<ErrorManager*>(c->err);
      self->format_message(c, self->text);
      std::longjmp(self->jump, 1);
    };
    // Damage is a warning to libjpeg, which goes on with grey; here it is an error.
    emit_message = [](j_common_ptr c, int level) {
      if (level >= 0) return;
      int code = c->err->msg_code;
      if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR) return;
      c->err->error_exit(c);
    };
    output_message = [](j_common_ptr) {};
  }
};

struct ScanLimit : jpeg_progress_mgr {
  ScanLimit() : jpeg_progress_mgr{} {
    progress_monitor = [](j_common_ptr c) {
      if (!c->is_decompressor || reinterpret_cast<j_decompress_ptr>(c)->input_scan_number <= kMaxScans) return;
      auto* e = static_cast<ErrorManager*>(c->err);
      std::snprintf(e->text, sizeof e->text, "it has more than %d scans", kMaxScans);
      std::longjmp(e->jump, 1);
    };
  }
};

struct Reader {
  ErrorManager errors;
  ScanLimit limit;
  jpeg_decompress_struct c{};
  Reader() { c.err = &errors; }
  ~Reader() { jpeg_destroy_decompress(&c); }
};

bool header_step(Reader& r, const unsigned char* data, size_t size) {
  if (setjmp(r.errors.jump)) return false;
  jpeg_create_decompress(&r.c);
  r.c.progress = &r.limit;
  jpeg_save_markers(&r.c, JPEG_APP0 + 1, 0xffff);
  jpeg_mem_src(&r.c, data, size);
  jpeg_read_header(&r.c, TRUE);
  return true;
}

bool start_step(Reader& r, int channels) {
  if (setjmp(r.errors.jump)) return false;
  r.c.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  r.c.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&r.c);
  return true;
}

bool rows_step(Reader& r, unsigned char* out, size_t row_bytes) {
  if (setjmp(r.errors.jump)) return false;
  while (r.c.output_scanline < r.c.output_height) {
    JSAMPROW row = out + r.c.output_scanline * row_bytes;
    jpeg_read_scanlines(&r.c, &row, 1);
  }
  jpeg_finish_decompress(&r.c);
  return true;
}

struct Writer {
  ErrorManager errors;
  jpeg_compress_struct c{};
  unsigned char* out = nullptr;
  unsigned long size = 0;
  Writer() { c.err = &errors; }
  ~Writer() {
    jpeg_destroy_compress(&c);
    std::free(out);
  }
};

bool write_step(Writer& w, const unsigned char* data, unsigned height, unsigned width, int channels, int quality) {
  if (setjmp(w.errors.jump)) return false;
  jpeg_create_compress(&w.c);
  jpeg_mem_dest(&w.c, &w.out, &w.size);
  w.c.image_height = height;
  w.c.image_width = width;
  w.c.input_components = channels;
  w.c.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&w.c);
  jpeg_set_quality(&w.c, quality, TRUE);
  jpeg_start_compress(&w.c, TRUE);
  while (w.c.next_scanline < height) {
    JSAMPROW row = const_cast<unsigned char*>(data) +
                   static_cast<size_t>(w.c.next_scanline) * width * static_cast<size_t>(channels);
    jpeg_write_scanlines(&w.c, &row, 1);
  }
  jpeg_finish_compress(&w.c);
  return true;
}

/// EXIF's orientation, 1..8; 1 when there is none. An EXIF block is a small TIFF file behind "Exif\0\0".
int orientation(const jpeg_decompress_struct& c) {
  for (jpeg_saved_marker_ptr m = c.marker_list; m; m = m->next) {
    const JOCTET* p = m->data;
    size_t n = m->data_length;
    if (m->marker != JPEG_APP0 + 1 || n < 14 || std::memcmp(p, "Exif\0", 6) != 0) continue;
    p += 6;
    n -= 6;
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
  }
  return 1;
}

/// The picture as it should be seen: the stored one mirrored, turned or both.
Tensor upright(const Tensor& x, int orientation) {
  if (orientation == 1) return x;
  bool swap = orientation >= 5;  // rows are columns
  bool flip_y = orientation == 3 || orientation == 4 || orientation == 7 ||
                orientation == 8;  // of the stored picture's axis
  bool flip_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  int64_t h = x.size(0), w = x.size(1), channels = x.size(2), out_h = swap ? w : h, out_w = swap ? h : w;
  Tensor y = empty({out_h, out_w, channels}, Dtype::u8);
  const uint8_t* in = x.data<uint8_t>();
  uint8_t* out = y.mut_data<uint8_t>();
  for (int64_t i = 0; i < out_h; ++i)
    for (int64_t j = 0; j < out_w; ++j) {
      int64_t u = flip_y ? out_h - 1 - i : i, v = flip_x ? out_w - 1 - j : j;
      const uint8_t* p = in + (swap ? v * w + u : u * w + v) * channels;
      std::memcpy(out + (i * out_w + j) * channels, p, static_cast<size_t>(channels));
    }
  return y;
}

}  // namespace

bool is_jpeg(Bytes bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} && bytes[2] == std::byte{0xff};
}

Tensor read_jpeg(const Source& source, const ReadImageOptions& o) {
  Reader r;
  auto fail = [&] { source.fail(std::string("is no valid JPEG: ") + r.errors.text); };
  if (!header_step(r, reinterpret_cast<const unsigned char*>(source.bytes.data()), source.bytes.size())) fail();
  if (r.c.jpeg_color_space == JCS_CMYK || r.c.jpeg_color_space == JCS_YCCK)
    source.fail("is a CMYK JPEG, which weft does not offer; convert it to RGB");
  int channels = o.channels == 0 ? (r.c.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3) : o.channels;
  WEFT_CHECK(channels == 1 || channels == 3, ValueError, "read_image: ", source.name,
             " is a JPEG, which has no alpha; ask for 1 or 3 channels, not ", channels);
  int turned = orientation(r.c);  // the markers are gone after the last row
  int64_t height = r.c.image_height, width = r.c.image_width;
  check_size(source, o, height, width, width * r.c.num_components, kMaxRatio);
  if (!start_step(r, channels)) fail();
  Tensor x = empty({height, width, channels}, Dtype::u8);
  if (!rows_step(r, x.mut_data<uint8_t>(), static_cast<size_t>(width * channels))) fail();
  return upright(x, turned);
}

std::vector<std::byte> encode_jpeg(const Tensor& image, int quality) {
  int64_t height = image.size(0), width = image.size(1), channels = image.size(2);
  WEFT_CHECK(image.dtype() == Dtype::u8 && (channels == 1 || channels == 3), ValueError,
             "write_image: a JPEG takes u8 with 1 or 3 channels, not ", image.dtype(), " ", image.shape());
  WEFT_CHECK(height > 0 && width > 0 && height <= JPEG_MAX_DIMENSION && width <= JPEG_MAX_DIMENSION, ShapeError,
             "write_image: a picture of ", image.shape(), " cannot be a JPEG");
  WEFT_CHECK(quality >= 1 && quality <= 100, ValueError, "write_image: quality ", quality, " is outside 1..100");
  Writer w;
  WEFT_CHECK(write_step(w, image.data<uint8_t>(), static_cast<unsigned>(height), static_cast<unsigned>(width),
                        static_cast<int>(channels), quality),
             IoError, "write_image: libjpeg: ", w.errors.text);
  auto* p = reinterpret_cast<const std::byte*>(w.out);
  return {p, p + w.size};
}

}  // namespace weft::io

#endif
