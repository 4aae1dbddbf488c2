// Files, streams and memory as the formats need them: a read-only mapping, and an atomic write. Internal to io.
// Knows no format.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/tensor.h"
#include "weft/io/input_output.h"

namespace weft::io {

using Bytes = std::span<const std::byte>;

/// A file in memory. Writes into it are private to the process and never reach the file.
class MappedFile {
 public:
  /// IoError when it cannot be opened, or is not a regular file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  Bytes bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Bytes to read, with what keeps them alive: a mapping, what a stream gave, or null when they are the caller's and
/// must be copied.
struct Source {
  Bytes bytes;
  std::string name;  // for messages
  std::shared_ptr<const void> keep;

  static Source of(const Input& from);
  [[noreturn]] void fail(const std::string& reason) const;
  /// NotSupported instead of IoError: the file is right, weft lacks what it holds.
  [[noreturn]] void not_supported(const std::string& what) const;
  /// The tensor that lies at `offset` in row-major order. Over what is kept where its alignment allows, a copy
  /// otherwise. The caller has checked that it lies inside. Refuses bools that are neither 0 nor 1.
  Tensor tensor(size_t offset, const Shape& shape, Dtype dtype) const;
};

/// A file that appears under its name, complete, at commit(), or not at all. An existing one gives it its rights, and
/// its owner where that is allowed; a symlink stays and its target is written. Until then the bytes lie beside it in a
/// hidden "part", whose lock is held: a part beside it that nobody holds (another host's only if it is for the same
/// name) is a dead process's, and is removed.
/// (What is no regular file, such as /dev/stdout, is written directly.)
class WEFT_API AtomicFile {  // exported for its test
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t size);
  void commit();

 private:
  [[noreturn]] void fail(const char* what);
  void create_part(bool exists);
  void remove_dead_parts(const std::string& same_target) const noexcept;
  void take_rights() const noexcept;
  void discard() noexcept;
  std::string path_, name_, part_;  // as it was given; the target's and the part's names in folder_
  int folder_ = -1, fd_ = -1;
};

/// The bytes of a format on their way to an Output, where they are complete after commit().
class Sink {
 public:
  explicit Sink(const Output& to);
  void write(const void* data, size_t size);
  void commit();

 private:
  [[noreturn]] void fail() const;
  const Output& to_;
  std::optional<AtomicFile> file_;
  std::vector<std::byte> bytes_;
};

/// The system's words for an errno.
std::string system_text(int code);

/// For an error message: at most 80 bytes, without control characters.
std::string printable(std::string_view text);

}  // namespace weft::io
