// Where tensors are read from and written to: a file, a stream, or bytes in memory. Every reader and writer of io takes
// these. Knows no format.
#pragma once

#include <concepts>
#include <cstddef>
#include <iosfwd>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace weft::io {

struct Source;
class Sink;

/// What a reader reads. Paths, streams and bytes turn into it by themselves:
///     io::load("model.safetensors");   io::load(std::cin);   io::load(bytes);
/// A file is mapped. A stream is read from where it stands to its end. Bytes are copied, unless the reader says that
/// they must live on. IoError when a file or stream cannot be read. `name` stands for the file in errors.
class Input {
 public:
  /// A file.
  template <std::convertible_to<std::string> Path> Input(const Path& path) : name_(path), from_(From::file) {}
  /// A stream, from where it stands to its end.
  Input(std::istream& stream, std::string name = "the stream")
      : name_(std::move(name)), stream_(&stream), from_(From::stream) {}
  template <std::convertible_to<std::span<const std::byte>> Bytes>
  Input(const Bytes& bytes, std::string name = "the bytes")
      : name_(std::move(name)), bytes_(bytes), from_(From::bytes) {}
  /// The name for error messages.
  const std::string& name() const { return name_; }

 private:
  friend struct Source;
  enum class From { file, stream, bytes };
  std::string name_;
  std::span<const std::byte> bytes_;
  std::istream* stream_ = nullptr;
  From from_;
};

/// What a writer writes to; paths, streams and vectors turn into it by themselves. A file appears complete or not at
/// all: an existing one is kept when anything fails, and gives the new one its rights. A vector is replaced, or kept
/// when anything fails. A stream may be left with a part. IoError when a file or stream cannot be written.
///     std::vector<std::byte> bytes;
///     io::save(model, bytes);
class Output {
 public:
  /// A file.
  template <std::convertible_to<std::string> Path> Output(const Path& path) : name_(path) {}
  /// A stream.
  Output(std::ostream& stream, std::string name = "the stream") : name_(std::move(name)), stream_(&stream) {}
  /// A vector, whose bytes are replaced.
  Output(std::vector<std::byte>& bytes) : name_("the bytes"), bytes_(&bytes) {}
  /// The name for error messages.
  const std::string& name() const { return name_; }

 private:
  friend class Sink;
  std::string name_;
  std::ostream* stream_ = nullptr;
  std::vector<std::byte>* bytes_ = nullptr;
};

}  // namespace weft::io
