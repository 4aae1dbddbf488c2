// libweft_hdf5.so: files through libhdf5, which runs in one thread at a time.
#include <hdf5.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <string_view>

#include "weft/core/error.h"
#include "weft/io/hdf5/abi.h"

namespace weft::io::hdf5 {

namespace {

/// Held around every call of libhdf5, which prints nothing then.
class Calls {
 public:
  Calls() : lock_(mutex()) {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Calls() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  std::lock_guard<std::mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

/// An identifier that is closed with the scope, within Calls.
class Id {
 public:
  Id(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Id() {
    if (id_ >= 0) close_(id_);
  }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// libhdf5's words for its last failure: the first of the chain, or the one that names a filter that it lacks.
std::string reason() {
  char text[200] = "";  // exceptions must not cross libhdf5
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned n, const H5E_error2_t* e, void* to) -> herr_t {
        const std::string_view words = e->desc ? e->desc : "";
        if (n == 0 || words.starts_with("required filter"))
          std::snprintf(static_cast<char*>(to), sizeof text, "%s", words.data());
        return 0;
      },
      text);
  return text[0] ? std::string(": ") + text : "";
}

/// What libhdf5 keeps as floats of 16 bits.
hid_t half_type() {
  const hid_t half = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_size(half, 2);
  H5Tset_ebias(half, 15);
  return half;
}

/// h5py's bool: an enum of FALSE and TRUE over 8 bits.
bool is_bool(hid_t type) {
  if (H5Tget_class(type) != H5T_ENUM || H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2) return false;
  for (unsigned i = 0; i < 2; ++i) {
    int8_t value = 0;
    char* name = H5Tget_member_name(type, i);
    const bool right = name && H5Tget_member_value(type, i, &value) >= 0 &&
                       std::string(name) == (value ? "TRUE" : "FALSE");
    H5free_memory(name);
    if (!right) return false;
  }
  return true;
}

/// The type in memory: the file's, little-endian.
hid_t memory_type(hid_t type) {
  const hid_t copy = H5Tcopy(type);
  const H5T_class_t kind = H5Tget_class(copy);
  if (kind == H5T_INTEGER || kind == H5T_FLOAT) H5Tset_order(copy, H5T_ORDER_LE);
  return copy;
}

/// numpy's word, or nothing for what weft has no dtype for.
std::string word_of(hid_t type) {
  const Id memory(memory_type(type), H5Tclose), half(half_type(), H5Tclose);
  const std::pair<hid_t, const char*> known[] = {{H5T_IEEE_F64LE, "f8"}, {H5T_IEEE_F32LE, "f4"}, {half, "f2"},
                                                 {H5T_STD_I64LE, "i8"},  {H5T_STD_I32LE, "i4"},  {H5T_STD_I16LE, "i2"},
                                                 {H5T_STD_I8LE, "i1"},   {H5T_STD_U64LE, "u8"},  {H5T_STD_U32LE, "u4"},
                                                 {H5T_STD_U16LE, "u2"},  {H5T_STD_U8LE, "u1"}};
  for (const auto& [id, word] : known)
    if (H5Tequal(memory, id) > 0) return word;
  return is_bool(type) ? "b1" : "";
}

const char* kind_of(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER: return "an unusual integer";
    case H5T_FLOAT: return "an unusual float";
    case H5T_STRING: return "text";
    case H5T_COMPOUND: return "a compound";  // complex numbers too
    case H5T_ENUM: return "an enum";
    case H5T_OPAQUE: return "opaque bytes";
    default: return "of an unusual class";
  }
}

class LibraryFile : public File {
 public:
  explicit LibraryFile(const std::string& path) : path_(path) {
    const Calls calls;
    file_ = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file_ < 0) fail("cannot be opened as HDF5");
    if (H5Ovisit2(file_, H5_INDEX_NAME, H5_ITER_INC, found, this, H5O_INFO_BASIC) < 0) {
      const std::string why = error_.empty() ? "its list of datasets cannot be read" : error_;
      const std::string because = error_.empty() ? reason() : "";
      H5Fclose(file_);
      raise<IoError>(path_, ": ", why, because);
    }
  }
  ~LibraryFile() override {
    const Calls calls;
    H5Fclose(file_);
  }
  LibraryFile(const LibraryFile&) = delete;
  LibraryFile& operator=(const LibraryFile&) = delete;

