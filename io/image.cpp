#include "weft/io/image.h"

#include <cmath>

#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/io/codec.h"

namespace weft::io {

namespace {

bool ends_with(std::string_view text, std::string_view end) {
  if (text.size() < end.size()) return false;
  text.remove_prefix(text.size() - end.size());
  for (size_t i = 0; i < end.size(); ++i)
    if ((text[i] | 0x20) != (end[i] | 0x20)) return false;
  return true;
}

}  // namespace

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

Tensor read_image(std::span<const std::byte> bytes, std::string_view name, const ReadImageOptions& o) {
  WEFT_CHECK(
      (o.bits == 8 || o.bits == 16) && (o.channels == 0 || o.channels == 1 || o.channels == 3 || o.channels == 4),
      ValueError, "read_image: channels ", o.channels, " must be 0, 1, 3 or 4 and bits ", o.bits, " 8 or 16");
#if defined(WEFT_HAS_IMAGE)
  Source source{bytes, std::string(name), nullptr};
  if (is_png(bytes)) return read_png(source, o);
  if (is_jpeg(bytes)) {
    WEFT_CHECK(o.bits == 8, ValueError, "read_image: ", name, " is a JPEG, which has 8 bits, not 16");
    return read_jpeg(source, o);
  }
  source.fail(bytes.empty() ? "is empty" : "is neither PNG nor JPEG");
#else
  (void)bytes;
  raise<NotSupported>("read_image: ", name, ": weft was built without image codecs (WEFT_IMAGE=OFF)");
#endif
}

Tensor read_image(const std::string& path, const ReadImageOptions& o) {
  Source source = Source::map(path);
  return read_image(source.bytes, path, o);
}

void write_image(const Tensor& image, const std::string& path, const WriteImageOptions& o) {
  bool matrix = image.rank() == 2;
  WEFT_CHECK(matrix || (image.rank() == 3 && image.size(2) >= 1 && image.size(2) <= 4), ShapeError,
             "write_image: expected [H, W] or [H, W, C] with 1 to 4 channels, got ", image.shape());
  WEFT_CHECK(image.dtype() == Dtype::u8 || image.dtype() == Dtype::i32, DtypeError,
             "write_image: expected u8 or i32, got ", image.dtype(), "; batch_to_image converts");
  bool png = ends_with(path, ".png"), jpeg = ends_with(path, ".jpg") || ends_with(path, ".jpeg");
  WEFT_CHECK(png || jpeg, ValueError, "write_image: the name ", path, " must end in .png, .jpg or .jpeg");
#if defined(WEFT_HAS_IMAGE)
  Tensor x = (matrix ? image.detach().unsqueeze(2) : image.detach()).to(Device()).contiguous();
  std::vector<std::byte> bytes = png ? encode_png(x) : encode_jpeg(x, o.quality);
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
#else
  (void)o;
  raise<NotSupported>("write_image: ", path, ": weft was built without image codecs (WEFT_IMAGE=OFF)");
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
