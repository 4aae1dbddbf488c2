#include "weft/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <istream>
#include <ostream>
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

namespace {

/// What is left of a stream. The streambuf is asked, so that the end of the stream is no failure to streams that throw.
std::vector<std::byte> rest_of(std::istream& stream, const std::string& name) {
  WEFT_CHECK(stream.good(), IoError, name, ": cannot be read: the stream has failed or ended before");
  try {
    std::streambuf& in = *stream.rdbuf();
    size_t known = 0;  // one more than is left, where the stream can tell
    if (const std::streamoff at = in.pubseekoff(0, std::ios::cur, std::ios::in); at >= 0) {
      const std::streamoff end = in.pubseekoff(0, std::ios::end, std::ios::in);
      in.pubseekpos(at, std::ios::in);
      if (end >= at) known = static_cast<size_t>(end - at) + 1;
    }
    constexpr size_t kFirst = 1 << 20;  // before much memory is taken on the word of a stream
    std::vector<std::byte> out;
    size_t size = known ? std::min(known, kFirst) : kFirst, got = 0;
    while (true) {
      out.resize(size);
      got += static_cast<size_t>(
          in.sgetn(reinterpret_cast<char*>(out.data() + got), static_cast<std::streamsize>(size - got)));
      if (got < size) break;
      size = std::max(known, 2 * size);
    }
    out.resize(got);
    return out;
  } catch (const std::ios_base::failure& e) { raise<IoError>(name, ": cannot be read: ", e.what()); }
}

}  // namespace

Source Source::of(const Input& from) {
  switch (from.from_) {
    case Input::From::file: {
      auto mapping = std::make_shared<MappedFile>(from.name_);
      return {mapping->bytes(), from.name_, mapping};
    }
    case Input::From::stream: {
      auto bytes = std::make_shared<std::vector<std::byte>>(rest_of(*from.stream_, from.name_));
      return {*bytes, from.name_, bytes};
    }
    default: return {from.bytes_, from.name_, nullptr};
  }
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
  if (keep && reinterpret_cast<uintptr_t>(p) % itemsize(dtype) == 0)
    return from_blob(const_cast<std::byte*>(p), shape, dtype, [keep = keep] {});
  Tensor t = empty(shape, dtype);
  std::memcpy(t.mut_raw_data(), p, size);
  return t;
}

Sink::Sink(const Output& to) : to_(to) {
  if (to.stream_) {
    if (!to.stream_->good()) fail();
  } else if (!to.bytes_) {
    file_.emplace(to.name_);
  }
}

void Sink::fail() const { raise<IoError>(to_.name_, ": cannot be written"); }

void Sink::write(const void* data, size_t size) {
  if (file_) return file_->write(data, size);
  if (!to_.stream_) {
    const auto* p = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), p, p + size);
    return;
  }
  try {
    to_.stream_->write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  } catch (const std::ios_base::failure&) {}  // of streams that throw; the state tells, too
  if (!to_.stream_->good()) fail();
}

void Sink::commit() {
  if (file_) return file_->commit();
  if (!to_.stream_) return to_.bytes_->swap(bytes_);
  try {
    to_.stream_->flush();
  } catch (const std::ios_base::failure&) {}
  if (!to_.stream_->good()) fail();
}

std::string printable(std::string_view text) {
  std::string s(text.substr(0, 80));
  for (char& c : s)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > 80) s += "...";
  return s;
}

}  // namespace weft::io
