#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "weft/io/npy.h"
#include "weft/io/npy_format.h"

namespace weft::io {

// A .npz is a zip archive of .npy files. Layout: local header + data per file, then the central directory, then its end
// record. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT

namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr uint16_t kStored = 0, kDeflated = 8, kUtf8 = 0x800;
constexpr uint64_t kMaxRatio = 1032;  // of deflate

template <class T> T get(const Source& s, uint64_t at) {
  if (at > s.bytes.size() || s.bytes.size() - at < sizeof(T)) s.fail("is truncated, or its zip directory is damaged");
  T v;
  std::memcpy(&v, s.bytes.data() + at, sizeof(T));
  return v;
}

Bytes range(const Source& s, uint64_t at, uint64_t size) {
  if (at > s.bytes.size() || s.bytes.size() - at < size) s.fail("is truncated, or its zip directory is damaged");
  return s.bytes.subspan(at, size);
}

struct Member {
  std::string name;
  uint16_t method;
  uint32_t crc;
  uint64_t packed, size, local, data = 0;
};

/// Sizes of 4 GiB and more stand in an extra field, in the order size, packed, local; only those that are ~0 in place.
void read_zip64(const Source& s, Member& m, uint64_t at, uint64_t end) {
  while (at + 4 <= end) {
    uint16_t id = get<uint16_t>(s, at), length = get<uint16_t>(s, at + 2);
    at += 4;
    if (length > end - at) break;
    if (id == 1) {
      uint64_t field_end = at + length;
      for (uint64_t* v : {&m.size, &m.packed, &m.local}) {
        if (*v != UINT32_MAX) continue;
        if (field_end - at < 8) s.fail("has a damaged zip64 field");
        *v = get<uint64_t>(s, at);
        at += 8;
      }
      return;
    }
    at += length;
  }
}

std::vector<Member> read_directory(const Source& s) {
  uint64_t n = s.bytes.size();
  if (n < 22) s.fail(weft::str("is no .npz file: it has only ", n, " bytes"));
  std::optional<uint64_t> end;  // of the archive: its last record, before a comment of at most 64 KiB
  for (uint64_t back = 22; back <= std::min<uint64_t>(n, 22 + 65535) && !end; ++back)
    if (get<uint32_t>(s, n - back) == kEnd && get<uint16_t>(s, n - back + 20) == back - 22) end = n - back;
  if (!end) {
    std::string kind = recognised(s.bytes);
    bool zip = kind.empty() || get<uint32_t>(s, 0) == kLocal;
    s.fail(zip ? "is no .npz file, or truncated: the zip directory is missing" : "is no .npz file: it is " + kind);
  }
  uint64_t count = get<uint16_t>(s, *end + 10), size = get<uint32_t>(s, *end + 12), at = get<uint32_t>(s, *end + 16);
  if (*end >= 20 && get<uint32_t>(s, *end - 20) == kLocator64) {
    uint64_t record = get<uint64_t>(s, *end - 12);
    if (get<uint32_t>(s, record) != kEnd64) s.fail("has a damaged zip64 directory");
    count = get<uint64_t>(s, record + 32);
    size = get<uint64_t>(s, record + 40);
    at = get<uint64_t>(s, record + 48);
  }
  range(s, at, size);
  if (count > size / 46) s.fail(weft::str("claims ", count, " files in a directory of ", size, " bytes"));

  std::vector<Member> members;
  for (uint64_t i = 0; i < count; ++i) {
    if (get<uint32_t>(s, at) != kCentral) s.fail("has a damaged zip directory");
    Member m;
    uint16_t flags = get<uint16_t>(s, at + 8);
    m.method = get<uint16_t>(s, at + 10);
    m.crc = get<uint32_t>(s, at + 16);
    m.packed = get<uint32_t>(s, at + 20);
    m.size = get<uint32_t>(s, at + 24);
    m.local = get<uint32_t>(s, at + 42);
    uint64_t name_size = get<uint16_t>(s, at + 28), extra = get<uint16_t>(s, at + 30),
             comment = get<uint16_t>(s, at + 32);
    Bytes name = range(s, at + 46, name_size);
    m.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    read_zip64(s, m, at + 46 + name_size, at + 46 + name_size + extra);
    at += 46 + name_size + extra + comment;

    std::string file = "'" + printable(m.name) + "' ";
    if (flags & 1) s.fail(file + "is encrypted");
    if (m.method != kStored && m.method != kDeflated)
      s.fail(weft::str(file, "is packed with zip method ", m.method, "; only stored and deflated are offered"));
    if (get<uint32_t>(s, m.local) != kLocal) s.fail(file + "is not where the zip directory says");
    m.data = m.local + 30 + get<uint16_t>(s, m.local + 26) + get<uint16_t>(s, m.local + 28);
    range(s, m.data, m.packed);
    if (m.method == kStored ? m.size != m.packed : m.size / kMaxRatio > m.packed + 1)
      s.fail(weft::str(file, "claims to have ", m.size, " bytes from ", m.packed));
    members.push_back(std::move(m));
  }
  std::vector<const Member*> order;
  for (const Member& m : members) order.push_back(&m);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->local < b->local; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i]->local < order[i - 1]->data + order[i - 1]->packed)
      s.fail("'" + printable(order[i]->name) + "' overlaps '" + printable(order[i - 1]->name) + "'");
  return members;
}

