#include "weft/io/gzip.h"

#include <zlib.h>

#include <algorithm>

namespace weft::io {

namespace {

constexpr size_t kMostRatio = 1032;     // of deflate
constexpr size_t kMostPiece = 1 << 30;  // zlib counts in unsigned int
constexpr int kGzipOnly = MAX_WBITS + 16;

bool is_gzip(Bytes bytes) { return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b}; }

}  // namespace

struct GzipFile::Stream {
  z_stream z{};
  bool started = false, ended = false;
  size_t read = 0;
  ~Stream() {
    if (started) inflateEnd(&z);
  }
};

GzipFile::GzipFile(Source source) : source_(std::move(source)) {
  if (!is_gzip(source_.bytes)) return;
  stream_ = std::make_unique<Stream>();
  stream_->started = inflateInit2(&stream_->z, kGzipOnly) == Z_OK;
  if (!stream_->started) source_.fail("zlib cannot start");
  bytes_ = std::make_shared<std::vector<std::byte>>();
}

GzipFile::~GzipFile() = default;

size_t GzipFile::inflate_into(std::byte* out, size_t n) {
  Stream& s = *stream_;
  size_t written = 0;
  while (written < n && !s.ended) {
    const size_t take = std::min(source_.bytes.size() - s.read, kMostPiece), room = std::min(n - written, kMostPiece);
    s.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(source_.bytes.data() + s.read));
    s.z.avail_in = static_cast<uInt>(take);
    s.z.next_out = reinterpret_cast<Bytef*>(out + written);
    s.z.avail_out = static_cast<uInt>(room);
    const int status = ::inflate(&s.z, Z_NO_FLUSH);
    s.read += take - s.z.avail_in;
    written += room - s.z.avail_out;
    if (status == Z_STREAM_END) {
      // gzip files may be joined; what else stands behind one is padding
      s.ended = !is_gzip(source_.bytes.subspan(s.read)) || inflateReset(&s.z) != Z_OK;
    } else if (status == Z_BUF_ERROR) {
      source_.fail("is truncated: its gzip data does not end");
    } else if (status != Z_OK) {
      source_.fail(std::string("is damaged: ") + (s.z.msg ? s.z.msg : "its gzip data cannot be read"));
    }
  }
  return written;
}

Source GzipFile::first(size_t n) {
  auto require = [&](size_t there) {
    if (n > there) source_.fail(weft::str("is truncated: it has ", there, " of ", n, " bytes"));
  };
  if (!stream_) {
    require(source_.bytes.size());
    given_ = std::max(given_, n);
    return {source_.bytes.first(n), source_.name, source_.keep};
  }
  if (n / kMostRatio > source_.bytes.size())
    source_.fail(weft::str("claims ", n, " bytes, impossible in its ", source_.bytes.size(), " packed ones"));
  if (const size_t have = bytes_->size(); n > have) {
    auto longer = std::make_shared<std::vector<std::byte>>(n);  // what was given before stays where it is
    std::copy(bytes_->begin(), bytes_->end(), longer->begin());
    require(have + inflate_into(longer->data() + have, n - have));
    bytes_ = std::move(longer);
  }
  return {Bytes(*bytes_).first(n), source_.name, bytes_};
}

size_t GzipFile::rest() {
  if (!stream_) return source_.bytes.size() - given_;
  size_t count = 0;
  std::byte piece[4096];
  while (const size_t got = inflate_into(piece, sizeof piece)) count += got;
  return count;
}

}  // namespace weft::io