  const std::vector<Dataset>& datasets() const override { return datasets_; }

  void read(size_t number, const Shape& start, const Shape& size, void* out) const override {
    const Dataset& d = datasets_[number];
    if (size.numel() == 0) return;
    const Calls calls;
    const Id set(H5Dopen2(file_, d.name.c_str(), H5P_DEFAULT), H5Dclose);
    const Id type(H5Dget_type(set), H5Tclose), memory(memory_type(type), H5Tclose);
    const Id there(H5Dget_space(set), H5Sclose);
    std::vector<hsize_t> from(start.begin(), start.end()), count(size.begin(), size.end());
    const int rank = size.size();
    const Id here(rank ? H5Screate_simple(rank, count.data(), nullptr) : H5Screate(H5S_SCALAR), H5Sclose);
    const bool selected = rank == 0 ||
                          H5Sselect_hyperslab(there, H5S_SELECT_SET, from.data(), nullptr, count.data(), nullptr) >= 0;
    if (!selected || H5Dread(set, memory, here, there, H5P_DEFAULT, out) < 0)
      fail("its dataset '" + d.name + "' cannot be read");
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { raise<IoError>(path_, ": ", what, reason()); }

  /// Adds one dataset. Exceptions must not cross libhdf5.
  static herr_t found(hid_t file, const char* name, const H5O_info_t* info, void* self) {
    if (info->type != H5O_TYPE_DATASET) return 0;
    auto& f = *static_cast<LibraryFile*>(self);
    try {
      f.add(file, name);
      return 0;
    } catch (const std::exception& e) {
      f.error_ = e.what();
      return -1;
    }
  }
  void add(hid_t file, const char* name) {
    const Id set(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
    const Id type(H5Dget_type(set), H5Tclose), space(H5Dget_space(set), H5Sclose);
    const Id layout(H5Dget_create_plist(set), H5Pclose);
    Dataset d;
    d.name = name;
    d.dtype = word_of(type);
    d.readable = !d.dtype.empty() && H5Sget_simple_extent_type(space) != H5S_NULL;
    if (!d.readable) d.dtype = H5Sget_simple_extent_type(space) == H5S_NULL ? "empty" : kind_of(type);
    if (H5Pget_external_count(layout) > 0) d.readable = false, d.dtype = "in another file";
    d.itemsize = H5Tget_size(type);
    d.packed = H5Dget_storage_size(set);
    d.filtered = H5Pget_nfilters(layout) > 0;
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank > kMaxRank) d.readable = false, d.dtype = str("of ", rank, " dimensions");
    if (rank > 0 && rank <= kMaxRank) {
      hsize_t sizes[kMaxRank] = {};
      H5Sget_simple_extent_dims(space, sizes, nullptr);
      for (int i = 0; i < rank; ++i) d.shape.push_back(static_cast<int64_t>(std::min<hsize_t>(sizes[i], INT64_MAX)));
    }
    datasets_.push_back(std::move(d));
  }

  std::string path_, error_;
  hid_t file_ = -1;
  std::vector<Dataset> datasets_;
};

std::unique_ptr<File> open_file(const std::string& path) { return std::make_unique<LibraryFile>(path); }

}  // namespace

}  // namespace weft::io::hdf5

extern "C" __attribute__((visibility("default"))) weft::io::hdf5::Open weft_register_hdf5(int abi) {
  return abi == weft::io::hdf5::kAbi ? &weft::io::hdf5::open_file : nullptr;
}
