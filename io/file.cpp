#include "weft/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "weft/core/factory.h"

namespace weft::io {

std::string system_text(int code) { return std::generic_category().message(code); }

namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  WEFT_CHECK(file.fd >= 0, IoError, path, ": cannot be opened: ", system_text(errno));
  struct stat info {};
  WEFT_CHECK(::fstat(file.fd, &info) == 0, IoError, path, ": ", system_text(errno));
  WEFT_CHECK(S_ISREG(info.st_mode), IoError, path, ": is ", S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* p = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.fd, 0);
  WEFT_CHECK(p != MAP_FAILED, IoError, path, ": cannot be mapped: ", system_text(errno));
  data_ = static_cast<std::byte*>(p);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_);
}

Source Source::map(const std::string& path) {
  auto mapping = std::make_shared<MappedFile>(path);
  return {mapping->bytes(), path, mapping};
}

void Source::fail(const std::string& reason) const { raise<IoError>(name, ": ", reason); }
void Source::not_supported(const std::string& what) const { raise<NotSupported>(name, ": ", what); }

Tensor Source::tensor(size_t offset, const Shape& shape, Dtype dtype) const {
  size_t size = static_cast<size_t>(shape.numel()) * itemsize(dtype);
  const std::byte* p = bytes.data() + offset;
  if (dtype == Dtype::boolean)
    for (size_t i = 0; i < size; ++i)
      if (std::to_integer<int>(p[i]) > 1)
        fail(weft::str("a bool at byte ", offset + i, " is ", std::to_integer<int>(p[i])));
  if (size == 0) return empty(shape, dtype);
  if (mapping && reinterpret_cast<uintptr_t>(p) % itemsize(dtype) == 0) {
    auto keep = mapping;
    return from_blob(const_cast<std::byte*>(p), shape, dtype, [keep] {});
  }
  Tensor t = empty(shape, dtype);
  std::memcpy(t.mut_raw_data(), p, size);
  return t;
}

std::string printable(std::string_view text) {
  std::string s(text.substr(0, 80));
  for (char& c : s)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > 80) s += "...";
  return s;
}

}  // namespace weft::io
