#include "stack.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

using namespace weft;
namespace fs = std::filesystem;

namespace {

std::string ending(const fs::path& p) {
  std::string e = p.extension().string();
  std::transform(e.begin(), e.end(), e.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return e;
}

bool is_slice(const fs::path& p) {
  const std::string e = ending(p);
  return e == ".png" || e == ".jpg" || e == ".jpeg" || e == ".tif" || e == ".tiff";
}

/// The names' numbers decide, then the names: slice2 before slice10.
bool before(const std::string& a, const std::string& b) {
  size_t i = 0, j = 0;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    const auto number = [&](const std::string& s, size_t& k) {
      while (k < s.size() && s[k] == '0') ++k;
      const size_t begin = k;
      while (k < s.size() && digit(s[k])) ++k;
      return s.substr(begin, k - begin);
    };
    const std::string x = number(a, i), y = number(b, j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  return a.size() - i < b.size() - j || (a.size() - i == b.size() - j && a < b);
}

Tensor read_slice(const std::string& path) {
  const std::string e = ending(path);
  if (e == ".png") return io::read_labels(path);  // the stored numbers, of 16 bits too
  if (e != ".tif" && e != ".tiff") return io::read_image(path, {.channels = 1}).squeeze(2);
  const Tensor pages = io::read_volume(path).data;
  WEFT_CHECK(pages.size(0) == 1, IoError, path, ": has ", pages.size(0), " pages, and is one slice of many");
  return pages.squeeze(0);
}

/// A folder whose slices are read when they are needed.
struct Folder {
  std::vector<std::string> paths;
  Shape shape;
  std::map<int64_t, Tensor> held = {};

  explicit Folder(const std::string& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(".") && is_slice(entry.path())) paths.push_back(entry.path().string());
    }
    WEFT_CHECK(!paths.empty(), IoError, folder, ": there are no slices (.png, .jpg, .jpeg, .tif, .tiff) in it");
    std::sort(paths.begin(), paths.end(), before);
    const Tensor first = read_slice(paths[0]);
    shape = {static_cast<int64_t>(paths.size()), first.size(0), first.size(1)};
  }

  Tensor read(const Shape& start, const Shape& size) {
    std::erase_if(held, [&](const auto& s) { return s.first < start[0] || s.first >= start[0] + size[0]; });
    Tensor block = empty(size);
    for (int64_t z = 0; z < size[0]; ++z) {
      Tensor& slice = held[start[0] + z];
      if (!slice.defined()) slice = load(start[0] + z);
      block.select(0, z).copy_(slice.narrow(0, start[1], size[1]).narrow(1, start[2], size[2]));
    }
    return block;
  }

  Tensor load(int64_t z) const {
    const std::string& path = paths[static_cast<size_t>(z)];
    const Tensor x = read_slice(path);
    WEFT_CHECK(x.size(0) == shape[1] && x.size(1) == shape[2], IoError, path, ": is ", x.size(0), " x ", x.size(1),
               ", the first slice ", shape[1], " x ", shape[2]);
    if (x.is_floating()) return x.to(Dtype::f32);
    const bool small = x.min().item<int64_t>() >= 0 && x.max().item<int64_t>() <= 255;
    return x.to(small ? Dtype::u8 : Dtype::f32);
  }
};

/// FILE:DATASET in its parts; the second is empty where there is no file of the first name, or the whole is one.
std::pair<std::string, std::string> dataset_of(const std::string& path) {
  const size_t colon = path.rfind(':');
  std::error_code none;
  if (fs::exists(path, none) || colon == std::string::npos || !fs::is_regular_file(path.substr(0, colon), none))
    return {path, ""};
  return {path.substr(0, colon), path.substr(colon + 1)};
}

bool is_hdf5(const std::string& path) {
  char head[8] = {};
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return false;
  const bool read = std::fread(head, 1, sizeof head, file) == sizeof head;
  std::fclose(file);
  return read && std::memcmp(head, "\x89HDF\r\n\x1a\n", sizeof head) == 0;
}

/// The dataset that is named, or the only one of three axes.
const io::TensorInfo& choose(const io::Hdf5File& file, const std::string& path, const std::string& name) {
  const io::TensorInfo* found = nullptr;
  std::string volumes;
  for (const io::TensorInfo& d : file.datasets()) {
    if (name.empty() ? d.shape.size() != 3 : d.name != name) continue;
    WEFT_CHECK(!found, IoError, path, ": has several volumes: ", volumes, ", ", d.name, "; name one: ", path, ":",
               d.name);
    found = &d;
    volumes = d.name;
  }
  WEFT_CHECK(found, IoError, path, ": has no ", name.empty() ? "volume of three axes" : "dataset '" + name + "'");
  WEFT_CHECK(found->shape.size() == 3, IoError, path, ": ", found->name, " is ", found->shape, ", not [D, H, W]");
  return *found;
}

Tensor three_axes(Tensor x, const std::string& path) {
  if (x.rank() == 4 && x.size(0) == 1) x = x.squeeze(0);
  WEFT_CHECK(x.rank() == 3 && x.numel() > 0, IoError, path, ": is a volume ", x.shape(), ", not [D, H, W]");
  return x;
}

}  // namespace

