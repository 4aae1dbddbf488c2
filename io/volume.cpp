#include "weft/io/volume.h"

#include <cmath>
#include <cstring>

#include "weft/core/factory.h"
#include "weft/io/folder.h"
#include "weft/io/image.h"
#include "weft/io/npy.h"
#include "weft/io/stored.h"
#include "weft/io/volume_formats.h"

namespace weft::io {

namespace {

bool begins(Bytes bytes, std::string_view with) {
  return bytes.size() >= with.size() && std::memcmp(bytes.data(), with.data(), with.size()) == 0;
}

Volume read_source(const Source& source, const Input& again, const ReadVolumeOptions& o) {
  if (is_tiff(source.bytes)) return read_tiff(source);
  if (begins(source.bytes, "\x93NUMPY")) {
    const std::string dtype = npy_info(again).dtype;  // what weft has a dtype for keeps it
    Tensor x = load_npy(again, {.widen = dtype.ends_with("u4") || dtype.ends_with("u8")});
    if (x.rank() != 3 && x.rank() != 4)
      source.fail(weft::str("is of ", x.shape(), "; a volume has 3 axes, or 4 with channels"));
    return {x.contiguous()};
  }
  if (may_be_nifti(source.bytes)) return read_nifti(source, o);
  const std::string kind = recognised(source.bytes);
  source.fail(source.bytes.empty() ? "is empty"
                                   : "is no volume (.npy, NIfTI-1, TIFF)" + (kind.empty() ? "" : ": it is " + kind));
}

/// A grey picture's stored numbers, [H, W] of u8 or u16.
Tensor read_grey(const std::string& path) {
  const Source source = Source::of(path);
  if (is_tiff(source.bytes)) {
    Tensor x = read_tiff(source).data;
    if (x.size(0) != 1) source.fail(weft::str("has ", x.size(0), " pages, and is one slice of many"));
    return x.squeeze(0);
  }
  if (!begins(source.bytes, "\x89PNG")) return read_image(path, {.channels = 1}).squeeze(2);
  const Tensor x = read_labels(path);
  constexpr size_t kDepth = 24;  // in IHDR, which is the first chunk
  return x.to(std::to_integer<int>(source.bytes[kDepth]) == 16 ? Dtype::u16 : Dtype::u8);
}

Volume read_slices(const std::string& folder) {
  std::vector<std::string> names;
  for (const std::string& name : files_in(folder))
    if (is_picture_name(name) || has_ending(name, ".tif") || has_ending(name, ".tiff")) names.push_back(name);
  WEFT_CHECK(!names.empty(), IoError, folder, ": there are no slices (.png, .jpg, .jpeg, .tif, .tiff) in it");
  sort_by_numbers(names);
  Tensor volume;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string path = join_path(folder, names[i]);
    const Tensor x = read_grey(path).contiguous();
    if (i == 0) volume = empty({static_cast<int64_t>(names.size()), x.size(0), x.size(1)}, x.dtype());
    WEFT_CHECK(x.dtype() == volume.dtype() && x.size(0) == volume.size(1) && x.size(1) == volume.size(2), IoError, path,
               ": is ", x.dtype(), " ", x.shape(), ", the first slice ", names[0], " ", volume.dtype(), " [",
               volume.size(1), ", ", volume.size(2), "]");
    std::memcpy(static_cast<std::byte*>(volume.mut_raw_data()) + i * x.nbytes(), x.raw_data(), x.nbytes());
  }
  return {volume};
}

}  // namespace

Volume read_volume(const std::string& path, const ReadVolumeOptions& o) {
  if (is_folder(path)) return read_slices(path);
  const Source source = Source::of(path);
  return is_hdf5(source.bytes) ? read_hdf5(path, o.dataset) : read_source(source, path, o);
}

Volume read_volume(std::span<const std::byte> bytes, std::string_view name, const ReadVolumeOptions& o) {
  const Input from(bytes, std::string(name));
  return read_source(Source::of(from), from, o);
}

Tensor read_volume_labels(const std::string& path, const std::string& dataset) {
  const Tensor x = read_volume(path, {.scaled = false, .dataset = dataset}).data;
  if (!x.is_floating()) return x.to(Dtype::i64);
  const Tensor wide = x.to(Dtype::f64).contiguous();
  const double* p = wide.data<double>();
  constexpr double kExact = 9007199254740992;  // 2^53
  for (int64_t i = 0; i < wide.numel(); ++i)
    WEFT_CHECK(std::abs(p[i]) <= kExact && p[i] == std::floor(p[i]), IoError, path, ": voxel ", i, " is ", p[i],
               ", which is no label");
  return wide.to(Dtype::i64);
}

}  // namespace weft::io
