// A file that may be gzipped, from its begin on: no more is unpacked than a parser asks for. Internal to io.
// Knows no format but gzip.
#pragma once

#include <memory>

#include "weft/io/file.h"

namespace weft::io {

class GzipFile {
 public:
  explicit GzipFile(Source source);
  ~GzipFile();
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;
  /// The first n bytes. IoError if there are fewer; what the file's size rules out is refused before it is allocated.
  Source first(size_t n);
  /// How many bytes lie behind those that `first` gave, up to the end of the file, whose checksums are compared.
  size_t rest();

 private:
  struct Stream;
  size_t inflate_into(std::byte* out, size_t n);  // n, or less at the end
  Source source_;
  std::unique_ptr<Stream> stream_;                 // null: not gzipped
  std::shared_ptr<std::vector<std::byte>> bytes_;  // unpacked so far
  size_t given_ = 0;
};

}  // namespace weft::io