Stack::Stack(const Tensor& volume, std::string name)
    : name_(std::move(name)), shape_(volume.shape()), bytes_(volume.dtype() == Dtype::u8) {
  read_ = [volume](const Shape& start, const Shape& size) {
    Tensor x = volume;
    for (int axis = 0; axis < 3; ++axis) x = x.narrow(axis, start[axis], size[axis]);
    return x.to(Dtype::f32).contiguous();
  };
}

Stack Stack::open(const std::string& path) {
  const auto [file, dataset] = dataset_of(path);
  std::error_code none;
  Stack stack;
  stack.name_ = path;
  if (fs::is_directory(file, none)) {
    const auto folder = std::make_shared<Folder>(file);
    stack.shape_ = folder->shape;
    stack.read_ = [folder](const Shape& start, const Shape& size) { return folder->read(start, size); };
  } else if (is_hdf5(file)) {
    const auto source = std::make_shared<io::Hdf5File>(file);
    const io::TensorInfo& info = choose(*source, file, dataset);
    stack.shape_ = info.shape;
    stack.bytes_ = info.dtype == "|u1";
    stack.read_ = [source, name = info.name](const Shape& start, const Shape& size) {
      return source->load(name, start, size).to(Dtype::f32);
    };
  } else {
    return Stack(read_whole(path), path);
  }
  return stack;
}

Tensor read_whole(const std::string& path) {
  const auto [file, dataset] = dataset_of(path);
  return three_axes(io::read_volume(file, {.dataset = dataset}).data, path);
}

Tensor Stack::read(const Shape& start, const Shape& size) const {
  Tensor block = read_(start, size);
  if (bytes_) return block;
  for (int64_t z = 0; z < size[0]; ++z)
    WEFT_CHECK(all(isfinite(block.select(0, z))).item<bool>(), ValueError, name_, ": slice ", first_ + start[0] + z,
               " has values that are not finite");
  return block;
}

Stack Stack::slices(int64_t begin, int64_t end) const {
  WEFT_CHECK(begin >= 0 && begin < end && end <= shape_[0], IoError, name_, ": has ", shape_[0],
             " slices, not those of ", begin, ":", end);
  Stack part = *this;
  part.shape_[0] = end - begin;
  part.first_ += begin;
  part.read_ = [read = read_, begin](Shape start, const Shape& size) {
    start[0] += begin;
    return read(start, size);
  };
  return part;
}

MembraneRule MembraneRule::parse(const std::string& text) {
  MembraneRule rule;
  size_t end = 0;
  try {
    rule.comparison = text.at(0);
    rule.value = std::stoll(text.substr(1), &end);
  } catch (const std::exception&) { end = 0; }
  WEFT_CHECK(end > 0 && end + 1 == text.size() && std::strchr("<>=", rule.comparison), ValueError, "'", text,
             "' says no labels; write <128, >0 or =1");
  return rule;
}

Tensor MembraneRule::operator()(const Tensor& labels) const {
  const Tensor at = comparison == '<' ? labels < value : comparison == '>' ? labels > value : eq(labels, value);
  return at.to(Dtype::u8);
}

Tensor read_membranes(const std::string& path, const MembraneRule& rule, const Stack& of) {
  const auto [file, dataset] = dataset_of(path);
  const Tensor labels = three_axes(io::read_volume_labels(file, dataset), file);
  WEFT_CHECK(labels.shape() == of.shape(), ShapeError, path, ": labels ", labels.shape(), " of the volume ", of.name(),
             " ", of.shape());
  const Tensor membranes = rule(labels);
  const auto count = sum(membranes.to(Dtype::i64)).item<int64_t>();
  WEFT_CHECK(count > 0 && count < labels.numel(), ValueError, path, ": ", count == 0 ? "no voxel" : "every voxel",
             " is membrane by the rule ", rule.comparison, rule.value, " (labels are ", labels.min().item<int64_t>(),
             " to ", labels.max().item<int64_t>(), "); see --membrane");
  return membranes;
}

NpyWriter::NpyWriter(std::string path, const Shape& shape) : path_(std::move(path)), part_(path_ + ".part") {
  std::string header = str("{'descr': '|u1', 'fortran_order': False, 'shape': (", shape[0], ", ", shape[1], ", ",
                           shape[2], "), }");
  constexpr size_t kHead = 10, kAlign = 64;  // magic, version and size stand before the text
  header.resize((kHead + header.size() + 1 + kAlign - 1) / kAlign * kAlign - kHead - 1, ' ');
  header += '\n';
  const std::string size = {static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  header = std::string("\x93NUMPY\x01\0", 8) + size + header;
  file_ = std::fopen(part_.c_str(), "wb");
  check(file_ && std::fwrite(header.data(), 1, header.size(), file_) == header.size());
}

NpyWriter::~NpyWriter() {
  if (file_) std::fclose(file_), std::remove(part_.c_str());
}

void NpyWriter::write(const Tensor& slab) {
  const Tensor x = slab.contiguous();
  const auto bytes = static_cast<size_t>(x.numel());
  check(std::fwrite(x.data<uint8_t>(), 1, bytes, file_) == bytes);
}

void NpyWriter::finish() {
  std::FILE* file = std::exchange(file_, nullptr);
  const bool closed = std::fclose(file) == 0;
  check(closed && std::rename(part_.c_str(), path_.c_str()) == 0);
}

void NpyWriter::check(bool good) const {
  WEFT_CHECK(good, IoError, path_, ": cannot be written: ", std::strerror(errno));
}