/// Ends the zlib stream of either direction with the scope.
struct Stream {
  z_stream z{};
  int (*end)(z_streamp) = nullptr;
  ~Stream() {
    if (end) end(&z);
  }
};

constexpr size_t kPiece = 1 << 30;  // zlib counts in unsigned int

/// The first `limit` bytes of it, or all.
std::vector<std::byte> inflate_member(const Source& s, const Member& m, uint64_t limit = UINT64_MAX) {
  bool whole = m.size <= limit;
  std::vector<std::byte> out(whole ? m.size : limit);
  Bytes in = range(s, m.data, m.packed);
  Stream stream;
  if (inflateInit2(&stream.z, -MAX_WBITS) != Z_OK) s.fail("zlib cannot start");
  stream.end = inflateEnd;
  size_t read = 0, written = 0;
  std::byte beyond;  // a place to see that the data goes on
  int status = Z_OK;
  while (status == Z_OK) {
    size_t take = std::min(in.size() - read, kPiece), room = std::min(out.size() - written, kPiece);
    stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data() + read));
    stream.z.avail_in = static_cast<uInt>(take);
    stream.z.next_out = reinterpret_cast<Bytef*>(room ? out.data() + written : &beyond);
    stream.z.avail_out = static_cast<uInt>(room ? room : 1);
    status = ::inflate(&stream.z, Z_NO_FLUSH);
    read += take - stream.z.avail_in;
    size_t got = (room ? room : 1) - stream.z.avail_out;
    if (!room && got) break;
    written += got;
    if (!whole && written == out.size()) return out;
  }
  if (status != Z_STREAM_END || written != out.size())
    s.fail("'" + printable(m.name) +
           "' is damaged: " + (stream.z.msg ? stream.z.msg : "its data has another length than it claims"));
  return out;
}

uint32_t checksum(Bytes bytes, uLong crc = 0) {
  while (!bytes.empty()) {
    size_t piece = std::min(bytes.size(), kPiece);
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(piece));
    bytes = bytes.subspan(piece);
  }
  return static_cast<uint32_t>(crc);
}

/// A member as it lies in the archive, deflated or not.
Source packed_member(const Source& source, const Member& m) {
  return {range(source, m.data, m.packed), source.name + "/" + printable(m.name), source.keep};
}

