#include "weft/io/hdf5.h"

#include <dlfcn.h>

#include <cstring>
#include <filesystem>

#include "weft/core/factory.h"
#include "weft/io/folder.h"
#include "weft/io/hdf5/abi.h"
#include "weft/io/stored.h"
#include "weft/io/volume_formats.h"

namespace weft::io {

namespace {

struct Plugin {
  hdf5::Open open = nullptr;
  std::string why;  // there is none
};

Plugin load_plugin() {
  Dl_info here{};
  std::filesystem::path file = hdf5::kPluginName;
  if (dladdr(reinterpret_cast<void*>(&load_plugin), &here) && here.dli_fname)
    file = std::filesystem::path(here.dli_fname).parent_path() / file;
  if (!is_file(file.string()))
    return {nullptr, "there is no " + file.string() + "; build weft with libhdf5 (-DWEFT_HDF5=ON)"};
  void* plugin = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed
  if (!plugin) return {nullptr, std::string(dlerror()) + "; install libhdf5"};
  const auto enter = reinterpret_cast<hdf5::Register>(dlsym(plugin, hdf5::kRegisterName));
  const hdf5::Open open = enter ? enter(hdf5::kAbi) : nullptr;
  return {open, open ? "" : file.string() + " is of another version of weft"};
}

Stored stored_of(const hdf5::Dataset& d) {
  if (d.readable)
    for (int i = 0; i < kDtypes; ++i)
      if (kDtypeTraits[i].npy && d.dtype == kDtypeTraits[i].npy) return Stored::held(d.dtype, static_cast<Dtype>(i));
  if (d.readable && d.dtype == "u4") return Stored::integer(d.dtype, Stored::Integer::u32);
  if (d.readable && d.dtype == "u8") return Stored::integer(d.dtype, Stored::Integer::u64);
  Stored s;
  s.text = d.dtype;
  return s;
}

}  // namespace

bool is_hdf5(Bytes bytes) {
  constexpr std::string_view kMagic = "\x89HDF\r\n\x1a\n";
  for (size_t at = 0; at + kMagic.size() <= bytes.size(); at = at ? 2 * at : 512)  // behind a block of the user's
    if (std::memcmp(bytes.data() + at, kMagic.data(), kMagic.size()) == 0) return true;
  return false;
}

struct Hdf5File::Content {
  std::string path;
  std::unique_ptr<hdf5::File> file;
  std::vector<TensorInfo> infos;

  size_t find(std::string_view name) const {
    for (size_t i = 0; i < infos.size(); ++i)
      if (infos[i].name == name) return i;
    raise<ValueError>(path, ": has no dataset '", printable(name), "'; datasets() lists what it has");
  }

  Tensor load(size_t i, const Shape& start, const Shape& size, bool widen) const {
    const hdf5::Dataset& d = file->datasets()[i];
    const Source nothing{{}, path, nullptr};
    const std::string what = "dataset '" + printable(d.name) + "' ";
    const Stored stored = stored_of(d);
    size_t all = 0, bytes = 0;
    if (!stored.dtype) return read_stored(nothing, 0, {}, stored, what, widen);
    // What was never written takes no space; a filter's byte stands for as much as a constant block of zstd.
    constexpr uint64_t kUnwritten = 64 << 20, kMostRatio = 1 << 15;
    const uint64_t most = kUnwritten + d.packed * (d.filtered ? kMostRatio : 1);
    if (!checked_bytes(d.shape, d.itemsize * 8, all) || all > most)
      nothing.fail(weft::str(what, "claims to be of ", d.shape, ", impossible in its ", d.packed, " bytes"));
    checked_bytes(size, d.itemsize * 8, bytes);
    if (stored.widened != Stored::Integer::none && !widen)
      return read_stored(nothing, 0, size, stored, what, widen);  // says what to do
    auto raw = std::make_shared<Tensor>(empty({static_cast<int64_t>(bytes)}, Dtype::u8));
    auto* out = static_cast<std::byte*>(raw->mut_raw_data());
    file->read(i, start, size, out);
    return read_stored({{out, bytes}, path, raw}, 0, size, stored, what, widen);
  }
  Tensor load(size_t i, bool widen) const {
    const Shape& shape = infos[i].shape;
    return load(i, Shape::filled(shape.size(), 0), shape, widen);
  }
};

Hdf5File::Hdf5File(const std::string& path) {
  {
    const Source source = Source::of(path);
    if (!is_hdf5(source.bytes)) {
      const std::string kind = recognised(source.bytes);
      source.fail("is no HDF5 file" + (kind.empty() ? "" : ": it is " + kind));
    }
  }
  static const Plugin plugin = load_plugin();
  WEFT_CHECK(plugin.open, NotSupported, path, ": is an HDF5 file, which needs a plugin: ", plugin.why);
  auto content = std::make_shared<Content>();
  content->path = path;
  content->file = plugin.open(path);
  for (const hdf5::Dataset& d : content->file->datasets()) content->infos.push_back({d.name, d.shape, d.dtype});
  content_ = std::move(content);
}

const std::vector<TensorInfo>& Hdf5File::datasets() const { return content_->infos; }

bool Hdf5File::contains(std::string_view name) const {
  for (const TensorInfo& t : content_->infos)
    if (t.name == name) return true;
  return false;
}

Tensor Hdf5File::load(std::string_view name, const LoadOptions& o) const {
  return content_->load(content_->find(name), o.widen);
}

Tensor Hdf5File::load(std::string_view name, const Shape& start, const Shape& size, const LoadOptions& o) const {
  const size_t i = content_->find(name);
  const Shape& shape = content_->infos[i].shape;
  bool inside = start.size() == shape.size() && size.size() == shape.size();
  for (int axis = 0; inside && axis < shape.size(); ++axis)
    inside = start[axis] >= 0 && size[axis] >= 0 && start[axis] <= shape[axis] &&
             size[axis] <= shape[axis] - start[axis];
  WEFT_CHECK(inside, ShapeError, content_->path, ": dataset '", printable(name), "' is of ", shape,
             "; the part that begins at ", start, " and is of ", size, " does not lie in it");
  return content_->load(i, start, size, o.widen);
}

StateDict Hdf5File::load(const LoadOptions& o) const {
  return load_all(content_->infos, [&](size_t i) { return content_->load(i, o.widen); });
}

Volume read_hdf5(const std::string& path, const std::string& dataset) {
  const Hdf5File file(path);
  std::string chosen = dataset, found;
  int volumes = 0;
  for (const TensorInfo& t : file.datasets()) {
    if (t.shape.size() != 3 && t.shape.size() != 4) continue;
    found += (volumes++ ? ", " : "") + printable(t.name);
    if (dataset.empty()) chosen = t.name;
  }
  WEFT_CHECK(!dataset.empty() || volumes == 1, IoError, path, ": has ", volumes, " datasets of 3 or 4 axes",
             volumes ? " (" + found + "); the option `dataset` names one" : "");
  bool wide = false;  // what weft has a dtype for keeps it
  for (const TensorInfo& t : file.datasets())
    if (t.name == chosen) wide = t.dtype == "u4" || t.dtype == "u8";
  Tensor x = file.load(chosen, {.widen = wide});
  WEFT_CHECK(x.rank() == 3 || x.rank() == 4, IoError, path, ": dataset '", printable(chosen), "' is of ", x.shape(),
             "; a volume has 3 axes, or 4 with channels");
  return {std::move(x)};
}

}  // namespace weft::io
