#include "weft/io/image.h"

#include <cmath>

#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/io/codec.h"
#include "weft/io/stored.h"

namespace weft::io {

namespace {

bool ends_with(std::string_view text, std::string_view end) {
  if (text.size() < end.size()) return false;
  text.remove_prefix(text.size() - end.size());
  for (size_t i = 0; i < end.size(); ++i)
    if ((text[i] | 0x20) != (end[i] | 0x20)) return false;
  return true;
}

template <class T> void convert(const T* in, T* out, int64_t pixels, int64_t from, int64_t to, int64_t most) {
  auto over_white = [most](int64_t v, int64_t alpha) { return (v * alpha + most * (most - alpha) + most / 2) / most; };
  bool had_alpha = from % 2 == 0, keeps_alpha = to % 2 == 0;
  for (int64_t i = 0; i < pixels; ++i, in += from, out += to) {
    int64_t alpha = had_alpha ? in[from - 1] : most, rgb[3];
    for (int c = 0; c < 3; ++c) {
      rgb[c] = in[from >= 3 ? c : 0];
      if (had_alpha && !keeps_alpha) rgb[c] = over_white(rgb[c], alpha);
    }
    if (to < 3 && from >= 3) rgb[0] = (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16;
    for (int64_t c = 0; c < (to >= 3 ? 3 : 1); ++c) out[c] = static_cast<T>(rgb[c]);
    if (keeps_alpha) out[to - 1] = static_cast<T>(alpha);
  }
}

/// Colours that differ in the high bits of neighbouring numbers.
Palette voc_palette() {
  Palette palette(256);
  for (size_t i = 0; i < 256; ++i)
    for (size_t bit = 0; bit < 8; ++bit)
      for (size_t c = 0; c < 3; ++c)
        if (3 * bit + c < 8 && (i >> (3 * bit + c) & 1)) palette[i][c] |= static_cast<uint8_t>(0x80 >> bit);
  return palette;
}

}  // namespace

Tensor to_channels(const Tensor& image, int64_t channels) {
  int64_t h = image.size(0), w = image.size(1), from = image.size(2);
  if (channels == from) return image;
  Tensor y = empty({h, w, channels}, image.dtype());
  if (image.dtype() == Dtype::u8) convert(image.data<uint8_t>(), y.mut_data<uint8_t>(), h * w, from, channels, 255);
  else convert(image.data<int32_t>(), y.mut_data<int32_t>(), h * w, from, channels, 65535);
  return y;
}

void check_size(const Source& source, const ReadImageOptions& o, int64_t height, int64_t width, int64_t row_bytes,
                int64_t ratio) {
  int64_t pixels = 0, raw = 0;
  if (height <= 0 || width <= 0 || __builtin_mul_overflow(height, width, &pixels) ||
      __builtin_mul_overflow(height, row_bytes, &raw) || pixels > o.max_pixels)
    source.fail(weft::str("is ", width, " x ", height, " pixels, more than the ", o.max_pixels, " that are allowed"));
  if (raw / ratio > static_cast<int64_t>(source.bytes.size()))
    source.fail(
        weft::str("claims ", width, " x ", height, " pixels, impossible in its ", source.bytes.size(), " bytes"));
}

#if defined(WEFT_HAS_IMAGE)
namespace {
[[noreturn]] void fail_as_no_picture(const Source& source) {
  std::string kind = recognised(source.bytes);
  source.fail(source.bytes.empty() ? "is empty" : "is neither PNG nor JPEG" + (kind.empty() ? "" : ": it is " + kind));
}
void write_file(const std::string& path, const std::vector<std::byte>& bytes) {
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}
}  // namespace
#endif

Tensor read_image(const Input& from, const ReadImageOptions& o) {
  WEFT_CHECK(
      (o.bits == 8 || o.bits == 16) && (o.channels == 0 || o.channels == 1 || o.channels == 3 || o.channels == 4),
      ValueError, "read_image: channels ", o.channels, " must be 0, 1, 3 or 4 and bits ", o.bits, " 8 or 16");
#if defined(WEFT_HAS_IMAGE)
  const Source source = Source::of(from);
  if (is_png(source.bytes)) return read_png(source, o);
  if (is_jpeg(source.bytes)) {
    WEFT_CHECK(o.bits == 8, ValueError, "read_image: ", from.name(), " is a JPEG, which has 8 bits, not 16");
    return read_jpeg(source, o);
  }
  fail_as_no_picture(source);
#else
  raise<NotSupported>("read_image: ", from.name(), ": weft was built without image codecs (WEFT_IMAGE=OFF)");
#endif
}

Tensor read_labels(const Input& from, int64_t max_pixels) {
#if defined(WEFT_HAS_IMAGE)
  const Source source = Source::of(from);
  if (is_png(source.bytes)) return read_png_labels(source, max_pixels);
  if (is_jpeg(source.bytes)) source.fail("is a JPEG, whose compression changes labels; store them as PNG");
  fail_as_no_picture(source);
#else
  (void)max_pixels;
  raise<NotSupported>("read_labels: ", from.name(), ": weft was built without image codecs (WEFT_IMAGE=OFF)");
#endif
}

void write_labels(const Tensor& labels, const std::string& path, const Palette& palette) {
  WEFT_CHECK(labels.rank() == 2, ShapeError, "write_labels: expected [H, W], got ", labels.shape());
  WEFT_CHECK(!kFloatingDtypes.has(labels.dtype()), DtypeError, "write_labels: expected integers or bools, got ",
             labels.dtype());
  WEFT_CHECK(ends_with(path, ".png"), ValueError, "write_labels: the name ", path,
             " must end in .png: a JPEG would change labels");
  WEFT_CHECK(palette.size() <= 256, ValueError, "write_labels: a palette has at most 256 colours, not ",
             palette.size());
#if defined(WEFT_HAS_IMAGE)
  const Palette colours = palette.empty() ? voc_palette() : palette;
  Tensor x = labels.detach().to(Device()).to(Dtype::i64).contiguous(), indices = empty(labels.shape(), Dtype::u8);
  const int64_t* in = x.data<int64_t>();
  uint8_t* out = indices.mut_data<uint8_t>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    WEFT_CHECK(in[i] >= 0 && in[i] < static_cast<int64_t>(colours.size()), ValueError, "write_labels: the label ",
               in[i], " at [", i / x.size(1), ", ", i % x.size(1), "] is outside 0..", colours.size() - 1,
               palette.empty() ? "; write_image stores i32 as 16 bits of grey" : ", the palette's colours");
    out[i] = static_cast<uint8_t>(in[i]);
  }
  std::vector<std::byte> bytes = encode_png(indices.unsqueeze(2), colours);
  write_file(path, bytes);
#else
  raise<NotSupported>("write_labels: ", path, ": weft was built without image codecs (WEFT_IMAGE=OFF)");
#endif
}

namespace {
/// [H, W, C] of a picture to be written, on the host.
Tensor checked_picture(const char* op, const Tensor& image) {
  const bool matrix = image.rank() == 2;
  WEFT_CHECK(matrix || (image.rank() == 3 && image.size(2) >= 1 && image.size(2) <= 4), ShapeError, op,
             ": expected [H, W] or [H, W, C] with 1 to 4 channels, got ", image.shape(),
             image.is_floating()                                             ? "; batch_to_image converts"
             : image.rank() == 3 && image.size(0) >= 1 && image.size(0) <= 4 ? "; permute({1, 2, 0}) puts channels last"
                                                                             : "");
  WEFT_CHECK(image.dtype() == Dtype::u8 || image.dtype() == Dtype::i32, DtypeError, op, ": expected u8 or i32, got ",
             image.dtype(), "; batch_to_image converts");
  return (matrix ? image.detach().unsqueeze(2) : image.detach()).to(Device()).contiguous();
}
}  // namespace

void write_image(const Tensor& image, const std::string& path, const WriteImageOptions& o) {
  const Tensor x = checked_picture("write_image", image);
  bool png = ends_with(path, ".png"), jpeg = ends_with(path, ".jpg") || ends_with(path, ".jpeg");
  WEFT_CHECK(png || jpeg, ValueError, "write_image: the name ", path, " must end in .png, .jpg or .jpeg");
#if defined(WEFT_HAS_IMAGE)
  write_file(path, png ? encode_png(x) : encode_jpeg(x, o.quality));
#else
  (void)o;
  raise<NotSupported>("write_image: ", path, ": weft was built without image codecs (WEFT_IMAGE=OFF)");
#endif
}

std::vector<std::byte> png_bytes(const Tensor& image) {
  const Tensor x = checked_picture("png_bytes", image);
#if defined(WEFT_HAS_IMAGE)
  return encode_png(x);
#else
  raise<NotSupported>("png_bytes: weft was built without image codecs (WEFT_IMAGE=OFF)");
#endif
}

Tensor image_to_batch(const Tensor& image) {
  WEFT_CHECK(image.rank() == 3, ShapeError, "image_to_batch: expected [H, W, C], got ", image.shape());
  WEFT_CHECK(image.dtype() == Dtype::u8, DtypeError, "image_to_batch: expected u8, got ", image.dtype());
  Tensor x = image.detach().contiguous();
  Tensor y = empty({1, x.size(2), x.size(0), x.size(1)}, Dtype::f32, MemoryFormat::channels_last);
  const uint8_t* in = x.data<uint8_t>();
  float* out = y.mut_data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) out[i] = in[i];
  return y;
}

Tensor batch_to_image(const Tensor& x) {
  WEFT_CHECK(x.rank() == 3 || (x.rank() == 4 && x.size(0) == 1), ShapeError,
             "batch_to_image: expected [1, C, H, W] or [C, H, W], got ", x.shape());
  WEFT_CHECK(x.is_floating(), DtypeError, "batch_to_image: expected floating [C, H, W], got ", x.dtype(),
             x.dtype() == Dtype::u8 ? "; a u8 tensor is a picture already" : "");
  Tensor chw = x.detach().to(Device()).to(Dtype::f32);
  if (x.rank() == 4) chw = chw.squeeze(0);
  Tensor hwc = chw.permute({1, 2, 0}).contiguous(), y = empty(hwc.shape(), Dtype::u8);
  const float* in = hwc.data<float>();
  uint8_t* out = y.mut_data<uint8_t>();
  for (int64_t i = 0; i < y.numel(); ++i)
    out[i] = in[i] > 0 ? static_cast<uint8_t>(std::nearbyint(std::min(in[i], 255.0f))) : 0;
  return y;
}

}  // namespace weft::io