/// The header of a member, of which no more is unpacked than that takes.
NpyHeader peek_header(const Source& source, const Member& m) {
  Source array = packed_member(source, m);
  std::vector<std::byte> begin;
  if (m.method == kDeflated) {
    begin = inflate_member(source, m, 4096);
    array.bytes = begin;
    if (size_t size = npy_header_size(array); size > begin.size()) {
      begin = inflate_member(source, m, size);
      array.bytes = begin;
    }
  }
  return read_npy_header(array);
}

Tensor read_member(const Source& source, const Member& m, bool widen) {
  Source array = packed_member(source, m);
  std::vector<std::byte> unpacked;
  if (m.method == kDeflated) {
    unpacked = inflate_member(source, m);
    array.bytes = unpacked;
    array.keep = nullptr;
  }
  if (checksum(array.bytes) != m.crc) array.fail("is damaged: its checksum differs");
  return parse_npy(array, widen);
}

template <class T> void put(std::string& s, T v) { s.append(reinterpret_cast<const char*>(&v), sizeof(T)); }

std::string deflate_all(Bytes header, Bytes data) {
  Stream stream;
  WEFT_CHECK(deflateInit2(&stream.z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK,
             IoError, "save_npz: zlib cannot start");
  stream.end = deflateEnd;
  std::string out(deflateBound(&stream.z, header.size() + data.size()), '\0');
  stream.z.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.z.avail_out = static_cast<uInt>(out.size());
  for (Bytes part : {header, data}) {
    stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(part.data()));
    stream.z.avail_in = static_cast<uInt>(part.size());
    ::deflate(&stream.z, Z_NO_FLUSH);
  }
  WEFT_ASSERT(::deflate(&stream.z, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.z.total_out);
  return out;
}

}  // namespace

struct NpzFile::Content {
  Source source;
  std::vector<Member> members;
  std::vector<TensorInfo> infos;  // of each member

  explicit Content(Source s) : source(std::move(s)), members(read_directory(source)) {
    std::set<std::string_view> names;
    for (const Member& m : members) {
      std::string_view name = m.name;
      if (!name.ends_with(".npy")) {
        const std::string kind = recognised(source.bytes);
        source.fail("'" + printable(name) + "' is no .npy file" +
                    (kind.starts_with("a PyTorch") ? "; it is " + kind : ""));
      }
      name.remove_suffix(4);
      if (!names.insert(name).second) source.fail("two arrays are named '" + printable(name) + "'");
      NpyHeader header = peek_header(source, m);
      infos.push_back({std::string(name), header.shape, header.stored.text});
    }
  }
  /// infos.size() when there is none.
  size_t find(std::string_view name) const {
    size_t i = 0;
    while (i < infos.size() && infos[i].name != name) ++i;
    return i;
  }
};

NpzFile::NpzFile(const Input& from) : content_(std::make_shared<const Content>(Source::of(from))) {}

const std::vector<TensorInfo>& NpzFile::arrays() const { return content_->infos; }
bool NpzFile::contains(std::string_view name) const { return content_->find(name) < content_->infos.size(); }

Tensor NpzFile::load(std::string_view name, const LoadOptions& o) const {
  size_t i = content_->find(name);
  WEFT_CHECK(i < content_->infos.size(), ValueError, content_->source.name, ": has no array '", printable(name),
             "'; arrays() lists what it has");
  return read_member(content_->source, content_->members[i], o.widen);
}

StateDict NpzFile::load(const LoadOptions& o) const {
  const Content& c = *content_;
  return load_all(c.infos, [&](size_t i) { return read_member(c.source, c.members[i], o.widen); });
}

StateDict load_npz(const Input& from, const LoadOptions& o) { return NpzFile(from).load(o); }

