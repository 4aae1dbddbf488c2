#include "weft/io/codec.h"

#if defined(WEFT_HAS_IMAGE)

#include <cstdio>
// jpeglib.h needs cstdio before it
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "weft/core/factory.h"

namespace weft::io {

// libjpeg reports errors by a call that must not return: it jumps. As with PNG, the *_step functions, which jump, hold
// trivial locals only.

namespace {

// Raw bytes per byte of file. An 8x8 block takes at least a bit; of four components at least one has all its blocks.
constexpr int64_t kMaxRatio = 8 * 4 * 64;
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

bool start_step(Reader& r, J_COLOR_SPACE space, unsigned denominator) {
  if (setjmp(r.errors.jump)) return false;
  r.c.scale_num = 1;
  r.c.scale_denom = denominator;
  r.c.out_color_space = space;
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

int orientation(const jpeg_decompress_struct& c) {
  for (jpeg_saved_marker_ptr m = c.marker_list; m; m = m->next)
    if (m->marker == JPEG_APP0 + 1 && m->data_length >= 14 && std::memcmp(m->data, "Exif\0", 6) == 0)
      if (int o = exif_orientation({reinterpret_cast<const std::byte*>(m->data), m->data_length}); o != 1) return o;
  return 1;
}

/// Inks as Adobe stores them, 255 for none -> RGB.
Tensor from_cmyk(const Tensor& inks) {
  Tensor rgb = empty({inks.size(0), inks.size(1), 3}, Dtype::u8);
  const uint8_t* in = inks.data<uint8_t>();
  uint8_t* out = rgb.mut_data<uint8_t>();
  for (int64_t i = 0, n = rgb.numel() / 3; i < n; ++i, in += 4, out += 3)
    for (int c = 0; c < 3; ++c) out[c] = static_cast<uint8_t>((in[c] * in[3] + 127) / 255);
  return rgb;
}

}  // namespace

bool is_jpeg(Bytes bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} && bytes[2] == std::byte{0xff};
}

Tensor read_jpeg(const Source& source, const ReadImageOptions& o) {
  Reader r;
  auto fail = [&] { source.fail(std::string("is no valid JPEG: ") + r.errors.text); };
  if (!header_step(r, reinterpret_cast<const unsigned char*>(source.bytes.data()), source.bytes.size())) fail();
  bool grey = r.c.jpeg_color_space == JCS_GRAYSCALE,
       inks = r.c.jpeg_color_space == JCS_CMYK || r.c.jpeg_color_space == JCS_YCCK;
  int channels = o.channels == 0 ? (grey ? 1 : 3) : o.channels;
  WEFT_CHECK(channels == 1 || channels == 3, ValueError, "read_image: ", source.name,
             " is a JPEG, which has no alpha; ask for 1 or 3 channels, not ", channels);
  WEFT_CHECK(o.reduce_to >= 0, ValueError, "read_image: reduce_to ", o.reduce_to, " is negative");
  int turned = orientation(r.c);  // the markers are gone after the last row
  int64_t height = r.c.image_height, width = r.c.image_width;
  check_size(source, o, height, width, width * r.c.num_components, kMaxRatio);
  // Grey is made of the RGB values, as from any other picture: Y differs from that where the conversion to RGB clips.
  int64_t stored = grey ? 1 : inks ? 4 : 3;
  int64_t denominator = 1;
  while (o.reduce_to > 0 && denominator < 8 && std::min(height, width) >= 2 * denominator * o.reduce_to)
    denominator *= 2;
  if (!start_step(r, grey ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB, static_cast<unsigned>(denominator))) fail();
  height = r.c.output_height, width = r.c.output_width;
  Tensor x = empty({height, width, stored}, Dtype::u8);
  if (!rows_step(r, x.mut_data<uint8_t>(), static_cast<size_t>(width * stored))) fail();
  return upright(to_channels(inks ? from_cmyk(x) : x, channels), turned);
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
