#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "weft/core/factory.h"
#include "weft/io/gzip.h"
#include "weft/io/stored.h"
#include "weft/io/volume_formats.h"

namespace weft::io {

// The header has 348 bytes; its data begins at 352 or later. https://nifti.nimh.nih.gov/nifti-1

namespace {

constexpr size_t kHeader = 348, kFirstData = 352;
constexpr int32_t kNifti2Header = 540;

/// Numbers of a header in either byte order.
class Fields {
 public:
  Fields(Bytes bytes, bool swapped) : bytes_(bytes), swapped_(swapped) {}
  template <class T> T at(size_t offset) const {
    std::byte raw[sizeof(T)];
    std::memcpy(raw, bytes_.data() + offset, sizeof(T));
    if (swapped_) std::reverse(raw, raw + sizeof(T));
    T v;
    std::memcpy(&v, raw, sizeof(T));
    return v;
  }

 private:
  Bytes bytes_;
  bool swapped_;
};

/// What a datatype's number stands for.
Stored stored_of(const Source& source, int code) {
  using Integer = Stored::Integer;
  switch (code) {
    case 2: return Stored::held("uint8", Dtype::u8);
    case 4: return Stored::held("int16", Dtype::i16);
    case 8: return Stored::held("int32", Dtype::i32);
    case 16: return Stored::held("float32", Dtype::f32);
    case 64: return Stored::held("float64", Dtype::f64);
    case 256: return Stored::held("int8", Dtype::i8);
    case 512: return Stored::held("uint16", Dtype::u16);
    case 768: return Stored::integer("uint32", Integer::u32);
    case 1024: return Stored::held("int64", Dtype::i64);
    case 1280: return Stored::integer("uint64", Integer::u64);
    case 1: source.not_supported("stores single bits (datatype 1), which weft does not read");
    case 32:
    case 1792:
    case 2048:
      source.not_supported(weft::str("stores complex numbers (datatype ", code, "), which weft does not read"));
    case 128:
    case 2304: source.not_supported(weft::str("stores colours (datatype ", code, "), which weft does not read"));
    case 1536: source.not_supported("stores floats of 128 bits (datatype 1536), which weft does not read");
    default: source.fail(weft::str("has the unknown NIfTI datatype ", code));
  }
}

/// dim -> [D, H, W] or [C, D, H, W].
Shape shape_of(const Source& source, const Fields& f) {
  const int rank = f.at<int16_t>(40);
  if (rank < 1 || rank > 7) source.fail(weft::str("has ", rank, " dimensions; NIfTI has 1 to 7"));
  std::vector<int64_t> sizes;  // x, y, z, t, ...
  for (int i = 0; i < rank; ++i) {
    sizes.push_back(f.at<int16_t>(42 + 2 * static_cast<size_t>(i)));
    if (sizes.back() < 1) source.fail(weft::str("has the size ", sizes.back(), " in its dimension ", i + 1));
  }
  const Shape stored(sizes);
  while (sizes.size() > 3 && sizes.back() == 1) sizes.pop_back();
  while (sizes.size() < 3) sizes.push_back(1);
  if (sizes.size() == 5 && sizes[3] == 1) sizes.erase(sizes.begin() + 3);  // vectors, say of a deformation
  if (sizes.size() > 4)
    source.not_supported(weft::str("is of ", stored, "; volumes have three axes and channels, or times"));
  std::reverse(sizes.begin(), sizes.end());
  return Shape(sizes);
}

size_t data_offset(const Source& source, const Fields& f) {
  const float at = f.at<float>(108);
  constexpr float kMost = 1 << 30;
  if (!(at >= static_cast<float>(kFirstData) && at <= kMost) || at != std::floor(at))
    source.fail(weft::str("its data begins at byte ", at, "; 352 is the first that it can"));
  return static_cast<size_t>(at);
}

Tensor scaled(const Tensor& x, double slope, double inter) {
  constexpr int64_t kPiece = 1 << 16;
  Tensor y = empty(x.shape(), x.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32);
  const Tensor in = x.reshape({-1});
  for (int64_t begin = 0, n = x.numel(); begin < n; begin += kPiece) {
    const Tensor piece = in.narrow(0, begin, std::min(kPiece, n - begin)).to(Dtype::f64).contiguous();
    const double* p = piece.data<double>();
    for (int64_t i = 0; i < piece.numel(); ++i) {
      const double v = p[i] * slope + inter;
      if (y.dtype() == Dtype::f64) y.mut_data<double>()[begin + i] = v;
      else y.mut_data<float>()[begin + i] = static_cast<float>(v);
    }
  }
  return y;
}

/// The byte order of a header that begins with the number `size`.
std::optional<bool> swapped_if(Bytes bytes, int32_t size) {
  if (bytes.size() < 4) return std::nullopt;
  for (bool swapped : {false, true})
    if (Fields(bytes, swapped).at<int32_t>(0) == size) return swapped;
  return std::nullopt;
}

}  // namespace

bool may_be_nifti(Bytes bytes) {
  const bool gzip = bytes.size() > 1 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
  return gzip || swapped_if(bytes, kHeader) || swapped_if(bytes, kNifti2Header);
}

Volume read_nifti(const Source& source, const ReadVolumeOptions& o) {
  GzipFile file(source);
  const Source begin = file.first(4);
  if (swapped_if(begin.bytes, kNifti2Header)) source.not_supported("is NIfTI-2; weft reads NIfTI-1");
  const std::optional<bool> swapped = swapped_if(begin.bytes, kHeader);
  if (!swapped) source.fail("is gzipped, but no NIfTI-1 file");
  const Source header = file.first(kHeader);
  const Fields f(header.bytes, *swapped);
  const std::string_view magic(reinterpret_cast<const char*>(header.bytes.data()) + 344, 4);
  using namespace std::string_view_literals;
  if (magic == "ni1\0"sv)
    source.not_supported("is the header of a pair (.hdr, .img), which weft does not read; convert it to .nii");
  if (magic != "n+1\0"sv)
    source.fail("is no NIfTI-1 file: its magic is '" + printable(magic.substr(0, 3)) + "' (Analyze 7.5 has none)");

  Stored stored = stored_of(source, f.at<int16_t>(70));
  const Shape shape = shape_of(source, f);
  const size_t offset = data_offset(source, f);
  size_t size = 0;
  if (!checked_bytes(shape, stored.bits, size) || size > SIZE_MAX / 2)
    source.fail(weft::str("has the impossible shape ", shape));
  const Source all = file.first(offset + size);
  file.rest();
  stored.swapped = *swapped && stored.bits > 8;
  Volume v{read_stored(all, offset, shape, stored, "", stored.widened != Stored::Integer::none)};
  for (size_t axis = 0; axis < 3; ++axis) {  // pixdim[1..3] are x, y, z
    const double step = std::abs(static_cast<double>(f.at<float>(76 + 4 * (3 - axis))));
    if (std::isfinite(step) && step > 0) v.spacing[axis] = step;
  }
  const double slope = f.at<float>(112), inter = f.at<float>(116);
  if (!o.scaled || slope == 0 || !std::isfinite(slope)) return v;  // no scale, by the standard and by nibabel
  if (!std::isfinite(inter)) source.fail(weft::str("has the slope ", slope, " and the intercept ", inter));
  if (slope != 1 || inter != 0) v.data = scaled(v.data, slope, inter);
  return v;
}

}  // namespace weft::io