void save_npz(const StateDict& dict, const Output& to, Only<bool> compress) {
  WEFT_CHECK(dict.size() < UINT16_MAX, NotSupported, "save_npz: ", dict.size(), " arrays are more than a .npz holds");
  refuse_foreign(dict, "save_npz");
  Sink file(to);
  std::string directory;
  uint64_t at = 0;
  for (const auto& [key, tensor] : dict) {
    WEFT_CHECK(tensor.defined(), ValueError, "save_npz: '", key, "' is undefined");
    weft::detail::refuse_recorded(tensor, "save_npz");
    Tensor host = tensor.detach().to(Device()).contiguous();
    std::string name = key + ".npy", header = npy_header(host);
    Bytes head = std::as_bytes(std::span<const char>(header.data(), header.size()));
    Bytes data(static_cast<const std::byte*>(host.raw_data()), host.nbytes());
    uint64_t size = head.size() + data.size();
    WEFT_CHECK(size < UINT32_MAX / 2 && at < UINT32_MAX - UINT16_MAX, NotSupported, "save_npz: '", key, "' with ", size,
               " bytes at ", at, " does not fit (arrays of 2 GiB, files of 4 GiB); use io::save");
    WEFT_CHECK(name.size() <= UINT16_MAX, ValueError, "save_npz: a name of ", name.size(), " bytes is too long");
    std::string packed = compress ? deflate_all(head, data) : std::string();
    uint64_t packed_size = compress ? packed.size() : size;

    // The same fields stand in the local header and in the directory.
    std::string fields;
    put<uint16_t>(fields, 20);  // version needed
    put<uint16_t>(fields, kUtf8);
    put<uint16_t>(fields, compress ? kDeflated : kStored);
    put<uint32_t>(fields, 0x00210000);  // 1980-01-01: the same content gives the same file
    put<uint32_t>(fields, checksum(data, checksum(head)));
    put<uint32_t>(fields, static_cast<uint32_t>(packed_size));
    put<uint32_t>(fields, static_cast<uint32_t>(size));
    put<uint16_t>(fields, static_cast<uint16_t>(name.size()));

    std::string local;
    put<uint32_t>(local, kLocal);
    local += fields;
    // Stored data begins 64-byte aligned, so that it can be mapped; the padding is an extra field.
    uint64_t misaligned = (at + 30 + name.size() + 4) % 64;
    uint16_t padding = static_cast<uint16_t>((64 - misaligned) % 64);
    put<uint16_t>(local, static_cast<uint16_t>(4 + padding));
    local += name;
    put<uint16_t>(local, 0x5746);  // an id of no meaning to others
    put<uint16_t>(local, padding);
    local.append(padding, '\0');

    put<uint32_t>(directory, kCentral);
    put<uint16_t>(directory, 20);  // version made by
    directory += fields;
    put<uint16_t>(directory, 0);  // extra
    put<uint16_t>(directory, 0);  // comment
    put<uint16_t>(directory, 0);  // disk
    put<uint16_t>(directory, 0);  // internal attributes
    put<uint32_t>(directory, 0);  // external attributes
    put<uint32_t>(directory, static_cast<uint32_t>(at));
    directory += name;

    file.write(local.data(), local.size());
    if (compress) {
      file.write(packed.data(), packed.size());
    } else {
      file.write(head.data(), head.size());
      file.write(data.data(), data.size());
    }
    at += local.size() + packed_size;
  }
  WEFT_CHECK(at < UINT32_MAX && directory.size() < UINT32_MAX, NotSupported,
             "save_npz: the arrays do not fit the zip format's 4 GiB; use io::save");
  std::string end;
  put<uint32_t>(end, kEnd);
  put<uint32_t>(end, 0);  // disks
  put<uint16_t>(end, static_cast<uint16_t>(dict.size()));
  put<uint16_t>(end, static_cast<uint16_t>(dict.size()));
  put<uint32_t>(end, static_cast<uint32_t>(directory.size()));
  put<uint32_t>(end, static_cast<uint32_t>(at));
  put<uint16_t>(end, 0);  // comment
  directory += end;
  file.write(directory.data(), directory.size());
  file.commit();
}

}  // namespace weft::io
